// SPDX-License-Identifier: GPL-2.0
// fails: E0499 E0597

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|cx| {
        let mut outer = cx.noio();
        let mut inner = outer.nofs();
        core::mem::swap(&mut outer, &mut inner);
    })
}
