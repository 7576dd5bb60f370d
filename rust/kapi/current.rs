// SPDX-License-Identifier: GPL-2.0

//! `current`, without a call.
//!
//! Scopes are entered on hot paths, where the call of a helper costs more than what it does.
//! Architecture-specific code of the module is here and nowhere else.
//!
//! C header: `arch/*/include/asm/current.h`.

use crate::bindings;

/// The running task. Valid while it runs, so for as long as the caller does.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn current() -> *mut bindings::task_struct {
    let task;
    // SAFETY: Reads this CPU's `const_current_task`, which any context may; a task that moves to
    // another CPU finds itself there as well. That makes it constant for the code around, as the
    // C header declares it too (`this_cpu_read_const()`).
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[rip + const_current_task]",
            out(reg) task,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
    task
}

/// The running task. Valid while it runs, so for as long as the caller does.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn current() -> *mut bindings::task_struct {
    // SAFETY: May be called anywhere.
    unsafe { bindings::get_current() }
}
