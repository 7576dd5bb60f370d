// SPDX-License-Identifier: GPL-2.0

//! The chains of a table: finding an object, with and without the lock, and growth.

use super::{
    entry::{Entry, Hold},
    hold::NotHeld,
    read_once, Kind, Link, Table,
};
use crate::{bindings, kapi::gfp::Gfp};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    sync::atomic::{Acquire, Relaxed, Release},
    types::NotThreadSafe,
};

/// Buckets of the first segment.
pub(super) const FIRST_BUCKETS: usize = 64;
const FIRST_SHIFT: u32 = FIRST_BUCKETS.ilog2();
/// Objects for each bucket: half the memory of one for each, and a step more in half of the lookups.
pub(super) const CHAIN: usize = 2;
/// Segment `n` doubles the buckets: enough for 2^31 of them.
pub(super) const SEGMENTS: usize = 26;

pub(super) type Bucket<K> = Link<K>;
/// An RCU read-side section, as [`kernel::sync::rcu::Guard`] is, but without the C function around the
/// C function where no debugging needs it.
///
/// # Invariants
///
/// The section lasts while this exists.
pub(super) struct ReadLock(NotThreadSafe);

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
    pub(super) fn new() -> Self {
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

/// Spreads keys: adjacent ones fall into different buckets.
#[inline]
pub(super) fn hash(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// Returns the bits of a hash that tell between so many buckets, of which there are two or more.
pub(super) fn mask(buckets: usize) -> usize {
    usize::MAX.wrapping_shr(buckets.wrapping_sub(1).leading_zeros())
}

/// Returns the segment of a bucket.
#[inline]
pub(super) fn segment_of(bucket: usize) -> usize {
    // Unchecked arithmetic in the lookup: the logarithm is `FIRST_SHIFT - 1` at least.
    let log = (usize::BITS - 1).wrapping_sub((bucket | (FIRST_BUCKETS - 1)).leading_zeros());
    log.wrapping_sub(FIRST_SHIFT - 1) as usize
}

/// Returns the first bucket of a segment.
///
/// Segments are stored by where bucket 0 would be, so that a lookup has nothing to subtract.
pub(super) fn first_of(segment: usize) -> usize {
    if segment == 0 {
        0
    } else {
        segment_len(segment)
    }
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
pub(super) fn alloc_segment<K: Kind>(len: usize, gfp: Gfp) -> Option<NonNull<Bucket<K>>> {
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
    /// Returns the chain of a hash, of so many.
    pub(super) fn bucket_index(buckets: usize, hash: usize) -> usize {
        Self::masked_index(buckets, mask(buckets), hash)
    }

    #[inline(always)]
    fn masked_index(buckets: usize, mask: usize, hash: usize) -> usize {
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
    pub(super) unsafe fn bucket(&self, index: usize) -> &Bucket<K> {
        // SAFETY: `index` is below 2^31, so its segment is below `SEGMENTS`.
        let segment = unsafe { self.segments.get_unchecked(segment_of(index)) };
        let start = read_once(segment);
        // SAFETY: By the type invariants the segment is allocated and has this bucket.
        unsafe { &*start.wrapping_add(index) }
    }

    /// Looks `key` up without a lock. May miss an object that is there.
    #[inline(always)]
    fn find_rcu<'t>(&'t self, key: u64, refuse: u64, _rcu: &ReadLock) -> Found<'t, K> {
        let buckets = self.buckets.load(Acquire);
        // As new as `buckets`, or newer: with the mask of twice as many the index is the same.
        let mask = read_once(&self.mask);
        let index = Self::masked_index(buckets, mask, hash(key));
        // SAFETY: Below `buckets`, or what that has been since.
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
        let held = match entry.state.try_hold(refuse) {
            Err(NotHeld::Hot) => {
                let id = entry.id();
                entry.state.hold_hot(self.parking.here(id), id, refuse)
            }
            held => held.map(|_| ()),
        };
        match held {
            Ok(()) => {
                // INVARIANT: Held just now, and not dead.
                let hold = Hold {
                    entry: NonNull::from(entry),
                    _table: PhantomData,
                };
                // Another life may have begun between the comparison and the hold.
                if hold.key() == key {
                    Found::Held(hold)
                } else {
                    Self::drop_other(hold);
                    Found::Absent
                }
            }
            Err(NotHeld::Dead) => Found::Absent,
            Err(NotHeld::Flagged | NotHeld::Hot | NotHeld::Full) => Found::Refused,
        }
    }

    /// Out of the way of the lookup.
    #[cold]
    #[inline(never)]
    fn drop_other(hold: Hold<'_, K>) {
        drop(hold);
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
        match self.get_once(key, refuse) {
            Found::Held(hold) => Some(hold),
            Found::Refused | Found::Absent => None,
        }
    }

    /// As [`Self::get_lockless`], inline.
    #[inline(always)]
    pub(crate) fn get_once(&self, key: u64, refuse: u64) -> Found<'_, K> {
        let rcu = ReadLock::new();
        let found = self.find_rcu(key, refuse, &rcu);
        drop(rcu);
        found
    }

    /// As [`Self::get`], in any context, but may miss an object that is there.
    pub(crate) fn get_lockless(&self, key: u64, refuse: u64) -> Found<'_, K> {
        self.find_rcu(key, refuse, &ReadLock::new())
    }

    /// Whether `key` is there at some moment.
    pub(crate) fn contains(&self, key: u64) -> bool {
        self.lock().find(key).is_some()
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
        if self.entries.load(Relaxed) < buckets.saturating_mul(CHAIN) {
            return;
        }
        let segment = segment_of(buckets);
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
                slot.store(new.as_ptr().wrapping_sub(first_of(segment)), Release);
                self.segment_bytes.fetch_add(bytes, Relaxed);
            }
            free
        };
        if !installed {
            // SAFETY: From `alloc_segment`, and nobody else has it.
            unsafe { bindings::kvfree(new.as_ptr().cast()) };
        }
    }
}
