// SPDX-License-Identifier: GPL-2.0
// fails: E0521

use crate::scope::boundary;

pub(crate) fn f() {
    boundary(|outer| {
        let mut noio = outer.noio();
        boundary(|inner| core::mem::swap(&mut noio, inner));
    })
}
