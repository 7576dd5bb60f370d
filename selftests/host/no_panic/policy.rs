// SPDX-License-Identifier: GPL-2.0

//! Calls all of the policy files with values that the compiler cannot know.

#![no_std]

#[path = "../../../rust/bufio"]
mod bufio {
    pub(crate) mod policy;
}
#[path = "../../../rust/kapi"]
mod kapi {
    pub(crate) mod rcu_table {
        pub(crate) mod hold;
    }
    pub(crate) mod word;
}

use bufio::policy::{
    clock::{self, Queue, Queues},
    dirty::{self, Range},
    ladder::{self, Next, Outcome},
    limits, merge,
    writeback::{self, AfterFailure},
};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use kapi::{
    rcu_table::hold::{self, Change, Released, State, Visit},
    word::Word,
};

pub(crate) struct Atomic(AtomicU64);

impl Word for Atomic {
    fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::Relaxed)
            .map(|_| ())
    }

    fn fetch_add(&self, delta: u64) -> u64 {
        self.0.fetch_add(delta, Ordering::SeqCst)
    }

    fn swap(&self, new: u64) -> u64 {
        self.0.swap(new, Ordering::SeqCst)
    }
}

type Buffer = State<Atomic>;

/// Lists whose code is elsewhere.
pub(crate) trait Lists {
    fn len(&self, main: bool) -> usize;
    fn pop(&mut self, main: bool) -> Option<u64>;
    fn push(&mut self, main: bool, entry: u64);
    fn buffer(&self, entry: u64) -> &Buffer;
}

struct Hand<'a>(&'a mut dyn Lists);

impl Queues for Hand<'_> {
    type Entry = u64;

    fn len(&self, queue: Queue) -> usize {
        self.0.len(queue == Queue::Main)
    }

    fn pop_oldest(&mut self, queue: Queue) -> Option<u64> {
        self.0.pop(queue == Queue::Main)
    }

    fn push_newest(&mut self, queue: Queue, entry: u64) {
        self.0.push(queue == Queue::Main, entry);
    }

    fn visit(&mut self, entry: &u64) -> Visit {
        self.0.buffer(*entry).visit(hold::UNCLEAN)
    }
}

#[no_mangle]
pub(crate) fn calls_clock(lists: &mut dyn Lists, slots: &[Cell<u16>], n: u64, max: usize) -> u64 {
    let mut hand = Hand(lists);
    let mut search = clock::Search::new(&hand);
    let found = search.run(&mut hand, max).map_or(0, |e| e.entry);
    let again = clock::evict(&mut hand, max).map_or(0, |e| e.entry);
    let ghosts = clock::Ghosts::new(slots);
    ghosts.remember(n);
    let main = ghosts.place(n ^ found) == Queue::Main;
    let slots = clock::Ghosts::slots_for(max) as u64;
    again ^ slots ^ u64::from(main) ^ u64::from(search.is_over())
}

#[no_mangle]
pub(crate) fn calls_dirty(dirty: &dirty::Dirty<Atomic>, n: [u32; 5]) -> u64 {
    let [start, end, block, align, phase] = n;
    if let Some(range) = Range::new(start, end, block) {
        dirty.mark(range);
        dirty.mark(range.widen(align, phase, block));
    }
    let taken = dirty.take().map_or(0, Range::bytes);
    let seen = dirty.peek().map_or((0, 0), |r| (r.start(), r.end()));
    u64::from(taken ^ seen.0 ^ seen.1 ^ dirty::write_align(align))
}

