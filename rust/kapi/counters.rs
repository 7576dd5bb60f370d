// SPDX-License-Identifier: GPL-2.0

//! Event counters with a copy for each CPU.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// `N` counters, and the time of the last [`Self::inc_now`].
///
/// # Invariants
///
/// A per-CPU array of `N + 1` words, the last for the time, from `memscope_helper_alloc_counters`.
pub(crate) struct Counters<const N: usize>(NonNull<core::ffi::c_void>);

// SAFETY: Per-CPU memory may be used and freed from any thread.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: Each operation is atomic on its own CPU's copy, and sums read single words.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// Makes counters at zero. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: No requirements; per-CPU memory is zeroed.
        let raw = unsafe { bindings::memscope_helper_alloc_counters(N as u32 + 1) };
        // INVARIANT: Just allocated.
        Ok(Self(NonNull::new(raw).ok_or(ENOMEM)?))
    }

    /// Adds one. Any context.
    #[inline]
    pub(crate) fn inc(&self, n: usize) {
        if n < N {
            // SAFETY: In bounds, by the type invariants.
            unsafe { bindings::memscope_helper_counter_inc(self.0.as_ptr(), n as u32) };
        }
    }

    /// Adds one and takes note of the time. Any context.
    #[inline]
    pub(crate) fn inc_now(&self, n: usize) {
        if n < N {
            let counters = self.0.as_ptr().cast::<u64>();
            // Offsets of per-CPU memory, which only the helper makes addresses of.
            let (counter, stamp) = (counters.wrapping_add(n), counters.wrapping_add(N));
            // SAFETY: In bounds, by the type invariants.
            unsafe { bindings::memscope_helper_counter_inc_stamp(counter, stamp) };
        }
    }

    /// Returns the time of the last [`Self::inc_now`] in jiffies, 0 if there was none.
    pub(crate) fn last_now(&self) -> u64 {
        // SAFETY: In bounds, by the type invariants.
        unsafe { bindings::memscope_helper_counter_max(self.0.as_ptr(), N as u32) }
    }

    /// Adds `delta`. Any context.
    pub(crate) fn add(&self, n: usize, delta: u64) {
        if n < N {
            // SAFETY: In bounds, by the type invariants.
            unsafe { bindings::memscope_helper_counter_add(self.0.as_ptr(), n as u32, delta) };
        }
    }

    /// Returns the sum over all CPUs, at some moment.
    pub(crate) fn sum(&self, n: usize) -> u64 {
        if n >= N {
            return 0;
        }
        // SAFETY: In bounds, by the type invariants.
        unsafe { bindings::memscope_helper_counter_sum(self.0.as_ptr(), n as u32) }
    }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, and not used again.
        unsafe { bindings::free_percpu(self.0.as_ptr()) };
    }
}
