// SPDX-License-Identifier: GPL-2.0

//! Clients: creation, destruction, accessors.

use super::{
    alloc,
    buffer::UNWANTED,
    global::Global,
    guard::Hooks,
    policy::{limits, writeback::OnFailure},
    shared::Shared,
    stats::{self, Event},
    sweep, writeback, Hold, Table, CLEAN, DIRTY, MAIN, WRITING,
};
use crate::kapi::{
    atomic::{Atomic, Relaxed},
    bdev::Bdev,
    bio,
    callback::Callback,
    debugfs, params,
    rcu_table::{
        hold::{Released, READING, UNCLEAN},
        Aux,
    },
    shrinker,
};
use kernel::{prelude::*, str::CString, sync::Arc};

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
    /// What is beside each buffer.
    pub(crate) aux: Aux,
    /// Called with each buffer that is to stand for a new block.
    pub(crate) alloc_callback: Callback,
    /// Called with each buffer that is to be written.
    pub(crate) write_callback: Callback,
    /// Told of both, from Rust.
    pub(crate) hooks: Option<KBox<dyn Hooks>>,
    /// What follows when a block cannot be written.
    pub(crate) on_failure: OnFailure,
}

impl Options {
    /// For a cache of `block_bytes` blocks of `bdev`, a multiple of 512: one buffer in reserve, nothing
    /// beside the buffers, nobody told, and what cannot be written is kept.
    pub(crate) fn new(bdev: Bdev, block_bytes: u32) -> Self {
        Self {
            bdev,
            block_bytes,
            reserved: 1,
            aux: Aux::NONE,
            alloc_callback: Callback::NONE,
            write_callback: Callback::NONE,
            hooks: None,
            on_failure: OnFailure::Keep,
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

        let (major, minor) = options.bdev.number();
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = CString::try_from_fmt(fmt!("memscope_bufio-{major}:{minor}-{number}"))?;
        let data_name =
            CString::try_from_fmt(fmt!("memscope_block-{}-{number}", options.block_bytes))?;
        let aux = options.aux;
        let parking = global.parking.clone();
        let shared = Shared::new(global, options, &data_name)?;
        let table = Table::new(&name, aux, parking, shared)?;
        let mut client = Self {
            debugfs: None,
            shrinker: None,
            table,
        };
        let table = &client.table;
        table.shared.force(table.segment_bytes() as u64);
        // From here on, dropping `client` gives back what was made so far.
        for _ in 0..table.shared.reserved {
            let owned = alloc::for_reserve(table).ok_or(ENOMEM)?;
            alloc::give_back(table, owned);
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
        self.shared().set_sector_offset(start);
    }

    /// Sets what eviction leaves.
    pub(crate) fn set_minimum(&self, buffers: u32) {
        self.shared().minimum.store(buffers, Relaxed);
    }

    /// Sets the client's own limit; 0 for none.
    pub(crate) fn set_maximum_bytes(&self, bytes: u64) {
        self.shared().set_own_limit(bytes);
    }

    /// Returns the whole blocks of the device behind the sector offset.
    pub(crate) fn device_blocks(&self) -> u64 {
        self.shared().device_blocks()
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
        shared
            .bdev
            .discard(shared.sector(block), shared.sectors(blocks))
    }

    /// Drops a block, if nobody holds it and it is clean.
    pub(crate) fn forget(&self, block: u64) {
        let locked = self.table.lock();
        let owned = locked
            .find(block)
            .and_then(|buffer| locked.kill(buffer, UNCLEAN))
            .and_then(|owned| self.shared().give_back(&locked, owned));
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
        sweep::sweep_all(&self.table);
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
                        Some(owned) => drop(self.shared().give_back(&locked, owned)),
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
        wait_prefetched(&self.table);
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
        // Nothing is due any more, whatever its age, and what fails below is not repeated: nobody would
        // wait for that.
        shared.closing.store(true, Relaxed);
        self.table.cancel();
        self.debugfs = None;
        self.shrinker = None;
        shared.global.remove(&self.table);
        let result = writeback::flush(&self.table);
        // Nobody else is at the queues then. What others began to write to make room may be in flight.
        self.table.quiesce();
        writeback::wait_all(&self.table);
        while wait_prefetched(&self.table) {}
        // What the ends of transfers left to do is there then, and nothing is in flight.
        self.table.quiesce();
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
        loop {
            let owned = shared.take_reserve(&self.table.lock());
            if owned.is_none() {
                break;
            }
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

/// Waits for reads that nobody else waits for. Returns whether there was one. Sleeps.
fn wait_prefetched(table: &Table) -> bool {
    let mut waited = false;
    for queue in [CLEAN, MAIN] {
        // Each buffer is looked at once and put behind, which leaves the order as it was.
        let mut left = table.queue_len(queue);
        while left > 0 {
            let locked = table.lock();
            let mut reading = None;
            for _ in 0..left.min(LOCK_STEPS) {
                left = left.saturating_sub(1);
                let Some(buffer) = locked.first(queue) else {
                    left = 0;
                    break;
                };
                locked.move_to(buffer, queue);
                let now = buffer.snapshot();
                // One hold: the transfer's.
                if now.has(READING) && now.holds() == 1 {
                    reading = locked.hold(buffer);
                    break;
                }
            }
            drop(locked);
            if let Some(hold) = reading {
                hold.wait_clear(READING);
                release(hold);
                waited = true;
            }
        }
    }
    waited
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
        let freed = alloc::try_evict(self, wanted)?;
        self.shared.stats.add(Event::Shrunk, freed as u64);
        Some(freed)
    }
}

/// Ends a hold, and throws the buffer out if it must not stay.
#[inline(always)]
pub(crate) fn release(hold: Hold<'_>) {
    let (table, block) = (hold.table(), hold.key());
    match hold.try_release() {
        Ok(released) => follow(table, block, released),
        Err(hold) => {
            if let Err(hold) = hold.park() {
                release_counted(hold);
            }
        }
    }
}

/// Ends a hold of a hot buffer that cannot be parked.
#[cold]
fn release_counted(hold: Hold<'_>) {
    let (table, block) = (hold.table(), hold.key());
    follow(table, block, hold.release_beside());
}

/// Does what follows a release.
#[inline]
fn follow(table: &Table, block: u64, released: Released) {
    match released {
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
        .and_then(|buffer| locked.kill(buffer, UNCLEAN))
        .and_then(|owned| table.shared.give_back(&locked, owned));
    drop(locked);
    drop(owned);
}
