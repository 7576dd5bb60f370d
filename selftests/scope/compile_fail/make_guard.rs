// SPDX-License-Identifier: GPL-2.0
// fails: E0624

use crate::{kapi::task::Flags, scope::MemallocScope};

pub(crate) fn f() {
    drop(MemallocScope::new(Flags::NOIO));
}
