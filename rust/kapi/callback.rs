// SPDX-License-Identifier: GPL-2.0

//! Functions of C callers, to be called with an object of theirs.

use core::ffi::c_void;

/// A C function of one pointer, or none.
///
/// # Invariants
///
/// The function may be called with any pointer that its owner was promised.
#[derive(Clone, Copy)]
pub(crate) struct Callback(Option<unsafe extern "C" fn(*mut c_void)>);

impl Callback {
    /// Wraps a function.
    ///
    /// # Safety
    ///
    /// The function may be called with every pointer that [`Self::call`] is given, in the contexts in
    /// which it is, and its code stays while the value or a copy of it exists.
    pub(crate) unsafe fn new(raw: Option<unsafe extern "C" fn(*mut c_void)>) -> Self {
        // INVARIANT: By the contract.
        Self(raw)
    }

    /// No function.
    pub(crate) const NONE: Self = Self(None);

    /// Calls the function, if there is one.
    #[inline]
    pub(crate) fn call<T>(&self, object: *mut T) {
        if let Some(function) = self.0 {
            // SAFETY: By the type invariants.
            unsafe { function(object.cast()) };
        }
    }
}
