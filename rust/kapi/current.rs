// SPDX-License-Identifier: GPL-2.0

//! `current` and this CPU's memory, without a call.
//!
//! Scopes are entered on hot paths, where the call of a helper costs more than what it does.
//! Architecture-specific code of the module is here and nowhere else.
//!
//! C headers: `arch/*/include/asm/current.h`, `arch/*/include/asm/percpu.h`.

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

/// This CPU's copy of what is at an offset of per-CPU memory. The caller may be on another CPU when it is
/// used.
#[cfg(all(target_arch = "x86_64", CONFIG_SMP))]
#[inline(always)]
pub(super) fn this_cpu<T>(offset: *mut T) -> *mut T {
    let base: usize;
    // SAFETY: Reads this CPU's `this_cpu_off`, which any context may. It is not constant, but any value
    // that it had while the caller runs is as good.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[rip + this_cpu_off]",
            out(reg) base,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
    offset.wrapping_byte_add(base)
}

/// This CPU's copy of what is at an offset of per-CPU memory. The caller may be on another CPU when it is
/// used.
#[cfg(not(all(target_arch = "x86_64", CONFIG_SMP)))]
#[inline(always)]
pub(super) fn this_cpu<T>(offset: *mut T) -> *mut T {
    // SAFETY: Computes an address.
    unsafe { bindings::memscope_helper_this_cpu(offset.cast()).cast() }
}
