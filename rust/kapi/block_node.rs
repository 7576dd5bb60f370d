// SPDX-License-Identifier: GPL-2.0

//! Which block device a descriptor is of, without opening that.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h).

use crate::bindings as own;
use core::ptr::NonNull;
use kernel::{bindings, error::code::ENOTBLK, prelude::*};

/// The major and minor number of the block device whose node the descriptor `fd` of the current
/// process is of; that may be one that was opened with `O_PATH`.
///
/// # Errors
///
/// `EBADF`; `ENOTBLK`.
pub(crate) fn number(fd: i32) -> Result<(u32, u32)> {
    let fd = u32::try_from(fd).map_err(|_| EBADF)?;
    // SAFETY: Takes any number.
    let file = NonNull::new(unsafe { bindings::fget_raw(fd) }).ok_or(EBADF)?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: The file is open by the reference that was taken.
    let is_block =
        unsafe { own::memscope_helper_block_number(file.as_ptr(), &mut major, &mut minor) };
    // SAFETY: The reference is this function's.
    unsafe { bindings::fput(file.as_ptr()) };
    if is_block {
        Ok((major, minor))
    } else {
        Err(ENOTBLK)
    }
}
