// SPDX-License-Identifier: GPL-2.0

//! A hash table of objects that are found under RCU and owned by whoever the hold protocol says.
//!
//! The objects come from a slab of the table's own whose memory stays of one type until an RCU
//! grace period after it was freed (`SLAB_TYPESAFE_BY_RCU`), and whose state word and metadata
//! survive a free and the next allocation. A reader may therefore meet an object that was killed,
//! freed or given another key; the state word ([`hold`](crate::bufio::policy::hold)) tells.
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

use super::{gfp::Gfp, wait::Word64, workqueue::OwnedQueue};
use crate::bindings;
use crate::bufio::policy::{
    clock::{self, Visit},
    hold::{self, Change, NotHeld, Released, Snapshot, State},
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::{self, NonNull},
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        Arc,
    },
    types::{NotThreadSafe, Opaque},
};

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

    /// The table's work, see [`Table::schedule`]. Process context.
    fn work(table: &Table<Self>);
}

/// Number of queues of a table.
pub(crate) const QUEUES: usize = 4;

const NO_QUEUE: i8 = -1;

type Link<K> = Atomic<*mut Entry<K>>;

/// An object.
///
/// # Invariants
///
/// - `data` is initialised from [`Table::allocate`] until its [`Owned`] is dropped.
/// - While `queue` is not [`NO_QUEUE`] the object is in one chain and in that queue of `table`, and
///   its links point to objects of which this is true as well.
#[repr(C)]
pub(crate) struct Entry<K: Kind> {
    // What a lookup touches comes first.
    state: State<Word64>,
    key: Atomic<u64>,
    chain: Link<K>,
    data: UnsafeCell<MaybeUninit<K::Data>>,
    table: Atomic<*const Table<K>>,
    prev: Link<K>,
    next: Link<K>,
    // Next in a batch; belongs to whoever has the batch.
    batch: Link<K>,
    // Next of those that were put aside; `unlisted()` while this one is not.
    aside: Link<K>,
    meta: K::Meta,
    queue: Atomic<i8>,
}

// SAFETY: `data` is reached only by holders, as `&Data` (`Data: Sync`), and by the owner, as
// `&mut Data` (`Data: Send`); the rest is atomic or `Sync`.
unsafe impl<K: Kind> Sync for Entry<K> {}

impl<K: Kind> Entry<K> {
    /// Returns the state word's present value.
    #[inline]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }

    /// Performs a change of flags if it applies; see [`State::change`]. Not of the flag that says dead.
    pub(crate) fn change(&self, change: Change) -> Result<bool, Snapshot> {
        if (change.set | change.clear) & hold::DEAD != 0 {
            return Err(self.snapshot());
        }
        self.state.change(change)
    }

    /// Marks the object dirty and says whether it was clean; see [`State::set_dirty`].
    #[inline]
    pub(crate) fn set_dirty(&self) -> bool {
        self.state.set_dirty()
    }

    /// Returns the key, which changes only while nobody holds the object.
    #[inline]
    pub(crate) fn key(&self) -> u64 {
        // Ordered by the exchange that made the hold, where there is one.
        read_once(&self.key)
    }

    /// Returns the metadata.
    #[inline]
    pub(crate) fn meta(&self) -> &K::Meta {
        &self.meta
    }

    /// Sleeps, as in I/O, until no flag of `flags` is set.
    pub(crate) fn wait_clear(&self, flags: u64) {
        while self.state.ask_wake(|now| now.has(flags)) {
            self.state.word().wait_clear_io(hold::WAITED);
        }
    }

    /// Wakes those who sleep in [`Self::wait_clear`].
    pub(crate) fn wake(&self) {
        self.state.word().wake();
    }
}

/// A hold: keeps the object in its present life.
///
/// Forgetting it keeps the object for ever; nothing else happens.
///
/// # Invariants
///
/// `entry` is an object with a hold of this value's own in its state word, and was live when that was
/// taken.
#[must_use = "the hold ends at once when unused"]
pub(crate) struct Hold<'t, K: Kind> {
    entry: NonNull<Entry<K>>,
    _table: PhantomData<&'t Table<K>>,
}

// SAFETY: A hold is a count in an atomic word; any thread may end it and use what it gives, which is
// `Sync`.
unsafe impl<K: Kind> Send for Hold<'_, K> {}
// SAFETY: `&Hold` gives `&Entry`, which is `Sync`, and `&Data`, which is `Sync`.
unsafe impl<K: Kind> Sync for Hold<'_, K> {}

impl<'t, K: Kind> Hold<'t, K> {
    /// Returns the data of this life.
    #[inline]
    pub(crate) fn data(&self) -> &K::Data {
        let data = self.data.get();
        // SAFETY: The object is live, so its data is initialised, and nobody has exclusive access
        // before this hold ends: an object with a hold is not killed.
        unsafe { (*data).assume_init_ref() }
    }

