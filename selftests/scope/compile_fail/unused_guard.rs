// SPDX-License-Identifier: GPL-2.0
// fails: "unused `MemallocScope` that must be used"

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        cx.noio();
    })
}
