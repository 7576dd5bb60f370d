// SPDX-License-Identifier: MIT OR Apache-2.0

//! Single calls under scopes.

use crate::{
    error::{Error, Result},
    sys, Device, Scopes,
};
use rustix::fd::{AsFd, AsRawFd};
use std::io::{IoSlice, IoSliceMut};

/// Where a single call reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the file's position, which moves.
    Current,
    /// At this offset, in bytes.
    At(u64),
}

impl Position {
    fn offset(self) -> i64 {
        match self {
            Self::Current => -1,
            // What is too large is left to the kernel to refuse, and must not become -1.
            Self::At(offset) => i64::try_from(offset).unwrap_or(i64::MIN),
        }
    }
}

impl Device {
    fn call(&self, doing: &'static str, call: &mut sys::Call) -> Result<usize> {
        // SAFETY: The callers put addresses of buffers that they borrow into it, or none.
        let n = unsafe { sys::with(self, call) }.map_err(|e| Error::command(doing, e))?;
        Ok(n.unsigned_abs() as usize)
    }

    /// Reads as `preadv2()` does, with these scopes in addition for this one call; `flags` are
    /// `RWF_*`.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability, and those of `preadv2()`.
    pub fn read(
        &self,
        scopes: Scopes,
        fd: impl AsFd,
        buffers: &mut [IoSliceMut<'_>],
        position: Position,
        flags: u32,
    ) -> Result<usize> {
        let mut call = sys::Call {
            op: sys::CALL_READ,
            scopes: scopes.bits(),
            fd: fd.as_fd().as_raw_fd(),
            flags,
            // `IoSliceMut` is laid out as `struct iovec`, its documentation says.
            iov: buffers.as_mut_ptr() as usize as u64,
            iovcnt: u32::try_from(buffers.len()).unwrap_or(u32::MAX),
            offset: position.offset(),
            ..Default::default()
        };
        self.call("read under the scopes", &mut call)
    }

    /// Writes as `pwritev2()` does, with these scopes in addition for this one call.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability, and those of `pwritev2()`.
    pub fn write(
        &self,
        scopes: Scopes,
        fd: impl AsFd,
        buffers: &[IoSlice<'_>],
        position: Position,
        flags: u32,
    ) -> Result<usize> {
        let mut call = sys::Call {
            op: sys::CALL_WRITE,
            scopes: scopes.bits(),
            fd: fd.as_fd().as_raw_fd(),
            flags,
            iov: buffers.as_ptr() as usize as u64,
            iovcnt: u32::try_from(buffers.len()).unwrap_or(u32::MAX),
            offset: position.offset(),
            ..Default::default()
        };
        self.call("write under the scopes", &mut call)
    }

    /// `fsync()` with these scopes in addition; `fdatasync()` where only data is asked for.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability, and those of `fsync()`.
    pub fn fsync(&self, scopes: Scopes, fd: impl AsFd, data_only: bool) -> Result<()> {
        let mut call = sys::Call {
            op: sys::CALL_FSYNC,
            scopes: scopes.bits(),
            fd: fd.as_fd().as_raw_fd(),
            flags: if data_only { sys::FSYNC_DATASYNC } else { 0 },
            ..Default::default()
        };
        self.call("fsync under the scopes", &mut call)?;
        Ok(())
    }

    /// `fallocate()` with these scopes in addition; `mode` is `FALLOC_FL_*`.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability, and those of `fallocate()`.
    pub fn fallocate(
        &self,
        scopes: Scopes,
        fd: impl AsFd,
        mode: u32,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        let mut call = sys::Call {
            op: sys::CALL_FALLOCATE,
            scopes: scopes.bits(),
            fd: fd.as_fd().as_raw_fd(),
            flags: mode,
            offset: i64::try_from(offset).unwrap_or(-1),
            len: i64::try_from(len).unwrap_or(-1),
            ..Default::default()
        };
        self.call("fallocate under the scopes", &mut call)?;
        Ok(())
    }
}
