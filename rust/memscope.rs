// SPDX-License-Identifier: GPL-2.0

//! memscope: keeps memory reclaim from recursing into the storage path.
//!
//! The crate root: what the module consists of, and in which order it goes away.

mod bindings;
mod bufio;
mod capi;
mod dev;
// The two libraries of this crate are whole, whatever the module happens to use of them today; the
// selftest crate uses the rest.
#[allow(dead_code)]
mod kapi;
#[allow(dead_code)]
mod scope;

use kapi::debugfs::Dir;
use kernel::prelude::*;

module! {
    type: Memscope,
    name: "memscope",
    authors: ["The memscope authors"],
    description: "Memory allocation scopes for storage daemons and block drivers",
    license: "GPL",
}

/// The loaded module.
#[pin_data]
struct Memscope {
    // Dropped first: no new callers from user space.
    #[pin]
    _dev: dev::Registration,
    // Its C callers are modules that depend on this one, so they are gone.
    _bufio: capi::bufio::Registration,
}

impl kernel::InPlaceModule for Memscope {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let debugfs = Dir::new(c"memscope", None)?;
            Ok(try_pin_init!(Self {
                _dev <- dev::register(module, debugfs.clone()),
                _bufio: capi::bufio::Registration::new(&debugfs)?,
            }? Error))
        })
    }
}
