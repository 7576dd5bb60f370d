// SPDX-License-Identifier: GPL-2.0

//! Buffers whose write has ended: out of the queue of writes, and out of the cache if they must not stay.

use super::{
    buffer::UNWANTED, client::LOCK_STEPS, Entry, Locked, Table, CLEAN, DIRTY, MAIN, WRITING,
};
use crate::kapi::rcu_table::hold::{self, UNCLEAN};
use kernel::sync::atomic::Relaxed;

/// Moves buffers whose write has ended out of the queue of writes, looking at some of the oldest.
///
/// The others keep their order, which who waits for all writes up to some number relies on. Returns
/// whether one of them was made dirty again meanwhile.
pub(crate) fn sweep(locked: &Locked<'_>) -> bool {
    sweep_from(locked, locked.first(WRITING), u64::MAX).again
}

/// What [`sweep_from`] did.
struct Swept<'l> {
    /// Whether a buffer was made dirty again during its write.
    again: bool,
    /// Whether one is clean, or gone.
    clean: bool,
    /// Where to go on.
    next: Option<&'l Entry>,
}

/// As [`sweep`], from a buffer of the queue on, up to the write with the number `last`.
fn sweep_from<'l>(locked: &'l Locked<'_>, mut next: Option<&'l Entry>, last: u64) -> Swept<'l> {
    let (mut again, mut clean) = (false, false);
    for _ in 0..LOCK_STEPS {
        next = next.filter(|buffer| buffer.meta().write_number.load(Relaxed) <= last);
        let Some(buffer) = next else {
            break;
        };
        next = locked.after(buffer);
        let now = buffer.snapshot();
        if now.has(hold::WRITING) {
            continue;
        }
        if now.has(UNWANTED) {
            // Who holds it throws it out.
            if let Some(owned) = locked.kill(buffer, UNCLEAN) {
                // Freeing neither sleeps nor takes a lock of ours.
                drop(locked.shared().give_back(locked, owned));
                clean = true;
                continue;
            }
        }
        let to = if now.has(hold::DIRTY) {
            again = true;
            DIRTY
        } else if now.has(hold::REFERENCED | hold::HOT) {
            MAIN
        } else {
            CLEAN
        };
        clean |= to != DIRTY;
        locked.move_to(buffer, to);
    }
    Swept { again, clean, next }
}

/// As [`sweep`], but looks at all writes that began before the call. Returns whether a buffer is clean, or
/// gone.
///
/// The lock is dropped after some of them. No hold keeps the place, which would stand against a forget: a
/// buffer is where it was if it has the same write number. One that lost its place meanwhile left the queue,
/// so to begin anew comes to an end: the writes that are looked at get fewer.
pub(crate) fn sweep_all(table: &Table) -> bool {
    let locked = table.lock();
    let last = table.shared.writes.load(Relaxed);
    let mut clean = false;
    let mut from = locked.first(WRITING);
    loop {
        let swept = sweep_from(&locked, from, last);
        clean |= swept.clean;
        let Some(next) = swept.next else {
            return clean;
        };
        let number = next.meta().write_number.load(Relaxed);
        locked.let_others();
        let stayed = locked.queue_of(next) == Some(WRITING)
            && next.meta().write_number.load(Relaxed) == number;
        from = if stayed {
            Some(next)
        } else {
            locked.first(WRITING)
        };
    }
}

/// As [`sweep_all`], if there is anything to find: an evictor that finds nothing clean calls it, as
/// [`sweep`] sees no further than some writes that are in flight.
pub(crate) fn sweep_behind(table: &Table) -> bool {
    table.shared.unswept(table) != 0 && sweep_all(table)
}

/// Makes the client's work call [`sweep_all`]. Any context.
pub(crate) fn want_sweep(table: &Table) {
    // Relaxed: queueing the work orders it.
    table.shared.sweep_wanted.store(true, Relaxed);
    table.schedule_now(&table.shared.global.queue);
}

/// What [`want_sweep`] asks for.
pub(crate) fn sweep_if_wanted(table: &Table) {
    if table.shared.sweep_wanted.xchg(false, Relaxed) {
        sweep_all(table);
    }
}
