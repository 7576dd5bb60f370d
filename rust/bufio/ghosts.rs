// SPDX-License-Identifier: GPL-2.0

//! Memory of the blocks that a client evicted not long ago; see [`clock`].

use super::{
    policy::clock::{self, Queue},
    Table,
};
use crate::kapi::{
    atomic::{Atomic, Relaxed},
    gfp::Gfp,
};
use core::cell::Cell;
use kernel::{new_spinlock, prelude::*, sync::SpinLock};

/// Fewest slots.
const LEAST: usize = 32;

/// The slots, which grow with the client.
///
/// Their lock is taken inside the table's, so with softirqs off.
pub(crate) struct Ghosts {
    slots: Pin<KBox<SpinLock<KVVec<Cell<u16>>>>>,
    // Of `slots`, to be looked at without the lock.
    len: Atomic<usize>,
}

impl Ghosts {
    /// Makes a memory without slots.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            slots: KBox::pin_init(new_spinlock!(KVVec::new(), "Client::ghosts"), GFP_KERNEL)?,
            len: Atomic::new(0),
        })
    }

    /// Remembers a block that left probation.
    pub(crate) fn remember(&self, block: u64) {
        clock::Ghosts::new(&self.slots.lock()).remember(block);
    }

    /// Returns the queue that a new buffer of `block` enters.
    pub(crate) fn place(&self, block: u64) -> Queue {
        clock::Ghosts::new(&self.slots.lock()).place(block)
    }

    /// Forgets everything for good. Returns the bytes that are to be given back.
    pub(crate) fn close(&self, table: &Table) -> u64 {
        let old = {
            let _locked = table.lock();
            // Named, so that it is dropped before softirqs are on again.
            let mut ghosts = self.slots.lock();
            self.len.store(0, Relaxed);
            core::mem::replace(&mut *ghosts, KVVec::new())
        };
        bytes(old.len())
    }
}

fn bytes(slots: usize) -> u64 {
    slots.saturating_mul(size_of::<u16>()) as u64
}

/// Gets more slots if the client has outgrown them; does without where memory is short.
pub(crate) fn grow(table: &Table) {
    let shared = &table.shared;
    let wanted = clock::Ghosts::slots_for(table.entries());
    let have = shared.ghosts.len.load(Relaxed);
    if wanted <= have || wanted < LEAST {
        return;
    }
    // At most twice what suits now, so that the next time is far; a power of two, as the memory is.
    let slots = wanted.next_power_of_two();
    let more = bytes(slots).saturating_sub(bytes(have));
    if shared.admit(more).is_err() {
        return;
    }
    let Ok(mut new) = KVVec::with_capacity(slots, Gfp::NOWAIT.flags()) else {
        shared.uncharge(more);
        return;
    };
    for _ in 0..slots {
        // Cannot fail: the capacity is there.
        let _ = new.push_within_capacity(Cell::new(0));
    }
    let old = {
        let _locked = table.lock();
        let mut ghosts = shared.ghosts.slots.lock();
        if ghosts.len() == have {
            shared.ghosts.len.store(slots, Relaxed);
            core::mem::replace(&mut *ghosts, new)
        } else {
            new
        }
    };
    if old.len() != have {
        // Another thread was faster.
        shared.uncharge(more);
    }
}