#[no_mangle]
pub(crate) fn calls_hold(s: &Buffer, w: &hold::Waiters<Atomic>, n: [u64; 4]) -> u64 {
    let [need, refuse, clear, set] = n;
    let change = Change {
        need,
        refuse,
        clear,
        set,
    };
    let mut sum = u64::from(s.change(change).is_ok());
    sum ^= s.try_hold(refuse).map_or(1, |s| s.holds());
    sum ^= s.try_kill(refuse).map_or(2, |s| s.holds());
    for released in [s.release(), s.release_and_kill(refuse)] {
        sum ^= match released {
            Released::Last { was, wake } | Released::Killed { was, wake } => {
                u64::from(was.has(set) ^ wake)
            }
            Released::Shared | Released::NotHeld => 4,
        };
    }
    w.enter();
    w.leave();
    let slot = s.word();
    sum ^= u64::from(s.hold_hot(slot, need, refuse).is_ok()) << 2;
    sum ^= u64::from(s.try_release().is_some() ^ s.park(slot, need, slot, || w.any()));
    let beside = s.release_beside(slot, need, slot, || w.any());
    sum ^= u64::from(beside == hold::Released::Shared);
    sum ^= u64::from(s.cool([slot].into_iter(), need, slot).is_some());
    let flags = [
        s.try_pin(),
        s.revive(set),
        s.set_dirty(),
        s.ask_wake(|now| now.has(refuse)),
        s.set(set).has(clear),
        s.clear(clear).has(set),
        s.snapshot().has(need),
        w.any(),
    ];
    flags
        .into_iter()
        .fold(sum, |sum, f| sum << 1 | u64::from(f))
}

#[no_mangle]
pub(crate) fn calls_ladder(l: &mut ladder::Ladder, n: u64) -> u64 {
    let outcome = match n & 7 {
        0 => Outcome::Got,
        1 => Outcome::Failed,
        2 => Outcome::NoRoom,
        3 => Outcome::Freed,
        _ => Outcome::Found,
    };
    let next = match l.next(outcome) {
        Next::Try(step) | Next::Have(step) => step.index() ^ step.name().len(),
        Next::Found | Next::GiveUp => 0,
    };
    next as u64 ^ u64::from(l.step().drops_lock()) ^ ladder::ahead(n, n >> 8, n >> 16)
}

#[no_mangle]
pub(crate) fn calls_limits(
    global: &limits::Usage<Atomic>,
    client: &limits::Usage<Atomic>,
    clients: &[limits::Client],
    n: [u64; 4],
    sizes: [usize; 3],
) -> u64 {
    let bytes = limits::buffer_bytes(sizes[0], sizes[1], sizes[2]).unwrap_or(n[0]);
    let admitted = limits::admit(global, n[1], client, n[2], bytes).is_ok();
    global.force(n[3]);
    let given = client.uncharge(n[3]);
    let victim = limits::choose(clients.iter().copied(), n[0]).map_or(0, |v| v.bytes);
    let shrink: u64 = clients
        .first()
        .map_or(0, |c| limits::shrinkable_bytes(c, n[1]));
    let other = limits::batch_bytes(n[0], n[1]) ^ limits::default_limit_bytes(n[2], n[3]);
    victim ^ shrink ^ other ^ global.bytes() ^ u64::from(admitted ^ given)
}

#[no_mangle]
pub(crate) fn calls_merge(pieces: &[merge::Piece], n: [usize; 4]) -> u64 {
    let capacity = merge::Capacity::new(n[0] as u32, n[1], n[2], n[3]);
    let mut run = merge::Run::new(capacity.whole(n[0] as u64), capacity.alone());
    let mut sum = capacity.blocks();
    for &piece in pieces {
        sum ^= usize::from(run.push_after(piece)) ^ usize::from(run.push_before(piece));
        sum ^= usize::from(run.joins_after(piece)) ^ run.blocks();
        run = merge::Run::new(piece, capacity);
    }
    let next = run.block_after().unwrap_or(1) ^ run.block_before().unwrap_or(2);
    sum as u64 ^ next ^ run.first().block ^ run.last().block
}

#[no_mangle]
pub(crate) fn calls_writeback(
    failures: &mut writeback::Failures,
    retries: &writeback::Retries,
    latch: &writeback::ErrorLatch<Atomic>,
    n: [usize; 2],
    ages: [Option<u64>; 2],
) -> u64 {
    let plan = writeback::plan(n[0], n[1], ages[0], ages[1].unwrap_or(0));
    let after = match failures.count(retries) {
        AfterFailure::Again { ticks } => ticks,
        AfterFailure::Keep => 1,
        AfterFailure::Drop => 2,
    };
    let given_up = failures.given_up(retries);
    failures.reset();
    latch.record(plan.blocks as u32);
    let error = u64::from(latch.take().unwrap_or(0));
    error ^ after ^ plan.again_ticks.unwrap_or(0) ^ u64::from(given_up ^ plan.aged)
}
