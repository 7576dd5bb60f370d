// SPDX-License-Identifier: GPL-2.0

//! The state word of a buffer: how lookup, eviction and I/O exclude each other.
//!
//! One word has the number of holds above and flags below, so that one compare-and-exchange decides
//! between a lookup that wants to hold a buffer and an evictor that wants to take it away.
//!
//! - Lookup: find the buffer under RCU, [`State::try_hold`], and then compare the block number: a
//!   buffer that was found may have been killed and revived for another block in between.
//! - Eviction: [`State::try_kill`] succeeds only with no hold. From then on nobody can hold the
//!   buffer; the killer takes it out of the index, and frees it after a grace period or revives it.
//! - I/O: a transfer owns the buffer by a flag and not by a hold. A buffer under I/O is not killed.
//!
//! # Sleeping
//!
//! To wait for one buffer: set [`WAITED`] with [`State::ask_wake`] if what one waits for is not so,
//! sleep until the flag is clear, and repeat. Who ends an I/O or the last hold clears it in the
//! same exchange, and if told `wake` wakes all sleepers of the word after it. To wait for any
//! buffer of a client: [`Waiters`].
//!
//! # Parked holds
//!
//! Where several CPUs use one buffer, each exchange in its word takes the word's cache line from the
//! others. So who ends a hold while there are others makes the buffer [`HOT`]. From then on an ended hold
//! stays counted and is parked in a slot of the CPU, if that is empty, and the next lookup there takes
//! it from the slot: neither writes the word. A parked hold is nobody's. Whoever minds it, because a hold
//! stands against what it wants, makes an end of this with [`State::cool`], which looks into the slots of
//! all CPUs.
//!
//! Only a buffer is hot whose last release has nothing to do; see [`UNPARKABLE`].

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

use crate::kapi::word::{update, Word};

/// Taken away by an evictor; nobody can hold it.
pub(crate) const DEAD: u64 = 1 << 0;
/// A read is in flight.
pub(crate) const READING: u64 = 1 << 1;
/// A write is in flight.
pub(crate) const WRITING: u64 = 1 << 2;
/// Has a dirty range, which the owner keeps.
pub(crate) const DIRTY: u64 = 1 << 3;
/// Used since the replacement hand last passed, as the replacement policy wants to know.
pub(crate) const REFERENCED: u64 = 1 << 4;
/// Brought in by a prefetch and not yet used.
pub(crate) const PREFETCHED: u64 = 1 << 5;
/// Somebody sleeps until this buffer changes.
pub(crate) const WAITED: u64 = 1 << 6;
/// The last read failed.
pub(crate) const READ_ERROR: u64 = 1 << 7;
/// The last write failed.
pub(crate) const WRITE_ERROR: u64 = 1 << 8;
/// Its pages come from the kernel's emergency reserves; not kept as cache.
pub(crate) const EMERGENCY: u64 = 1 << 9;

/// Used by several threads at once: holds may be parked.
pub(crate) const HOT: u64 = 1 << 10;

/// A transfer is in flight.
pub(crate) const IO: u64 = READING | WRITING;
/// What keeps a buffer from being evicted as clean.
pub(crate) const UNCLEAN: u64 = IO | DIRTY;
/// With these no buffer becomes hot: flags that the last hold's end must see, or that lookups refuse or
/// change.
///
/// A hot buffer gets only two of them: [`WAITED`], which the end of its write clears, and [`WRITE_ERROR`], upon
/// which the sweep of writes tries to kill it.
const UNPARKABLE: u64 = DEAD | READING | PREFETCHED | WAITED | READ_ERROR | WRITE_ERROR | EMERGENCY;

/// The flags are the lower half; a hold is one in the upper half. Neither half can carry into the
/// other: too many and too few holds are refused.
const FLAGS: u64 = (1 << 32) - 1;
const ONE_HOLD: u64 = FLAGS + 1;

