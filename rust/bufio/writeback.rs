// SPDX-License-Identifier: GPL-2.0

//! Dirty buffers: marks, merged writes, flushes, and the client's work.

use super::{
    alloc,
    buffer::UNWANTED,
    client::{self, LOCK_STEPS},
    guard::Outgoing,
    policy::{
        dirty::Range,
        ladder,
        merge::{self, Capacity, Piece},
        writeback,
    },
    shared::Shared,
    stats::Event,
    sweep::{sweep, sweep_all, sweep_if_wanted},
    Bufio, Entry, Hold, Locked, Table, CLEAN, DIRTY, MAIN, WRITING,
};
use crate::kapi::{
    bio::{self, Op, Run, MAX_SEGMENTS},
    block_mem::Source,
    params,
    rcu_table::{
        hold::{self, Change, UNCLEAN, WRITE_ERROR},
        Batch,
    },
    wait,
    word::{update, Word},
};
use kernel::{page::PAGE_SIZE, prelude::*, sync::atomic::Relaxed, time::msecs_to_jiffies};

/// Most bytes of a merged bio.
const RUN_BYTES: usize = 1 << 20;
/// Default I/O priority.
pub(crate) const IOPRIO_DEFAULT: u16 = 0;

/// Returns the time in ticks of the write-back rules.
pub(crate) fn now() -> u64 {
    wait::jiffies()
}

fn max_age() -> u64 {
    msecs_to_jiffies(params::writeback_age_ms()) as u64
}

/// Returns how much fits one bio.
pub(crate) fn capacity(shared: &Shared) -> Capacity {
    let segments = match shared.pool.source() {
        Source::Vmalloc => shared.block_bytes.div_ceil(PAGE_SIZE).saturating_add(1),
        Source::Slab | Source::Pages => 1,
    };
    Capacity::new(shared.block_bytes as u32, segments, RUN_BYTES, MAX_SEGMENTS)
}

/// Says that a holder changed bytes of a buffer. Returns false, and does nothing, for a range that is empty
/// or leaves the block, and for a buffer that is being read.
pub(crate) fn mark_dirty(buffer: &Hold<'_>, start: u32, end: u32) -> bool {
    let table = buffer.table();
    let shared = &table.shared;
    let Some(range) = Range::new(start, end, shared.block_bytes as u32) else {
        return false;
    };
    let snapshot = buffer.snapshot();
    if snapshot.has(hold::READING) {
        return false;
    }
    buffer.meta().dirty.mark(range);
    if !buffer.snapshot().has(hold::DIRTY) {
        become_dirty(table, buffer);
    }
    true
}

/// Makes a buffer dirty whose range was marked.
///
/// The flag is set under the lock, with the move to the queue: who finds it set may ask for a flush at once,
/// which looks at the queue.
#[cold]
fn become_dirty(table: &Table, buffer: &Entry) {
    let shared = &table.shared;
    let meta = buffer.meta();
    let locked = table.lock();
    if buffer.snapshot().has(hold::DIRTY) {
        return;
    }
    // Relaxed: read by writers under the lock. Before the flag: a flush that follows it is of a later epoch.
    meta.dirty_since.store(now(), Relaxed);
    meta.epoch.store(shared.epoch.load(Relaxed), Relaxed);
    buffer.set_dirty();
    if matches!(locked.queue_of(buffer), Some(CLEAN | MAIN)) {
        locked.move_to(buffer, DIRTY);
    }
    let dirty = locked.len(DIRTY);
    let clean = locked.len(CLEAN).saturating_add(locked.len(MAIN));
    drop(locked);
    let plan = writeback::plan(dirty, clean, None, 0);
    if plan.blocks != 0 {
        table.schedule_now(&shared.global.queue);
    } else if let Some(ticks) = soonest(max_age(), retry_ticks(shared)) {
        table.schedule(&shared.global.queue, ticks);
    }
}

