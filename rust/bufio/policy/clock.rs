// SPDX-License-Identifier: GPL-2.0

//! Replacement: which buffer goes when one must.
//!
//! Two first-in-first-out queues, one bit in each buffer, and a table of what went recently. A new
//! buffer enters probation, a fifth of the client's buffers. When it gets to the end of probation
//! it is evicted, unless it was used again: then it moves to the main queue, which is a clock. So a
//! scan passes through probation and leaves the rest alone. A buffer that comes back while the
//! table remembers it enters the main queue at once: without that, a working set that moves would
//! have to be used twice within the short stay in probation. The shape is that of S3-FIFO (Yang et
//! al., SOSP 2023); the table is direct-mapped instead of a queue, so that it takes four bytes for
//! two buffers and no allocation.
//!
//! `selftests/host` compares hit ratios with dm-bufio's clock and with LRU.

use crate::kapi::rcu_table::hold::Visit;
use core::cell::Cell;

/// Probation gets one in this many buffers.
const PROBATION_SHARE: usize = 5;

/// The queues of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Of buffers that have been used once.
    Probation,
    /// Of buffers that have been used again.
    Main,
}

/// The two queues, as the owner of the lists gives them. All under the client lock.
pub(crate) trait Queues {
    /// A buffer that is in no queue.
    type Entry;

    /// Returns the number of buffers in `queue`.
    fn len(&self, queue: Queue) -> usize;

    /// Removes the oldest buffer of `queue`.
    fn pop_oldest(&mut self, queue: Queue) -> Option<Self::Entry>;

    /// Adds a buffer to `queue` as the newest.
    fn push_newest(&mut self, queue: Queue, entry: Self::Entry);

    /// Visits a buffer, see [`State::visit`](crate::kapi::rcu_table::hold::State::visit).
    fn visit(&mut self, entry: &Self::Entry) -> Visit;
}

/// What a [`Search`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evicted<E> {
    /// The buffer, dead and in no queue.
    pub(crate) entry: E,
    /// The queue that it was in. What goes from [`Queue::Probation`] is to be
    /// [`Ghosts::remember`]ed.
    pub(crate) from: Queue,
}

/// A search for the next buffer to go.
///
/// The value lives as long as the search, also where the lock is dropped in between: a search that
/// started anew each time could meet the same busy buffers of probation for ever, and never come to
/// the main queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    probation_left: usize,
    main_left: usize,
}

impl Search {
    /// Begins a search.
    pub(crate) fn new<Q: Queues>(queues: &Q) -> Self {
        let probation_left = queues.len(Queue::Probation);
        Self {
            probation_left,
            main_left: queues
                .len(Queue::Main)
                .saturating_mul(2)
                .saturating_add(probation_left),
        }
    }

    /// Whether there is nothing left to visit.
    pub(crate) fn is_over(&self) -> bool {
        self.probation_left == 0 && self.main_left == 0
    }

    /// Takes the next buffer to go, or [`None`] after `max_visits` visits or if the search is over.
    ///
    /// Busy ones go to the end of their queue. If any buffer is idle and stays so, it is found
    /// within three visits for each buffer: to leave probation, to lose its bit in the main queue,
    /// and to be taken.
    pub(crate) fn run<Q: Queues>(
        &mut self,
        queues: &mut Q,
        max_visits: usize,
    ) -> Option<Evicted<Q::Entry>> {
        for _ in 0..max_visits {
            let from = self.turn(queues)?;
            // Others may have emptied the queue; then the visits left of it run down.
            if let Some(entry) = queues.pop_oldest(from) {
                match queues.visit(&entry) {
                    Visit::Killed => return Some(Evicted { entry, from }),
                    Visit::Used => queues.push_newest(Queue::Main, entry),
                    Visit::Busy => queues.push_newest(from, entry),
                }
            }
            if from == Queue::Probation && self.probation_left == 0 {
                // What was promoted after the last visit to the main queue was not tried there.
                self.main_left = self.main_left.max(queues.len(Queue::Main));
            }
        }
        None
    }

    /// Says which queue is visited next, and counts the visit.
    fn turn<Q: Queues>(&mut self, queues: &Q) -> Option<Queue> {
        let probation = queues.len(Queue::Probation);
        let main = queues.len(Queue::Main);
        let share = probation
            .saturating_add(main)
            .checked_div(PROBATION_SHARE)
            .unwrap_or(0);
        let prefer_probation = probation > share || main == 0 || self.main_left == 0;
        if self.probation_left > 0 && prefer_probation {
            self.probation_left = self.probation_left.saturating_sub(1);
            Some(Queue::Probation)
        } else if self.main_left > 0 {
            self.main_left = self.main_left.saturating_sub(1);
            Some(Queue::Main)
        } else {
            None
        }
    }
}

/// Searches once, for as long as it takes or `max_visits` visits.
pub(crate) fn evict<Q: Queues>(queues: &mut Q, max_visits: usize) -> Option<Evicted<Q::Entry>> {
    Search::new(queues).run(queues, max_visits)
}

/// A table of blocks that left probation not long ago.
///
/// It may forget, and mistakes one block for another once in about 2^15 lookups; both cost a place
/// in the wrong queue and no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ghosts<'a>(&'a [Cell<u16>]);

impl<'a> Ghosts<'a> {
    /// Makes the table of slots that are zero at first. None at all is legal: then nothing is
    /// remembered.
    pub(crate) const fn new(slots: &'a [Cell<u16>]) -> Self {
        Self(slots)
    }

    /// Returns how many slots suit a client of `buffers` buffers: half as many. More slots keep
    /// stale blocks, which then take the place of live ones in the main queue.
    pub(crate) const fn slots_for(buffers: usize) -> usize {
        buffers >> 1
    }

    /// Remembers a block that was evicted from probation.
    pub(crate) fn remember(&self, block: u64) {
        if let Some((slot, tag)) = self.locate(block) {
            slot.set(tag);
        }
    }

    /// Returns the queue that a new buffer of `block` enters.
    pub(crate) fn place(&self, block: u64) -> Queue {
        match self.locate(block) {
            Some((slot, tag)) if slot.get() == tag => {
                slot.set(0);
                Queue::Main
            }
            _ => Queue::Probation,
        }
    }

    /// Returns the slot of a block and what it holds if the block is remembered.
    fn locate(&self, block: u64) -> Option<(&Cell<u16>, u16)> {
        // Fibonacci hashing. The upper bits pick the slot, the lowest are the tag; zero is no tag.
        let hash = block.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = hash ^ hash >> 29;
        let scaled = u128::from(hash).saturating_mul(self.0.len() as u128) >> 64;
        let slot = self.0.get(usize::try_from(scaled).ok()?)?;
        Some((slot, u16::try_from(hash & u64::from(u16::MAX)).ok()? | 1))
    }
}
