// SPDX-License-Identifier: GPL-2.0

//! A buffer: what it consists of, and the end of its transfers.

use super::{
    client,
    policy::{
        dirty::Dirty,
        limits::Usage,
        writeback::{AfterFailure, Failures},
    },
    shared::Shared,
    stats::Event,
    sweep, writeback,
};
use crate::kapi::{
    atomic::{Acquire, Atomic, Relaxed},
    bio::{Op, Transfer},
    block_mem::Memory,
    rcu_table::{
        self,
        hold::{Change, DIRTY, EMERGENCY, READ_ERROR, UNCLEAN, WRITE_ERROR},
        Found, Kind,
    },
    wait::Word64,
};
use kernel::prelude::*;

/// The kind of table that a client is.
pub(crate) struct Bufio;

/// A client's buffers.
pub(crate) type Table = rcu_table::Table<Bufio>;
/// A buffer.
pub(crate) type Entry = rcu_table::Entry<Bufio>;
/// A hold of a buffer.
pub(crate) type Hold<'t> = rcu_table::Hold<'t, Bufio>;
/// A buffer that is in no table.
pub(crate) type Owned = rcu_table::Owned<Bufio>;
/// A client's lock, held.
pub(crate) type Locked<'t> = rcu_table::Locked<'t, Bufio>;

/// Flags of a buffer that leaves the cache when it is unheld and clean.
pub(crate) const UNWANTED: u64 = READ_ERROR | WRITE_ERROR | EMERGENCY;

/// What a buffer has beside its data.
pub(crate) struct Meta {
    /// What is to be written.
    pub(crate) dirty: Dirty<Word64>,
    /// What is being written.
    pub(crate) writing: Dirty<Word64>,
    /// Place of the last write among the client's. Under the client's lock.
    pub(crate) write_number: Atomic<u64>,
    /// When it became dirty, or may be written again, in jiffies.
    pub(crate) dirty_since: Atomic<u64>,
    /// The client's epoch when it became dirty, or when its write failed.
    pub(crate) epoch: Atomic<u32>,
    /// Negative error number of the last read that failed, zero if other blocks were read with it.
    read_error: Atomic<i16>,
    /// Failed writes, see [`Failures`].
    failures: Atomic<i16>,
}

impl Meta {
    /// Returns the error of the last read that failed, unless it may have been another block's.
    pub(crate) fn read_error(&self) -> Option<Error> {
        // Relaxed: stored before the exchange that ended the read.
        let errno = self.read_error.load(Relaxed);
        (errno != 0).then(|| Error::from_errno(errno.into()))
    }

    /// Returns the failed writes since the last good one.
    pub(crate) fn failures(&self) -> Failures {
        Failures::from_count(self.failures.load(Relaxed) as u16)
    }

    /// Forgets failed writes.
    pub(crate) fn reset_failures(&self) {
        self.failures.store(0, Relaxed);
    }

    /// Makes it ready for a new life.
    pub(crate) fn renew(&self) {
        let _ = self.dirty.take();
        let _ = self.writing.take();
        self.read_error.store(0, Relaxed);
        self.failures.store(0, Relaxed);
    }
}

/// The data of one life of a buffer.
pub(crate) struct Data {
    /// The block's bytes.
    pub(crate) memory: Memory,
}

impl Kind for Bufio {
    type Shared = Shared;
    type Meta = Meta;
    type Data = Data;

    fn new_meta() -> Meta {
        Meta {
            dirty: Dirty::new(Word64::new(0)),
            writing: Dirty::new(Word64::new(0)),
            write_number: Atomic::new(0),
            dirty_since: Atomic::new(0),
            epoch: Atomic::new(0),
            read_error: Atomic::new(0),
            failures: Atomic::new(0),
        }
    }

    fn dispose(shared: &Shared, data: Data) {
        shared.count_emergency(&data, false);
        shared.pool.free(data.memory);
        shared.uncharge(shared.buffer_bytes());
        shared.note_freed();
    }

    fn unheld(shared: &Shared) {
        shared.note_freed();
    }

