// SPDX-License-Identifier: GPL-2.0
// fails: E0505

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        let mut outer = cx.noio();
        let inner = outer.nofs();
        drop(outer);
        drop(inner);
    })
}