    /// Returns what belongs to the table.
    #[inline]
    pub(crate) fn shared(&self) -> &'t K::Shared {
        &self.table().shared
    }

    /// Returns the table.
    #[inline]
    pub(crate) fn table(&self) -> &'t Table<K> {
        // Relaxed: does not change in one life.
        let table = read_once(&self.table);
        // SAFETY: A live object keeps its table: see `Table::allocate`.
        unsafe { &*table }
    }

    /// Gives up the value for a pointer from which [`Self::from_raw`] makes it again.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<Entry<K>> {
        ManuallyDrop::new(self).entry
    }

    /// Makes the value again.
    ///
    /// # Safety
    ///
    /// `entry` came from [`Self::into_raw`], and this is called once for that. The table lives for
    /// `'t`.
    #[inline]
    pub(crate) unsafe fn from_raw(entry: NonNull<Entry<K>>) -> Self {
        // INVARIANT: Taken over from the value that was given up.
        Self {
            entry,
            _table: PhantomData,
        }
    }

    /// Takes another hold.
    pub(crate) fn another(&self) -> Option<Self> {
        // INVARIANT: A hold is taken here, of a live object.
        self.state.try_pin().then(|| Self {
            entry: self.entry,
            _table: PhantomData,
        })
    }

    /// Ends the hold without looking whether anybody waits for the object to be unheld.
    ///
    /// Returns what the release ended, for a caller that looks later.
    #[inline]
    pub(crate) fn release(self) -> Released {
        let this = ManuallyDrop::new(self);
        let released = this.state.release();
        if let Released::Last { wake: true, .. } = released {
            // The word is only a key here: nothing is read from it.
            this.wake();
        }
        released
    }
}

impl<K: Kind> Deref for Hold<'_, K> {
    type Target = Entry<K>;

    #[inline]
    fn deref(&self) -> &Entry<K> {
        // SAFETY: By the type invariants the object is live while this value exists.
        unsafe { self.entry.as_ref() }
    }
}

impl<K: Kind> Drop for Hold<'_, K> {
    #[inline]
    fn drop(&mut self) {
        let shared = self.shared();
        match self.state.release() {
            Released::Last { wake, .. } => {
                if wake {
                    self.wake();
                }
                K::unheld(shared);
            }
            Released::Shared | Released::Killed { .. } => (),
            Released::NotHeld => {
                kernel::warn_on!(true);
            }
        }
    }
}

/// An object outside the table.
///
/// # Invariants
///
/// `entry` was allocated from the slab of its table, is dead and in no chain or queue, and there is one
/// `Owned` of it.
pub(crate) struct Owned<K: Kind> {
    entry: NonNull<Entry<K>>,
    _data: PhantomData<K>,
}

// SAFETY: Exclusive access to an object; its parts are `Send`.
unsafe impl<K: Kind> Send for Owned<K> {}

impl<K: Kind> Owned<K> {
    /// Returns the data.
    pub(crate) fn data(&self) -> &K::Data {
        let data = self.data.get();
        // SAFETY: By the type invariants nobody else reaches the data, which is initialised.
        unsafe { (*data).assume_init_ref() }
    }

    /// Returns the table.
    pub(crate) fn table(&self) -> &Table<K> {
        // Relaxed: does not change in one life.
        let table = self.table.load(Relaxed);
        // SAFETY: The object keeps its table: see `Table::allocate`.
        unsafe { &*table }
    }

    /// Returns a pointer that names the object in callbacks.
    pub(crate) fn as_ptr(&self) -> *mut Entry<K> {
        self.entry.as_ptr()
    }
}

impl<K: Kind> Deref for Owned<K> {
    type Target = Entry<K>;

    fn deref(&self) -> &Entry<K> {
        // SAFETY: By the type invariants the object is allocated; stray readers only use what is
        // atomic.
        unsafe { self.entry.as_ref() }
    }
}

impl<K: Kind> Drop for Owned<K> {
    fn drop(&mut self) {
        // Relaxed: does not change in one life.
        let table = self.table.load(Relaxed);
        // SAFETY: The data is initialised, nobody else reaches it, and it is not used again.
        let data = unsafe { (*self.data.get()).assume_init_read() };
        // SAFETY: `allocate` left a reference of the table with the object.
        let table = unsafe { Arc::from_raw(table) };
        K::dispose(&table.shared, data);
        // SAFETY: The object is of this slab, and out of reach but for readers under RCU, who find
        // it dead.
        unsafe { bindings::kmem_cache_free(table.slab.0.as_ptr(), self.entry.as_ptr().cast()) };
        table.objects.fetch_sub(1, Relaxed);
    }
}

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

