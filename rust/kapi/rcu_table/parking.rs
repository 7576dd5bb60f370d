// SPDX-License-Identifier: GPL-2.0

//! Where holds of hot objects are parked; see [`super::hold`].

use super::{
    hold::{Released, HOT},
    Entry, Kind, Locked,
};
use crate::{
    bindings,
    kapi::{current::this_cpu, wait::Word64},
};
use core::ptr::{self, NonNull};
use kernel::{cpu::nr_cpu_ids, prelude::*};

/// Slots of each CPU, 16 KiB of them, for all tables together: 64 hot objects find one slot each but for one
/// object or two.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 11;

/// 2^32 over the golden ratio, as for any multiplicative hash. Of 32 bits it is part of an instruction.
const GOLDEN_RATIO: u32 = 0x9e37_79b9;

/// Slots for each CPU: an object has one on each.
///
/// An object finds its slot taken where another of the same slot is parked, for as long as that is. It is
/// then held and released as if it were not hot.
///
/// # Invariants
///
/// A per-CPU array of `SLOTS` words from `memscope_helper_alloc_counters`. A slot is zero or the address of
/// an object, one of whose holds belongs to the slot.
pub(crate) struct Parking(NonNull<u64>);

// SAFETY: Per-CPU memory may be used and freed from any thread; its words are atomic.
unsafe impl Send for Parking {}
// SAFETY: As above.
unsafe impl Sync for Parking {}

impl Parking {
    /// Makes empty slots. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: No requirements; per-CPU memory is zeroed.
        let raw = unsafe { bindings::memscope_helper_alloc_counters(SLOTS as u32) };
        // INVARIANT: Just allocated, and zero.
        Ok(Self(NonNull::new(raw.cast()).ok_or(ENOMEM)?))
    }

    /// Returns the slot of an object as an offset of per-CPU memory.
    #[inline(always)]
    fn offset_of(&self, id: u64) -> *mut u64 {
        // Objects of two pages may have the same lower bits. The product's upper bits depend on all.
        let slot = (id as u32).wrapping_mul(GOLDEN_RATIO) >> (u32::BITS - SLOT_BITS);
        self.0.as_ptr().wrapping_add(slot as usize)
    }

    /// Returns the slot of an object on this CPU, or on that on which the caller has just been.
    #[inline(always)]
    pub(super) fn here(&self, id: u64) -> &Word64 {
        // SAFETY: In bounds, and freed only with `self`; atomic in all that use it, which may be other
        // CPUs.
        unsafe { &*this_cpu(self.offset_of(id)).cast() }
    }

    /// Returns the slots of an object on all CPUs.
    fn all(&self, id: u64) -> impl Iterator<Item = &Word64> {
        let offset = self.offset_of(id);
        (0..nr_cpu_ids()).filter_map(move |cpu| {
            // SAFETY: An offset of per-CPU memory.
            let slot = unsafe { bindings::memscope_helper_per_cpu(offset, cpu) };
            // SAFETY: As in `here`; null where there is no such CPU.
            unsafe { slot.cast::<Word64>().as_ref() }
        })
    }
}

impl Drop for Parking {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, and not used again.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}

impl<K: Kind> Entry<K> {
    /// What names the object in its slots.
    #[inline(always)]
    pub(super) fn id(&self) -> u64 {
        ptr::from_ref(self).addr() as u64
    }
}

impl<K: Kind> Locked<'_, K> {
    /// Ends what holds of an object nobody has, so that those that are left are somebody's.
    #[inline]
    pub(super) fn cool(&self, entry: &Entry<K>) {
        if entry.snapshot().has(HOT) {
            self.cool_hot(entry);
        }
    }

    #[cold]
    fn cool_hot(&self, entry: &Entry<K>) {
        let id = entry.id();
        let table = self.table;
        let released = entry.state.cool(table.parking.all(id), id, &table.cools);
        // More parked than held: somebody has released twice.
        kernel::warn_on!(released == Some(Released::NotHeld));
        if let Some(Released::Last { wake, .. }) = released {
            if wake {
                entry.wake();
            }
            K::unheld(&self.table.shared);
        }
    }
}