/// Which dirty buffers a writer takes.
#[derive(Clone, Copy)]
pub(crate) enum Which {
    /// All that were dirty when the epoch ended, but for those that failed in this flush. Earlier failures
    /// are forgiven.
    Flush {
        /// The epoch.
        epoch: u32,
    },
    /// Those that became dirty before a time.
    Before(u64),
    /// All whose retry is due.
    Any,
    /// Those of them that failed.
    Failed,
}

impl Which {
    fn takes(self, shared: &Shared, buffer: &Entry) -> bool {
        let now = buffer.snapshot();
        if !now.has(hold::DIRTY) || now.has(hold::IO) {
            return false;
        }
        let meta = buffer.meta();
        let failures = meta.failures();
        match self {
            Self::Flush { epoch } => is_of(epoch, buffer, now),
            Self::Before(time) => {
                !failures.given_up(&shared.retries) && meta.dirty_since.load(Relaxed) <= time
            }
            Self::Any => is_due(shared, buffer),
            Self::Failed => now.has(WRITE_ERROR) && is_due(shared, buffer),
        }
    }

    /// Whether neither this buffer nor those behind it are old enough.
    fn is_past(self, buffer: &Entry) -> bool {
        match self {
            Self::Before(time) => buffer.meta().dirty_since.load(Relaxed) > time,
            Self::Flush { .. } | Self::Any | Self::Failed => false,
        }
    }
}

/// Whether a buffer was dirty when the epoch ended, and did not fail since: a failure moves it to the epoch
/// in which it came.
///
/// Also one whose merged write failed, as it may have been marked again during that: it holds older bytes.
fn is_of(epoch: u32, buffer: &Entry, now: hold::Snapshot) -> bool {
    let meta = buffer.meta();
    // Wraps after 2^32 flushes during one dirty life.
    let older = epoch.wrapping_sub(meta.epoch.load(Relaxed)) as i32 >= 0;
    older || now.has(WRITE_ERROR) && meta.failures().to_count() == 0
}

/// Whether a dirty buffer may be written in the background now.
fn is_due(shared: &Shared, buffer: &Entry) -> bool {
    let meta = buffer.meta();
    let failures = meta.failures();
    !failures.given_up(&shared.retries)
        && (failures.to_count() == 0 || meta.dirty_since.load(Relaxed) <= now())
}

/// A run that was taken from the dirty queue and is to be submitted.
enum Taken<'t> {
    Run(Batch<'t, Bufio>, merge::Run),
    /// None, but there may be more behind what was looked at.
    Nothing,
}

fn piece(block: u64, range: Range) -> Piece {
    Piece {
        block,
        start: range.start(),
        end: range.end(),
    }
}

/// Returns what of a dirty buffer is to be written, if `which` takes it.
fn wanted(locked: &Locked<'_>, shared: &Shared, buffer: &Entry, which: Which) -> Option<Piece> {
    if locked.queue_of(buffer) != Some(DIRTY) || !which.takes(shared, buffer) {
        return None;
    }
    let range = buffer.meta().dirty.peek()?;
    let block = buffer.key();
    Some(piece(block, widen(shared, block, range)))
}

fn widen(shared: &Shared, block: u64, range: Range) -> Range {
    let align = shared.write_align();
    let bytes = shared.sector(block).wrapping_mul(bio::SECTOR_BYTES as u64);
    // The alignment is a power of two.
    let phase = bytes & u64::from(align).saturating_sub(1);
    range.widen(align, phase as u32, shared.block_bytes as u32)
}