/// Makes an object of a new slab page: dead, and in no chain or queue.
///
/// # Safety
///
/// `object` is the memory of an [`Entry<K>`] that nobody else uses.
unsafe extern "C" fn construct<K: Kind>(object: *mut core::ffi::c_void) {
    let entry: *mut Entry<K> = object.cast();
    // SAFETY: By the function's contract. `data` stays uninitialised: there is no life yet.
    unsafe {
        entry.write(Entry {
            state: State::new(Word64::new(hold::DEAD)),
            key: Atomic::new(u64::MAX),
            chain: Atomic::new(ptr::null_mut()),
            data: UnsafeCell::new(MaybeUninit::uninit()),
            table: Atomic::new(ptr::null()),
            prev: Atomic::new(ptr::null_mut()),
            next: Atomic::new(ptr::null_mut()),
            batch: Atomic::new(ptr::null_mut()),
            aside: Atomic::new(unlisted()),
            meta: K::new_meta(),
            queue: Atomic::new(NO_QUEUE),
        })
    };
}

/// Buckets of the first segment.
const FIRST_BUCKETS: usize = 64;
const FIRST_SHIFT: u32 = FIRST_BUCKETS.ilog2();
/// Segment `n` doubles the buckets: enough for 2^31 of them.
const SEGMENTS: usize = 26;

type Bucket<K> = Link<K>;

/// A queue. Guarded by the table's lock.
struct Queue<K: Kind> {
    head: Link<K>,
    tail: Link<K>,
    // Atomic so that it can be looked at without the lock.
    len: Atomic<usize>,
}

/// An RCU read-side section, as [`kernel::sync::rcu::Guard`] is, but without the C function around the
/// C function where no debugging needs it.
///
/// # Invariants
///
/// The section lasts while this exists.
struct ReadLock(NotThreadSafe);

#[cfg(all(
    CONFIG_PREEMPT_RCU,
    not(CONFIG_DEBUG_LOCK_ALLOC),
    not(CONFIG_PROVE_RCU)
))]
use kernel::bindings::{__rcu_read_lock as rcu_read_lock, __rcu_read_unlock as rcu_read_unlock};
#[cfg(not(all(
    CONFIG_PREEMPT_RCU,
    not(CONFIG_DEBUG_LOCK_ALLOC),
    not(CONFIG_PROVE_RCU)
)))]
use kernel::bindings::{rcu_read_lock, rcu_read_unlock};

impl ReadLock {
    #[inline(always)]
    fn new() -> Self {
        // SAFETY: No requirements.
        unsafe { rcu_read_lock() };
        // INVARIANT: Just entered.
        Self(NotThreadSafe)
    }
}

impl Drop for ReadLock {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { rcu_read_unlock() };
    }
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
    segments: [Atomic<*mut Bucket<K>>; SEGMENTS],
    /// Of the owner.
    pub(crate) shared: K::Shared,
    #[pin]
    lock: Opaque<bindings::spinlock_t>,
    #[pin]
    work: Opaque<bindings::delayed_work>,
    deferred: Link<K>,
    queues: [Queue<K>; QUEUES],
    entries: Atomic<usize>,
    objects: Atomic<usize>,
    segment_bytes: Atomic<usize>,
    slab: Slab,
}

// SAFETY: Objects are `Sync` and `Send`, links are atomic and guarded by the lock, the rest is
// atomic, immutable or `Sync` and `Send` by the bounds of `Kind`.
unsafe impl<K: Kind> Send for Table<K> {}
// SAFETY: As above.
unsafe impl<K: Kind> Sync for Table<K> {}

