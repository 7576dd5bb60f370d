// SPDX-License-Identifier: GPL-2.0

//! What belongs to a client's table: [`Shared`].

use super::{
    buffer::{no_usage, Data},
    client::Options,
    ghosts::Ghosts,
    global::Global,
    guard::Hooks,
    policy::{
        dirty::write_align,
        limits::{self, Usage},
        writeback::{ErrorLatch, OnFailure, Retries},
    },
    stats::{Event, Stats},
    Locked, Owned, Table, CLEAN, DIRTY, MAIN, WRITING,
};
use crate::kapi::{
    atomic::{Atomic, Relaxed},
    bdev::Bdev,
    bio::{BioSet, SECTOR_BYTES},
    block_mem::Pool,
    callback::Callback,
    rcu_table::hold::READING,
    wait::{self, Word64},
};
use kernel::{
    new_spinlock,
    prelude::*,
    str::CStr,
    sync::{Arc, SpinLock},
    time::msecs_to_jiffies,
};

/// What eviction leaves to a client that did not say (`DM_BUFIO_MIN_BUFFERS`).
const DEFAULT_MINIMUM: u32 = 8;
/// Repetitions of a failed write in the background, and their pauses.
const WRITE_RETRIES: u8 = 3;
const FIRST_PAUSE_MS: u32 = 250;
const LONGEST_PAUSE_MS: u32 = 5000;

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
    pub(crate) hooks: Option<KBox<dyn Hooks>>,
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
    // Its lock is taken inside the table's, so with softirqs off.
    reserve: Pin<KBox<SpinLock<KVVec<Owned>>>>,
    // Of `reserve`, to be looked at without the lock.
    reserve_len: Atomic<usize>,
    /// The first write error that was not reported.
    pub(crate) errors: ErrorLatch<Word64>,
    /// Blocks whose data was given up.
    pub(crate) lost: Atomic<u64>,
    /// When the last repetition of a failed write is due, in jiffies; 0 for none.
    pub(crate) retry_until: Word64,
    /// Whether the client's work is to look through the queue of writes.
    pub(crate) sweep_wanted: Atomic<bool>,
    /// Whether the owner takes the client apart: its work writes nothing any more.
    pub(crate) closing: Atomic<bool>,
    /// Counts flushes: tells what was dirty before one.
    pub(crate) epoch: Atomic<u32>,
    /// Counts writes. Under the table's lock.
    pub(crate) writes: Atomic<u64>,
    /// Counts those that have ended, or are about to.
    pub(crate) writes_ended: Atomic<u64>,
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
    /// Makes it, with an empty reserve. The slab of the data, if it has one, is called `name`. May sleep.
    pub(super) fn new(global: Arc<Global>, options: Options, name: &CStr) -> Result<Self> {
        let block_bytes = options.block_bytes as usize;
        if block_bytes == 0 || block_bytes % SECTOR_BYTES != 0 {
            return Err(EINVAL);
        }
        let reserved = options.reserved as usize;
        let pause = |ms| msecs_to_jiffies(ms) as u64;
        Ok(Self {
            global,
            bdev: options.bdev,
            block_bytes,
            sectors_per_block: (block_bytes / SECTOR_BYTES) as u64,
            start_sector: Atomic::new(0),
            pool: Pool::new(name, block_bytes)?,
            bios: BioSet::new()?,
            alloc_callback: options.alloc_callback,
            write_callback: options.write_callback,
            hooks: options.hooks,
            retries: Retries {
                max: match options.on_failure {
                    OnFailure::Keep => WRITE_RETRIES,
                    OnFailure::Drop => 0,
                },
                first_ticks: pause(FIRST_PAUSE_MS),
                longest_ticks: pause(LONGEST_PAUSE_MS),
                then: options.on_failure,
            },
            object_bytes: Table::object_bytes(options.aux),
            usage: no_usage(),
            own_limit: Atomic::new(0),
            minimum: Atomic::new(DEFAULT_MINIMUM),
            async_reads: Word64::new(0),
            reserved,
            reserve: KBox::pin_init(
                new_spinlock!(
                    KVVec::with_capacity(reserved, GFP_KERNEL | __GFP_NOWARN)?,
                    "Client::reserve"
                ),
                GFP_KERNEL,
            )?,
            reserve_len: Atomic::new(0),
            errors: ErrorLatch::new(Word64::new(0)),
            lost: Atomic::new(0),
            retry_until: Word64::new(0),
            sweep_wanted: Atomic::new(false),
            closing: Atomic::new(false),
            epoch: Atomic::new(0),
            writes: Atomic::new(0),
            writes_ended: Atomic::new(0),
            created: wait::jiffies(),
            emergency: Atomic::new(0),
            stats: Stats::new()?,
            ghosts: Ghosts::new()?,
            handle: Atomic::new(0),
        })
    }

    /// Returns what a buffer is charged.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.object_bytes.saturating_add(self.pool.footprint()) as u64
    }

    /// Returns the device sector of a block.
    pub(crate) fn sector(&self, block: u64) -> u64 {
        // Relaxed: not changed while there is I/O. Wraps as the caller's number does; the block layer
        // refuses what is beyond the device.
        self.sectors(block)
            .wrapping_add(self.start_sector.load(Relaxed))
    }

    /// Sets where block 0 is.
    pub(super) fn set_sector_offset(&self, start: u64) {
        self.start_sector.store(start, Relaxed);
    }

    /// Returns the sectors of a number of blocks. Wraps.
    pub(super) fn sectors(&self, blocks: u64) -> u64 {
        blocks.wrapping_mul(self.sectors_per_block)
    }

    /// Returns the whole blocks of the device behind the sector offset.
    pub(super) fn device_blocks(&self) -> u64 {
        self.bdev
            .sectors()
            .saturating_sub(self.start_sector.load(Relaxed))
            .checked_div(self.sectors_per_block)
            .unwrap_or(0)
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

    /// Sets the client's own limit; 0 for none.
    pub(super) fn set_own_limit(&self, bytes: u64) {
        self.own_limit.store(bytes, Relaxed);
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
        limits::Client {
            used_bytes: self.usage.bytes(),
            evictable_bytes: each.saturating_mul(self.clean_len(table) as u64),
            floor_bytes: each
                .saturating_mul(kept)
                .saturating_add(table.segment_bytes() as u64),
            idle_seconds: self.idle_seconds(),
        }
    }

    /// Returns how many buffers are as on the device, or being read, at some moment.
    pub(crate) fn clean_len(&self, table: &Table) -> usize {
        table
            .queue_len(CLEAN)
            .saturating_add(table.queue_len(MAIN))
            .saturating_add(self.unswept(table))
    }

    /// Returns how many buffers are in the queue of writes though their write has ended, at some moment.
    pub(crate) fn unswept(&self, table: &Table) -> usize {
        // Relaxed: an end that is seen too early or too late is followed by `note_freed`.
        let begun = self.writes.load(Relaxed);
        let in_flight = begun.saturating_sub(self.writes_ended.load(Relaxed));
        usize::try_from(in_flight).map_or(0, |n| table.queue_len(WRITING).saturating_sub(n))
    }

    /// Returns for how long nobody has asked for a block, whether it was cached or not.
    pub(crate) fn idle_seconds(&self) -> u64 {
        let last = self.stats.last_use().max(self.created);
        wait::jiffies_to_seconds(wait::jiffies().saturating_sub(last))
    }

    /// Returns the number of buffers in the reserve.
    pub(crate) fn reserve_len(&self) -> usize {
        self.reserve_len.load(Relaxed)
    }

    /// Takes a buffer from the reserve.
    pub(crate) fn take_reserve(&self, _table: &Locked<'_>) -> Option<Owned> {
        let mut reserve = self.reserve.lock();
        let owned = reserve.pop();
        self.reserve_len.store(reserve.len(), Relaxed);
        owned
    }

    /// Returns how many buffers the reserve lacks.
    pub(crate) fn reserve_owed(&self) -> usize {
        self.reserved.saturating_sub(self.reserve_len())
    }

    /// Puts a buffer that left the cache into the reserve if that lacks one; else returns it, to be freed.
    pub(crate) fn give_back(&self, _table: &Locked<'_>, owned: Owned) -> Option<Owned> {
        if self.pool.emergency_pages(&owned.data().memory) != 0 {
            return Some(owned);
        }
        let mut reserve = self.reserve.lock();
        if reserve.len() >= self.reserved {
            return Some(owned);
        }
        owned.meta().renew();
        // Cannot fail: the capacity was allocated at creation.
        let spare = reserve.push_within_capacity(owned).err().map(|e| e.0);
        self.reserve_len.store(reserve.len(), Relaxed);
        drop(reserve);
        self.note_freed();
        spare
    }

    /// Counts buffers that are held, and that are being read.
    pub(crate) fn count_held(&self, table: &Table, held: &mut u64, reading: &mut u64) {
        let locked = table.lock();
        for queue in [CLEAN, MAIN, DIRTY, WRITING] {
            let mut next = locked.first(queue);
            while let Some(buffer) = next {
                *held = held.saturating_add(u64::from(locked.is_held(buffer)));
                *reading = reading.saturating_add(u64::from(buffer.snapshot().has(READING)));
                next = locked.after(buffer);
            }
        }
    }
}
