// SPDX-License-Identifier: GPL-2.0

//! Objects of a table, and who may touch them: [`Entry`], [`Hold`], [`Owned`].

use super::{
    hold::{self, Change, Released, Snapshot, State},
    read_once, Kind, Link, Table,
};
use crate::{
    bindings,
    kapi::{
        atomic::{Atomic, Relaxed},
        wait::Word64,
    },
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::{self, NonNull},
};
use kernel::sync::Arc;

pub(super) const NO_QUEUE: i8 = -1;

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
    pub(super) state: State<Word64>,
    pub(super) key: Atomic<u64>,
    pub(super) chain: Link<K>,
    pub(super) data: UnsafeCell<MaybeUninit<K::Data>>,
    pub(super) table: Atomic<*const Table<K>>,
    pub(super) prev: Link<K>,
    pub(super) next: Link<K>,
    // Next in a batch; belongs to whoever has the batch.
    pub(super) batch: Link<K>,
    // Next of those that were put aside; `unlisted()` while this one is not.
    pub(super) aside: Link<K>,
    meta: K::Meta,
    pub(super) queue: Atomic<i8>,
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

    /// Marks the object dirty; see [`State::set_dirty`].
    pub(crate) fn set_dirty(&self) {
        self.state.set_dirty();
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

    /// Passes on what a release ended, and wakes who sleeps on the object.
    #[inline]
    fn woken(&self, released: Released) -> Released {
        if let Released::Last { wake: true, .. } = released {
            // The word is only a key here: nothing is read from it.
            self.wake();
        }
        released
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
    pub(super) entry: NonNull<Entry<K>>,
    pub(super) _table: PhantomData<&'t Table<K>>,
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

    /// Performs a change of flags, not of the flag that says dead, and ends the hold with it, waking who
    /// sleeps on the object; see [`State::finish`]. If it was the last hold, returns the flags. A change
    /// that does not apply only ends the hold.
    pub(crate) fn finish(self, change: Change) -> Option<Snapshot> {
        let finished = if (change.set | change.clear) & hold::DEAD == 0 {
            self.state.finish(change)
        } else {
            None
        };
        // Without one the hold is still there, and is dropped.
        let finished = finished?;
        let this = ManuallyDrop::new(self);
        if finished.wake {
            // The word is only a key here: nothing is read from it.
            this.wake();
        }
        finished.last
    }

    /// Ends the hold without looking whether anybody waits for the object to be unheld.
    ///
    /// Returns what the release ended, for a caller that looks later.
    #[inline]
    pub(crate) fn release(self) -> Released {
        let this = ManuallyDrop::new(self);
        this.woken(this.state.release())
    }

    /// As [`Self::release`], for a user's hold; gives it back if the object is hot, for
    /// [`Self::park`]. A hold that is not the last makes it hot.
    #[inline]
    pub(crate) fn try_release(self) -> Result<Released, Self> {
        let entry: &Entry<K> = &self;
        match entry.state.try_release() {
            Some(released) => {
                let released = entry.woken(released);
                core::mem::forget(self);
                Ok(released)
            }
            None => Err(self),
        }
    }

    /// Parks the hold of a hot object, or gives it back to be released.
    #[inline(always)]
    pub(crate) fn park(self) -> Result<(), Self> {
        let (entry, table): (&Entry<K>, _) = (&self, self.table());
        let id = entry.id();
        let awaited = || K::is_awaited(&table.shared);
        let slot = table.parking.here(id);
        if entry.state.park(slot, id, &table.cools, awaited) {
            // INVARIANT: The slot has the hold now.
            core::mem::forget(self);
            Ok(())
        } else {
            Err(self)
        }
    }

    /// Ends a hold that [`Self::park`] gave back; see [`State::release_beside`].
    pub(crate) fn release_beside(self) -> Released {
        let this = ManuallyDrop::new(self);
        let (id, table) = (this.id(), this.table());
        let awaited = || K::is_awaited(&table.shared);
        let slot = table.parking.here(id);
        let released = this.state.release_beside(slot, id, &table.cools, awaited);
        this.woken(released)
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

/// A hold that ends with [`Kind::release`].
///
/// # Invariants
///
/// The hold is not taken before the value is dropped.
pub(crate) struct Releasing<'t, K: Kind>(ManuallyDrop<Hold<'t, K>>);

impl<'t, K: Kind> Releasing<'t, K> {
    /// Wraps a hold.
    pub(crate) fn new(hold: Hold<'t, K>) -> Self {
        // INVARIANT: Just given.
        Self(ManuallyDrop::new(hold))
    }
}

impl<'t, K: Kind> Deref for Releasing<'t, K> {
    type Target = Hold<'t, K>;

    fn deref(&self) -> &Hold<'t, K> {
        &self.0
    }
}

impl<K: Kind> Drop for Releasing<'_, K> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants it is there; the value is not used again.
        K::release(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// An object outside the table.
///
/// # Invariants
///
/// `entry` was allocated from the slab of its table, is dead and in no chain or queue, and there is one
/// `Owned` of it.
pub(crate) struct Owned<K: Kind> {
    pub(super) entry: NonNull<Entry<K>>,
    pub(super) _data: PhantomData<K>,
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

    /// Names the object, before it is inserted, as it will be.
    pub(crate) fn set_key(&mut self, key: u64) {
        // Relaxed: a stray reader finds the object dead.
        self.key.store(key, Relaxed);
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

/// Makes an object of a new slab page: dead, and in no chain or queue.
///
/// # Safety
///
/// `object` is the memory of an [`Entry<K>`] that nobody else uses.
pub(super) unsafe extern "C" fn construct<K: Kind>(object: *mut core::ffi::c_void) {
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

/// What [`Entry::aside`] is while the object is not put aside: no object's address.
pub(super) fn unlisted<K: Kind>() -> *mut Entry<K> {
    ptr::without_provenance_mut(1)
}
