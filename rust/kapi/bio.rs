// SPDX-License-Identifier: GPL-2.0

//! Transfers between a block device and the objects of a [`rcu_table`](super::rcu_table).
//!
//! A transfer owns a [`Batch`] of holds while it is in flight, so neither the objects nor their table go
//! away. Each object's [`Transfer::done`] is called once for it.
//!
//! C headers: [`include/linux/bio.h`](srctree/include/linux/bio.h),
//! [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::{
    atomic::Atomic,
    bdev::Bdev,
    block_mem::{Memory, Source},
    gfp::Gfp,
    rcu_table::{Batch, Entry, Hold, Kind},
    wait,
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{Acquire, Release},
        rcu,
    },
    types::Opaque,
};

/// Bytes of a sector, the unit of device addresses.
pub(crate) const SECTOR_BYTES: usize = 512;
/// Most segments of a bio.
pub(crate) const MAX_SEGMENTS: usize = bindings::BIO_MAX_VECS as usize;
/// Bios that a [`BioSet`] keeps for when memory is short.
const RESERVED_BIOS: u32 = 2;

/// Whether the current task is inside a bio submission, where waiting for another bio deadlocks.
#[inline]
pub(crate) fn in_submission() -> bool {
    // SAFETY: Reads a field of the current task.
    unsafe { bindings::memscope_helper_in_bio_submission() }
}

/// Bios with a reserve, so that a transfer can always be started sooner or later.
///
/// # Invariants
///
/// Initialised by `bioset_init`.
pub(crate) struct BioSet(Pin<KBox<Opaque<bindings::bio_set>>>);

// SAFETY: Bios may be allocated and freed from any thread.
unsafe impl Send for BioSet {}
// SAFETY: As above.
unsafe impl Sync for BioSet {}

impl BioSet {
    /// Makes a set. May sleep.
    pub(crate) fn new() -> Result<Self> {
        let set = KBox::pin_init(
            Opaque::try_ffi_init(|set: *mut bindings::bio_set| {
                // SAFETY: `set` is pinned memory; `bioset_init` wants it zeroed.
                unsafe { set.write_bytes(0, 1) };
                // SAFETY: As above.
                to_result(unsafe {
                    bindings::bioset_init(set, RESERVED_BIOS, 0, bindings::BIOSET_NEED_BVECS as i32)
                })
            }),
            GFP_KERNEL,
        )?;
        // INVARIANT: Just initialised.
        Ok(Self(set))
    }

    /// Allocates a bio. Sleeps for the reserve where memory is short, never for reclaim before that.
    ///
    /// Whoever has a bio that is not submitted asks [`Self::try_allocate`].
    fn allocate(&self, bdev: &Bdev, segments: usize, op: u32) -> NonNull<bindings::bio> {
        let bio = self.allocate_with(Gfp::NOIO, bdev, segments, op);
        // SAFETY: With direct reclaim in the flags the allocation waits and does not fail.
        unsafe { NonNull::new_unchecked(bio) }
    }

    /// Allocates a bio if there is one at once.
    fn try_allocate(
        &self,
        bdev: &Bdev,
        segments: usize,
        op: u32,
    ) -> Option<NonNull<bindings::bio>> {
        NonNull::new(self.allocate_with(Gfp::NOWAIT, bdev, segments, op))
    }

    fn allocate_with(&self, gfp: Gfp, bdev: &Bdev, segments: usize, op: u32) -> *mut bindings::bio {
        let segments = segments.clamp(1, MAX_SEGMENTS) as u16;
        // SAFETY: The set is initialised and has vectors.
        unsafe {
            bindings::bio_alloc_bioset(bdev.as_raw(), segments, op, gfp.as_raw(), self.0.get())
        }
    }
}

impl Drop for BioSet {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. No bio is out: each belongs to a batch, which keeps the
        // table and with it this set.
        unsafe { bindings::bioset_exit(self.0.get()) };
    }
}

/// Direction and urgency of a transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// From the device.
    Read,
    /// To the device, and somebody waits.
    WriteSync,
    /// To the device, in the background.
    Write,
}

impl Op {
    fn as_raw(self) -> u32 {
        match self {
            Self::Read => bindings::req_op_REQ_OP_READ,
            Self::WriteSync => {
                bindings::req_op_REQ_OP_WRITE | 1 << bindings::req_flag_bits___REQ_SYNC
            }
            Self::Write => bindings::req_op_REQ_OP_WRITE,
        }
    }
}

