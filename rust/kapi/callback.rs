// SPDX-License-Identifier: GPL-2.0

//! Functions of C callers that take a buffer.
//!
//! C header: `include/linux/memscope-bufio.h`

use crate::bindings;
use core::{ffi::c_void, ptr::NonNull};

/// A C function of one buffer, or none.
///
/// # Invariants
///
/// The function may be called with any buffer that its owner was promised, as a function of a
/// `struct dm_buffer *` if `dm`, and of a `struct memscope_buffer *` if not.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    function: Option<NonNull<c_void>>,
    dm: bool,
}

// SAFETY: The address of code, which any thread may call.
unsafe impl Send for Callback {}
// SAFETY: As above.
unsafe impl Sync for Callback {}

impl Callback {
    /// No function.
    // INVARIANT: None is called.
    pub(crate) const NONE: Self = Self {
        function: None,
        dm: false,
    };

    /// Wraps a function; `dm` is what [`Callback`] says.
    ///
    /// # Safety
    ///
    /// The function may be called with every pointer that [`Self::call`] is given, in the contexts in
    /// which it is, and its code stays while the value or a copy of it exists.
    pub(crate) unsafe fn new(function: *mut c_void, dm: bool) -> Self {
        // INVARIANT: By the contract.
        Self {
            function: NonNull::new(function),
            dm,
        }
    }

    /// Calls the function, if there is one.
    #[inline]
    pub(crate) fn call<T>(&self, buffer: *mut T) {
        if let Some(function) = self.function {
            // SAFETY: By the type invariants. Called from C, under the type that it has there.
            unsafe {
                bindings::memscope_helper_call_buffer(function.as_ptr(), self.dm, buffer.cast())
            };
        }
    }
}