/// Spreads keys: adjacent ones fall into different buckets.
#[inline]
fn hash(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// Returns the segment of a bucket and its place there.
#[inline]
fn place(bucket: usize) -> (usize, usize) {
    if bucket < FIRST_BUCKETS {
        return (0, bucket);
    }
    // Unchecked arithmetic in the lookup: the logarithm is `FIRST_SHIFT` at least.
    let log = (usize::BITS - 1).wrapping_sub(bucket.leading_zeros());
    let segment = log.wrapping_sub(FIRST_SHIFT).wrapping_add(1);
    (
        segment as usize,
        bucket.wrapping_sub(1usize.wrapping_shl(log)),
    )
}

/// Returns the number of buckets of a segment.
fn segment_len(segment: usize) -> usize {
    if segment == 0 {
        FIRST_BUCKETS
    } else {
        FIRST_BUCKETS << (segment - 1)
    }
}

/// Allocates `len` empty chains.
fn alloc_segment<K: Kind>(len: usize, gfp: Gfp) -> Option<NonNull<Bucket<K>>> {
    let bytes = len.checked_mul(size_of::<Bucket<K>>())?;
    // SAFETY: Any size and flags are allowed; zeroed memory is an array of null links.
    let memory = unsafe { bindings::memscope_helper_kvzalloc(bytes, gfp.as_raw()) };
    NonNull::new(memory.cast())
}

/// What a lookup found.
pub(crate) enum Found<'t, K: Kind> {
    /// The object.
    Held(Hold<'t, K>),
    /// The object is there, with a flag that the caller refuses.
    Refused,
    /// Nothing.
    Absent,
}

impl<K: Kind> Table<K> {
    /// Makes a table whose objects have `aux_bytes` behind them.
    pub(crate) fn new(name: &CStr, aux_bytes: usize, shared: K::Shared) -> Result<Arc<Self>> {
        let size = size_of::<Entry<K>>()
            .checked_add(aux_bytes)
            .and_then(|size| u32::try_from(size).ok())
            .ok_or(EINVAL)?;
        let mut args = bindings::kmem_cache_args {
            align: align_of::<Entry<K>>() as u32,
            ctor: Some(construct::<K>),
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
                segments,
                shared,
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
                slab,
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the memory of one object with `aux_bytes` behind it.
    pub(crate) fn object_bytes(aux_bytes: usize) -> usize {
        size_of::<Entry<K>>().saturating_add(aux_bytes.next_multiple_of(align_of::<Entry<K>>()))
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
        Ok(Owned {
            entry,
            _data: PhantomData,
        })
    }

    #[inline]
    fn bucket_index(buckets: usize, hash: usize) -> usize {
        // `buckets` is not zero.
        let mask = usize::MAX.wrapping_shr(buckets.wrapping_sub(1).leading_zeros());
        let index = hash & mask;
        if index < buckets {
            index
        } else {
            index & (mask >> 1)
        }
    }

    /// Returns a chain's start.
    ///
    /// # Safety
    ///
    /// `index` is below some value that `buckets` has had.
    #[inline]
    unsafe fn bucket(&self, index: usize) -> &Bucket<K> {
        let (segment, offset) = place(index);
        // SAFETY: `index` is below 2^31, so `segment` is below `SEGMENTS`.
        let segment = unsafe { self.segments.get_unchecked(segment) };
        let start = read_once(segment);
        // SAFETY: By the type invariants the segment is allocated and has this bucket.
        unsafe { &*start.add(offset) }
    }

    /// Looks `key` up without a lock. May miss an object that is there.
    #[inline(always)]
    fn find_rcu<'t>(&'t self, key: u64, refuse: u64, _rcu: &ReadLock) -> Found<'t, K> {
        let buckets = load_acquire(&self.buckets);
        let index = Self::bucket_index(buckets, hash(key));
        // SAFETY: Below `buckets`.
        let mut link = read_once(unsafe { self.bucket(index) });
        // SAFETY: Chains hold objects of the slab, whose memory stays under RCU what it is.
        while let Some(entry) = unsafe { link.as_ref() } {
            if read_once(&entry.key) == key {
                return self.try_hold(entry, key, refuse);
            }
            link = read_once(&entry.chain);
        }
        Found::Absent
    }

    /// Holds an object that was found by `key`.
    #[inline(always)]
    fn try_hold<'t>(&'t self, entry: &Entry<K>, key: u64, refuse: u64) -> Found<'t, K> {
        match entry.state.try_hold(refuse) {
            Ok(_) => {
                // INVARIANT: Held just now, and not dead.
                let hold = Hold {
                    entry: NonNull::from(entry),
                    _table: PhantomData,
                };
                // Another life may have begun between the comparison and the hold.
                if hold.key() == key {
                    Found::Held(hold)
                } else {
                    Found::Absent
                }
            }
            Err(NotHeld::Dead) => Found::Absent,
            Err(NotHeld::Flagged | NotHeld::Full) => Found::Refused,
        }
    }

    /// Looks `key` up and holds what is there. Any context but a hard interrupt.
    pub(crate) fn get(&self, key: u64, refuse: u64) -> Found<'_, K> {
        let rcu = ReadLock::new();
        let found = self.find_rcu(key, refuse, &rcu);
        drop(rcu);
        match found {
            Found::Absent => self.get_locked(key, refuse),
            found => found,
        }
    }

    /// Holds what is there for `key`, unless it has a flag of `refuse`, if that is found without a lock.
    /// Any context.
    #[inline(always)]
    pub(crate) fn get_fast(&self, key: u64, refuse: u64) -> Option<Hold<'_, K>> {
        let rcu = ReadLock::new();
        let found = self.find_rcu(key, refuse, &rcu);
        drop(rcu);
        match found {
            Found::Held(hold) => Some(hold),
            Found::Refused | Found::Absent => None,
        }
    }

    /// As [`Self::get`], in any context, but may miss an object that is there.
    pub(crate) fn get_lockless(&self, key: u64, refuse: u64) -> Found<'_, K> {
        self.find_rcu(key, refuse, &ReadLock::new())
    }

    /// Whether `key` is there, with no flag of `refuse`, at some moment.
    pub(crate) fn contains(&self, key: u64, refuse: u64) -> bool {
        self.lock()
            .find(key)
            .is_some_and(|entry| !entry.snapshot().has(refuse))
    }

    #[cold]
    fn get_locked(&self, key: u64, refuse: u64) -> Found<'_, K> {
        let locked = self.lock();
        match locked.find(key) {
            Some(entry) => self.try_hold(entry, key, refuse),
            None => Found::Absent,
        }
    }

    /// Allocates more chains if the next insertions will need them; does without where memory is short.
    ///
    /// `charge` is asked for the bytes.
    pub(crate) fn grow(&self, gfp: Gfp, charge: impl FnOnce(usize) -> bool) {
        let buckets = self.buckets.load(Relaxed);
        if self.entries.load(Relaxed) < buckets {
            return;
        }
        let (segment, _) = place(buckets);
        let Some(slot) = self.segments.get(segment) else {
            return;
        };
        if !slot.load(Relaxed).is_null() {
            return;
        }
        let len = segment_len(segment);
        let bytes = len * size_of::<Bucket<K>>();
        let Some(new) = alloc_segment::<K>(len, gfp) else {
            return;
        };
        let installed = {
            let _locked = self.lock();
            let free = slot.load(Relaxed).is_null() && charge(bytes);
            if free {
                // INVARIANT: Zeroed. Release: the zeroes come before the pointer.
                slot.store(new.as_ptr(), Release);
                self.segment_bytes.fetch_add(bytes, Relaxed);
            }
            free
        };
        if !installed {
            // SAFETY: From `alloc_segment`, and nobody else has it.
            unsafe { bindings::kvfree(new.as_ptr().cast()) };
        }
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

    /// Waits for the ends of transfers that have begun to end, and for work that is scheduled or runs. May
    /// sleep; not from the work.
    pub(crate) fn settle(&self) {
        // As in `quiesce`.
        // SAFETY: May sleep, by the contract.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: Initialised with the table, which is not freed while it is borrowed.
        unsafe { bindings::flush_delayed_work(self.work.get()) };
    }

    /// Puts a hold aside for [`Self::take_deferred`], unless the object is there: then ends it. Any
    /// context.
    pub(crate) fn defer(&self, hold: Hold<'_, K>) {
        // Full, here and below: what was done to the object comes before.
        if hold
            .aside
            .cmpxchg(unlisted(), ptr::null_mut(), Full)
            .is_err()
        {
            drop(hold);
            return;
        }
        let entry = hold.into_raw();
        let mut head = self.deferred.load(Relaxed);
        loop {
            // SAFETY: Held.
            unsafe { entry.as_ref() }.aside.store(head, Relaxed);
            match self.deferred.cmpxchg(head, entry.as_ptr(), Full) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Returns the holds that were put aside.
    pub(crate) fn take_deferred(&self) -> Deferred<'_, K> {
        // INVARIANT: A chain of holds given up in `defer`, and taken once by the exchange.
        Deferred {
            head: self.deferred.xchg(ptr::null_mut(), Full),
            _table: PhantomData,
        }
    }

    /// Takes the lock.
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, K> {
        // SAFETY: Initialised with the table.
        unsafe { bindings::memscope_helper_spin_lock_bh(self.lock.get()) };
        // INVARIANT: Just taken.
        Locked {
            table: self,
            _bh: NotThreadSafe,
        }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_, K>> {
        // SAFETY: Initialised with the table.
        let taken = unsafe { bindings::memscope_helper_spin_trylock_bh(self.lock.get()) };
        // INVARIANT: Just taken, if so.
        taken.then(|| Locked {
            table: self,
            _bh: NotThreadSafe,
        })
    }
}

#[pinned_drop]
impl<K: Kind> PinnedDrop for Table<K> {
    fn drop(self: Pin<&mut Self>) {
        self.quiesce();
        for segment in &self.segments {
            // SAFETY: From `alloc_segment` or null. No object is left, so no reader is.
            unsafe { bindings::kvfree(segment.load(Relaxed).cast()) };
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
/// Inline, where `Atomic::load` calls a helper. What a link leads to is reached by address dependency.
#[inline(always)]
fn read_once<T: Copy + kernel::sync::atomic::AtomicType>(word: &Atomic<T>) -> T {
    // SAFETY: Valid and aligned as the word of a reference; writers use single stores.
    unsafe { word.as_ptr().read_volatile() }
}

/// Reads a word as `smp_load_acquire()` does. Inline, as [`read_once`].
#[inline(always)]
fn load_acquire(word: &Atomic<usize>) -> usize {
    if cfg!(target_arch = "x86_64") {
        let value = read_once(word);
        // No instruction on this machine, where loads are not reordered.
        core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
        value
    } else {
        word.load(Acquire)
    }
}

/// The table's lock, held.
///
/// # Invariants
///
/// The lock is held by the current context while this exists. With it, softirqs are off, which is an RCU
/// read-side section: objects named under it stay memory of their type.
#[must_use = "the lock is dropped at once when unused"]
pub(crate) struct Locked<'t, K: Kind> {
    table: &'t Table<K>,
    _bh: NotThreadSafe,
}

impl<K: Kind> Drop for Locked<'_, K> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::memscope_helper_spin_unlock_bh(self.table.lock.get()) };
    }
}

impl<'t, K: Kind> Locked<'t, K> {
    /// Returns a link's object.
    fn deref(&self, link: *mut Entry<K>) -> Option<&Entry<K>> {
        // SAFETY: Links of live objects and queue heads, read under the lock, are null or lead to
        // live objects, by the invariants of `Entry` and `Table`.
        unsafe { link.as_ref() }
    }

    /// Returns the object with `key`.
    pub(crate) fn find(&self, key: u64) -> Option<&Entry<K>> {
        let buckets = self.table.buckets.load(Relaxed);
        let index = Table::<K>::bucket_index(buckets, hash(key));
        // SAFETY: Below `buckets`.
        let mut link = unsafe { self.table.bucket(index) }.load(Relaxed);
        while let Some(entry) = self.deref(link) {
            if entry.key() == key {
                return Some(entry);
            }
            link = entry.chain.load(Relaxed);
        }
        None
    }

    /// Returns the first object of a queue.
    pub(crate) fn first(&self, queue: usize) -> Option<&Entry<K>> {
        let queue = self.table.queues.get(queue)?;
        self.deref(queue.head.load(Relaxed))
    }

    /// Returns the object behind `entry` in its queue.
    pub(crate) fn after(&self, entry: &Entry<K>) -> Option<&Entry<K>> {
        if !self.is_member(entry) {
            return None;
        }
        self.deref(entry.next.load(Relaxed))
    }

    /// Returns the queue that `entry` is in.
    pub(crate) fn queue_of(&self, entry: &Entry<K>) -> Option<usize> {
        self.is_member(entry)
            .then(|| entry.queue.load(Relaxed))
            .and_then(|queue| usize::try_from(queue).ok())
    }

    /// Returns the length of a queue.
    pub(crate) fn len(&self, queue: usize) -> usize {
        self.table.queue_len(queue)
    }

    /// Whether `entry` is in this table; its links may be followed if so.
    fn is_member(&self, entry: &Entry<K>) -> bool {
        ptr::eq(entry.table.load(Relaxed), self.table) && entry.queue.load(Relaxed) != NO_QUEUE
    }

    /// Holds an object, whatever its flags. [`None`] if it is dead or has as many holds as fit.
    pub(crate) fn hold(&self, entry: &Entry<K>) -> Option<Hold<'t, K>> {
        // INVARIANT: A hold is taken here, of an object that is not dead.
        (self.is_member(entry) && entry.state.try_pin()).then(|| Hold {
            entry: NonNull::from(entry),
            _table: PhantomData,
        })
    }

    /// Moves an object to the end of a queue. Does nothing if it is not in the table.
    pub(crate) fn move_to(&self, entry: &Entry<K>, queue: usize) {
        if self.is_member(entry) && queue < QUEUES {
            self.unqueue(entry);
            self.enqueue(entry, queue);
        }
    }

    fn enqueue(&self, entry: &Entry<K>, queue: usize) {
        let Some(q) = self.table.queues.get(queue) else {
            return;
        };
        let this = ptr::from_ref(entry).cast_mut();
        let tail = q.tail.load(Relaxed);
        // INVARIANT: Links of the queue lead to its members, of which this is one now.
        entry.prev.store(tail, Relaxed);
        entry.next.store(ptr::null_mut(), Relaxed);
        match self.deref(tail) {
            Some(tail) => tail.next.store(this, Relaxed),
            None => q.head.store(this, Relaxed),
        }
        q.tail.store(this, Relaxed);
        q.len.fetch_add(1, Relaxed);
        entry.queue.store(queue as i8, Relaxed);
    }

    fn unqueue(&self, entry: &Entry<K>) {
        let Some(q) = usize::try_from(entry.queue.load(Relaxed))
            .ok()
            .and_then(|queue| self.table.queues.get(queue))
        else {
            return;
        };
        let (prev, next) = (entry.prev.load(Relaxed), entry.next.load(Relaxed));
        match self.deref(prev) {
            Some(prev) => prev.next.store(next, Relaxed),
            None => q.head.store(next, Relaxed),
        }
        match self.deref(next) {
            Some(next) => next.prev.store(prev, Relaxed),
            None => q.tail.store(prev, Relaxed),
        }
        q.len.fetch_sub(1, Relaxed);
        entry.queue.store(NO_QUEUE, Relaxed);
    }

    /// Puts an object into the table, with one hold and `flags`, unless the key is there: then gives the
    /// object back.
    pub(crate) fn insert(
        &self,
        owned: Owned<K>,
        key: u64,
        queue: usize,
        flags: u64,
    ) -> Result<Hold<'t, K>, Owned<K>> {
        if self.find(key).is_some() || queue >= QUEUES || !self.is_ours(&owned) {
            return Err(owned);
        }
        self.split();
        let owned = ManuallyDrop::new(owned);
        let entry = &**owned;
        let buckets = self.table.buckets.load(Relaxed);
        let index = Table::<K>::bucket_index(buckets, hash(key));
        // SAFETY: Below `buckets`.
        let bucket = unsafe { self.table.bucket(index) };
        // Relaxed: the key is published by the exchange in `revive`, the object by the bucket.
        entry.key.store(key, Relaxed);
        entry.chain.store(bucket.load(Relaxed), Relaxed);
        self.enqueue(entry, queue);
        entry.state.revive(flags);
        // Release: readers find a finished object.
        bucket.store(owned.entry.as_ptr(), Release);
        self.table.entries.fetch_add(1, Relaxed);
        // INVARIANT: `revive` gave it one hold.
        Ok(Hold {
            entry: owned.entry,
            _table: PhantomData,
        })
    }

    fn is_ours(&self, owned: &Owned<K>) -> bool {
        ptr::eq(owned.table.load(Relaxed), self.table)
    }

    /// Splits one chain if there are more objects than chains and memory for another.
    fn split(&self) {
        let table = self.table;
        let buckets = table.buckets.load(Relaxed);
        if table.entries.load(Relaxed) < buckets {
            return;
        }
        let (segment, _) = place(buckets);
        let ready = table
            .segments
            .get(segment)
            .is_some_and(|segment| !segment.load(Relaxed).is_null());
        if !ready {
            return;
        }
        let from = buckets - (1 << buckets.ilog2());
        // SAFETY: Below `buckets`.
        let from = unsafe { table.bucket(from) };
        // SAFETY: Its segment is there, and `buckets` has this value plus one from now on.
        let to = unsafe { table.bucket(buckets) };
        let mut link = from.load(Relaxed);
        // The last link of what stays and of what moves.
        let (mut stays, mut moves) = (from, to);
        while let Some(entry) = self.deref(link) {
            let next = entry.chain.load(Relaxed);
            let last = if Table::<K>::bucket_index(buckets + 1, hash(entry.key())) == buckets {
                &mut moves
            } else {
                &mut stays
            };
            // Release: as in `insert`. Readers on the way may go astray; see `Table::get`.
            last.store(link, Release);
            *last = &entry.chain;
            link = next;
        }
        stays.store(ptr::null_mut(), Relaxed);
        moves.store(ptr::null_mut(), Relaxed);
        // Release: readers that see the new number see the chain.
        table.buckets.store(buckets + 1, Release);
    }

    /// Kills an object that nobody holds and that has no flag of `refuse`, and takes it out.
    pub(crate) fn kill(&self, entry: &Entry<K>, refuse: u64) -> Option<Owned<K>> {
        if !self.is_member(entry) {
            return None;
        }
        entry.state.try_kill(refuse).ok()?;
        Some(self.remove(entry))
    }

    /// Ends a hold; if it was the only one and no flag of `refuse` is set, kills the object and takes
    /// it out.
    pub(crate) fn kill_held(&self, hold: Hold<'t, K>, refuse: u64) -> Option<Owned<K>> {
        if !self.is_member(&hold) {
            return None;
        }
        let hold = ManuallyDrop::new(hold);
        match hold.state.release_and_kill(refuse) {
            Released::Killed { wake, .. } => {
                if wake {
                    hold.wake();
                }
                Some(self.remove(&hold))
            }
            Released::Last { wake, .. } => {
                if wake {
                    hold.wake();
                }
                K::unheld(&self.table.shared);
                None
            }
            Released::Shared | Released::NotHeld => None,
        }
    }

    /// Lets the replacement hand visit an object; see [`clock::visit`].
    pub(crate) fn visit(&self, entry: &Entry<K>, refuse: u64) -> Visit {
        if self.is_member(entry) {
            clock::visit(&entry.state, refuse)
        } else {
            Visit::Busy
        }
    }

    /// Takes out an object that [`Self::visit`] killed.
    pub(crate) fn take_dead(&self, entry: &Entry<K>) -> Option<Owned<K>> {
        // Only a member can be taken, so each death gives one `Owned`.
        (self.is_member(entry) && entry.state.snapshot().has(hold::DEAD))
            .then(|| self.remove(entry))
    }

    /// Takes a member that was just killed out of its chain and queue.
    fn remove(&self, entry: &Entry<K>) -> Owned<K> {
        let this = ptr::from_ref(entry).cast_mut();
        let buckets = self.table.buckets.load(Relaxed);
        let index = Table::<K>::bucket_index(buckets, hash(entry.key()));
        // SAFETY: Below `buckets`.
        let mut link = unsafe { self.table.bucket(index) };
        while let Some(other) = self.deref(link.load(Relaxed)) {
            if ptr::eq(other, entry) {
                // Release: as in `insert`.
                link.store(entry.chain.load(Relaxed), Release);
                break;
            }
            link = &other.chain;
        }
        self.unqueue(entry);
        self.table.entries.fetch_sub(1, Relaxed);
        // INVARIANT: Dead, and out of chain and queue; nobody else killed it.
        Owned {
            // SAFETY: From a reference.
            entry: unsafe { NonNull::new_unchecked(this) },
            _data: PhantomData,
        }
    }
}