/// A value of the state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    /// Returns the number of holds.
    pub(crate) fn holds(self) -> u64 {
        self.0 >> 32
    }

    /// Whether any of `flags` is set.
    pub(crate) fn has(self, flags: u64) -> bool {
        self.0 & flags & FLAGS != 0
    }

    fn without_holds(self) -> Self {
        Self(self.0 & FLAGS)
    }
}

/// Returns the state word after a use of the buffer.
///
/// The first use of a prefetched buffer is what it was prefetched for, and says no more than a miss
/// would.
pub(crate) fn touch(word: u64) -> u64 {
    if word & PREFETCHED != 0 {
        word & !PREFETCHED
    } else {
        word | REFERENCED
    }
}

/// What a visit of the replacement hand did to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// It is dead; the caller owns it.
    Killed,
    /// It was used since the last visit.
    Used,
    /// It is held, under I/O, or has one of the flags that the evictor refuses.
    Busy,
}

/// Why a buffer was not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// It was evicted: look it up again, or treat it as absent.
    Dead,
    /// It has one of the flags that the caller refuses.
    Flagged,
    /// It is hot, see [`State::hold_hot`].
    Hot,
    /// It has as many holds as fit.
    Full,
}

/// What a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// Not the last hold.
    Shared,
    /// The last hold.
    Last {
        /// The flags at that moment; the buffer may change as soon as it is not held.
        was: Snapshot,
        /// Wake who sleeps on this buffer.
        wake: bool,
    },
    /// The last hold, and the buffer is now dead: take it out of the index.
    Killed {
        /// The flags at that moment, which stay.
        was: Snapshot,
        /// Wake who sleeps on this buffer.
        wake: bool,
    },
    /// There was no hold: the caller released twice. Nothing was changed.
    NotHeld,
}

/// What came of [`State::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The flags, if it was the last hold; the buffer may change as soon as it is not held.
    pub(crate) last: Option<Snapshot>,
    /// Wake who sleeps on this buffer.
    pub(crate) wake: bool,
}

/// A change of flags that happens as a whole or not at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// All of these must be set.
    pub(crate) need: u64,
    /// None of these may be set.
    pub(crate) refuse: u64,
    /// Cleared.
    pub(crate) clear: u64,
    /// Set.
    pub(crate) set: u64,
}

impl Change {
    /// A read that failed is begun again; the first begins when the buffer is inserted. What is fit for
    /// use is not read: a holder may have changed it, or parked a hold.
    pub(crate) const START_READ: Self = Self {
        need: READ_ERROR,
        refuse: DEAD | UNCLEAN,
        clear: READ_ERROR,
        set: READING,
    };
    /// The read ended well.
    pub(crate) const READ_DONE: Self = Self {
        need: READING,
        refuse: 0,
        clear: READING | READ_ERROR,
        set: 0,
    };
    /// The read failed.
    pub(crate) const READ_FAILED: Self = Self {
        need: READING,
        refuse: 0,
        clear: READING,
        set: READ_ERROR,
    };
    /// A write begins: whoever makes this change is the writer, and next takes the dirty range.
    pub(crate) const START_WRITE: Self = Self {
        need: DIRTY,
        refuse: DEAD | IO,
        clear: DIRTY,
        set: WRITING,
    };
    /// The write ended well.
    pub(crate) const WRITE_DONE: Self = Self {
        need: WRITING,
        refuse: 0,
        clear: WRITING | WRITE_ERROR,
        set: 0,
    };
    /// The write failed and the data stays; the range must be back before.
    pub(crate) const WRITE_FAILED: Self = Self {
        need: WRITING,
        refuse: 0,
        clear: WRITING,
        set: DIRTY | WRITE_ERROR,
    };
    /// The write failed and the data is given up.
    pub(crate) const WRITE_DROPPED: Self = Self {
        need: WRITING,
        refuse: 0,
        clear: WRITING,
        set: WRITE_ERROR,
    };
}

/// The state word.
#[derive(Debug)]
pub(crate) struct State<W>(W);

impl<W: Word> State<W> {
    /// Wraps a word that holds [`DEAD`]: a buffer that is yet to be [`State::revive`]d.
    pub(crate) const fn new(word: W) -> Self {
        Self(word)
    }

