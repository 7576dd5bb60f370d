// SPDX-License-Identifier: GPL-2.0
// fails: E0382

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        let mut outer = cx.noio();
        drop(outer);
        drop(outer.nofs());
    })
}
