// SPDX-License-Identifier: GPL-2.0

//! What is done under a table's lock.

use super::{
    chains::{hash, mask, segment_of, ReadLock, CHAIN},
    entry::{Entry, Hold, Owned, NO_QUEUE},
    hold::{self, Released, Visit},
    Kind, Table, QUEUES,
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};
use kernel::{
    sync::atomic::{Relaxed, Release},
    types::NotThreadSafe,
};

impl<K: Kind> Table<K> {
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

/// The table's lock, held.
///
/// # Invariants
///
/// The lock is held by the current context while this exists, but for a moment in [`Self::let_others`].
/// With it, softirqs are off, which is an RCU read-side section: objects named under it stay memory of
/// their type.
#[must_use = "the lock is dropped at once when unused"]
pub(crate) struct Locked<'t, K: Kind> {
    pub(super) table: &'t Table<K>,
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

    /// Gives the lock up for a moment, so that others get it.
    ///
    /// Objects that were named before stay memory of their type, but may be out of the table by then, or in
    /// another life.
    pub(crate) fn let_others(&self) {
        // Overlaps with both sections of the lock, which are RCU read-side sections as well.
        let _rcu = ReadLock::new();
        // SAFETY: By the type invariants.
        unsafe { bindings::memscope_helper_spin_unlock_bh(self.table.lock.get()) };
        // SAFETY: Initialised with the table, and just given up.
        // INVARIANT: Taken again.
        unsafe { bindings::memscope_helper_spin_lock_bh(self.table.lock.get()) };
    }

    /// Returns what belongs to the table.
    pub(crate) fn shared(&self) -> &'t K::Shared {
        &self.table.shared
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
        // Others only read it.
        q.len.store(q.len.load(Relaxed) + 1, Relaxed);
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
        q.len.store(q.len.load(Relaxed) - 1, Relaxed);
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
        let entries = &self.table.entries;
        entries.store(entries.load(Relaxed) + 1, Relaxed);
        // INVARIANT: `revive` gave it one hold.
        Ok(Hold {
            entry: owned.entry,
            _table: PhantomData,
        })
    }

    fn is_ours(&self, owned: &Owned<K>) -> bool {
        ptr::eq(owned.table.load(Relaxed), self.table)
    }

    /// Splits one chain if there are more objects than the chains should have and memory for another.
    fn split(&self) {
        let table = self.table;
        let buckets = table.buckets.load(Relaxed);
        if table.entries.load(Relaxed) < buckets.saturating_mul(CHAIN) {
            return;
        }
        let segment = segment_of(buckets);
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
        // Release: readers that see the new number see the chain, and the mask.
        table.mask.store(mask(buckets + 1), Relaxed);
        table.buckets.store(buckets + 1, Release);
    }

    /// Kills an object that nobody holds and that has no flag of `refuse`, and takes it out.
    pub(crate) fn kill(&self, entry: &Entry<K>, refuse: u64) -> Option<Owned<K>> {
        if !self.is_member(entry) {
            return None;
        }
        self.cool(entry);
        entry.state.try_kill(refuse).ok()?;
        Some(self.remove(entry))
    }

    /// Whether anybody holds an object.
    pub(crate) fn is_held(&self, entry: &Entry<K>) -> bool {
        if entry.snapshot().holds() == 0 {
            return false;
        }
        self.cool(entry);
        entry.snapshot().holds() != 0
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

    /// Lets the replacement hand visit an object, see [`State::visit`](super::hold::State::visit). One that
    /// is hot was used, and is cool then.
    pub(crate) fn visit(&self, entry: &Entry<K>, refuse: u64) -> Visit {
        if !self.is_member(entry) {
            return Visit::Busy;
        }
        if entry.snapshot().has(hold::HOT) {
            self.cool(entry);
            // The same use: what is idle goes at the second visit, as a search counts on.
            entry.state.clear(hold::REFERENCED);
            return Visit::Used;
        }
        entry.state.visit(refuse)
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
        let entries = &self.table.entries;
        entries.store(entries.load(Relaxed) - 1, Relaxed);
        // INVARIANT: Dead, and out of chain and queue; nobody else killed it.
        Owned {
            // SAFETY: From a reference.
            entry: unsafe { NonNull::new_unchecked(this) },
            _data: PhantomData,
        }
    }
}