/// Objects that can be transferred.
pub(crate) trait Transfer: Kind {
    /// Returns where an object's bytes are.
    fn memory(data: &Self::Data) -> &Memory;

    /// Takes note of the end of a transfer. Any context, hard interrupts included.
    ///
    /// `alone` says whether the object was the only one in it, so that an error must be its own.
    fn done(hold: Hold<'_, Self>, op: Op, status: Result, alone: bool);
}

/// A transfer of one run of blocks.
pub(crate) struct Run<'t, K: Transfer> {
    /// The blocks, adjacent on the device.
    pub(crate) batch: Batch<'t, K>,
    /// Where the first byte goes.
    pub(crate) sector: u64,
    /// First byte of the first block.
    pub(crate) start: usize,
    /// Byte after the last one of the last block.
    pub(crate) end: usize,
    /// Bytes of a block.
    pub(crate) block_bytes: usize,
}

impl<K: Transfer> Run<'_, K> {
    /// Returns the bytes of each block.
    fn pieces(&self) -> impl Iterator<Item = (*mut u8, usize, Source)> + '_ {
        let count = self.batch.len();
        self.batch.iter().enumerate().map(move |(i, item)| {
            let start = if i == 0 { self.start } else { 0 };
            let end = if i + 1 == count {
                self.end.min(self.block_bytes)
            } else {
                self.block_bytes
            };
            let memory = K::memory(item.data());
            let bytes = end.saturating_sub(start);
            (memory.as_ptr().wrapping_add(start), bytes, memory.source())
        })
    }

    /// Submits the run. May sleep for a bio, and for the parts of the transfer that need more bios
    /// than there are; not for its end.
    pub(crate) fn submit(self, set: &BioSet, bdev: &Bdev, op: Op, ioprio: u16) {
        let filled = self.fill(&Maker {
            set,
            bdev,
            op,
            ioprio,
        });
        let end_io: unsafe extern "C" fn(*mut bindings::bio) = match op {
            Op::Read => end_io::<K, READ>,
            Op::WriteSync => end_io::<K, WRITE_SYNC>,
            Op::Write => end_io::<K, WRITE>,
        };
        let (Ok(bio) | Err(bio)) = filled;
        // SAFETY: The bio is ours. The batch is taken back in `end_io`, once.
        unsafe {
            (*bio.as_ptr()).bi_end_io = Some(end_io);
            (*bio.as_ptr()).bi_private = self.batch.into_raw().cast();
        }
        if filled.is_ok() {
            // SAFETY: A complete bio of ours, given up here.
            unsafe { bindings::submit_bio(bio.as_ptr()) };
        } else {
            // The rest would not save the transfer.
            // SAFETY: A bio that has ended, given up here.
            unsafe { end_io(bio.as_ptr()) };
        }
    }

    /// Puts the pieces into bios, and submits all but the last, which is returned. Of a failed
    /// part: its bio, as the error.
    fn fill(&self, maker: &Maker<'_>) -> Result<NonNull<bindings::bio>, NonNull<bindings::bio>> {
        let segments = |bytes: usize, source| match source {
            Source::Vmalloc => bytes.div_ceil(PAGE_SIZE) + 1,
            Source::Slab | Source::Pages => 1,
        };
        let mut left: usize = self
            .pieces()
            .map(|(_, b, source)| segments(b, source))
            .sum();
        let mut sector = self.sector;
        let mut bio = maker.first(left, sector);
        for (mut from, mut bytes, source) in self.pieces() {
            while bytes > 0 {
                // SAFETY: The bio is ours; the bytes are of a held block and stay until it is done.
                let added = unsafe { add(bio, from, bytes, source) };
                if added == 0 {
                    bio = maker.next(bio, left, sector)?;
                    continue;
                }
                left = left.saturating_sub(1);
                from = from.wrapping_add(added);
                bytes = bytes.saturating_sub(added);
                sector = sector.wrapping_add((added / SECTOR_BYTES) as u64);
            }
        }
        Ok(bio)
    }
}

/// Makes the bios of one transfer.
struct Maker<'a> {
    set: &'a BioSet,
    bdev: &'a Bdev,
    op: Op,
    ioprio: u16,
}

