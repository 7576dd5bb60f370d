// SPDX-License-Identifier: GPL-2.0

//! Words that are changed without a lock, and waited for.
//!
//! Sleepers queue on the kernel's hashed wait queues by the word's address, so that a word needs no
//! queue of its own.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h)

use super::word::Word;
use crate::bindings;
use kernel::sync::atomic::{Acquire, Atomic, Full};

/// A 64-bit atomic word.
#[repr(transparent)]
pub(crate) struct Word64(Atomic<u64>);

impl Word64 {
    /// Makes a word.
    pub(crate) const fn new(value: u64) -> Self {
        Self(Atomic::new(value))
    }

    /// Sleeps, counted as waiting for I/O, until no flag of `flags` is set.
    ///
    /// Who clears them calls [`Self::wake`] after it.
    pub(crate) fn wait_clear_io(&self, flags: u64) {
        // SAFETY: The word is valid while this runs, which is as long as the sleeper's.
        unsafe { bindings::memscope_helper_wait_clear_io(self.0.as_ptr(), flags) };
    }

    /// Sleeps until the word is not `old`, or for `timeout` jiffies. Who changes it calls
    /// [`Self::wake`] after it.
    pub(crate) fn wait_changed(&self, old: u64, timeout: usize) {
        // SAFETY: As in `wait_clear_io`.
        unsafe { bindings::memscope_helper_wait_changed(self.0.as_ptr(), old, timeout) };
    }

    /// As [`Self::wait_changed`], or until a fatal signal. The system may be suspended meanwhile.
    pub(crate) fn wait_changed_killable(&self, old: u64, timeout: usize) {
        // SAFETY: As in `wait_clear_io`.
        unsafe { bindings::memscope_helper_wait_changed_killable(self.0.as_ptr(), old, timeout) };
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Adds one.
    pub(crate) fn bump(&self) {
        self.0.fetch_add(1, Full);
    }

    /// Takes one off, and wakes the sleepers. The word may be gone at once after that.
    pub(crate) fn drop_one(&self) {
        let key = self.0.as_ptr();
        self.0.fetch_sub(1, Full);
        // SAFETY: As in `wake`.
        unsafe { bindings::wake_up_var(key.cast()) };
    }

    /// Wakes the sleepers. The change is a fully ordered read-modify-write before this.
    pub(crate) fn wake(&self) {
        // SAFETY: The address is a key only; nothing is read from it.
        unsafe { bindings::wake_up_var(self.0.as_ptr().cast()) };
    }
}

// `kernel::sync::atomic` calls a C function for each operation, which is half of what a lookup costs. On
// x86-64 the instructions are the same as the kernel's own (a plain load is an acquire, a locked
// instruction is a full barrier), so there they are taken from `core`, which has them inline.
#[cfg(target_arch = "x86_64")]
impl Word64 {
    #[inline(always)]
    fn inner(&self) -> &core::sync::atomic::AtomicU64 {
        // SAFETY: The same size and alignment; valid as long as `self`. All accesses are atomic.
        unsafe { core::sync::atomic::AtomicU64::from_ptr(self.0.as_ptr()) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Word for Word64 {
    #[inline(always)]
    fn load_acquire(&self) -> u64 {
        self.inner().load(core::sync::atomic::Ordering::Acquire)
    }

    #[inline(always)]
    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        use core::sync::atomic::Ordering::SeqCst;
        self.inner()
            .compare_exchange(old, new, SeqCst, SeqCst)
            .map(|_| ())
    }

    #[inline(always)]
    fn fetch_add(&self, delta: u64) -> u64 {
        self.inner()
            .fetch_add(delta, core::sync::atomic::Ordering::SeqCst)
    }

    #[inline(always)]
    fn swap(&self, new: u64) -> u64 {
        self.inner().swap(new, core::sync::atomic::Ordering::SeqCst)
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Word for Word64 {
    #[inline(always)]
    fn load_acquire(&self) -> u64 {
        self.0.load(Acquire)
    }

    #[inline(always)]
    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        self.0.cmpxchg(old, new, Full).map(|_| ())
    }

    #[inline(always)]
    fn fetch_add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, Full)
    }

    #[inline(always)]
    fn swap(&self, new: u64) -> u64 {
        self.0.xchg(new, Full)
    }
}

/// Returns the time in jiffies.
pub(crate) fn jiffies() -> u64 {
    // SAFETY: Reads one word.
    unsafe { bindings::memscope_helper_jiffies() }
}

/// Converts a time span.
pub(crate) fn jiffies_to_seconds(span: u64) -> u64 {
    span / u64::from(bindings::HZ)
}

/// Returns the monotonic time in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::ktime_get() as u64 }
}

/// Lets others run if they should.
pub(crate) fn cond_resched() {
    // SAFETY: Called where the task may sleep.
    unsafe { bindings::memscope_helper_cond_resched() };
}
