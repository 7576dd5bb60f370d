// SPDX-License-Identifier: GPL-2.0
// fails: E0277

use crate::scope::MemallocScope;

pub(crate) static GUARD: Option<MemallocScope<'static>> = None;
