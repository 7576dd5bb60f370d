// SPDX-License-Identifier: GPL-2.0

//! Allocations with the containers of the `kernel` crate inside a scope.
//!
//! Who makes the memory short and watches the allocator is `scope_test.ko`.

use crate::{
    kapi::gfp::{self, Gfp},
    scope::{boundary, Kinds},
};
use kernel::{alloc, page::Page, prelude::*};

const BYTES: usize = 256 * 1024;

/// What to allocate; bits 8 and up of the argument.
const PAGE: usize = 0;
const KVEC: usize = 1;
const VVEC: usize = 2;
const KVVEC: usize = 3;
const BUDGET: usize = 4;

/// `arg`: the kinds of the scope in bits 0 to 7, bit 7 set for "through `gfp::current`".
pub(crate) fn allocate(arg: usize) -> Result<isize> {
    let kinds = Kinds::from_bits_truncate((arg & 0x7f) as u32);
    let own = arg & 0x80 != 0;
    boundary(|cx| {
        if arg >> 8 == BUDGET {
            let s = cx.noreclaim(kernel::page::PAGE_SIZE);
            let page = Page::alloc_page(s.charge(kernel::page::PAGE_SIZE)?.flags())?;
            drop(page);
            return Ok(0);
        }
        let _s = cx.enter(kinds);
        let flags = if own {
            gfp::current(Gfp::KERNEL).flags()
        } else {
            alloc::flags::GFP_KERNEL
        };
        match arg >> 8 {
            PAGE => drop(Page::alloc_page(flags)?),
            KVEC => drop(KVec::<u8>::with_capacity(BYTES / 16, flags)?),
            VVEC => drop(VVec::<u8>::with_capacity(BYTES, flags)?),
            KVVEC => drop(KVVec::<u8>::with_capacity(BYTES, flags)?),
            _ => return Err(EINVAL),
        }
        Ok(0)
    })
}