/// Makes a buffer's write begin. Returns what is to be written, widened.
fn begin(locked: &Locked<'_>, shared: &Shared, buffer: &Entry, which: Which) -> Option<Piece> {
    buffer.change(Change::START_WRITE).ok()?;
    if let Which::Flush { .. } = which {
        buffer.meta().reset_failures();
    }
    let number = shared.writes.load(Relaxed).saturating_add(1);
    shared.writes.store(number, Relaxed);
    buffer.meta().write_number.store(number, Relaxed);
    locked.move_to(buffer, WRITING);
    match buffer.meta().dirty.take() {
        Some(range) => {
            buffer.meta().writing.mark(range);
            let block = buffer.key();
            Some(piece(block, widen(shared, block, range)))
        }
        None => {
            // A flag without a range: another writer took it with its own.
            shared.writes_ended.fetch_add(1, Relaxed);
            if buffer.change(Change::WRITE_DONE) == Ok(true) {
                buffer.wake();
            }
            None
        }
    }
}

/// Takes the next run of adjacent dirty blocks, oldest first; [`None`] if there is none left.
///
/// Looks at `left` buffers and counts them down.
fn take_run<'t>(table: &'t Table, which: Which, left: &mut usize) -> Option<Taken<'t>> {
    let shared = &table.shared;
    let locked = table.lock();
    sweep(&locked);
    // The oldest that may go. What may not is put behind the others, once.
    let mut steps = LOCK_STEPS;
    let (oldest, found) = loop {
        let buffer = locked.first(DIRTY)?;
        *left = left.checked_sub(1)?;
        if let Some(found) = wanted(&locked, shared, buffer, which) {
            break (buffer, found);
        }
        if which.is_past(buffer) {
            return None;
        }
        if buffer.meta().dirty.peek().is_none() && which.takes(shared, buffer) {
            let _ = begin(&locked, shared, buffer, which);
        } else {
            locked.move_to(buffer, DIRTY);
        }
        steps = match steps.checked_sub(1) {
            Some(steps) => steps,
            // Let others have the lock.
            None => return Some(Taken::Nothing),
        };
    };
    // Where an error came from must be known at the second attempt.
    let failed = |buffer: &Entry| buffer.snapshot().has(WRITE_ERROR);
    let capacity = if failed(oldest) {
        capacity(shared).alone()
    } else {
        capacity(shared)
    };
    let dirty = |block: u64| {
        locked
            .find(block)
            .filter(|buffer| !failed(buffer))
            .and_then(|buffer| Some((buffer, wanted(&locked, shared, buffer, which)?)))
    };
    // Back to where the run starts.
    let (mut buffer, mut back) = (oldest, merge::Run::new(found, capacity));
    while let Some((before, piece)) = back.block_before().and_then(dirty) {
        if !back.push_before(piece) {
            break;
        }
        buffer = before;
    }
    // And forward. What begins may be more than what was found, and never less.
    let mut batch = Batch::new();
    let mut run: Option<merge::Run> = None;
    loop {
        let Some(hold) = locked.hold(buffer) else {
            // More holds than fit: not now.
            locked.move_to(oldest, DIRTY);
            break;
        };
        let Some(piece) = begin(&locked, shared, buffer, which) else {
            break;
        };
        batch.push(hold);
        let so_far = match &mut run {
            Some(run) => {
                run.push_after(piece);
                run
            }
            None => run.insert(merge::Run::new(piece, capacity)),
        };
        match so_far.block_after().and_then(dirty) {
            Some((next, piece)) if so_far.joins_after(piece) => buffer = next,
            _ => break,
        }
    }
    Some(run.map_or(Taken::Nothing, |run| Taken::Run(batch, run)))
}

