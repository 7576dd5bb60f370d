// SPDX-License-Identifier: GPL-2.0
// fails: "lifetime may not live long enough"

use crate::scope::boundary;

pub(crate) fn f() {
    let g = boundary(|cx| cx.noio());
    drop(g);
}
