// SPDX-License-Identifier: GPL-2.0

//! The replacement hand: what it takes, what it leaves, and that it ends. `hit_ratio` says how good
//! it is.

use crate::kapi::rcu_table::hold::{self, State, Visit};
use crate::policy::clock::{evict, Ghosts, Queue, Queues, Search};
use crate::words::Plain;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;

/// A cache of numbered buffers.
pub(crate) struct Lists {
    pub(crate) probation: VecDeque<usize>,
    pub(crate) main: VecDeque<usize>,
    pub(crate) states: Vec<State<Plain>>,
    pub(crate) visits: usize,
}

impl Lists {
    fn list(&mut self, queue: Queue) -> &mut VecDeque<usize> {
        match queue {
            Queue::Probation => &mut self.probation,
            Queue::Main => &mut self.main,
        }
    }
}

impl Queues for Lists {
    type Entry = usize;

    fn len(&self, queue: Queue) -> usize {
        match queue {
            Queue::Probation => self.probation.len(),
            Queue::Main => self.main.len(),
        }
    }

    fn pop_oldest(&mut self, queue: Queue) -> Option<usize> {
        self.list(queue).pop_front()
    }

    fn push_newest(&mut self, queue: Queue, entry: usize) {
        self.list(queue).push_back(entry);
    }

    fn visit(&mut self, entry: &usize) -> Visit {
        self.visits += 1;
        self.states[*entry].visit(hold::UNCLEAN)
    }
}

#[derive(Clone, Debug)]
struct Buffer {
    queue: bool,
    referenced: bool,
    busy: u8,
}

impl Buffer {
    fn is_busy(&self) -> bool {
        self.busy < 4
    }
}

fn buffers() -> impl Strategy<Value = Vec<Buffer>> {
    // Mostly busy ones, so that lists without anything to take come up often.
    let buffer =
        (any::<bool>(), any::<bool>(), 0..5u8).prop_map(|(queue, referenced, busy)| Buffer {
            queue,
            referenced,
            busy,
        });
    proptest::collection::vec(buffer, 0..12)
}

fn lists(buffers: &[Buffer]) -> Lists {
    let mut lists = Lists {
        probation: VecDeque::new(),
        main: VecDeque::new(),
        states: Vec::new(),
        visits: 0,
    };
    for (i, b) in buffers.iter().enumerate() {
        let state = State::new(Plain::default());
        match b.busy {
            0 => assert!(state.try_pin()),
            1 => assert!(state.set_dirty()),
            2 => drop(state.set(hold::READING)),
            3 => drop(state.set(hold::WRITING)),
            _ => (),
        }
        if b.referenced {
            state.set(hold::REFERENCED);
        }
        lists.states.push(state);
        lists
            .list(if b.queue {
                Queue::Main
            } else {
                Queue::Probation
            })
            .push_back(i);
    }
    lists
}

