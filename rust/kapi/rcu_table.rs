// SPDX-License-Identifier: GPL-2.0

//! A hash table of objects that are found under RCU and owned by whoever the hold protocol says.
//!
//! The objects come from a slab of the table's own whose memory stays of one type until an RCU
//! grace period after it was freed (`SLAB_TYPESAFE_BY_RCU`), and whose state word and metadata
//! survive a free and the next allocation. A reader may therefore meet an object that was killed,
//! freed or given another key; the state word ([`hold`](hold)) tells.
//!
//! # How access is divided
//!
//! - [`Entry`]: shared access to anything that is atomic, at any time that it can be named.
//! - [`Hold`]: shared access to the data of one life of the object.
//! - [`Owned`]: exclusive access, outside the table. Only a killed object becomes one.
//!
//! Chains and queues are changed under the table's lock alone, by [`Locked`]. The lock is a spin
//! lock with softirqs off: nothing under it can sleep, reclaim or wait for I/O.
//!
//! # Growth
//!
//! Linear hashing: the number of buckets grows by one at an insertion, which splits one chain. Memory
//! for them comes in segments, each as large as all before it. A reader that races with a split, or
//! with an object's next life, may miss an object that is there; [`Table::get`] therefore looks again
//! under the lock before it says that a key is absent.
//!
//! C headers: [`include/linux/slab.h`](srctree/include/linux/slab.h),
//! [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

mod aux;
mod batch;
mod chains;
mod entry;
pub(crate) mod hold;
mod locked;
mod parking;

pub(crate) use aux::Aux;
pub(crate) use batch::{Batch, BatchItem};
pub(crate) use chains::Found;
pub(crate) use entry::{Entry, Hold, Owned, Releasing};
pub(crate) use locked::Locked;
pub(crate) use parking::Parking;

use super::{
    atomic::{Atomic, Relaxed},
    gfp::Gfp,
    wait::Word64,
    workqueue::OwnedQueue,
};
use crate::bindings;
use chains::{alloc_segment, first_of, mask, Bucket, FIRST_BUCKETS, SEGMENTS};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};
use entry::construct;
use kernel::{prelude::*, str::CStr, sync::Arc, types::Opaque};

/// What a table holds.
pub(crate) trait Kind: Sized + Send + Sync + 'static {
    /// Of the table.
    type Shared: Sync + Send;
    /// Of an object, over all its lives.
    type Meta: Sync + Send;
    /// Of one life of an object.
    type Data: Sync + Send;

    /// Makes the metadata of an object that is new in the slab.
    fn new_meta() -> Self::Meta;

    /// Disposes of the data of a life that is over. Any context but a hard interrupt.
    fn dispose(shared: &Self::Shared, data: Self::Data);

    /// Called after an object became unheld. Any context.
    fn unheld(shared: &Self::Shared);

    /// Whether somebody waits for any object to become unheld. Any context.
    fn is_awaited(shared: &Self::Shared) -> bool;

    /// Ends a user's hold. Any context but a hard interrupt.
    fn release(hold: Hold<'_, Self>);

    /// The table's work, see [`Table::schedule`]. Process context.
    fn work(table: &Table<Self>);
}

/// Number of queues of a table.
pub(crate) const QUEUES: usize = 4;
type Link<K> = Atomic<*mut Entry<K>>;

/// The slab of a table.
///
/// # Invariants
///
/// A cache from `__kmem_cache_create_args` that is not destroyed.
struct Slab(NonNull<bindings::kmem_cache>);

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. All objects are back: each had a reference to the table.
        // Waits for RCU where the slab needs that.
        unsafe { bindings::kmem_cache_destroy(self.0.as_ptr()) };
    }
}

/// A queue. Guarded by the table's lock.
struct Queue<K: Kind> {
    head: Link<K>,
    tail: Link<K>,
    // Atomic so that it can be looked at without the lock.
    len: Atomic<usize>,
}

/// The table.
///
/// # Invariants
///
/// - Segments below the one that `buckets` reaches into are allocated, zeroed or holding chains, and
///   freed only with the table.
/// - Chains and queues hold live objects of `slab`; they end in null.
#[pin_data(PinnedDrop)]
pub(crate) struct Table<K: Kind> {
    // What a lookup reads and nobody writes often.
    buckets: Atomic<usize>,
    mask: Atomic<usize>,
    segments: [Atomic<*mut Bucket<K>>; SEGMENTS],
    /// Of the owner.
    pub(crate) shared: K::Shared,
    parking: Arc<Parking>,
    // How often an object was made cool.
    cools: Word64,
    #[pin]
    lock: Opaque<bindings::spinlock_t>,
    #[pin]
    work: Opaque<bindings::delayed_work>,
    deferred: Link<K>,
    queues: [Queue<K>; QUEUES],
    entries: Atomic<usize>,
    objects: Atomic<usize>,
    segment_bytes: Atomic<usize>,
    aux: Aux,
    slab: Slab,
}

