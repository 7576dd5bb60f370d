// SPDX-License-Identifier: GPL-2.0

//! The Rust API: what a [`Client`] hands out.
//!
//! A [`Buffer`] is a hold of one block. It ends when the value is dropped, so a buffer is neither used
//! after its release nor released twice, and it borrows its client, which therefore outlives it. Only a
//! held buffer can be written to or marked dirty.
//!
//! A hold is shared: other holders and the device use the same bytes. So nothing here gives a reference
//! to them, let alone `&mut`; bytes are copied in and out. What another holder writes at the same time
//! is read in part or not at all. Who needs more order than that takes a lock of their own around it, as
//! callers of the C API do.
//!
//! `mem::forget` of a buffer leaks it: the client, when it is dropped, names the buffer in the kernel
//! log and warns, and the buffer's memory and the device stay for good. Nothing else happens.
//!
//! A client may keep a value beside each buffer ([`Aux::of`](crate::kapi::rcu_table::Aux::of), [`Buffer::aux`]) and be told of buffers
//! that are handed out or written ([`Hooks`]).
//!
//! C callers have the same in `include/linux/memscope-bufio.h`, without the compiler's help.
//!
//! # Examples
//!
//! ```
//! use crate::{bufio::{client::{Client, Options}, global::Global}, kapi::bdev::Bdev};
//!
//! let device = Bdev::open(c"/dev/vda")?;
//! let client = Client::new(Global::new()?, Options::new(device, 4096), None)?;
//! let block = client.read(7)?;
//! let mut magic = [0; 8];
//! block.read_at(0, &mut magic)?;
//! if magic != *b"example\0" {
//!     block.write_at(0, b"example\0")?; // and marks these bytes dirty
//! }
//! drop(block);
//! client.write_dirty()?; // on stable storage
//! ```
//!
//! (The same code is compiled by `selftests/bufio/compile_fail/control.rs`.)

use super::{
    client::{self, Client},
    lookup::Want,
    shared::Shared,
    writeback, Bufio, Hold, Owned,
};
use crate::kapi::rcu_table::{BatchItem, Releasing};
use kernel::prelude::*;

/// What a client is told of its buffers, see [`Options`](client::Options).
///
/// No lock of the cache is held. The functions may sleep, but for I/O of the client: they do not call
/// its functions.
pub(crate) trait Hooks: Send + Sync {
    /// A buffer is to stand for a block that was not cached. May be in vain: another thread may bring
    /// the block in first.
    fn on_alloc(&self, _buffer: &Fresh<'_>) {}

    /// A buffer is about to be written.
    fn on_write(&self, _buffer: &Outgoing<'_>) {}
}

/// A buffer that is to stand for a block; nobody else has it.
pub(crate) struct Fresh<'b> {
    pub(super) owned: &'b Owned,
    pub(super) block: u64,
}

impl Fresh<'_> {
    /// Returns the number of the block.
    pub(crate) fn block(&self) -> u64 {
        self.block
    }

    /// Returns the value beside the buffer, which is new; [`None`] if there is none of that type.
    pub(crate) fn aux<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.owned.aux()
    }
}

/// A buffer that is about to be written, held by its writer.
pub(crate) struct Outgoing<'b> {
    pub(super) item: BatchItem<'b, Bufio>,
    pub(super) shared: &'b Shared,
}

impl Outgoing<'_> {
    /// Returns the number of the block.
    pub(crate) fn block(&self) -> u64 {
        self.item.key()
    }

    /// Returns the value beside the buffer; [`None`] if there is none of that type.
    pub(crate) fn aux<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.item.aux()
    }

    /// As [`Buffer::read_at`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn read_at(&self, offset: usize, to: &mut [u8]) -> Result {
        let copied = self.shared.pool.read(&self.item.data().memory, offset, to);
        copied.then_some(()).ok_or(EINVAL)
    }

    /// Copies bytes into the block, from byte `offset` on. They are written as far as they are in the
    /// range that was marked dirty, rounded to the device's blocks; it is not marked again.
    ///
    /// # Errors
    ///
    /// `EINVAL` for bytes beyond the block; then none are copied.
    pub(crate) fn write_at(&self, offset: usize, from: &[u8]) -> Result {
        let copied = self
            .shared
            .pool
            .write(&self.item.data().memory, offset, from);
        copied.then_some(()).ok_or(EINVAL)
    }
}

