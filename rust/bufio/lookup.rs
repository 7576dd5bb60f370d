// SPDX-License-Identifier: GPL-2.0

//! Get, read, new and prefetch.

use super::{
    alloc::{self, Got},
    client::{refuse_in_submission, Client},
    ghosts,
    guard::Fresh,
    policy::{
        ladder::{self, Request},
        merge::Run,
    },
    stats::Event,
    writeback, Bufio, Hold, Owned, Table,
};
use crate::kapi::{
    bio::{self, Op},
    rcu_table::{
        hold::{Change, EMERGENCY, PREFETCHED, READING, READ_ERROR},
        Batch, Found,
    },
    wait,
};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};

/// What a caller wants of a block that is not cached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// What is on the device.
    Read {
        /// Priority of the read.
        ioprio: u16,
    },
    /// Any contents: the caller writes all of them.
    New,
}

impl Client {
    /// Holds a block if it is cached and not being read. Any context but a hard interrupt.
    #[inline]
    pub(crate) fn find(&self, block: u64) -> Option<Hold<'_>> {
        let table = self.table();
        if let Some(hold) = table.get_fast(block, READING | READ_ERROR) {
            table.shared.stats.used(Event::Hit);
            return Some(hold);
        }
        self.find_slowly(block)
    }

    #[cold]
    fn find_slowly(&self, block: u64) -> Option<Hold<'_>> {
        let table = self.table();
        match table.get(block, READING | READ_ERROR) {
            Found::Held(hold) => {
                table.shared.stats.used(Event::Hit);
                Some(hold)
            }
            Found::Refused | Found::Absent => {
                table.shared.stats.used(Event::GetMiss);
                None
            }
        }
    }

    /// Holds a block, reading it or making it where it is not cached. Sleeps.
    #[inline]
    pub(crate) fn obtain(&self, block: u64, want: Want) -> Result<Hold<'_>> {
        refuse_in_submission()?;
        let table = self.table();
        match table.get_once(block, READING | READ_ERROR) {
            Found::Held(hold) => {
                table.shared.stats.used(Event::Hit);
                Ok(hold)
            }
            Found::Refused => obtain_slowly(table, block, want, table.get_lockless(block, 0)),
            Found::Absent => obtain_slowly(table, block, want, Found::Absent),
        }
    }

    /// Holds a block whose read, if it needs one, is in flight when this returns. Sleeps for a buffer.
    ///
    /// What comes of the read is known after [`finish`], which wants to know the second value: whether
    /// there was a read whose outcome is the caller's.
    pub(crate) fn start(&self, block: u64, ioprio: u16) -> Result<(Hold<'_>, bool)> {
        refuse_in_submission()?;
        let (hold, own) = start_slowly(
            self.table(),
            block,
            Want::Read { ioprio },
            self.table().get_lockless(block, 0),
        )?;
        if own {
            submit_read(&hold, ioprio);
        }
        let awaited = own || hold.snapshot().has(READING);
        Ok((hold, awaited))
    }

    /// Starts reading blocks that are not cached. May sleep for bios.
    pub(crate) fn prefetch(&self, block: u64, blocks: u64, ioprio: u16) {
        if refuse_in_submission().is_err() {
            return;
        }
        let table = self.table();
        let shared = &table.shared;
        let owed = shared.reserve_owed() as u64;
        let emergency = shared.emergency.load(Relaxed);
        let blocks = ladder::ahead(blocks, emergency, owed);
        let capacity = writeback::capacity(shared);
        // A bio that goes beyond the device fails as a whole.
        let end = block.saturating_add(blocks).min(self.device_blocks());
        bio::with_plug(|| {
            let mut reads = Reads::new();
            for block in block..end {
                let started = start_prefetch(table, block);
                let piece = capacity.whole(block);
                match started {
                    Started::Reading(hold) => {
                        if reads.run.as_mut().is_some_and(|run| run.push_after(piece)) {
                            reads.batch.push(hold);
                            continue;
                        }
                        // A run that is complete.
                        reads.submit(table, ioprio);
                        reads.batch.push(hold);
                        reads.run = Some(Run::new(piece, capacity));
                    }
                    Started::Cached => reads.submit(table, ioprio),
                    Started::NoMemory => break,
                }
                wait::cond_resched();
            }
            reads.submit(table, ioprio);
        });
    }
}

