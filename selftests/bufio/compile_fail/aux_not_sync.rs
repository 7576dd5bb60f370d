// SPDX-License-Identifier: GPL-2.0
// fails: E0277

use crate::kapi::rcu_table::Aux;
use core::cell::Cell;

pub(crate) fn f() -> Aux {
    Aux::of::<Cell<u64>>()
}