    /// Returns the word, to sleep on its address.
    pub(crate) fn word(&self) -> &W {
        &self.0
    }

    /// Returns the present value.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.load_acquire())
    }

    /// Holds a buffer that was found under RCU, unless it is dead, hot or has a flag of `refuse`.
    ///
    /// A hit is recorded for replacement by [`touch`], in the same exchange.
    #[inline]
    pub(crate) fn try_hold(&self, refuse: u64) -> Result<Snapshot, NotHeld> {
        self.count_hold(refuse | HOT)
    }

    /// Holds a buffer that [`Self::try_hold`] found to be hot: takes the hold that is parked in `slot`, which
    /// being hot records for replacement, or does as that does.
    #[inline]
    pub(crate) fn hold_hot(&self, slot: &W, id: u64, refuse: u64) -> Result<(), NotHeld> {
        match slot.compare_exchange(id, 0) {
            // Hot since it was parked, so with no flag that lookups refuse.
            Ok(()) => Ok(()),
            Err(_) => self.count_hold(refuse).map(|_| ()),
        }
    }

    #[inline]
    fn count_hold(&self, refuse: u64) -> Result<Snapshot, NotHeld> {
        update(&self.0, |word| {
            let word = (word & (DEAD | refuse) == 0).then_some(word)?;
            touch(word).checked_add(ONE_HOLD)
        })
        .map(Snapshot)
        .map_err(|word| {
            if word & DEAD != 0 {
                NotHeld::Dead
            } else if word & refuse & !HOT != 0 {
                NotHeld::Flagged
            } else if word & refuse != 0 {
                NotHeld::Hot
            } else {
                NotHeld::Full
            }
        })
    }

    /// Adds a hold that is no use of the data: of an evictor or a writer. Refuses a dead buffer.
    pub(crate) fn try_pin(&self) -> bool {
        update(&self.0, |word| {
            (word & DEAD == 0).then_some(word)?.checked_add(ONE_HOLD)
        })
        .is_ok()
    }

    /// Ends a hold.
    ///
    /// Touches nothing of the buffer after the exchange: a last release may race with its freeing.
    pub(crate) fn release(&self) -> Released {
        self.end_hold(0, |_| false)
    }

    /// As [`Self::release`], for a user's hold: changes nothing and returns [`None`] if the buffer is hot,
    /// for which there is [`Self::park`]. A hold that is not the last makes it hot.
    #[inline]
    pub(crate) fn try_release(&self) -> Option<Released> {
        if self.snapshot().has(HOT) {
            return None;
        }
        Some(self.end_hold(HOT, |_| false))
    }

    /// Parks a hold of a hot buffer in `slot`, where `id` names the buffer. Returns false if the caller has
    /// the hold still, to release it.
    ///
    /// `cools` counts the calls of [`Self::cool`]. `awaited`: somebody waits for any buffer to be unheld.
    #[inline]
    pub(crate) fn park(
        &self,
        slot: &W,
        id: u64,
        cools: &W,
        awaited: impl FnOnce() -> bool,
    ) -> bool {
        let before = cools.load_acquire();
        let now = self.snapshot();
        // No hold at all: the caller had none.
        if !now.has(HOT) || now.holds() == 0 || slot.compare_exchange(0, id).is_err() {
            return false;
        }
        // The hold may be somebody else's by now, and the buffer gone: it is not looked at. Who makes a
        // buffer cool does that first, counts it and looks at the slots after; who waits says so first and
        // looks after. All are fully ordered, so what is not seen here sees the slot.
        if cools.load_acquire() == before && !awaited() {
            return true;
        }
        // Back, unless somebody found it.
        slot.compare_exchange(id, 0).is_err()
    }

    /// Ends a hold of a hot buffer that [`Self::park`] did not take.
    ///
    /// Beside one that is parked in `slot` it must be the second at least; if not, the caller has released
    /// twice, and the parked one stays.
    pub(crate) fn release_beside(
        &self,
        slot: &W,
        id: u64,
        cools: &W,
        awaited: impl FnOnce() -> bool,
    ) -> Released {
        if slot.load_acquire() != id || slot.compare_exchange(id, 0).is_err() {
            return self.release();
        }
        // Both are the caller's for now, so nobody else can end them.
        let released = match self.snapshot().holds() {
            0 | 1 => Released::NotHeld,
            _ => self.release(),
        };
        if !self.park(slot, id, cools, awaited) {
            let other = self.release();
            if released != Released::NotHeld {
                return other;
            }
        }
        released
    }

    /// Makes a hot buffer cool and releases the holds of it that are parked in `slots`, where `id` names it.
    /// Counts itself in `cools`.
    ///
    /// Returns what the last of these releases ended; [`Released::NotHeld`] if more were parked than held.
    pub(crate) fn cool<'s>(
        &self,
        slots: impl Iterator<Item = &'s W>,
        id: u64,
        cools: &W,
    ) -> Option<Released>
    where
        W: 's,
    {
        if !self.clear(HOT).has(HOT) {
            return None;
        }
        cools.fetch_add(1);
        let mut released = None;
        for slot in slots {
            if slot.load_acquire() == id && slot.compare_exchange(id, 0).is_ok() {
                released = Some(self.release());
            }
        }
        released
    }

    /// Ends a hold, and kills the buffer with it if it was the last and no flag of `refuse` is set.
    ///
    /// For buffers that must not stay: after an error, a forget, or from the emergency reserves.
    /// One exchange decides: were it a try to kill and then a release, two last holders could each
    /// leave the killing to the other.
    pub(crate) fn release_and_kill(&self, refuse: u64) -> Released {
        self.end_hold(0, |word| word & (DEAD | refuse) == 0)
    }

    /// Ends a hold. One that is not the last sets the flag `hot`.
    #[inline]
    fn end_hold(&self, hot: u64, kills: impl Fn(u64) -> bool) -> Released {
        let old = update(&self.0, |word| {
            let left = word.checked_sub(ONE_HOLD)?;
            Some(match Snapshot(left).holds() {
                0 if kills(left) => left & !WAITED | DEAD,
                0 => left & !WAITED,
                _ if left & UNPARKABLE == 0 => left | hot,
                _ => left,
            })
        });
        let Ok(old) = old.map(Snapshot) else {
            return Released::NotHeld;
        };
        let (was, wake) = (old.without_holds(), old.has(WAITED));
        match old.holds() {
            1 if kills(was.0) => Released::Killed { was, wake },
            1 => Released::Last { was, wake },
            _ => Released::Shared,
        }
    }

    /// Kills a buffer that nobody holds and that has no flag of `refuse`.
    ///
    /// On success the caller alone owns the buffer, and sees all that former holders did to it.
    /// Otherwise returns what stood against it.
    pub(crate) fn try_kill(&self, refuse: u64) -> Result<Snapshot, Snapshot> {
        update(&self.0, |word| {
            let idle = Snapshot(word).holds() == 0 && word & (DEAD | refuse) == 0;
            idle.then_some(word | DEAD)
        })
        .map(Snapshot)
        .map_err(Snapshot)
    }

    /// Visits a buffer that is not hot: clears the reference bit, or kills the buffer if it was clear.
    pub(crate) fn visit(&self, refuse: u64) -> Visit {
        if self.clear(REFERENCED).has(REFERENCED) {
            Visit::Used
        } else if self.try_kill(refuse).is_ok() {
            Visit::Killed
        } else {
            Visit::Busy
        }
    }

    /// Gives a buffer that the caller killed a new life with one hold and `flags`.
    ///
    /// The new block number must be in place before. Returns false if the buffer was not dead.
    pub(crate) fn revive(&self, flags: u64) -> bool {
        update(&self.0, |word| {
            (word & DEAD != 0).then_some(ONE_HOLD | flags & FLAGS & !DEAD)
        })
        .is_ok()
    }

    /// Performs `change` if it applies. On success says whether to wake who sleeps on this buffer;
    /// otherwise returns what stood against it.
    pub(crate) fn change(&self, change: Change) -> Result<bool, Snapshot> {
        // An end of I/O is what sleepers wait for; nothing else that is changed here is.
        let wakes = change.clear & IO != 0;
        let clear = if wakes {
            change.clear | WAITED
        } else {
            change.clear
        };
        update(&self.0, |word| {
            let applies = word & change.need == change.need && word & change.refuse == 0;
            applies.then_some(word & !clear | change.set)
        })
        .map(|old| wakes && old & WAITED != 0)
        .map_err(Snapshot)
    }

    /// Performs `change` if it applies, and ends a hold with it: who sees that a transfer has ended does
    /// not meet the transfer's hold, which would stand against a forget. Otherwise changes nothing.
    pub(crate) fn finish(&self, change: Change) -> Option<Finished> {
        let wakes = change.clear & IO != 0;
        let clear = if wakes {
            change.clear | WAITED
        } else {
            change.clear
        };
        let finished = |word: u64| {
            let applies = word & change.need == change.need && word & change.refuse == 0;
            let left = (applies.then_some(word)? & !clear | change.set).checked_sub(ONE_HOLD)?;
            Some(match Snapshot(left).holds() {
                0 => left & !WAITED,
                _ => left,
            })
        };
        let old = update(&self.0, finished).ok()?;
        let left = Snapshot(finished(old)?);
        Some(Finished {
            last: (left.holds() == 0).then_some(left),
            wake: old & WAITED != 0 && left.0 & WAITED == 0,
        })
    }

    /// Sets `flags` and returns the value before.
    pub(crate) fn set(&self, flags: u64) -> Snapshot {
        self.alter(|word| word | (flags & FLAGS))
    }

    /// Clears `flags` and returns the value before.
    pub(crate) fn clear(&self, flags: u64) -> Snapshot {
        self.alter(|word| word & !(flags & FLAGS))
    }

    /// Marks the buffer dirty, after its range was merged, and says whether it was clean before.
    ///
    /// Writes nothing if it is dirty already.
    pub(crate) fn set_dirty(&self) -> bool {
        !self.set(DIRTY).has(DIRTY)
    }

    /// Asks for a wake-up at the next end of I/O or of the last hold, if `blocked` by the present
    /// value. Returns false, and asks for nothing, if not.
    ///
    /// After true the caller sleeps until [`WAITED`] is clear, and asks again. Asking only when
    /// blocked matters: a flag left behind by one that does not sleep would keep others asleep for
    /// nothing.
    pub(crate) fn ask_wake(&self, blocked: impl Fn(Snapshot) -> bool) -> bool {
        update(&self.0, |word| {
            blocked(Snapshot(word)).then_some(word | WAITED)
        })
        .is_ok()
    }

    fn alter(&self, f: impl Fn(u64) -> u64) -> Snapshot {
        match update(&self.0, |word| Some(f(word)).filter(|&new| new != word)) {
            Ok(old) | Err(old) => Snapshot(old),
        }
    }
}

/// How many threads sleep until any buffer of a client can be evicted.
///
/// A waiter queues up, enters, tries every buffer once more, sleeps if all failed, and leaves. Who
/// makes a buffer evictable does that first and asks [`Waiters::any`] after. Both sides are fully
/// ordered, so at least one sees the other.
#[derive(Debug)]
pub(crate) struct Waiters<W>(W);

impl<W: Word> Waiters<W> {
    /// Makes a counter of a word that is zero.
    pub(crate) const fn new(word: W) -> Self {
        Self(word)
    }

    /// Counts the caller in.
    pub(crate) fn enter(&self) {
        self.0.fetch_add(1);
    }

    /// Counts the caller out.
    pub(crate) fn leave(&self) {
        self.0.fetch_add(u64::MAX);
    }

    /// Whether somebody must be woken.
    pub(crate) fn any(&self) -> bool {
        self.0.load_acquire() != 0
    }
}