// SAFETY: Objects are `Sync` and `Send`, links are atomic and guarded by the lock, the rest is
// atomic, immutable or `Sync` and `Send` by the bounds of `Kind`.
unsafe impl<K: Kind> Send for Table<K> {}
// SAFETY: As above.
unsafe impl<K: Kind> Sync for Table<K> {}

impl<K: Kind> Table<K> {
    /// Makes a table whose objects have `aux` behind them.
    pub(crate) fn new(
        name: &CStr,
        aux: Aux,
        parking: Arc<Parking>,
        shared: K::Shared,
    ) -> Result<Arc<Self>> {
        let size = size_of::<Entry<K>>()
            .checked_add(aux.len())
            .and_then(|size| u32::try_from(size).ok())
            .ok_or(EINVAL)?;
        let mut args = bindings::kmem_cache_args {
            align: align_of::<Entry<K>>() as u32,
            ctor: Some(construct::<K>),
            // The slab keeps its own link where nobody looks while the object is free. Behind the
            // object, its default, it would be a word more for each.
            use_freeptr_offset: true,
            freeptr_offset: core::mem::offset_of!(Entry<K>, data) as u32,
            ..Default::default()
        };
        let flags = (1 << bindings::_slab_flag_bits__SLAB_TYPESAFE_BY_RCU)
            | (1 << bindings::_slab_flag_bits__SLAB_RECLAIM_ACCOUNT);
        // SAFETY: The name is copied and `args` is read during the call; `construct` writes an
        // `Entry` into memory of at least that size.
        let slab = unsafe {
            bindings::__kmem_cache_create_args(name.as_char_ptr(), size, &mut args, flags)
        };
        // INVARIANT: Just made.
        let slab = Slab(NonNull::new(slab).ok_or(ENOMEM)?);
        let first = alloc_segment::<K>(FIRST_BUCKETS, Gfp::KERNEL).ok_or(ENOMEM)?;
        let mut segments = [const { Atomic::new(ptr::null_mut()) }; SEGMENTS];
        *segments[0].get_mut() = first.as_ptr();
        // INVARIANT: The first segment is there; chains and queues are empty.
        Arc::pin_init(
            pin_init!(Self {
                buckets: Atomic::new(FIRST_BUCKETS),
                mask: Atomic::new(mask(FIRST_BUCKETS)),
                segments,
                shared,
                parking,
                cools: Word64::new(0),
                lock <- Opaque::ffi_init(|lock| {
                    // SAFETY: `lock` is memory for a spin lock, pinned.
                    unsafe { bindings::memscope_helper_table_lock_init(lock) }
                }),
                work <- Opaque::ffi_init(|work| {
                    // SAFETY: `work` is memory for a work item, pinned; it runs `work::<K>`, whose
                    // contract is that it is the `work` of a table.
                    unsafe { bindings::memscope_helper_init_delayed_work(work, Some(work_fn::<K>)) }
                }),
                deferred: Atomic::new(ptr::null_mut()),
                queues: [const {
                    Queue {
                        head: Atomic::new(ptr::null_mut()),
                        tail: Atomic::new(ptr::null_mut()),
                        len: Atomic::new(0),
                    }
                }; QUEUES],
                entries: Atomic::new(0),
                objects: Atomic::new(0),
                segment_bytes: Atomic::new(FIRST_BUCKETS * size_of::<Bucket<K>>()),
                aux,
                slab,
            }),
            GFP_KERNEL,
        )
        .inspect_err(|_| {
            // SAFETY: From `alloc_segment`; the table that was to own it has not come to be.
            unsafe { bindings::kvfree(first.as_ptr().cast()) }
        })
    }

    /// Returns the memory of one object with `aux` behind it.
    pub(crate) fn object_bytes(aux: Aux) -> usize {
        size_of::<Entry<K>>().saturating_add(aux.len().next_multiple_of(align_of::<Entry<K>>()))
    }

    /// Returns the memory of the chains.
    pub(crate) fn segment_bytes(&self) -> usize {
        self.segment_bytes.load(Relaxed)
    }

    /// Returns the number of objects in the table.
    pub(crate) fn entries(&self) -> usize {
        self.entries.load(Relaxed)
    }

