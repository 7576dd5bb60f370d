// SPDX-License-Identifier: GPL-2.0

//! The atomic word of the policy files, for one thread and for the model checker.

use crate::kapi::word::Word;
use std::cell::Cell;

/// A word for tests with one thread.
#[derive(Debug, Default)]
pub(crate) struct Plain(pub(crate) Cell<u64>);

impl Word for Plain {
    fn load_acquire(&self) -> u64 {
        self.0.get()
    }

    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        let seen = self.0.get();
        if seen != old {
            return Err(seen);
        }
        self.0.set(new);
        Ok(())
    }

    fn fetch_add(&self, delta: u64) -> u64 {
        self.0.replace(self.0.get().wrapping_add(delta))
    }

    fn swap(&self, new: u64) -> u64 {
        self.0.replace(new)
    }
}

/// A word under the model checker.
#[derive(Debug)]
pub(crate) struct Loom(pub(crate) loom::sync::atomic::AtomicU64);

impl Loom {
    pub(crate) fn new(value: u64) -> Self {
        Self(loom::sync::atomic::AtomicU64::new(value))
    }
}

impl Word for Loom {
    fn load_acquire(&self) -> u64 {
        self.0.load(loom::sync::atomic::Ordering::Acquire)
    }

    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        use loom::sync::atomic::{fence, Ordering};
        // Weaker than the kernel's full ordering, which has a barrier before as well: here it would
        // also come before an exchange that fails, which in the kernel orders nothing.
        self.0
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)?;
        fence(Ordering::SeqCst);
        Ok(())
    }

    fn fetch_add(&self, delta: u64) -> u64 {
        use loom::sync::atomic::{fence, Ordering};
        fence(Ordering::SeqCst);
        let old = self.0.fetch_add(delta, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        old
    }

    fn swap(&self, new: u64) -> u64 {
        use loom::sync::atomic::{fence, Ordering};
        fence(Ordering::SeqCst);
        let old = self.0.swap(new, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        old
    }
}
