// SPDX-License-Identifier: GPL-2.0

//! Host tests of the buffer cache's decisions.
//!
//! `cargo test` runs the files of `rust/bufio/policy` against plain models, `cargo check` compiles
//! them as the module does, without `std`.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), allow(dead_code))]

#[path = "../../../rust/bufio"]
mod bufio {
    pub(crate) mod policy;
}
#[path = "../../../rust/kapi"]
mod kapi {
    pub(crate) mod rcu_table {
        pub(crate) mod hold;
    }
    pub(crate) mod word;
}

#[cfg(test)]
use bufio::policy;

#[cfg(test)]
mod clock;
#[cfg(test)]
mod dirty;
#[cfg(test)]
mod hit_ratio;
#[cfg(test)]
mod hold;
#[cfg(test)]
mod ladder;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod model;
#[cfg(test)]
mod parking;
#[cfg(test)]
mod words;
#[cfg(test)]
mod writeback;
