// SPDX-License-Identifier: GPL-2.0
// fails: E0451

use crate::{kapi::task::Flags, scope::MemallocScope};
use core::marker::PhantomData;
use kernel::types::NotThreadSafe;

pub(crate) fn f() {
    drop(MemallocScope {
        found: Flags::NONE,
        inside: Flags::NONE,
        _parent: PhantomData,
        _task: NotThreadSafe,
    });
}
