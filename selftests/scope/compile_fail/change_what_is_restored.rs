// SPDX-License-Identifier: GPL-2.0
// fails: E0616

use crate::{kapi::task::Flags, scope::boundary};

pub(crate) fn f() {
    boundary(|cx| {
        let mut g = cx.noio();
        g.found = Flags::NOIO;
    })
}
