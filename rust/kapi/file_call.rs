// SPDX-License-Identifier: GPL-2.0

//! Reads, writes, fsync and fallocate of a descriptor of the current process, as the system calls
//! do them.
//!
//! The system calls' own functions are not exported; these are made of the exported parts, in the
//! same order: `do_readv()`, `do_preadv()` and their kin in `fs/read_write.c`, `do_fsync()` in
//! `fs/sync.c`, `ksys_fallocate()` in `fs/open.c`. What is missing is nothing but the light
//! reference of `fdget()`: the file's count is taken.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h).

use crate::bindings as own;
use core::mem::MaybeUninit;
use kernel::{
    bindings, error::to_result, ffi::c_int, fs::file::LocalFile, prelude::*, sync::aref::ARef,
};

/// Which way the data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The arguments of `preadv2()` and `pwritev2()`.
pub(crate) struct Vectored {
    pub(crate) direction: Direction,
    pub(crate) fd: i32,
    /// The user's address of an array of `struct iovec`, of the word size of the system call.
    pub(crate) iov: usize,
    pub(crate) iovcnt: u32,
    /// -1: the current position.
    pub(crate) offset: i64,
    /// `RWF_*`.
    pub(crate) flags: u32,
}

fn get(fd: i32) -> Result<ARef<LocalFile>> {
    Ok(LocalFile::fget(u32::try_from(fd).map_err(|_| EBADF)?)?)
}

/// A file's position, locked where the file's kind says so (`fdget_pos()`).
///
/// # Invariants
///
/// Its lock is held from creation to drop.
struct Position<'a>(&'a LocalFile);

impl<'a> Position<'a> {
    fn lock(file: &'a LocalFile) -> Self {
        // SAFETY: The file is open while it is borrowed. No other lock is held.
        // INVARIANT: Locked here.
        unsafe { own::memscope_helper_lock_pos(file.as_ptr()) };
        Self(file)
    }
}

impl Drop for Position<'_> {
    fn drop(&mut self) {
        // SAFETY: Locked by the type invariant.
        unsafe { own::memscope_helper_unlock_pos(self.0.as_ptr()) };
    }
}

fn has_mode(file: &LocalFile, mode: u32) -> bool {
    // SAFETY: The file is open while it is borrowed, and its mode does not change.
    unsafe { (*file.as_ptr()).f_mode & mode != 0 }
}

/// `preadv2()` and `pwritev2()`.
///
/// May sleep; no locks held.
///
/// # Errors
///
/// Those of the system call; also the kernel's own codes for restarting it.
pub(crate) fn vectored(call: &Vectored) -> Result<isize> {
    let result = at_offset(call);
    let bytes = *result.as_ref().unwrap_or(&0);
    // SAFETY: Counts for the current task.
    unsafe { own::memscope_helper_account_io(bytes, call.direction == Direction::Write) };
    result
}

fn at_offset(call: &Vectored) -> Result<isize> {
    if call.offset == -1 {
        let file = get(call.fd)?;
        let _lock = Position::lock(&file);
        if has_mode(&file, own::FMODE_STREAM) {
            return transfer(&file, call, core::ptr::null_mut());
        }
        // SAFETY: The file is open, and its position locked as it is for the system call.
        let mut pos = unsafe { (*file.as_ptr()).f_pos };
        let done = transfer(&file, call, &mut pos)?;
        // SAFETY: As above.
        unsafe { (*file.as_ptr()).f_pos = pos };
        return Ok(done);
    }
    if call.offset < 0 {
        return Err(EINVAL);
    }
    let file = get(call.fd)?;
    let positioned = match call.direction {
        Direction::Read => own::FMODE_PREAD,
        Direction::Write => own::FMODE_PWRITE,
    };
    if !has_mode(&file, positioned) {
        return Err(ESPIPE);
    }
    let mut pos = call.offset;
    transfer(&file, call, &mut pos)
}

/// An imported array of `struct iovec`.
///
/// # Invariants
///
/// `iter` is initialised and refers to `fast` of a caller, or to `large`, which is null or of
/// `kmalloc()`.
struct Imported {
    iter: bindings::iov_iter,
    large: *mut bindings::iovec,
}

type Fast = MaybeUninit<[bindings::iovec; bindings::UIO_FASTIOV as usize]>;

impl Imported {
    /// # Safety
    ///
    /// `fast` stays where it is, and is not touched, while the value exists.
    unsafe fn new(fast: &mut Fast, call: &Vectored) -> Result<Self> {
        let mut iter = MaybeUninit::zeroed();
        let mut large = fast.as_mut_ptr().cast::<bindings::iovec>();
        let kind = match call.direction {
            Direction::Read => bindings::ITER_DEST,
            Direction::Write => bindings::ITER_SOURCE,
        };
        // SAFETY: `large` points to room for as many elements as it is told; `iter` is filled in
        // if this succeeds, and `large` replaced.
        let imported = unsafe {
            bindings::import_iovec(
                kind as c_int,
                call.iov as *const bindings::iovec,
                call.iovcnt,
                bindings::UIO_FASTIOV,
                &mut large,
                iter.as_mut_ptr(),
            )
        };
        if imported < 0 {
            return Err(Error::from_errno(imported as c_int));
        }
        // SAFETY: Zeroes are a value of this C struct, and it was filled in.
        // INVARIANT: By the contract of `import_iovec()`.
        let iter = unsafe { iter.assume_init() };
        Ok(Self { iter, large })
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kfree(self.large.cast()) };
    }
}

