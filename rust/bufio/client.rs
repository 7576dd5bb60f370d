// SPDX-License-Identifier: GPL-2.0

//! Clients: creation, destruction, accessors.

use super::{
    buffer::{no_usage, Data, UNWANTED},
    ghosts::Ghosts,
    global::Global,
    policy::{
        dirty::write_align,
        limits::{self, Usage},
        writeback::{ErrorLatch, OnFailure, Retries},
    },
    stats::{self, Event, Stats},
    writeback, Hold, Owned, Table, CLEAN, DIRTY, MAIN, WRITING,
};
use crate::kapi::{
    atomic::{Atomic, Relaxed},
    bdev::Bdev,
    bio::{self, BioSet, SECTOR_BYTES},
    block_mem::Pool,
    callback::Callback,
    debugfs, params,
    rcu_table::hold::{Released, READING, UNCLEAN},
    shrinker,
    wait::{self, Word64},
};
use kernel::{
    new_spinlock,
    prelude::*,
    str::CString,
    sync::{Arc, SpinLock},
    time::msecs_to_jiffies,
};

/// What eviction leaves to a client that did not say (`DM_BUFIO_MIN_BUFFERS`).
const DEFAULT_MINIMUM: u32 = 8;
/// Repetitions of a failed write in the background, and their pauses.
const WRITE_RETRIES: u8 = 3;
const FIRST_PAUSE_MS: u32 = 250;
const LONGEST_PAUSE_MS: u32 = 5000;

/// After how long the end of a client looks at its asynchronous reads, whoever tells it or not.
const ASYNC_JIFFIES: usize = 1000;

/// What a client is made of.
pub(crate) struct Options {
    /// The device.
    pub(crate) bdev: Bdev,
    /// Bytes of a block.
    pub(crate) block_bytes: u32,
    /// Buffers to keep for when memory is short.
    pub(crate) reserved: u32,
    /// Bytes beside each buffer.
    pub(crate) aux_bytes: u32,
    /// Called with each buffer that is to stand for a new block.
    pub(crate) alloc_callback: Callback,
    /// Called with each buffer that is to be written.
    pub(crate) write_callback: Callback,
    /// What follows when a block cannot be written.
    pub(crate) on_failure: OnFailure,
}

impl Options {
    /// For a cache of `block_bytes` blocks of `bdev`, a multiple of 512: one buffer in reserve, no
    /// callbacks, and what cannot be written is kept.
    pub(crate) fn new(bdev: Bdev, block_bytes: u32) -> Self {
        Self {
            bdev,
            block_bytes,
            reserved: 1,
            aux_bytes: 0,
            alloc_callback: Callback::NONE,
            write_callback: Callback::NONE,
            on_failure: OnFailure::Keep,
        }
    }
}

/// What belongs to a client's table.
pub(crate) struct Shared {
    pub(crate) global: Arc<Global>,
    pub(crate) bdev: Bdev,
    pub(crate) block_bytes: usize,
    sectors_per_block: u64,
    start_sector: Atomic<u64>,
    pub(crate) pool: Pool,
    pub(crate) bios: BioSet,
    pub(crate) alloc_callback: Callback,
    pub(crate) write_callback: Callback,
    pub(crate) retries: Retries,
    object_bytes: usize,
    /// Bytes of buffers, reserve and chains.
    pub(crate) usage: Usage<Word64>,
    own_limit: Atomic<u64>,
    pub(crate) minimum: Atomic<u32>,
    /// Reads that will call back.
    pub(crate) async_reads: Word64,
    /// Buffers that the reserve should have.
    pub(crate) reserved: usize,
    reserve: Pin<KBox<SpinLock<KVec<Owned>>>>,
    /// The first write error that was not reported.
    pub(crate) errors: ErrorLatch<Word64>,
    /// Blocks whose data was given up.
    pub(crate) lost: Atomic<u64>,
    /// Counts flushes: tells what was dirty before one.
    pub(crate) epoch: Atomic<u32>,
    /// Counts writes. Under the table's lock.
    pub(crate) writes: Atomic<u64>,
    /// When it was made, in jiffies.
    created: u64,
    /// Pages of buffers that came from the kernel's emergency reserves.
    pub(crate) emergency: Atomic<u64>,
    pub(crate) stats: Stats,
    pub(crate) ghosts: Ghosts,
    /// A word of the owner's; the C API keeps its pointer there.
    pub(crate) handle: Atomic<usize>,
}

