// SPDX-License-Identifier: GPL-2.0

//! Block devices.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::gfp::Gfp;
use crate::bindings;
use core::ptr::{self, NonNull};
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
    str::CStr,
    sync::Arc,
};

/// The error of an operation that the device does not have.
pub(crate) fn not_supported() -> Error {
    Error::from_errno((bindings::EOPNOTSUPP as i32).wrapping_neg())
}

/// The error that dm-io has for one of the block layer.
fn as_dm_io(result: Result) -> Result {
    result.map_err(|error| if error == not_supported() { error } else { EIO })
}

/// A file that a block device was opened as.
///
/// # Invariants
///
/// From `bdev_file_open_by_path`, and not put.
struct Open(NonNull<bindings::file>);

// SAFETY: Only put, which any thread may do.
unsafe impl Send for Open {}
// SAFETY: As above.
unsafe impl Sync for Open {}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, and not used again.
        unsafe { bindings::bdev_fput(self.0.as_ptr()) };
    }
}

/// An open block device.
///
/// # Invariants
///
/// The device is open while this value exists.
#[derive(Clone)]
pub(crate) struct Bdev {
    raw: NonNull<bindings::block_device>,
    // What keeps it open, unless a C caller does.
    _open: Option<Arc<Open>>,
}

// SAFETY: The functions below may be called from any thread.
unsafe impl Send for Bdev {}
// SAFETY: As above.
unsafe impl Sync for Bdev {}

impl Bdev {
    /// Opens a device for reading and writing, beside whoever else has it open. It is closed with the
    /// last clone. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `open()`; `ENOTBLK` if the path is of something else.
    pub(crate) fn open(path: &CStr) -> Result<Self> {
        // SAFETY: The path is a C string; with no holder there are no operations.
        let file = from_err_ptr(unsafe {
            bindings::bdev_file_open_by_path(
                path.as_char_ptr(),
                bindings::BLK_OPEN_READ | bindings::BLK_OPEN_WRITE,
                ptr::null_mut(),
                ptr::null(),
            )
        })?;
        // INVARIANT: Just opened.
        let open = Open(NonNull::new(file).ok_or(ENXIO)?);
        // SAFETY: The file is of a block device and open.
        let raw = unsafe { bindings::file_bdev(open.0.as_ptr()) };
        // INVARIANT: Open as long as the file.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENXIO)?,
            _open: Some(Arc::new(open, GFP_KERNEL)?),
        })
    }

    /// Wraps a device.
    ///
    /// # Safety
    ///
    /// The device is open and stays so while the value or a copy of it exists.
    pub(crate) unsafe fn from_raw(raw: NonNull<bindings::block_device>) -> Self {
        // INVARIANT: By the contract.
        Self { raw, _open: None }
    }

    /// Returns the C device.
    pub(super) fn as_raw(&self) -> *mut bindings::block_device {
        self.raw.as_ptr()
    }

    /// Returns the size.
    pub(crate) fn sectors(&self) -> u64 {
        // SAFETY: By the type invariants.
        unsafe { bindings::memscope_helper_bdev_nr_sectors(self.raw.as_ptr()) }
    }

    /// Returns the physical block size.
    pub(crate) fn physical_block_bytes(&self) -> u32 {
        // SAFETY: By the type invariants.
        unsafe { bindings::memscope_helper_bdev_physical_block_size(self.raw.as_ptr()) }
    }

    /// Returns major and minor number.
    pub(crate) fn number(&self) -> (u32, u32) {
        // SAFETY: By the type invariants; the number does not change.
        let dev = unsafe { (*self.raw.as_ptr()).bd_dev };
        (dev >> 20, dev & ((1 << 20) - 1))
    }

    /// Flushes the device's write cache. May sleep.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`; `EIO` for all else.
    pub(crate) fn flush(&self) -> Result {
        // SAFETY: By the type invariants.
        as_dm_io(to_result(unsafe {
            bindings::blkdev_issue_flush(self.raw.as_ptr())
        }))
    }

    /// Discards sectors. May sleep.
    ///
    /// # Errors
    ///
    /// As [`Self::flush`].
    pub(crate) fn discard(&self, sector: u64, sectors: u64) -> Result {
        // SAFETY: By the type invariants.
        if unsafe { bindings::memscope_helper_bdev_max_discard_sectors(self.raw.as_ptr()) } == 0 {
            return Err(not_supported());
        }
        let gfp = Gfp::NOIO.as_raw();
        let mut bio = ptr::null_mut();
        // Not `blkdev_issue_discard()`, which takes a discard that was refused for one that was done.
        // SAFETY: By the type invariants; the block layer checks the range.
        unsafe {
            bindings::__blkdev_issue_discard(self.raw.as_ptr(), sector, sectors, gfp, &mut bio)
        };
        if bio.is_null() {
            return Ok(());
        }
        // SAFETY: The last of the chain that was just made, which is complete.
        let result = to_result(unsafe { bindings::submit_bio_wait(bio) });
        // SAFETY: It has ended, and is not used again.
        unsafe { bindings::bio_put(bio) };
        as_dm_io(result)
    }
}