/// Starts writing up to `blocks` dirty blocks. Returns how many. May sleep for bios.
fn write(table: &Table, which: Which, blocks: usize, op: Op) -> usize {
    let shared = &table.shared;
    let mut written = 0usize;
    // Those whose write has ended may be dirty again, and are then swept to the others.
    let mut left = table
        .queue_len(DIRTY)
        .saturating_add(table.queue_len(WRITING));
    bio::with_plug(|| {
        while written < blocks {
            let (batch, taken) = match take_run(table, which, &mut left) {
                Some(Taken::Run(batch, taken)) => (batch, taken),
                Some(Taken::Nothing) => continue,
                None => break,
            };
            let count = taken.blocks();
            left = left.saturating_sub(count.saturating_sub(1));
            written = written.saturating_add(count);
            shared.stats.inc(Event::WriteBio);
            shared.stats.add(Event::WriteBlock, count as u64);
            for item in batch.iter() {
                shared.write_callback.call(item.as_ptr());
                if let Some(hooks) = &shared.hooks {
                    hooks.on_write(&Outgoing { item, shared });
                }
            }
            let first = taken.first();
            let run = Run {
                batch,
                sector: shared
                    .sector(first.block)
                    .wrapping_add(u64::from(first.start) / bio::SECTOR_BYTES as u64),
                start: first.start as usize,
                end: taken.last().end as usize,
                block_bytes: shared.block_bytes,
            };
            run.submit(&shared.bios, &shared.bdev, op, IOPRIO_DEFAULT);
            wait::cond_resched();
        }
    });
    written
}

/// Starts writing some of the oldest dirty blocks. May sleep for bios.
pub(crate) fn write_some(table: &Table, blocks: usize) -> usize {
    write(table, Which::Any, blocks, Op::WriteSync)
}

/// Starts writing all dirty blocks. May sleep for bios.
pub(crate) fn write_all(table: &Table) {
    let epoch = table.shared.epoch.fetch_add(1, Relaxed);
    write(table, Which::Flush { epoch }, usize::MAX, Op::Write);
}

/// Waits for every write that is in flight. Sleeps.
pub(crate) fn wait_all(table: &Table) {
    while wait_write(table, u64::MAX) {}
}

/// Waits for the oldest write that is in flight, if its number is at most `last`. Returns false if there is
/// none, and no dirty buffer came of one that has ended.
fn wait_write(table: &Table, last: u64) -> bool {
    let hold = {
        let locked = table.lock();
        let mut more = locked.len(WRITING);
        loop {
            if sweep(&locked) {
                return true;
            }
            let Some(buffer) = locked.first(WRITING) else {
                return false;
            };
            if buffer.meta().write_number.load(Relaxed) > last {
                return false;
            }
            if buffer.snapshot().has(hold::WRITING) {
                break locked.hold(buffer);
            }
            // Swept no further than some steps.
            let Some(left) = more.checked_sub(1) else {
                return true;
            };
            more = left;
        }
    };
    if let Some(hold) = hold {
        hold.wait_clear(hold::WRITING);
        client::release(hold);
    }
    true
}

/// Whether a buffer is to be written, or being written, that was dirty when the epoch ended.
fn is_left(table: &Table, epoch: u32) -> bool {
    let locked = table.lock();
    for queue in [DIRTY, WRITING] {
        let mut next = locked.first(queue);
        while let Some(buffer) = next {
            let now = buffer.snapshot();
            if now.has(hold::DIRTY | hold::WRITING) && is_of(epoch, buffer, now) {
                return true;
            }
            next = locked.after(buffer);
        }
    }
    false
}

/// Writes what is dirty, waits for it, and returns the first error that was not reported. May sleep.
pub(crate) fn write_and_wait(table: &Table) -> Result {
    let shared = &table.shared;
    let epoch = shared.epoch.fetch_add(1, Relaxed);
    loop {
        write(table, Which::Flush { epoch }, usize::MAX, Op::WriteSync);
        let last = {
            let _locked = table.lock();
            shared.writes.load(Relaxed)
        };
        while wait_write(table, last) {}
        // Blocks that were dirty again during their write, or whose merged write failed, are taken in
        // the next round; each fails alone at most once. What others dirty and write meanwhile is theirs.
        if !is_left(table, epoch) {
            break;
        }
    }
    match shared.errors.take() {
        Some(errno) => {
            // What was dropped is gone when the error is reported.
            sweep_all(table);
            Err(Error::from_errno(
                i32::try_from(errno).map_or(-5, |errno| errno.wrapping_neg()),
            ))
        }
        None => Ok(()),
    }
}