impl Shared {
    /// Returns what a buffer is charged.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.object_bytes.saturating_add(self.pool.footprint()) as u64
    }

    /// Returns the device sector of a block.
    pub(crate) fn sector(&self, block: u64) -> u64 {
        // Relaxed: not changed while there is I/O. Wraps as the caller's number does; the block layer
        // refuses what is beyond the device.
        block
            .wrapping_mul(self.sectors_per_block)
            .wrapping_add(self.start_sector.load(Relaxed))
    }

    /// Returns the alignment of writes.
    pub(crate) fn write_align(&self) -> u32 {
        write_align(self.bdev.physical_block_bytes())
    }

    /// Returns the client's own limit; the largest number if it has none.
    pub(crate) fn own_limit(&self) -> u64 {
        match self.own_limit.load(Relaxed) {
            0 => u64::MAX,
            bytes => bytes,
        }
    }

    /// Charges `bytes`, unless a limit stands against it.
    pub(crate) fn admit(&self, bytes: u64) -> Result<(), limits::Refused> {
        let limit = self.global.limit();
        limits::admit(
            &self.global.usage,
            limit,
            &self.usage,
            self.own_limit(),
            bytes,
        )?;
        self.global.note_peak();
        Ok(())
    }

    /// Gives back what was charged.
    pub(crate) fn uncharge(&self, bytes: u64) {
        let ok = self.usage.uncharge(bytes) & self.global.usage.uncharge(bytes);
        kernel::warn_on!(!ok);
    }

    pub(crate) fn force(&self, bytes: u64) {
        self.usage.force(bytes);
        self.global.usage.force(bytes);
        self.global.note_peak();
    }

    /// Counts pages from the kernel's emergency reserves that a buffer has got or gives back.
    pub(crate) fn count_emergency(&self, data: &Data, got: bool) {
        let pages = self.pool.emergency_pages(&data.memory) as u64;
        if pages == 0 {
            return;
        }
        if got {
            self.stats.add(Event::EmergencyPage, pages);
            self.emergency.fetch_add(pages, Relaxed);
        } else {
            self.emergency.fetch_sub(pages, Relaxed);
        }
    }

    /// Tells those who wait for a buffer to look again.
    #[inline]
    pub(crate) fn note_freed(&self) {
        if self.global.waiters.any() {
            self.wake_waiters();
        }
    }

    #[cold]
    fn wake_waiters(&self) {
        self.global.freed.bump();
        self.global.freed.wake();
    }

    /// Returns what the limits look at.
    pub(crate) fn for_limits(&self, table: &Table) -> limits::Client {
        let each = self.buffer_bytes();
        let minimum = u64::from(self.minimum.load(Relaxed));
        let kept = minimum.saturating_add(self.reserved as u64);
        let clean = table.queue_len(CLEAN).saturating_add(table.queue_len(MAIN));
        limits::Client {
            used_bytes: self.usage.bytes(),
            evictable_bytes: each.saturating_mul(clean as u64),
            floor_bytes: each
                .saturating_mul(kept)
                .saturating_add(table.segment_bytes() as u64),
            idle_seconds: self.idle_seconds(),
        }
    }

    /// Returns for how long nobody has asked for a block, whether it was cached or not.
    pub(crate) fn idle_seconds(&self) -> u64 {
        let last = self.stats.last_use().max(self.created);
        wait::jiffies_to_seconds(wait::jiffies().saturating_sub(last))
    }

    /// Returns the number of buffers in the reserve.
    pub(crate) fn reserve_len(&self) -> usize {
        self.reserve.lock().len()
    }

    /// Takes a buffer from the reserve. Process context.
    pub(crate) fn take_reserve(&self) -> Option<Owned> {
        self.reserve.lock().pop()
    }

    /// Returns how many buffers the reserve lacks.
    pub(crate) fn reserve_owed(&self) -> usize {
        self.reserved.saturating_sub(self.reserve_len())
    }

    /// Puts a buffer that is no longer needed into the reserve if that lacks one, and frees it otherwise.
    /// Process context.
    pub(crate) fn give_back(&self, owned: Owned) {
        if self.pool.emergency_pages(&owned.data().memory) != 0 {
            drop(owned);
            return;
        }
        let spare = {
            let mut reserve = self.reserve.lock();
            if reserve.len() < self.reserved {
                // Cannot fail: the capacity was allocated at creation.
                reserve.push_within_capacity(owned).err().map(|e| e.0)
            } else {
                Some(owned)
            }
        };
        match spare {
            Some(owned) => drop(owned),
            None => self.note_freed(),
        }
    }

    /// Counts buffers that are held, and that are being read.
    pub(crate) fn count_held(&self, table: &Table, held: &mut u64, reading: &mut u64) {
        let locked = table.lock();
        for queue in [CLEAN, MAIN, DIRTY, WRITING] {
            let mut next = locked.first(queue);
            while let Some(buffer) = next {
                let now = buffer.snapshot();
                *held = held.saturating_add(u64::from(now.holds() != 0));
                *reading = reading.saturating_add(u64::from(now.has(READING)));
                next = locked.after(buffer);
            }
        }
    }
}

