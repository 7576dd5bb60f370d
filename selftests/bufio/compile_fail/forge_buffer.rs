// SPDX-License-Identifier: GPL-2.0
// fails: E0451

use crate::bufio::guard::Buffer;

pub(crate) fn f() -> Buffer<'static> {
    Buffer { hold: loop {} }
}