/// Puts what was dirty before the call on stable storage. May sleep.
pub(crate) fn flush(table: &Table) -> Result {
    let written = write_and_wait(table);
    let flushed = table.shared.bdev.flush();
    written.and(flushed)
}

/// Throws out buffers that an end of I/O left for this.
pub(crate) fn drop_deferred(table: &Table) {
    for hold in table.take_deferred() {
        let owned = if hold.snapshot().has(UNWANTED) {
            table.lock().kill_held(hold, UNCLEAN)
        } else {
            drop(hold);
            None
        };
        if let Some(owned) = owned {
            alloc::give_back(table, owned);
        }
    }
}

/// Drops dirty buffers that could not be written, when the client ends.
pub(crate) fn drop_unwritten(table: &Table) {
    let mut left = table
        .queue_len(DIRTY)
        .saturating_add(table.queue_len(WRITING));
    while left > 0 {
        left = left.saturating_sub(1);
        let locked = table.lock();
        sweep(&locked);
        let Some(buffer) = locked.first(DIRTY) else {
            return;
        };
        let owned = locked.kill(buffer, hold::IO);
        if owned.is_none() {
            locked.move_to(buffer, DIRTY);
        }
        drop(locked);
        drop(owned);
    }
}

/// The client's work: write-back by ratio and age, and what interrupts left to do.
pub(crate) fn work(table: &Table) {
    let shared = &table.shared;
    drop_deferred(table);
    sweep_if_wanted(table);
    if shared.closing.load(Relaxed) {
        return;
    }
    alloc::refill_reserve(table);
    let oldest = {
        let locked = table.lock();
        sweep(&locked);
        locked
            .first(DIRTY)
            .map(|buffer| now().saturating_sub(buffer.meta().dirty_since.load(Relaxed)))
    };
    let clean = table.queue_len(CLEAN).saturating_add(table.queue_len(MAIN));
    let plan = writeback::plan(table.queue_len(DIRTY), clean, oldest, max_age());
    let emergency = shared.emergency.load(Relaxed);
    let blocks = ladder::ahead(plan.blocks as u64, emergency, shared.reserve_owed() as u64);
    if blocks != 0 {
        write(table, Which::Any, blocks as usize, Op::Write);
    }
    if plan.aged {
        let before = now().saturating_sub(max_age());
        write(table, Which::Before(before), usize::MAX, Op::Write);
    }
    retry(table);
    if let Some(ticks) = soonest(plan.again_ticks.unwrap_or(0), retry_ticks(shared)) {
        table.schedule(&shared.global.queue, ticks);
    }
}

/// Takes note that a failed write is to be repeated at `time`. Who calls it has the client's work run next.
/// Any context.
pub(crate) fn retry_at(shared: &Shared, time: u64) {
    let _ = update(&shared.retry_until, |last| (last < time).then_some(time));
}

/// Repeats the failed writes that are due.
fn retry(table: &Table) {
    let until = table.shared.retry_until.value();
    if until == 0 {
        return;
    }
    // All are due when the last one is; but the time is looked at first.
    let all = now() >= until;
    write(table, Which::Failed, usize::MAX, Op::Write);
    if all {
        // Unless one has failed meanwhile.
        let _ = table.shared.retry_until.compare_exchange(until, 0);
    }
}

/// Returns when to look for failed writes again, or 0.
fn retry_ticks(shared: &Shared) -> u64 {
    match shared.retry_until.value() {
        0 => 0,
        until => until
            .saturating_sub(now())
            .clamp(1, shared.retries.first_ticks.max(1)),
    }
}

/// Returns the smaller of two numbers of ticks, of which 0 stands for never.
fn soonest(a: u64, b: u64) -> Option<usize> {
    let ticks = match (a, b) {
        (0, ticks) | (ticks, 0) => ticks,
        (a, b) => a.min(b),
    };
    usize::try_from(ticks).ok().filter(|&ticks| ticks != 0)
}
