// SPDX-License-Identifier: GPL-2.0
// fails: E0521

use crate::scope::{boundary, Kinds};

pub(crate) fn f() {
    boundary(|cx| {
        let mut kept = None;
        cx.with(Kinds::NOIO, |s| kept = Some(s.nofs()));
        drop(kept);
    })
}
