// SPDX-License-Identifier: GPL-2.0
// fails: E0382

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        let s = cx.noreclaim(4096);
        drop(s);
        let _ = s.charge(1);
    })
}