    /// Returns the number of objects that exist, in the table and outside.
    pub(crate) fn objects(&self) -> usize {
        self.objects.load(Relaxed)
    }

    /// Returns the length of a queue at some moment.
    pub(crate) fn queue_len(&self, queue: usize) -> usize {
        self.queues.get(queue).map_or(0, |q| q.len.load(Relaxed))
    }

    /// Allocates an object with `data`, or gives `data` back.
    ///
    /// The object keeps a reference to the table while it exists.
    pub(crate) fn allocate(self: &Arc<Self>, data: K::Data, gfp: Gfp) -> Result<Owned<K>, K::Data> {
        // SAFETY: The slab exists; any flags are allowed.
        let object =
            unsafe { bindings::kmem_cache_alloc_noprof(self.slab.0.as_ptr(), gfp.as_raw()) };
        let Some(entry) = NonNull::new(object.cast::<Entry<K>>()) else {
            return Err(data);
        };
        {
            // SAFETY: Constructed when its page was new, and dead since its last life.
            let entry = unsafe { entry.as_ref() };
            // Relaxed: published by the insertion.
            entry.table.store(Arc::into_raw(self.clone()), Relaxed);
            let slot = entry.data.get();
            // SAFETY: No life of the object is on, so nobody reaches the data.
            unsafe { (*slot).write(data) };
        }
        self.objects.fetch_add(1, Relaxed);
        // INVARIANT: Just allocated, with data; constructed or left dead and in no chain.
        let mut owned = Owned {
            entry,
            _data: PhantomData,
        };
        owned.renew_aux();
        Ok(owned)
    }

    /// Runs [`Kind::work`] on `queue` after `delay` jiffies, or earlier if that was asked for before.
    /// Any context.
    pub(crate) fn schedule(&self, queue: &OwnedQueue, delay: usize) {
        // SAFETY: Initialised with the table. The table is not freed before the work is cancelled.
        unsafe {
            bindings::memscope_helper_queue_delayed_work(queue.as_raw(), self.work.get(), delay)
        };
    }

    /// Runs [`Kind::work`] on `queue` now. Any context.
    pub(crate) fn schedule_now(&self, queue: &OwnedQueue) {
        // SAFETY: As in `schedule`.
        unsafe { bindings::memscope_helper_mod_delayed_work(queue.as_raw(), self.work.get(), 0) };
    }

    /// Takes scheduled work back, and waits for work that runs. May sleep; not from the work.
    pub(crate) fn cancel(&self) {
        // SAFETY: Initialised with the table.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }

    /// Waits for ends of transfers that still touch the table, and for its work, which they may have
    /// scheduled. May sleep; not from the work.
    ///
    /// To be called before the owner gives its reference up, when no transfer is in flight: the work
    /// must not be what drops the last one.
    pub(crate) fn quiesce(&self) {
        // Ends of transfers use the table after their last hold, under RCU.
        // SAFETY: May sleep, by the contract; the last reference is dropped in process context.
        unsafe { bindings::synchronize_rcu() };
        self.cancel();
    }
}

#[pinned_drop]
impl<K: Kind> PinnedDrop for Table<K> {
    fn drop(self: Pin<&mut Self>) {
        self.quiesce();
        for (n, segment) in self.segments.iter().enumerate() {
            let start = segment.load(Relaxed);
            if !start.is_null() {
                let memory = start.wrapping_add(first_of(n));
                // SAFETY: From `alloc_segment`. No object is left, so no reader is.
                unsafe { bindings::kvfree(memory.cast()) };
            }
        }
    }
}

/// # Safety
///
/// Called by the workqueue for the `work` of a `Table<K>`.
unsafe extern "C" fn work_fn<K: Kind>(work: *mut bindings::work_struct) {
    // SAFETY: The work is the first field of a delayed work, which is the field of a table.
    let table = unsafe {
        let work = work.byte_sub(core::mem::offset_of!(bindings::delayed_work, work));
        work.byte_sub(core::mem::offset_of!(Table<K>, work))
            .cast::<Table<K>>()
    };
    // SAFETY: The table is freed only after `cancel`, which waits for this.
    K::work(unsafe { &*table });
}

/// Reads a word that others write meanwhile, as `READ_ONCE()` does.
///
/// Inline on every machine. What a link leads to is reached by address dependency.
#[inline(always)]
fn read_once<T: Copy + kernel::sync::atomic::AtomicType>(word: &Atomic<T>) -> T {
    // SAFETY: Valid and aligned as the word of a reference; writers use single stores.
    unsafe { word.as_ptr().read_volatile() }
}