impl Maker<'_> {
    fn at(&self, sector: u64, bio: NonNull<bindings::bio>) -> NonNull<bindings::bio> {
        // SAFETY: The bio has just been made, and is ours.
        unsafe {
            (*bio.as_ptr()).bi_iter.bi_sector = sector;
            (*bio.as_ptr()).bi_ioprio = self.ioprio;
        }
        bio
    }

    /// A bio for `left` segments, or as many as one holds. May sleep for it.
    fn first(&self, left: usize, sector: u64) -> NonNull<bindings::bio> {
        self.at(sector, self.set.allocate(self.bdev, left, self.op.as_raw()))
    }

    /// Submits a full bio of ours, and returns the next one; or the full one, if it has failed.
    fn next(
        &self,
        full: NonNull<bindings::bio>,
        left: usize,
        sector: u64,
    ) -> Result<NonNull<bindings::bio>, NonNull<bindings::bio>> {
        if let Some(next) = self.set.try_allocate(self.bdev, left, self.op.as_raw()) {
            // SAFETY: Both are ours; the end of the first becomes part of the second's.
            unsafe { bindings::bio_chain(full.as_ptr(), next.as_ptr()) };
            // SAFETY: A complete bio of ours, given up here.
            unsafe { bindings::submit_bio(full.as_ptr()) };
            return Ok(self.at(sector, next));
        }
        // Who slept for a bio with one in hand could wait for another who does so.
        // SAFETY: A complete bio of ours, and ours again after it.
        unsafe { bindings::submit_bio_wait(full.as_ptr()) };
        // SAFETY: Ours.
        if unsafe { (*full.as_ptr()).bi_status } != 0 {
            return Err(full);
        }
        // SAFETY: Ours, and not used again.
        unsafe { bindings::bio_put(full.as_ptr()) };
        Ok(self.first(left, sector))
    }
}

/// Adds bytes to a bio, as far as they fit in one segment. Returns how many.
///
/// # Safety
///
/// The bio is the caller's, and the bytes stay until its end.
unsafe fn add(bio: NonNull<bindings::bio>, from: *mut u8, bytes: usize, source: Source) -> usize {
    let bio = bio.as_ptr();
    // SAFETY: By the contract.
    let (used, most) = unsafe { ((*bio).bi_vcnt, (*bio).bi_max_vecs) };
    if used >= most {
        return 0;
    }
    // Blocks are at most 4 GiB.
    let bytes = bytes.min(u32::MAX as usize) as u32;
    match source {
        Source::Vmalloc => {
            // SAFETY: By the contract; there is room for a segment.
            unsafe { bindings::bio_add_vmalloc_chunk(bio, from.cast(), bytes) as usize }
        }
        Source::Slab | Source::Pages => {
            // SAFETY: As above; the bytes are contiguous in memory.
            unsafe { bindings::bio_add_virt_nofail(bio, from.cast(), bytes) };
            bytes as usize
        }
    }
}

const READ: u8 = 0;
const WRITE_SYNC: u8 = 1;
const WRITE: u8 = 2;

