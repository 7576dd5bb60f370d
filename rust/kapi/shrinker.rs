// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: what reclaim calls to get memory back from a cache.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::bindings;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{prelude::*, str::CStr, sync::Arc, types::ForeignOwnable};

/// A cache that can give memory back.
pub(crate) trait Shrink: Send + Sync + 'static {
    /// Returns how many objects could be freed. Does not block.
    fn count(&self) -> usize;

    /// Frees up to `objects` and returns how many it freed, or [`None`] if it cannot now. Does not block.
    fn scan(&self, objects: usize) -> Option<usize>;
}

/// A registered shrinker.
///
/// # Invariants
///
/// `raw` is registered, and its private data is a foreign `Arc<T>`.
pub(crate) struct Registration<T: Shrink> {
    raw: NonNull<bindings::shrinker>,
    _owner: PhantomData<Arc<T>>,
}

// SAFETY: May be unregistered from any thread that can sleep; `T` is `Send` and `Sync`.
unsafe impl<T: Shrink> Send for Registration<T> {}
// SAFETY: Nothing can be done with a reference.
unsafe impl<T: Shrink> Sync for Registration<T> {}

impl<T: Shrink> Registration<T> {
    /// Registers a shrinker, named in debugfs. May sleep.
    pub(crate) fn new(name: &CStr, owner: Arc<T>) -> Result<Self> {
        // SAFETY: The format takes one string, which is copied.
        let raw = unsafe { bindings::shrinker_alloc(0, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: Ours until it is registered.
        unsafe {
            (*raw.as_ptr()).count_objects = Some(count::<T>);
            (*raw.as_ptr()).scan_objects = Some(scan::<T>);
            (*raw.as_ptr()).seeks = bindings::DEFAULT_SEEKS as i32;
            (*raw.as_ptr()).private_data = owner.into_foreign();
        }
        // SAFETY: Complete.
        unsafe { bindings::shrinker_register(raw.as_ptr()) };
        // INVARIANT: Just registered.
        Ok(Self {
            raw,
            _owner: PhantomData,
        })
    }
}

impl<T: Shrink> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        let owner = unsafe { (*self.raw.as_ptr()).private_data };
        // SAFETY: Registered. Waits for callbacks that run.
        unsafe { bindings::shrinker_free(self.raw.as_ptr()) };
        // SAFETY: From `into_foreign`, and no callback uses it any more.
        drop(unsafe { Arc::<T>::from_foreign(owner) });
    }
}

/// # Safety
///
/// Called by the shrinker core for a [`Registration<T>`].
unsafe extern "C" fn count<T: Shrink>(
    shrinker: *mut bindings::shrinker,
    _control: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the invariants of the registration.
    let owner = unsafe { Arc::<T>::borrow((*shrinker).private_data) };
    match owner.count() {
        0 => bindings::SHRINK_EMPTY as usize,
        n => n,
    }
}

/// # Safety
///
/// Called by the shrinker core for a [`Registration<T>`].
unsafe extern "C" fn scan<T: Shrink>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the invariants of the registration.
    let owner = unsafe { Arc::<T>::borrow((*shrinker).private_data) };
    // SAFETY: Valid during the call.
    let objects = unsafe { (*control).nr_to_scan };
    owner
        .scan(objects)
        .unwrap_or(bindings::SHRINK_STOP as usize)
}