/// Reads that are to become one bio.
struct Reads<'t> {
    batch: Batch<'t, Bufio>,
    run: Option<Run>,
}

impl Reads<'_> {
    fn new() -> Self {
        Self {
            batch: Batch::new(),
            run: None,
        }
    }

    /// Submits what is there, and is empty then.
    fn submit(&mut self, table: &Table, ioprio: u16) {
        self.run = None;
        submit_reads(
            table,
            core::mem::replace(&mut self.batch, Batch::new()),
            ioprio,
        );
    }
}

enum Started<'t> {
    Reading(Hold<'t>),
    Cached,
    NoMemory,
}

/// Puts a buffer for `block` into the cache, to be read.
fn start_prefetch<'t>(table: &'t Arc<Table>, block: u64) -> Started<'t> {
    // Also what is about to be thrown out after a failed read: a demand read does not wait for that.
    if table.contains(block) {
        return Started::Cached;
    }
    match alloc::climb(table, block, Request::Prefetch) {
        Got::Buffer(owned) => match insert(table, owned, block, READING | PREFETCHED) {
            Some(hold) => {
                table.shared.stats.used(Event::Prefetch);
                Started::Reading(hold)
            }
            None => Started::Cached,
        },
        Got::Found => Started::Cached,
        Got::GaveUp => Started::NoMemory,
    }
}

/// Submits reads of adjacent blocks. The holds are the transfer's.
fn submit_reads(table: &Table, batch: Batch<'_, Bufio>, ioprio: u16) {
    let shared = &table.shared;
    let first = batch.iter().next().map(|item| item.key());
    let Some(block) = first else {
        return;
    };
    shared.stats.inc(Event::ReadBio);
    let run = bio::Run {
        batch,
        sector: shared.sector(block),
        start: 0,
        end: shared.block_bytes,
        block_bytes: shared.block_bytes,
    };
    run.submit(&shared.bios, &shared.bdev, Op::Read, ioprio);
}

/// Submits the read of one held block.
fn submit_read(hold: &Hold<'_>, ioprio: u16) {
    let table = hold.table();
    match hold.another() {
        Some(io) => {
            let mut batch = Batch::new();
            batch.push(io);
            submit_reads(table, batch, ioprio);
        }
        // More holds than fit: 2^32 callers.
        None => {
            if hold.change(Change::READ_FAILED) == Ok(true) {
                hold.wake();
            }
        }
    }
}

/// Reads one held block, which is marked so, and sleeps for it.
fn read(hold: &Hold<'_>, ioprio: u16) {
    let shared = hold.shared();
    let io = hold.data().memory.is_contiguous().then(|| hold.another());
    let Some(Some(io)) = io else {
        submit_read(hold, ioprio);
        hold.wait_clear(READING);
        return;
    };
    shared.stats.inc(Event::ReadBio);
    let sector = shared.sector(hold.key());
    let bytes = shared.block_bytes;
    bio::read_single(io, &shared.bdev, sector, bytes, ioprio, || {
        hold.wait_clear(READING);
    });
}

/// Puts a buffer into the cache, unless the block is there by now.
fn insert<'t>(table: &'t Arc<Table>, mut owned: Owned, block: u64, flags: u64) -> Option<Hold<'t>> {
    let shared = &table.shared;
    owned.renew_aux();
    owned.set_key(block);
    shared.alloc_callback.call(owned.as_ptr());
    if let Some(hooks) = &shared.hooks {
        hooks.on_alloc(&Fresh {
            owned: &owned,
            block,
        });
    }
    let flags = if shared.pool.emergency_pages(&owned.data().memory) == 0 {
        flags
    } else {
        flags | EMERGENCY
    };
    table.grow(crate::kapi::gfp::Gfp::NOWAIT, |bytes| {
        shared.admit(bytes as u64).is_ok()
    });
    ghosts::grow(table);
    let locked = table.lock();
    let queue = alloc::queue(shared.ghosts.place(block));
    let inserted = locked.insert(owned, block, queue, flags);
    drop(locked);
    match inserted {
        Ok(hold) => Some(hold),
        Err(owned) => {
            alloc::give_back(table, owned);
            None
        }
    }
}