impl debugfs::Show for Arc<Table> {
    fn show(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        stats::print(self, f)
    }
}

/// A cache of one device's blocks.
pub(crate) struct Client {
    // Dropped first: no new callers.
    debugfs: Option<Pin<KBox<debugfs::File<Arc<Table>>>>>,
    shrinker: Option<shrinker::Registration<Table>>,
    table: Arc<Table>,
}

impl Client {
    /// Makes a client. May sleep.
    pub(crate) fn new(
        global: Arc<Global>,
        options: Options,
        directory: Option<Arc<debugfs::Dir>>,
    ) -> Result<Self> {
        /// Tells clients of one device apart.
        static NUMBER: Atomic<u32> = Atomic::new(0);

        let block_bytes = options.block_bytes as usize;
        if block_bytes == 0 || block_bytes % SECTOR_BYTES != 0 {
            return Err(EINVAL);
        }
        let (major, minor) = options.bdev.number();
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = CString::try_from_fmt(fmt!("memscope_bufio-{major}:{minor}-{number}"))?;
        let data_name = CString::try_from_fmt(fmt!("memscope_block-{block_bytes}-{number}"))?;
        let reserved = options.reserved as usize;
        let pause = |ms| msecs_to_jiffies(ms) as u64;
        let shared = Shared {
            global,
            bdev: options.bdev,
            block_bytes,
            sectors_per_block: (block_bytes / SECTOR_BYTES) as u64,
            start_sector: Atomic::new(0),
            pool: Pool::new(&data_name, block_bytes)?,
            bios: BioSet::new()?,
            alloc_callback: options.alloc_callback,
            write_callback: options.write_callback,
            retries: Retries {
                max: match options.on_failure {
                    OnFailure::Keep => WRITE_RETRIES,
                    OnFailure::Drop => 0,
                },
                first_ticks: pause(FIRST_PAUSE_MS),
                longest_ticks: pause(LONGEST_PAUSE_MS),
                then: options.on_failure,
            },
            object_bytes: Table::object_bytes(options.aux_bytes as usize),
            usage: no_usage(),
            own_limit: Atomic::new(0),
            minimum: Atomic::new(DEFAULT_MINIMUM),
            async_reads: Word64::new(0),
            reserved,
            reserve: KBox::pin_init(
                new_spinlock!(
                    KVec::with_capacity(reserved, GFP_KERNEL)?,
                    "Client::reserve"
                ),
                GFP_KERNEL,
            )?,
            errors: ErrorLatch::new(Word64::new(0)),
            lost: Atomic::new(0),
            epoch: Atomic::new(0),
            writes: Atomic::new(0),
            created: wait::jiffies(),
            emergency: Atomic::new(0),
            stats: Stats::new()?,
            ghosts: Ghosts::new()?,
            handle: Atomic::new(0),
        };
        let table = Table::new(&name, options.aux_bytes as usize, shared)?;
        let mut client = Self {
            debugfs: None,
            shrinker: None,
            table,
        };
        let table = &client.table;
        table.shared.force(table.segment_bytes() as u64);
        // From here on, dropping `client` gives back what was made so far.
        for _ in 0..reserved {
            let owned = super::alloc::for_reserve(table).ok_or(ENOMEM)?;
            table.shared.give_back(owned);
        }
        client.shrinker = Some(shrinker::Registration::new(&name, table.clone())?);
        if let Some(directory) = directory {
            let file = debugfs::File::new(directory, &name, table.clone());
            client.debugfs = Some(KBox::pin_init(file, GFP_KERNEL)?);
        }
        table.shared.global.add(table)?;
        Ok(client)
    }