/// Holds in an order, linked through the objects.
///
/// # Invariants
///
/// `head` starts a chain through `batch` of objects with a hold each that belongs to this value; it ends
/// in null, and `tail` is its last, if any.
pub(crate) struct Batch<'t, K: Kind> {
    head: *mut Entry<K>,
    tail: *mut Entry<K>,
    len: usize,
    _table: PhantomData<Hold<'t, K>>,
}

// SAFETY: A sequence of holds, which are `Send`.
unsafe impl<K: Kind> Send for Batch<'_, K> {}

impl<'t, K: Kind> Batch<'t, K> {
    /// Makes an empty one.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Empty.
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
            _table: PhantomData,
        }
    }

    /// Returns the number of holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a hold at the end.
    ///
    /// An object is in one batch at a time: the caller owns its transfer.
    pub(crate) fn push(&mut self, hold: Hold<'t, K>) {
        let entry = hold.into_raw();
        // SAFETY: Held.
        unsafe { entry.as_ref() }
            .batch
            .store(ptr::null_mut(), Relaxed);
        // INVARIANT: The chain goes on to the new object and ends there.
        // SAFETY: Null or held by this value.
        match unsafe { self.tail.as_ref() } {
            Some(tail) => tail.batch.store(entry.as_ptr(), Relaxed),
            None => self.head = entry.as_ptr(),
        }
        self.tail = entry.as_ptr();
        self.len += 1;
    }

    /// Takes the first hold out.
    pub(crate) fn pop(&mut self) -> Option<Hold<'t, K>> {
        let entry = NonNull::new(self.head)?;
        // SAFETY: Held by this value.
        // INVARIANT: The chain starts with the next one.
        self.head = unsafe { entry.as_ref() }.batch.load(Relaxed);
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        self.len = self.len.saturating_sub(1);
        // SAFETY: Given up in `push`, once, and out of the chain now.
        Some(unsafe { Hold::from_raw(entry) })
    }

    /// Looks at each object.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BatchItem<'_, K>> {
        let mut link = self.head;
        core::iter::from_fn(move || {
            // SAFETY: Null or held by this value, which is borrowed.
            let entry = unsafe { link.as_ref() }?;
            link = entry.batch.load(Relaxed);
            Some(BatchItem(entry))
        })
    }

    /// Gives up the value for a pointer.
    pub(crate) fn into_raw(self) -> *mut Entry<K> {
        ManuallyDrop::new(self).head
    }

    /// Makes the value again.
    ///
    /// # Safety
    ///
    /// `head` came from [`Self::into_raw`], and this is called once for that. The table lives for
    /// `'t`.
    pub(crate) unsafe fn from_raw(head: *mut Entry<K>) -> Self {
        let mut this = Self::new();
        let mut link = head;
        // SAFETY: Null or held, by the contract.
        while let Some(entry) = unsafe { link.as_ref() } {
            this.tail = link;
            this.len += 1;
            link = entry.batch.load(Relaxed);
        }
        // INVARIANT: The chain as it was.
        this.head = head;
        this
    }
}

