// SPDX-License-Identifier: GPL-2.0

//! Clocks, as numbers for user space.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h).

use kernel::bindings;

/// `CLOCK_BOOTTIME` in nanoseconds.
pub(crate) fn boottime_ns() -> u64 {
    // SAFETY: May be called in any context but that of an NMI.
    let now = unsafe { bindings::ktime_get_with_offset(bindings::tk_offsets_TK_OFFS_BOOT) };
    now.unsigned_abs()
}

/// `CLOCK_MONOTONIC` in nanoseconds, in any context.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: May be called in any context.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}
