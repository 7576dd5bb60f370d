// SPDX-License-Identifier: GPL-2.0

//! Module parameters that an administrator may change, and sizes of the machine.

use crate::bindings;
use kernel::page::PAGE_SIZE;

/// Limit of all buffers, 0 for the default.
pub(crate) fn max_cache_size_bytes() -> u64 {
    // SAFETY: Reads one word.
    unsafe { bindings::memscope_helper_max_cache_size_bytes() as u64 }
}

/// Bytes that the shrinker leaves to each client.
pub(crate) fn retain_bytes() -> u64 {
    // SAFETY: Reads one word.
    unsafe { bindings::memscope_helper_retain_bytes() as u64 }
}

/// Age at which dirty data is written, in milliseconds; 0 for never.
pub(crate) fn writeback_age_ms() -> u32 {
    // SAFETY: Reads one word.
    unsafe { bindings::memscope_helper_writeback_age_ms() }
}

/// Bytes of directly mapped memory.
pub(crate) fn low_memory_bytes() -> u64 {
    // SAFETY: No requirements.
    (unsafe { bindings::memscope_helper_low_pages() } as u64).saturating_mul(PAGE_SIZE as u64)
}

/// Bytes of address space for vmalloc.
pub(crate) fn vmalloc_bytes() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::memscope_helper_vmalloc_total() as u64 }
}