impl<K: Kind> Drop for Batch<'_, K> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// What [`Entry::aside`] is while the object is not put aside: no object's address.
fn unlisted<K: Kind>() -> *mut Entry<K> {
    ptr::without_provenance_mut(1)
}

/// Holds that were put aside.
///
/// # Invariants
///
/// `head` starts a chain through `aside` of objects with a hold each that belongs to this value; it ends
/// in null.
pub(crate) struct Deferred<'t, K: Kind> {
    head: *mut Entry<K>,
    _table: PhantomData<Hold<'t, K>>,
}

impl<'t, K: Kind> Iterator for Deferred<'t, K> {
    type Item = Hold<'t, K>;

    fn next(&mut self) -> Option<Hold<'t, K>> {
        let entry = NonNull::new(self.head)?;
        // SAFETY: Held by this value.
        // INVARIANT: The chain starts with the next one. From here on it may be put aside again.
        self.head = unsafe { entry.as_ref() }.aside.xchg(unlisted(), Full);
        // SAFETY: Given up in `defer`, once, and out of the chain now.
        Some(unsafe { Hold::from_raw(entry) })
    }
}

impl<K: Kind> Drop for Deferred<'_, K> {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}

/// An object of a batch.
///
/// # Invariants
///
/// The object is held while this exists.
pub(crate) struct BatchItem<'b, K: Kind>(&'b Entry<K>);

impl<K: Kind> BatchItem<'_, K> {
    /// Returns a pointer that names the object in callbacks.
    pub(crate) fn as_ptr(&self) -> *mut Entry<K> {
        ptr::from_ref(self.0).cast_mut()
    }

    /// Returns the data.
    pub(crate) fn data(&self) -> &K::Data {
        let data = self.0.data.get();
        // SAFETY: Held, by the type invariants: as `Hold::data`.
        unsafe { (*data).assume_init_ref() }
    }
}

impl<K: Kind> Deref for BatchItem<'_, K> {
    type Target = Entry<K>;

    fn deref(&self) -> &Entry<K> {
        self.0
    }
}
