// SPDX-License-Identifier: GPL-2.0

//! The decisions of the buffer cache, without the kernel.
//!
//! Everything below uses `core` only, as do the two files that it is written against
//! ([`hold`](crate::kapi::rcu_table::hold), [`word`](crate::kapi::word)), and touches no kernel type, so that the same files are compiled
//! into the module and into `selftests/host`, where property tests and a concurrency model run them.
//! Nothing here may panic: the lints below turn each way to do so into an error under clippy.

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub(crate) mod clock;
pub(crate) mod dirty;
pub(crate) mod ladder;
pub(crate) mod limits;
pub(crate) mod merge;
pub(crate) mod writeback;