proptest! {
    /// Rules: exactly the idle buffers are taken, all of them; the hand ends after three visits to
    /// each; nothing is lost; an unused one goes before a used one of its queue.
    #[test]
    fn takes_all_that_is_idle_and_nothing_else(buffers in buffers()) {
        let mut lists = lists(&buffers);
        let mut taken = Vec::new();
        loop {
            let present = lists.probation.len() + lists.main.len();
            lists.visits = 0;
            let next = evict(&mut lists, usize::MAX);
            prop_assert!(lists.visits <= 3 * present, "{} visits of {}", lists.visits, present);
            let Some(next) = next else { break };
            prop_assert!(lists.states[next.entry].snapshot().has(hold::DEAD));
            taken.push(next.entry);
        }
        for (i, b) in buffers.iter().enumerate() {
            let left = lists.probation.iter().chain(&lists.main).filter(|&&e| e == i).count();
            prop_assert_eq!(taken.iter().filter(|&&e| e == i).count(), usize::from(!b.is_busy()));
            prop_assert_eq!(left, usize::from(b.is_busy()));
        }
    }

    /// Rule: a search in portions, as by a thread that drops the lock in between, finds what one in
    /// one go finds, and ends, though others take buffers away meanwhile.
    #[test]
    fn portions_find_what_one_go_finds(
        buffers in buffers(), portion in 1..4usize, stolen in proptest::option::of(0..12usize),
    ) {
        let mut lists = lists(&buffers);
        let mut search = Search::new(&lists);
        if let Some(i) = stolen {
            lists.probation.retain(|&e| e != i);
            lists.main.retain(|&e| e != i);
        }
        let idle = (0..buffers.len()).any(|i| Some(i) != stolen && !buffers[i].is_busy());
        let mut found = None;
        let mut calls = 0;
        while found.is_none() && !search.is_over() {
            found = search.run(&mut lists, portion);
            calls += 1;
            prop_assert!(calls <= 4 * buffers.len() + 4, "no end");
        }
        prop_assert_eq!(found.is_some(), idle);
    }

    /// Rule: a bound on visits is kept, and giving up loses nothing.
    #[test]
    fn bound_is_kept(buffers in buffers(), max in 0..8usize) {
        let mut lists = lists(&buffers);
        let taken = evict(&mut lists, max);
        prop_assert!(lists.visits <= max);
        let left = lists.probation.len() + lists.main.len();
        prop_assert_eq!(left + usize::from(taken.is_some()), buffers.len());
    }

    /// Rule: a table remembers the last block of each slot, once, and only what it was told.
    #[test]
    fn ghosts_remember_once(
        slots in 0..64usize, blocks in proptest::collection::vec(any::<u64>(), 1..40),
    ) {
        let memory = vec![Cell::new(0); slots];
        let ghosts = Ghosts::new(&memory[..]);
        for &b in &blocks {
            prop_assert_eq!(ghosts.place(b), Queue::Probation, "never told");
            ghosts.remember(b);
            let expected = if slots == 0 { Queue::Probation } else { Queue::Main };
            prop_assert_eq!(ghosts.place(b), expected);
            prop_assert_eq!(ghosts.place(b), Queue::Probation, "told once");
        }
    }
}

/// Rule: probation goes first while it has more than its share, the main queue when it has less.
#[test]
fn queues_keep_their_share() {
    let idle = |queue| Buffer {
        queue,
        referenced: false,
        busy: 9,
    };
    let of = |probation: usize, main: usize| {
        let mut all = vec![idle(false); probation];
        all.extend(vec![idle(true); main]);
        evict(&mut lists(&all), usize::MAX).map(|e| e.from)
    };
    assert_eq!(of(0, 0), None);
    assert_eq!(of(21, 79), Some(Queue::Probation));
    assert_eq!(of(20, 80), Some(Queue::Main));
    assert_eq!(of(0, 1), Some(Queue::Main));
    assert_eq!(of(1, 0), Some(Queue::Probation));
}

/// Rule: a second use in probation leads to the main queue, and the first use of a prefetched
/// buffer is none.
#[test]
fn use_promotes_and_prefetch_does_not_count() {
    let mut lists = lists(&vec![
        Buffer {
            queue: false,
            referenced: false,
            busy: 9
        };
        3
    ]);
    lists.states[1].set(hold::PREFETCHED);
    assert!(lists.states[0].try_hold(0).is_ok());
    assert!(lists.states[1].try_hold(0).is_ok());
    lists.states[0].release();
    lists.states[1].release();
    let first = evict(&mut lists, usize::MAX).unwrap();
    assert_eq!((first.entry, first.from), (1, Queue::Probation));
    assert_eq!(lists.main, [0]);
}

/// Rule: a busy buffer keeps its queue. Being held once is no second use.
#[test]
fn busy_buffers_stay_in_their_queue() {
    let busy = |queue| Buffer {
        queue,
        referenced: false,
        busy: 0,
    };
    let mut lists = lists(&[busy(false), busy(true)]);
    assert_eq!(evict(&mut lists, usize::MAX), None);
    assert_eq!((&lists.probation, &lists.main), (&[0].into(), &[1].into()));
}

/// Rule: neighbouring blocks spread over the table, so that a scan does not wipe one corner of it.
#[test]
fn ghosts_spread() {
    let memory = vec![Cell::new(0); 1024];
    let ghosts = Ghosts::new(&memory[..]);
    (0..1024).for_each(|b| ghosts.remember(b));
    let kept = (0..1024)
        .filter(|&b| ghosts.place(b) == Queue::Main)
        .count();
    // Random placement keeps 1 - 1/e of them.
    assert!(kept > 600, "{kept}");
    assert_eq!(Ghosts::slots_for(1000), 500);
}