/// `vfs_readv()` and `vfs_writev()`.
fn transfer(file: &LocalFile, call: &Vectored, pos: *mut i64) -> Result<isize> {
    let (open, able) = match call.direction {
        Direction::Read => (own::FMODE_READ, own::FMODE_CAN_READ),
        Direction::Write => (own::FMODE_WRITE, own::FMODE_CAN_WRITE),
    };
    if !has_mode(file, open) {
        return Err(EBADF);
    }
    if !has_mode(file, able) {
        return Err(EINVAL);
    }
    let mut fast = Fast::uninit();
    // SAFETY: `fast` is in this frame, which outlives `data`, and not used otherwise.
    let mut data = unsafe { Imported::new(&mut fast, call) }?;
    let flags = call.flags as bindings::rwf_t;
    // SAFETY: An open file's operations stay.
    let op = unsafe { &*(*file.as_ptr()).f_op };
    let iter = &mut data.iter;
    let done = match call.direction {
        Direction::Read if op.read_iter.is_some() => {
            // SAFETY: The file is open, `iter` a user's buffer to be filled, and `pos` null only
            // for a stream.
            unsafe { bindings::vfs_iter_read(file.as_ptr(), iter, pos, flags) }
        }
        Direction::Write if op.write_iter.is_some() => {
            // SAFETY: As above.
            unsafe { bindings::vfs_iter_write(file.as_ptr(), iter, pos, flags) }
        }
        direction => return by_segment(file, op, direction, iter, pos, call.flags),
    };
    if done < 0 {
        return Err(Error::from_errno(done as c_int));
    }
    Ok(done)
}

/// For files that have no `read_iter` or `write_iter`: one call for each buffer.
fn by_segment(
    file: &LocalFile,
    op: &bindings::file_operations,
    direction: Direction,
    iter: &mut bindings::iov_iter,
    pos: *mut i64,
    flags: u32,
) -> Result<isize> {
    let writing = direction == Direction::Write;
    // SAFETY: `iter` is initialised.
    let total = unsafe { own::memscope_helper_iter_count(iter) };
    let result = if total == 0 {
        Ok(0)
    } else {
        let kind = if writing {
            bindings::WRITE
        } else {
            bindings::READ
        };
        // SAFETY: The file is open; `pos` is null or valid.
        to_result(unsafe { bindings::rw_verify_area(kind as c_int, file.as_ptr(), pos, total) })?;
        // SAFETY: The file is open for writing, which is ended below.
        unsafe { own::memscope_helper_start_write(file.as_ptr(), writing) };
        let result = segments(file, op, writing, iter, pos, flags);
        // SAFETY: Begun above.
        unsafe { own::memscope_helper_end_write(file.as_ptr(), writing) };
        result
    };
    // As the system calls: after a read of nothing, not after a write of nothing.
    if matches!(result, Ok(done) if done > 0 || !writing) {
        // SAFETY: The file is open.
        unsafe { own::memscope_helper_notify_io(file.as_ptr(), writing) };
    }
    result
}

fn segments(
    file: &LocalFile,
    op: &bindings::file_operations,
    writing: bool,
    iter: &mut bindings::iov_iter,
    pos: *mut i64,
    flags: u32,
) -> Result<isize> {
    if flags & !own::RWF_HIPRI != 0 {
        return Err(Error::from_errno(-(bindings::EOPNOTSUPP as c_int)));
    }
    let mut done = 0isize;
    // SAFETY: `iter` is initialised.
    while unsafe { own::memscope_helper_iter_count(iter) } > 0 {
        let mut len = 0;
        // SAFETY: As above, and not at its end.
        let base = unsafe { own::memscope_helper_iter_segment(iter, &mut len) };
        let moved = match (writing, op.read, op.write) {
            // SAFETY: An operation of the open file; the buffer was checked to be the user's.
            (false, Some(read), _) => unsafe { read(file.as_ptr(), base.cast(), len, pos) },
            // SAFETY: As above.
            (true, _, Some(write)) => unsafe { write(file.as_ptr(), base.cast(), len, pos) },
            _ => return Err(EINVAL),
        };
        if moved < 0 {
            if done == 0 {
                return Err(Error::from_errno(moved as c_int));
            }
            break;
        }
        done = done.saturating_add(moved);
        if moved as usize != len {
            break;
        }
        // SAFETY: As above; that much is left.
        unsafe { bindings::iov_iter_advance(iter, len) };
    }
    Ok(done)
}

/// `fsync()` and `fdatasync()`, of the bytes from `start` to `end`, inclusive.
///
/// # Errors
///
/// Those of the system call.
pub(crate) fn fsync(fd: i32, start: i64, end: i64, datasync: bool) -> Result<isize> {
    let file = get(fd)?;
    // SAFETY: The file is open.
    to_result(unsafe { bindings::vfs_fsync_range(file.as_ptr(), start, end, datasync.into()) })?;
    Ok(0)
}

/// `fallocate()`.
///
/// # Errors
///
/// Those of the system call.
pub(crate) fn fallocate(fd: i32, mode: i32, offset: i64, len: i64) -> Result<isize> {
    let file = get(fd)?;
    // SAFETY: The file is open.
    to_result(unsafe { bindings::vfs_fallocate(file.as_ptr(), mode, offset, len) })?;
    Ok(0)
}