    fn is_awaited(shared: &Shared) -> bool {
        shared.global.waiters.any()
    }

    fn release(hold: Hold<'_>) {
        client::release(hold);
    }

    fn work(table: &Table) {
        writeback::work(table);
    }
}

impl Transfer for Bufio {
    fn memory(data: &Data) -> &Memory {
        &data.memory
    }

    fn done(hold: Hold<'_>, op: Op, status: Result, alone: bool) {
        match op {
            Op::Read => read_done(hold, status, alone),
            Op::Write | Op::WriteSync => write_done(hold, status, alone),
        }
    }
}

// All ends of a transfer come together with its hold: who sees the end may forget the block.

fn read_done(hold: Hold<'_>, status: Result, alone: bool) {
    let (table, block) = (hold.table(), hold.key());
    let change = match status {
        Ok(()) => Change::READ_DONE,
        Err(error) => {
            let errno = if alone { error.to_errno() } else { 0 };
            // No error number is beyond 4095.
            hold.meta().read_error.store(errno as i16, Relaxed);
            table.shared.stats.inc(Event::ReadError);
            Change::READ_FAILED
        }
    };
    if let Some(now) = hold.finish(change) {
        table.shared.note_freed();
        // A holder would throw it out.
        if now.has(UNWANTED) {
            discard_unheld(table, block);
        }
    }
}

fn write_done(hold: Hold<'_>, status: Result, alone: bool) {
    let table = hold.table();
    let shared = &table.shared;
    let meta = hold.meta();
    let range = meta.writing.take();
    let change = match status {
        Ok(()) => {
            meta.failures.store(0, Relaxed);
            Change::WRITE_DONE
        }
        Err(error) if alone => {
            // Before the error is there to be reported: a flush that begins after its report is of this
            // epoch or a later one, and tries again.
            meta.epoch.store(shared.epoch.load(Acquire), Relaxed);
            shared.stats.inc(Event::WriteError);
            shared.errors.record(error.to_errno().unsigned_abs());
            let mut failures = meta.failures();
            let after = failures.count(&shared.retries);
            meta.failures.store(failures.to_count() as i16, Relaxed);
            match after {
                AfterFailure::Again { ticks } => {
                    let again = writeback::now().saturating_add(ticks);
                    meta.dirty_since.store(again, Relaxed);
                    writeback::retry_at(shared, again);
                    Change::WRITE_FAILED
                }
                AfterFailure::Keep => Change::WRITE_FAILED,
                AfterFailure::Drop => {
                    shared.lost.fetch_add(1, Relaxed);
                    Change::WRITE_DROPPED
                }
            }
        }
        // Whose error it is is not known: each block is written again by itself.
        Err(_) => {
            shared.stats.inc(Event::WriteSplit);
            writeback::retry_at(shared, writeback::now());
            Change::WRITE_FAILED
        }
    };
    if let (true, Some(range)) = (change.set & DIRTY != 0, range) {
        // Back before the flag, so that whoever sees it finds the range.
        meta.dirty.mark(range);
    }
    // Before the end: one that is seen has been counted.
    shared.writes_ended.fetch_add(1, Relaxed);
    let unheld = hold.finish(change);
    let unwanted = unheld.is_some_and(|now| now.has(UNWANTED) && !now.has(UNCLEAN));
    // What was given up goes also where a hold is parked, which nobody ends.
    if unwanted || change.set == WRITE_ERROR {
        sweep::want_sweep(table);
    }
    if unheld.is_some() {
        shared.note_freed();
    }
    if status.is_err() {
        table.schedule_now(&shared.global.queue);
    }
}

/// Makes the client's work throw out a buffer whose read has ended, which may be in any queue.
#[cold]
fn discard_unheld(table: &Table, block: u64) {
    // Not found if somebody else threw it out meanwhile.
    if let Found::Held(hold) = table.get_lockless(block, 0) {
        table.defer(hold);
        table.schedule_now(&table.shared.global.queue);
    }
}

/// Returns a usage counter at zero.
pub(crate) fn no_usage() -> Usage<Word64> {
    Usage::new(Word64::new(0))
}
