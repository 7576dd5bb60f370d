// SPDX-License-Identifier: GPL-2.0
// fails: E0277

use crate::{
    kapi::workqueue::OwnedQueue,
    scope::{boundary, work},
};
use kernel::{alloc::flags::GFP_KERNEL, prelude::*};

pub(crate) fn f(queue: &OwnedQueue) -> Result {
    boundary(|cx| {
        let g = cx.noio();
        work::try_spawn(queue, GFP_KERNEL, move |_| drop(g))
    })
}