/// The end of a transfer.
///
/// # Safety
///
/// Called once for a bio from [`Run::submit`], whose end is the transfer's.
unsafe extern "C" fn end_io<K: Transfer, const OP: u8>(bio: *mut bindings::bio) {
    // The table is used after its last hold is gone: its end waits for RCU.
    let _rcu = rcu::read_lock();
    // SAFETY: The bio is ours again.
    let (status, head) = unsafe { ((*bio).bi_status, (*bio).bi_private) };
    let status = result_of(status);
    // SAFETY: Ours, and not used again.
    unsafe { bindings::bio_put(bio) };
    // SAFETY: Given up in `submit`, once. Each hold keeps the table.
    let mut batch = unsafe { Batch::<'_, K>::from_raw(head.cast()) };
    let op = match OP {
        READ => Op::Read,
        WRITE_SYNC => Op::WriteSync,
        _ => Op::Write,
    };
    let alone = batch.len() == 1;
    while let Some(hold) = batch.pop() {
        K::done(hold, op, status, alone);
    }
}

fn result_of(status: bindings::blk_status_t) -> Result {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: No requirements.
    to_result(unsafe { bindings::blk_status_to_errno(status) })
}

/// The read of one block, in the stack frame of who waits for it.
///
/// # Invariants
///
/// From its submission until `ended` is not zero, `bio` and `vec` are the block layer's, and `entry` has
/// a hold that belongs to this value.
struct Single<K: Kind> {
    bio: bindings::bio,
    vec: bindings::bio_vec,
    entry: NonNull<Entry<K>>,
    ended: Atomic<u32>,
}

/// Reads a block whose memory is in one piece, and sleeps for it: nothing is allocated for that.
///
/// `hold` is the transfer's. `wait` sleeps until [`Transfer::done`] has been called with it.
pub(crate) fn read_single<K: Transfer>(
    hold: Hold<'_, K>,
    bdev: &Bdev,
    sector: u64,
    bytes: usize,
    ioprio: u16,
    wait: impl FnOnce(),
) {
    let start = K::memory(hold.data()).as_ptr();
    let mut single = MaybeUninit::<Single<K>>::uninit();
    // Only used through this pointer, and not moved.
    let this = single.as_mut_ptr();
    // SAFETY: Memory of this frame.
    unsafe {
        (&raw mut (*this).entry).write(hold.into_raw());
        (&raw mut (*this).ended).write(Atomic::new(0));
        bindings::bio_init(
            &raw mut (*this).bio,
            bdev.as_raw(),
            &raw mut (*this).vec,
            1,
            Op::Read.as_raw(),
        );
    }
    // SAFETY: Just initialised, and ours until it is submitted.
    let bio = unsafe { &raw mut (*this).bio };
    // SAFETY: As above; there is room for a segment, and the bytes are those of a held block.
    unsafe {
        (*bio).bi_iter.bi_sector = sector;
        (*bio).bi_ioprio = ioprio;
        (*bio).bi_end_io = Some(end_single::<K>);
        (*bio).bi_private = this.cast();
        bindings::bio_add_virt_nofail(bio, start.cast(), bytes as u32);
    }
    // SAFETY: A complete bio.
    // INVARIANT: Given up here, with the hold; the loop below keeps the frame for as long.
    unsafe { bindings::submit_bio(bio) };
    wait();
    // Acquire: what comes after it finds nobody at the frame any more.
    // SAFETY: The word is initialised.
    while unsafe { (*this).ended.load(Acquire) } == 0 {
        // Not met where `wait` does what it is for.
        wait::cond_resched();
    }
}

/// The end of a [`read_single`].
///
/// # Safety
///
/// Called once by the block layer for the bio of a [`Single<K>`].
unsafe extern "C" fn end_single<K: Transfer>(bio: *mut bindings::bio) {
    // As in `end_io`.
    let _rcu = rcu::read_lock();
    // SAFETY: Ours again, and the frame is there as long as `ended` is zero.
    let (status, this) = unsafe { ((*bio).bi_status, (*bio).bi_private.cast::<Single<K>>()) };
    // SAFETY: Initialised by `bio_init`, and not used again.
    unsafe { bindings::bio_uninit(bio) };
    // SAFETY: As above.
    let entry = unsafe { (*this).entry };
    // SAFETY: Given up in `read_single`, once. It keeps the table.
    let hold = unsafe { Hold::<'_, K>::from_raw(entry) };
    // Release: the last touch of the frame.
    // SAFETY: As above.
    unsafe { (*this).ended.store(1, Release) };
    K::done(hold, Op::Read, result_of(status), true);
}

/// Runs `f` with the block layer collecting its bios, and hands them to the device after it.
pub(crate) fn with_plug<R>(f: impl FnOnce() -> R) -> R {
    /// Ends the plug.
    struct Plug(*mut bindings::blk_plug, PhantomData<*mut ()>);

    impl Drop for Plug {
        fn drop(&mut self) {
            // SAFETY: Started below, by this task.
            unsafe { bindings::blk_finish_plug(self.0) };
        }
    }

    let mut plug = MaybeUninit::<bindings::blk_plug>::zeroed();
    let plug = Plug(ptr::from_mut(&mut plug).cast(), PhantomData);
    // SAFETY: Memory on this stack frame, where it stays until `plug` is dropped.
    unsafe { bindings::blk_start_plug(plug.0) };
    let result = f();
    drop(plug);
    result
}
