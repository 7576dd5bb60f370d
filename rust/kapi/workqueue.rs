// SPDX-License-Identifier: GPL-2.0

//! A workqueue of the module's own, so that unloading can wait for its work.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use crate::bindings as own;
use core::{ops::Deref, ptr::NonNull};
use kernel::{bindings, prelude::*, workqueue::Queue};

/// A workqueue that is destroyed, after its work has run, when this is dropped.
///
/// # Invariants
///
/// Points to a workqueue that nothing else destroys.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: All operations on a workqueue may be called from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above; `&self` gives only operations that lock for themselves.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates an unbound workqueue with a rescuer thread, so that reclaim may wait for its work.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: `name` is a C string that outlives the call, which copies it.
        let raw = unsafe { own::memscope_helper_alloc_workqueue(name.as_char_ptr()) };
        // INVARIANT: Just created.
        NonNull::new(raw).map(Self).ok_or(ENOMEM)
    }

    /// Returns the C queue.
    pub(super) fn as_raw(&self) -> *mut bindings::workqueue_struct {
        self.0.as_ptr()
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: Valid by the type invariant for as long as `self` is borrowed.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: Valid and not destroyed yet by the type invariant; nothing can be queued any
        // more, since that takes a reference to `self`.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