#[cold]
fn obtain_slowly<'t>(
    table: &'t Arc<Table>,
    block: u64,
    want: Want,
    mut found: Found<'t, Bufio>,
) -> Result<Hold<'t>> {
    loop {
        let (hold, own) = start_slowly(table, block, want, found)?;
        match want {
            Want::Read { ioprio } if own => {
                read(&hold, ioprio);
                return finished(hold);
            }
            Want::Read { ioprio } => {
                // An error that is there already is of somebody else's read: try again.
                let again = !hold.snapshot().has(READING);
                return ready(hold, ioprio, again);
            }
            Want::New => {
                hold.wait_clear(READING);
                if !hold.snapshot().has(READ_ERROR) {
                    return Ok(hold);
                }
                wait_thrown_out(hold, block);
                found = table.get_lockless(block, 0);
            }
        }
    }
}

/// Ends the hold of a buffer whose read failed, and waits a moment if others hold it still.
///
/// They are the end of that read, and readers who are told of the error. The buffer is not put to use
/// for a new block beside them: its caller could not get rid of it by a forget.
#[cold]
fn wait_thrown_out(hold: Hold<'_>, block: u64) {
    let table = hold.table();
    let freed = &table.shared.global.freed;
    let seen = freed.value();
    super::client::release(hold);
    writeback::drop_deferred(table);
    if table.contains(block) {
        freed.wait_changed(seen, 1);
    }
}

/// Holds a block, or puts a buffer for it into the cache, whose read is then the caller's to start. Says
/// whether it did that.
///
/// `found` is what a lookup without the lock found: a block that it missed is found by the insertion.
fn start_slowly<'t>(
    table: &'t Arc<Table>,
    block: u64,
    want: Want,
    mut found: Found<'t, Bufio>,
) -> Result<(Hold<'t>, bool)> {
    loop {
        match found {
            Found::Held(hold) => {
                table.shared.stats.used(Event::Hit);
                return Ok((hold, false));
            }
            // 2^32 holds.
            Found::Refused => return Err(EBUSY),
            Found::Absent => (),
        }
        let owned = match alloc::climb(table, block, Request::Demand) {
            Got::Buffer(owned) => owned,
            Got::Found | Got::GaveUp => {
                found = table.get(block, 0);
                continue;
            }
        };
        let flags = match want {
            Want::Read { .. } => READING,
            Want::New => 0,
        };
        let Some(hold) = insert(table, owned, block, flags) else {
            found = table.get(block, 0);
            continue;
        };
        table.shared.stats.used(Event::Miss);
        return Ok((hold, true));
    }
}

/// Waits for a read that [`Client::start`] started or found. Sleeps.
pub(crate) fn finish(hold: Hold<'_>, ioprio: u16, awaited: bool) -> Result<Hold<'_>> {
    ready(hold, ioprio, !awaited)
}

/// Makes a held buffer that is being read, or failed to be, fit for use.
///
/// `again` says whether to read once more where an error is there.
fn ready(hold: Hold<'_>, ioprio: u16, mut again: bool) -> Result<Hold<'_>> {
    hold.wait_clear(READING);
    while hold.snapshot().has(READ_ERROR) {
        if !again && hold.meta().read_error().is_some() {
            break;
        }
        if hold.change(Change::START_READ).is_ok() {
            read(&hold, ioprio);
        } else {
            hold.wait_clear(READING);
        }
        again = false;
    }
    finished(hold)
}

fn finished(hold: Hold<'_>) -> Result<Hold<'_>> {
    if hold.snapshot().has(READ_ERROR) {
        let error = hold.meta().read_error().unwrap_or(EIO);
        super::client::release(hold);
        return Err(error);
    }
    Ok(hold)
}
