// SPDX-License-Identifier: GPL-2.0
// fails: E0499

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        let a = cx.noio();
        let b = cx.nofs();
        drop(a);
        drop(b);
    })
}
