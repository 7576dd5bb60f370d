// SPDX-License-Identifier: GPL-2.0
// fails: E0277

use crate::scope::NoReclaim;

fn is_send<T: Send>() {}

pub(crate) fn f() {
    is_send::<NoReclaim<'static>>();
}
