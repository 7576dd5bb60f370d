// SPDX-License-Identifier: GPL-2.0
// compiles: what all the others do, done right

use crate::{
    kapi::workqueue::OwnedQueue,
    scope::{boundary, work, Kinds},
};
use kernel::{alloc::flags::GFP_KERNEL, prelude::*};

pub(crate) fn f(queue: &OwnedQueue) -> Result {
    boundary(|cx| {
        let mut outer = cx.noio();
        let inner = outer.nofs();
        drop(inner);
        let s = outer.noreclaim(4096);
        s.charge(4096)?;
        drop(s);
        let kinds = outer.capture();
        work::try_spawn(queue, GFP_KERNEL, move |cx| cx.with(kinds, |_| ()))?;
        outer.with(Kinds::PIN, |_| ());
        drop(outer);
        drop(cx.nofs());
        Ok(())
    })
}
