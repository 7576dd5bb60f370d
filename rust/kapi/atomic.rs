// SPDX-License-Identifier: GPL-2.0

//! Atomics whose plain accesses are inline.
//!
//! `kernel::sync::atomic` calls a C function for each load and store. On x86-64 these are single
//! instructions without a barrier, and the call was a fifth of what a miss costs. Elsewhere, and for what
//! is not here, the kernel's are used.

use core::ops::{Deref, DerefMut};
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::{fence, Ordering};
#[cfg(target_arch = "x86_64")]
use kernel::sync::atomic::ordering::{AcquireOrRelaxed, ReleaseOrRelaxed};
use kernel::sync::atomic::AtomicType;
pub(crate) use kernel::sync::atomic::{Acquire, Relaxed};

/// As the kernel's, which it gives for what is not inline.
#[repr(transparent)]
pub(crate) struct Atomic<T: AtomicType>(kernel::sync::atomic::Atomic<T>);

impl<T: AtomicType> Atomic<T> {
    /// Makes a word.
    pub(crate) const fn new(value: T) -> Self {
        Self(kernel::sync::atomic::Atomic::new(value))
    }
}

#[cfg(target_arch = "x86_64")]
impl<T: AtomicType> Atomic<T> {
    /// Reads the word.
    #[inline(always)]
    pub(crate) fn load<O: AcquireOrRelaxed>(&self, _: O) -> T {
        // SAFETY: Valid and aligned, as the word of a reference; of a size that is read in one piece,
        // as all that the kernel has atomics of. Writers use single stores.
        let value = unsafe { self.0.as_ptr().read_volatile() };
        // For acquire. No instruction on this machine, where loads are not reordered.
        fence(Ordering::Acquire);
        value
    }

    /// Writes the word.
    #[inline(always)]
    pub(crate) fn store<O: ReleaseOrRelaxed>(&self, value: T, _: O) {
        // For release. No instruction on this machine, where stores are not reordered.
        fence(Ordering::Release);
        // SAFETY: As in `load`; shared words are atomic in all that use them.
        unsafe { self.0.as_ptr().write_volatile(value) };
    }
}

impl<T: AtomicType> Deref for Atomic<T> {
    type Target = kernel::sync::atomic::Atomic<T>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: AtomicType> DerefMut for Atomic<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