    /// Returns the table.
    #[inline]
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Returns what belongs to the table.
    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        &self.table.shared
    }

    /// Sets where block 0 is.
    pub(crate) fn set_sector_offset(&self, start: u64) {
        self.shared().start_sector.store(start, Relaxed);
    }

    /// Sets what eviction leaves.
    pub(crate) fn set_minimum(&self, buffers: u32) {
        self.shared().minimum.store(buffers, Relaxed);
    }

    /// Sets the client's own limit; 0 for none.
    pub(crate) fn set_maximum_bytes(&self, bytes: u64) {
        self.shared().own_limit.store(bytes, Relaxed);
    }

    /// Returns the whole blocks of the device behind the sector offset.
    pub(crate) fn device_blocks(&self) -> u64 {
        let shared = self.shared();
        shared
            .bdev
            .sectors()
            .saturating_sub(shared.start_sector.load(Relaxed))
            .checked_div(shared.sectors_per_block)
            .unwrap_or(0)
    }

    /// Flushes the device's write cache. May sleep.
    pub(crate) fn issue_flush(&self) -> Result {
        refuse_in_submission()?;
        self.shared().bdev.flush()
    }

    /// Discards blocks on the device. May sleep.
    pub(crate) fn issue_discard(&self, block: u64, blocks: u64) -> Result {
        refuse_in_submission()?;
        let shared = self.shared();
        let sectors = blocks.wrapping_mul(shared.sectors_per_block);
        shared.bdev.discard(shared.sector(block), sectors)
    }

    /// Drops a block, if nobody holds it and it is clean.
    pub(crate) fn forget(&self, block: u64) {
        let locked = self.table.lock();
        let owned = locked
            .find(block)
            .and_then(|buffer| locked.kill(buffer, UNCLEAN));
        drop(locked);
        drop(owned);
    }

    /// Drops a range of blocks, as far as nobody holds them and they are clean.
    pub(crate) fn forget_range(&self, block: u64, blocks: u64) {
        let end = block.saturating_add(blocks);
        if blocks <= self.table.entries() as u64 {
            (block..end).for_each(|block| self.forget(block));
            return;
        }
        self.drop_where(|key| (block..end).contains(&key));
    }

    /// Drops clean buffers that nobody holds and whose block is `wanted`.
    fn drop_where(&self, wanted: impl Fn(u64) -> bool) {
        writeback::sweep_all(&self.table);
        for queue in [CLEAN, MAIN] {
            // Each buffer is looked at once and put behind; new ones are behind as well.
            let mut left = self.table.queue_len(queue);
            while left > 0 {
                let locked = self.table.lock();
                for _ in 0..left.min(LOCK_STEPS) {
                    left = left.saturating_sub(1);
                    let Some(buffer) = locked.first(queue) else {
                        left = 0;
                        break;
                    };
                    let owned = if wanted(buffer.key()) {
                        locked.kill(buffer, UNCLEAN)
                    } else {
                        None
                    };
                    match owned {
                        // Freeing neither sleeps nor takes a lock of ours.
                        Some(owned) => drop(owned),
                        None => locked.move_to(buffer, queue),
                    }
                }
            }
        }
    }

    /// Writes what is dirty and drops all buffers that nobody holds. May sleep.
    pub(crate) fn reset(&self) {
        if refuse_in_submission().is_err() {
            return;
        }
        if let Err(error) = writeback::flush(&self.table) {
            // Still to be reported to who asks.
            let errno = error.to_errno();
            pr_warn!("bufio: write error {errno} while a client was emptied\n");
            self.shared().errors.record(errno.unsigned_abs());
        }
        writeback::drop_deferred(&self.table);
        self.drop_where(|_| true);
    }

    /// Writes what is dirty, names what is still held, and takes the client apart. May sleep.
    fn close(&mut self) {
        let shared = &self.table.shared;
        loop {
            let reads = shared.async_reads.value();
            if reads == 0 {
                break;
            }
            shared.async_reads.wait_changed(reads, ASYNC_JIFFIES);
        }
        // Nothing is due any more, whatever its age.
        self.table.cancel();
        self.debugfs = None;
        self.shrinker = None;
        shared.global.remove(&self.table);
        let result = writeback::flush(&self.table);
        self.table.cancel();
        writeback::drop_deferred(&self.table);
        self.drop_where(|_| true);
        let unwritten = self
            .table
            .queue_len(DIRTY)
            .saturating_add(self.table.queue_len(WRITING)) as u64;
        let lost = shared.lost.load(Relaxed).saturating_add(unwritten);
        if let Err(error) = result {
            pr_err!(
                "bufio: write error {} when a client was destroyed, {lost} blocks lost\n",
                error.to_errno()
            );
        }
        writeback::drop_unwritten(&self.table);
        let leaked = self.name_leaks();
        kernel::warn_on!(leaked != 0);
        // Who leaked a buffer may still ask for its client.
        shared.handle.store(0, Relaxed);
        self.table.quiesce();
        while let Some(owned) = shared.take_reserve() {
            drop(owned);
        }
        let ghosts = shared.ghosts.close(&self.table);
        shared.uncharge((self.table.segment_bytes() as u64).saturating_add(ghosts));
    }

    /// Logs the buffers that are left. Returns their number.
    fn name_leaks(&self) -> usize {
        let locked = self.table.lock();
        let mut leaked = 0usize;
        for queue in [CLEAN, MAIN, DIRTY, WRITING] {
            let mut next = locked.first(queue);
            while let Some(buffer) = next {
                pr_err!(
                    "bufio: leaked buffer {:#x}, hold count {}\n",
                    buffer.key(),
                    buffer.snapshot().holds()
                );
                leaked = leaked.saturating_add(1);
                next = locked.after(buffer);
            }
        }
        leaked
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}

