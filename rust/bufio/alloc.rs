// SPDX-License-Identifier: GPL-2.0

//! Getting a buffer: the allocation ladder, and eviction.

use super::{
    buffer::Data,
    client::LOCK_STEPS,
    policy::{
        clock::{self, Queues, Search},
        ladder::{Ladder, Next, Outcome, Request, Step, StepScope},
        limits::Refused,
    },
    stats::Event,
    sweep, writeback, Entry, Locked, Owned, Table, CLEAN, MAIN,
};
use crate::{
    kapi::{
        block_mem::Memory,
        gfp::{self, Gfp},
        rcu_table::hold::{Visit, UNCLEAN},
        wait,
    },
    scope::{self, Kinds},
};
use kernel::{prelude::*, sync::Arc};

/// Blocks that a thread in need of a buffer writes at once.
const WRITE_BATCH: usize = 64;

/// After how long a thread looks whether the kernel has memory again, of which nothing tells it.
const RETRY_JIFFIES: usize = 250;

/// What a climb of the ladder ended with.
pub(crate) enum Got {
    /// A buffer, to be inserted.
    Buffer(Owned),
    /// The block is in the cache by now.
    Found,
    /// Nothing.
    GaveUp,
}

/// Gets a buffer for `block`. A [`Request::Demand`] sleeps until there is one.
pub(crate) fn climb(table: &Arc<Table>, block: u64, request: Request) -> Got {
    let mut ladder = Ladder::new(request);
    let mut refused = None;
    let mut waiting = None;
    loop {
        let step = ladder.step();
        table.shared.stats.step(step);
        let mut got = None;
        let (kinds, gfp) = match step.scope() {
            StepScope::Nowait => (Kinds::NOWAIT, Gfp::NOWAIT),
            // A caller that may use the reserves gets them here: see `docs/bufio.md`.
            StepScope::Noio => (Kinds::NOIO, Gfp::NOIO_ONCE),
        };
        // Also what allocates nothing itself: it calls the block layer, and the owner's callbacks.
        let mut perform = || match step {
            Step::Nowait | Step::Noio => match allocate(table, gfp) {
                Ok(owned) => {
                    got = Some(owned);
                    Outcome::Got
                }
                Err(Failed::Refused(by)) => {
                    refused = Some(by);
                    Outcome::NoRoom
                }
                Err(Failed::NoMemory) => Outcome::Failed,
            },
            Step::MakeRoom => {
                if make_room(table, refused.take()) > 0 {
                    Outcome::Freed
                } else {
                    Outcome::Failed
                }
            }
            Step::Reserve => {
                let outcome = taken(table.shared.take_reserve(&table.lock()), &mut got);
                if outcome == Outcome::Got {
                    // Which fills it up again.
                    table.schedule(&table.shared.global.queue, 0);
                }
                outcome
            }
            Step::EvictClean => taken(evict(table), &mut got),
            Step::EvictDirty => taken(evict_dirty(table), &mut got),
            Step::Wait => {
                wait_freed(table, &mut waiting);
                Outcome::Failed
            }
        };
        let outcome = scope::boundary(|cx| cx.with(kinds, |_| perform()));
        let outcome =
            if step.drops_lock() && !matches!(outcome, Outcome::Got) && table.contains(block) {
                Outcome::Found
            } else {
                outcome
            };
        match ladder.next(outcome) {
            Next::Try(_) => (),
            Next::Have(_) => match got {
                Some(owned) => return Got::Buffer(owned),
                None => return Got::GaveUp,
            },
            Next::Found => return Got::Found,
            Next::GiveUp => return Got::GaveUp,
        }
    }
}

fn taken(owned: Option<Owned>, got: &mut Option<Owned>) -> Outcome {
    *got = owned;
    if got.is_some() {
        Outcome::Got
    } else {
        Outcome::Failed
    }
}

enum Failed {
    Refused(Refused),
    NoMemory,
}

/// Charges a buffer and allocates it.
fn allocate(table: &Arc<Table>, gfp: Gfp) -> Result<Owned, Failed> {
    let shared = &table.shared;
    let bytes = shared.buffer_bytes();
    shared.admit(bytes).map_err(Failed::Refused)?;
    let memory = shared.pool.allocate(gfp);
    memory
        .and_then(|memory| build(table, memory, gfp))
        .ok_or_else(|| {
            shared.uncharge(bytes);
            Failed::NoMemory
        })
}

/// Makes a buffer that is charged of the memory of its data.
fn build(table: &Arc<Table>, memory: Memory, gfp: Gfp) -> Option<Owned> {
    let shared = &table.shared;
    match table.allocate(Data { memory }, gfp.no_reserves()) {
        Ok(owned) => {
            owned.meta().renew();
            shared.count_emergency(owned.data(), true);
            Some(owned)
        }
        Err(data) => {
            shared.pool.free(data.memory);
            None
        }
    }
}

/// Allocates a buffer for the reserve, whatever the limits. May sleep and reclaim.
///
/// Also where memory is too fragmented for adjacent pages: the reserve is what is there then.
pub(crate) fn for_reserve(table: &Arc<Table>) -> Option<Owned> {
    let shared = &table.shared;
    let bytes = shared.buffer_bytes();
    shared.force(bytes);
    let gfp = gfp::current(Gfp::KERNEL);
    let memory = shared.pool.allocate_anyhow(gfp);
    let owned = memory.and_then(|memory| build(table, memory, gfp));
    if owned.is_none() {
        shared.uncharge(bytes);
    }
    owned
}

