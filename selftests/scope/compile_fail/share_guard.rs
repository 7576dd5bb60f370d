// SPDX-License-Identifier: GPL-2.0
// fails: E0277

use crate::scope::MemallocScope;

fn is_sync<T: Sync>() {}

pub(crate) fn f() {
    is_sync::<MemallocScope<'static>>();
}