/// Buffers looked at before the lock is dropped for others.
pub(crate) const LOCK_STEPS: usize = 64;

/// Refuses what would wait for a bio inside the submission of another.
#[inline]
pub(crate) fn refuse_in_submission() -> Result {
    if bio::in_submission() {
        static WARNED: Atomic<bool> = Atomic::new(false);
        if !WARNED.xchg(true, Relaxed) {
            kernel::warn_on!(true);
        }
        return Err(EINVAL);
    }
    Ok(())
}

impl shrinker::Shrink for Table {
    fn count(&self) -> usize {
        let spare = limits::shrinkable_bytes(&self.shared.for_limits(self), params::retain_bytes());
        spare
            .checked_div(self.shared.buffer_bytes())
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(0)
    }

    fn scan(&self, objects: usize) -> Option<usize> {
        let wanted = objects.min(self.count());
        let freed = super::alloc::try_evict(self, wanted)?;
        self.shared.stats.add(Event::Shrunk, freed as u64);
        Some(freed)
    }
}

/// Ends a hold, and throws the buffer out if it must not stay.
#[inline]
pub(crate) fn release(hold: Hold<'_>) {
    let table = hold.table();
    let block = hold.key();
    match hold.release() {
        Released::Last { was, .. } => {
            if was.has(UNWANTED) {
                throw_out(table, block);
            }
            table.shared.note_freed();
        }
        Released::Shared | Released::Killed { .. } => (),
        Released::NotHeld => {
            kernel::warn_on!(true);
        }
    }
}

/// Throws a block's buffer out if it must not stay and nobody needs it.
#[cold]
fn throw_out(table: &Table, block: u64) {
    let locked = table.lock();
    let owned = locked
        .find(block)
        .filter(|buffer| buffer.snapshot().has(UNWANTED))
        .and_then(|buffer| locked.kill(buffer, UNCLEAN));
    drop(locked);
    drop(owned);
}