/// A held block of a client.
#[must_use = "the block is released at once when unused"]
pub(crate) struct Buffer<'c> {
    hold: Releasing<'c, Bufio>,
}

impl<'c> Buffer<'c> {
    fn new(hold: Hold<'c>) -> Self {
        Self {
            hold: Releasing::new(hold),
        }
    }

    /// Returns the number of the block.
    pub(crate) fn block(&self) -> u64 {
        self.hold.key()
    }

    /// Returns the bytes of the block.
    pub(crate) fn len(&self) -> usize {
        self.hold.shared().block_bytes
    }

    /// Copies bytes out of the block, from byte `offset` on. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` for bytes beyond the block; then none are copied.
    pub(crate) fn read_at(&self, offset: usize, to: &mut [u8]) -> Result {
        let pool = &self.hold.shared().pool;
        if !pool.read(&self.hold.data().memory, offset, to) {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Copies bytes into the block, from byte `offset` on, and marks them dirty. Any context.
    ///
    /// They are written to the device at some time, and at the latest by [`Client::write_dirty`].
    ///
    /// # Errors
    ///
    /// `EINVAL` for bytes beyond the block; then none are copied.
    pub(crate) fn write_at(&self, offset: usize, from: &[u8]) -> Result {
        let pool = &self.hold.shared().pool;
        if !pool.write(&self.hold.data().memory, offset, from) {
            return Err(EINVAL);
        }
        if from.is_empty() {
            return Ok(());
        }
        self.mark_dirty(offset, from.len())
    }

    /// Marks `bytes` bytes from `offset` on dirty, so that they are written (again). Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` for no bytes, or bytes beyond the block.
    pub(crate) fn mark_dirty(&self, offset: usize, bytes: usize) -> Result {
        let end = offset.checked_add(bytes).ok_or(EINVAL)?;
        let start = u32::try_from(offset).map_err(|_| EINVAL)?;
        let end = u32::try_from(end).map_err(|_| EINVAL)?;
        if !writeback::mark_dirty(&self.hold, start, end) {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Returns the value beside the buffer, which all holders share: new when the buffer began to stand
    /// for this block. [`None`] if the client keeps none of that type. Any context.
    pub(crate) fn aux<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.hold.aux()
    }

    /// Holds the same block once more.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it has 2^32 - 1 holds.
    pub(crate) fn another(&self) -> Result<Self> {
        self.hold.another().map(Self::new).ok_or(EBUSY)
    }
}

impl Client {
    /// Holds a block, reading it if it is not cached. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of the device; `EINVAL`, with a warning, inside the submission of a bio.
    pub(crate) fn read(&self, block: u64) -> Result<Buffer<'_>> {
        self.read_with_ioprio(block, writeback::IOPRIO_DEFAULT)
    }

    /// As [`Self::read`], with an I/O priority.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn read_with_ioprio(&self, block: u64, ioprio: u16) -> Result<Buffer<'_>> {
        self.obtain(block, Want::Read { ioprio }).map(Buffer::new)
    }

    /// Holds a block if it is cached and not being read. Neither sleeps nor does I/O; any context but a
    /// hard interrupt.
    pub(crate) fn get(&self, block: u64) -> Option<Buffer<'_>> {
        self.find(block).map(Buffer::new)
    }

    /// Holds a block without reading it: the caller writes all of it. Sleeps.
    ///
    /// What a block that was not cached contains is undefined.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a warning, inside the submission of a bio.
    pub(crate) fn overwrite(&self, block: u64) -> Result<Buffer<'_>> {
        self.obtain(block, Want::New).map(Buffer::new)
    }

    /// Starts writing what is dirty. May sleep for bios, not for the writes.
    pub(crate) fn write_dirty_async(&self) {
        if client::refuse_in_submission().is_ok() {
            writeback::write_all(self.table());
        }
    }

    /// Puts what was dirty before the call on stable storage. Sleeps.
    ///
    /// # Errors
    ///
    /// The first write error that was not reported yet, of any block and any write. What could not be
    /// written stays dirty, unless the client's [`Options`](client::Options) say otherwise.
    pub(crate) fn write_dirty(&self) -> Result {
        client::refuse_in_submission()?;
        writeback::flush(self.table())
    }
}
