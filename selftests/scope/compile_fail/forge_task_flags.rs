// SPDX-License-Identifier: GPL-2.0
// fails: E0423

use crate::kapi::task::{self, Flags};

pub(crate) fn f() {
    task::update_flags(Flags(u32::MAX), Flags::NONE);
}
