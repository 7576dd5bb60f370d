// SPDX-License-Identifier: GPL-2.0

//! A value that is set at most once, and seldom.

use super::atomic::Atomic;
use kernel::sync::{
    atomic::{Acquire, Release},
    SetOnce,
};

/// A [`SetOnce`] whose emptiness is seen without the call that its own word takes.
pub(crate) struct Once<T> {
    /// Not zero once `value` is set; what is before the store of it is seen by who loads it.
    is_set: Atomic<u32>,
    value: SetOnce<T>,
}

impl<T> Once<T> {
    /// Makes an empty one.
    pub(crate) const fn new() -> Self {
        Self {
            is_set: Atomic::new(0),
            value: SetOnce::new(),
        }
    }

    /// Returns the value, if it is set.
    #[inline(always)]
    pub(crate) fn as_ref(&self) -> Option<&T> {
        if self.is_set.load(Acquire) == 0 {
            return None;
        }
        self.value.as_ref()
    }

    /// Sets the value unless it is, and says whether it did.
    pub(crate) fn populate(&self, value: T) -> bool {
        let done = self.value.populate(value);
        if done {
            self.is_set.store(1, Release);
        }
        done
    }
}
