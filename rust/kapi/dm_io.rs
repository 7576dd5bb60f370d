// SPDX-License-Identifier: GPL-2.0

//! A `dm_io_client`, which only dm-mod can make.
//!
//! This module does not link to dm-mod. A module that does hands its functions over
//! (`memscope_bufio_set_dm_io()`), and takes them back before it goes.
//!
//! C header: `include/linux/memscope-bufio.h`

use crate::bindings;
use core::ptr::{self, NonNull};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
};

/// The functions, if they were handed over.
static OPS: Atomic<*const bindings::memscope_bufio_dm_io_ops> = Atomic::new(ptr::null());

/// Sets or, with null, takes back the functions.
///
/// # Safety
///
/// The functions stay callable until they are taken back and every client that was made with them is
/// destroyed.
pub(crate) unsafe fn set_ops(ops: *const bindings::memscope_bufio_dm_io_ops) {
    OPS.xchg(ops, Full);
}

/// A `dm_io_client`.
///
/// # Invariants
///
/// `client` is from `create` of `ops`, and not destroyed.
pub(crate) struct DmIoClient {
    client: NonNull<bindings::dm_io_client>,
    ops: NonNull<bindings::memscope_bufio_dm_io_ops>,
}

// SAFETY: dm-io clients may be used and destroyed from any thread.
unsafe impl Send for DmIoClient {}
// SAFETY: As above.
unsafe impl Sync for DmIoClient {}

impl DmIoClient {
    /// Makes one. May sleep.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if no module has handed the functions over, or what dm-io says.
    pub(crate) fn new() -> Result<Self> {
        let ops = NonNull::new(OPS.load(Relaxed).cast_mut()).ok_or(super::bdev::not_supported())?;
        // SAFETY: By the contract of `set_ops`.
        let create = unsafe { (*ops.as_ptr()).create }.ok_or(super::bdev::not_supported())?;
        // SAFETY: By the contract of `set_ops`.
        let client = kernel::error::from_err_ptr(unsafe { create() })?;
        // INVARIANT: Just made.
        Ok(Self {
            client: NonNull::new(client).ok_or(ENOMEM)?,
            ops,
        })
    }

    /// Returns the C client.
    pub(crate) fn as_ptr(&self) -> *mut bindings::dm_io_client {
        self.client.as_ptr()
    }
}

impl Drop for DmIoClient {
    fn drop(&mut self) {
        // SAFETY: By the contract of `set_ops`.
        if let Some(destroy) = unsafe { (*self.ops.as_ptr()).destroy } {
            // SAFETY: By the type invariants.
            unsafe { destroy(self.client.as_ptr()) };
        }
    }
}