/// Fills the reserve up from what is cached.
pub(crate) fn refill_reserve(table: &Table) {
    let shared = &table.shared;
    for _ in 0..shared.reserve_owed() {
        let Some(owned) = evict(table) else {
            return;
        };
        give_back(table, owned);
    }
}

/// Puts a buffer that left the cache into the reserve if that lacks one, and frees it otherwise. Returns
/// whether it was freed.
pub(crate) fn give_back(table: &Table, owned: Owned) -> bool {
    let spare = table.shared.give_back(&table.lock(), owned);
    spare.is_some()
}

/// Evicts clean buffers so that a charge that was refused may pass. Returns the bytes.
fn make_room(table: &Table, refused: Option<Refused>) -> u64 {
    match refused {
        Some(Refused::Client { short_bytes }) => evict_bytes(table, short_bytes),
        Some(Refused::Global { short_bytes }) => table.shared.global.make_room(short_bytes),
        None => 0,
    }
}

/// The queues of a table, for the replacement policy.
struct Hand<'l, 't>(&'l Locked<'t>);

pub(crate) const fn queue(queue: clock::Queue) -> usize {
    match queue {
        clock::Queue::Probation => CLEAN,
        clock::Queue::Main => MAIN,
    }
}

impl<'l> Queues for Hand<'l, '_> {
    type Entry = &'l Entry;

    fn len(&self, from: clock::Queue) -> usize {
        self.0.len(queue(from))
    }

    // The buffer stays where it is until it is pushed or taken: each is done with what is popped.
    fn pop_oldest(&mut self, from: clock::Queue) -> Option<&'l Entry> {
        self.0.first(queue(from))
    }

    fn push_newest(&mut self, to: clock::Queue, buffer: &'l Entry) {
        self.0.move_to(buffer, queue(to));
    }

    fn visit(&mut self, buffer: &&'l Entry) -> Visit {
        self.0.visit(buffer, UNCLEAN)
    }
}

/// Takes the next clean buffer to go.
fn evict_locked(locked: &Locked<'_>, search: &mut Option<Search>) -> Option<Owned> {
    sweep::sweep(locked);
    let mut hand = Hand(locked);
    let search = search.get_or_insert_with(|| Search::new(&hand));
    let evicted = search.run(&mut hand, LOCK_STEPS)?;
    let owned = locked.take_dead(evicted.entry)?;
    if evicted.from == clock::Queue::Probation {
        owned.table().shared.ghosts.remember(owned.key());
    }
    Some(owned)
}

/// Takes over a clean buffer of this client, wherever it is.
fn evict(table: &Table) -> Option<Owned> {
    loop {
        if let Some(owned) = evict_swept(table) {
            table.shared.stats.inc(Event::Evict);
            owned.meta().renew();
            return Some(owned);
        }
        if !sweep::sweep_behind(table) {
            return None;
        }
    }
}

/// As [`evict`], but not of those behind many writes in flight.
fn evict_swept(table: &Table) -> Option<Owned> {
    // The lock is dropped after some visits, so that others get it.
    let mut search = None;
    loop {
        let owned = evict_locked(&table.lock(), &mut search);
        if owned.is_some() {
            return owned;
        }
        if search.is_none_or(|search| search.is_over()) {
            return None;
        }
    }
}

/// Evicts clean buffers of a client until at least `bytes` are free, as far as there are. Returns the
/// bytes.
pub(crate) fn evict_bytes(table: &Table, bytes: u64) -> u64 {
    let each = table.shared.buffer_bytes();
    let mut freed = 0u64;
    while freed < bytes {
        let Some(owned) = evict(table) else {
            break;
        };
        if give_back(table, owned) {
            freed = freed.saturating_add(each);
        }
    }
    freed
}

/// Evicts up to `buffers` clean buffers for the shrinker, if the lock is free. Returns how many.
pub(crate) fn try_evict(table: &Table, buffers: usize) -> Option<usize> {
    let mut freed = 0usize;
    while freed < buffers {
        let Some(locked) = table.try_lock() else {
            return (freed > 0).then_some(freed);
        };
        let Some(owned) = evict_locked(&locked, &mut None) else {
            if table.shared.unswept(table) != 0 {
                sweep::want_sweep(table);
            }
            break;
        };
        let spare = table.shared.give_back(&locked, owned);
        drop(locked);
        freed = freed.saturating_add(usize::from(spare.is_some()));
    }
    Some(freed)
}

/// Writes dirty buffers of this client, and takes one over if one is clean by then.
fn evict_dirty(table: &Table) -> Option<Owned> {
    writeback::write_some(table, WRITE_BATCH);
    evict(table)
}

/// Sleeps until a buffer may be free.
///
/// `waiting` carries what was seen before the last attempt: what comes after is not missed.
fn wait_freed<'t>(table: &'t Table, waiting: &mut Option<Waiting<'t>>) {
    match waiting {
        None => *waiting = Some(Waiting::new(table)),
        Some(waiting) => waiting.sleep(),
    }
}

/// A thread that waits for a buffer.
struct Waiting<'t> {
    table: &'t Table,
    seen: u64,
}

impl<'t> Waiting<'t> {
    fn new(table: &'t Table) -> Self {
        table.shared.global.waiters.enter();
        Self {
            table,
            seen: table.shared.global.freed.value(),
        }
    }

    fn sleep(&mut self) {
        let shared = &self.table.shared;
        let start = wait::now_ns();
        shared.global.freed.wait_changed(self.seen, RETRY_JIFFIES);
        self.seen = shared.global.freed.value();
        let slept = wait::now_ns().saturating_sub(start);
        shared.stats.add(Event::WaitNs, slept);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.table.shared.global.waiters.leave();
    }
}
