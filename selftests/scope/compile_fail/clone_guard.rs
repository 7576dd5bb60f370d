// SPDX-License-Identifier: GPL-2.0
// fails: E0599

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        let g = cx.noio();
        drop(g.clone());
    })
}
