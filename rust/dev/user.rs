// SPDX-License-Identifier: GPL-2.0

//! Structs that grow: what `copy_struct_from_user()` does, for a size out of a command's number.

use kernel::{
    prelude::*,
    transmute::{AsBytes, FromBytes},
    uaccess::UserSlice,
};

/// Reads a `T`, the first version of its struct, from the `size` bytes at `arg`.
///
/// # Errors
///
/// - `EINVAL`: smaller than a `T`.
/// - `E2BIG`: larger, and not zero in what is beyond.
/// - `EFAULT`.
pub(super) fn read_struct<T: FromBytes>(arg: usize, size: usize) -> Result<T> {
    let mut beyond = size.checked_sub(size_of::<T>()).ok_or(EINVAL)?;
    let mut reader = UserSlice::new(UserPtr::from_addr(arg), size).reader();
    let value = reader.read::<T>()?;
    let mut chunk = [0u8; 64];
    while beyond > 0 {
        let len = beyond.min(chunk.len());
        let part = chunk.get_mut(..len).ok_or(EINVAL)?;
        reader.read_slice(part)?;
        if part.iter().any(|byte| *byte != 0) {
            return Err(E2BIG);
        }
        beyond -= len;
    }
    Ok(value)
}

/// Writes `value` to the `size` bytes at `arg` that [`read_struct`] has read; what is beyond stays
/// zero.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn write_struct<T: AsBytes>(arg: usize, size: usize, value: &T) -> Result {
    UserSlice::new(UserPtr::from_addr(arg), size)
        .writer()
        .write(value)
}
