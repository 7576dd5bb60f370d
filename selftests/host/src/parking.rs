// SPDX-License-Identifier: GPL-2.0

//! Parked holds: against a plain model in one thread, and every interleaving of a few.

use crate::kapi::{
    rcu_table::hold::{self, Change, NotHeld, Released, State, Visit, Waiters},
    word::Word,
};
use crate::model::check;
use crate::words::{Loom, Plain};
use loom::{sync::Arc, thread};
use proptest::prelude::*;

/// What names the buffer in its slots.
const ID: u64 = 7;

/// A live buffer with one hold, and a slot on each of two CPUs.
struct Buffer<W> {
    state: State<W>,
    slots: [W; 2],
    cools: W,
}

impl<W: Word> Buffer<W> {
    fn new(word: impl Fn(u64) -> W) -> Self {
        let buffer = Self {
            state: State::new(word(hold::DEAD)),
            slots: [word(0), word(0)],
            cools: word(0),
        };
        assert!(buffer.state.revive(0));
        buffer
    }

    /// As [`Self::new`], hot and unheld.
    fn hot(word: impl Fn(u64) -> W) -> Self {
        let buffer = Self::new(word);
        assert!(buffer.get(0));
        assert_eq!(buffer.state.try_release(), Some(Released::Shared));
        assert!(buffer.state.snapshot().has(hold::HOT));
        buffer.state.release();
        buffer
    }

    /// What a lookup on a CPU does.
    fn get(&self, cpu: usize) -> bool {
        match self.state.try_hold(0) {
            Err(NotHeld::Hot) => self.state.hold_hot(&self.slots[cpu], ID, 0).is_ok(),
            held => held.is_ok(),
        }
    }

    /// What a release on a CPU does. What it ended, if it did not park.
    fn release(&self, cpu: usize, awaited: impl Fn() -> bool) -> Option<Released> {
        let (slot, cools) = (&self.slots[cpu], &self.cools);
        match self.state.try_release() {
            Some(released) => Some(released),
            None if self.state.park(slot, ID, cools, &awaited) => None,
            None => Some(self.state.release_beside(slot, ID, cools, awaited)),
        }
    }

    /// As [`Self::release`], of a hold that there is. Whether the buffer became unheld.
    fn put(&self, cpu: usize, awaited: impl Fn() -> bool) -> bool {
        let released = self.release(cpu, awaited);
        assert_ne!(released, Some(Released::NotHeld));
        matches!(released, Some(Released::Last { .. }))
    }

    /// Whether that made it unheld.
    fn cool(&self) -> bool {
        let released = self.state.cool(self.slots.iter(), ID, &self.cools);
        assert_ne!(released, Some(Released::NotHeld));
        matches!(released, Some(Released::Last { .. }))
    }

    /// What a forget does.
    fn kill(&self) -> bool {
        self.cool();
        self.state.try_kill(hold::UNCLEAN).is_ok()
    }

    /// What an evictor does. Whether it killed the buffer, or told all who wait to look again.
    fn visit(&self) -> bool {
        if self.state.snapshot().has(hold::HOT) {
            let told = self.cool();
            self.state.clear(hold::REFERENCED);
            return told;
        }
        self.state.visit(hold::UNCLEAN) == Visit::Killed
    }

    fn parked(&self) -> u64 {
        let full = |slot: &&W| slot.load_acquire() == ID;
        self.slots.iter().filter(full).count() as u64
    }
}

#[derive(Clone, Debug)]
enum Op {
    Get(usize),
    Put(usize, bool),
    Cool,
    Dirty,
    Clean,
    Kill,
    Occupy(usize),
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..2usize).prop_map(Op::Get),
        6 => (0..2usize, proptest::bool::weighted(0.1)).prop_map(|(cpu, awaited)| Op::Put(cpu, awaited)),
        1 => Just(Op::Cool),
        1 => Just(Op::Dirty),
        2 => Just(Op::Clean),
        1 => Just(Op::Kill),
        1 => (0..2usize).prop_map(Op::Occupy),
        2 => (0..2usize).prop_map(Op::Leave),
    ]
}

proptest! {
    /// Rule: holds are counted and somebody's, or parked and nobody's; only a hot buffer has parked ones.
    #[test]
    fn no_hold_is_lost(ops in proptest::collection::vec(op(), 1..100)) {
        let b = Buffer::new(|word| Plain(word.into()));
        let mut held = 1u64;
        for op in ops {
            match op {
                Op::Get(cpu) => {
                    prop_assert!(b.get(cpu));
                    prop_assert!(b.state.snapshot().has(hold::REFERENCED | hold::HOT));
                    held += 1;
                }
                Op::Put(cpu, awaited) if held > 0 => {
                    let others = b.parked();
                    let unheld = b.put(cpu, || awaited);
                    held -= 1;
                    prop_assert_eq!(unheld, held + b.parked() == 0);
                    prop_assert!(!awaited || b.parked() <= others);
                }
                Op::Cool => {
                    b.cool();
                }
                Op::Dirty if held > 0 => {
                    b.state.set_dirty();
                }
                Op::Clean => {
                    let _ = b.state.change(Change::START_WRITE);
                    let _ = b.state.change(Change::WRITE_DONE);
                }
                Op::Kill => {
                    let dirty = b.state.snapshot().has(hold::DIRTY);
                    prop_assert_eq!(b.kill(), held == 0 && !dirty);
                    if held == 0 && !dirty {
                        prop_assert!(!b.get(0), "a dead buffer was held");
                        b.state.revive(0);
                        held = 1;
                    }
                }
                // Another buffer of the same slot.
                Op::Occupy(cpu) => {
                    let _ = b.slots[cpu].compare_exchange(0, ID + 1);
                }
                Op::Leave(cpu) => {
                    let _ = b.slots[cpu].compare_exchange(ID + 1, 0);
                }
                Op::Put(..) | Op::Dirty => (),
            }
            let now = b.state.snapshot();
            prop_assert_eq!(now.holds(), held + b.parked());
            prop_assert!(b.parked() == 0 || now.has(hold::HOT));
        }
    }
}

/// Rule: who has released may count on a kill after that, and nobody holds what was killed.
#[test]
fn a_kill_finds_what_is_parked() {
    check(|| {
        let buffer = Arc::new(Buffer::hot(Loom::new));
        let users: Vec<_> = [0, 1]
            .map(|cpu| {
                let b = buffer.clone();
                thread::spawn(move || {
                    if b.get(cpu) {
                        assert!(!b.state.snapshot().has(hold::DEAD), "killed while held");
                        b.put(cpu, || false);
                    }
                })
            })
            .into();
        let killed = buffer.kill();
        for user in users {
            user.join().unwrap();
        }
        assert!(killed || buffer.kill(), "held by nobody, and not killed");
        assert_eq!(buffer.state.snapshot().holds(), 0);
        assert_eq!(buffer.parked(), 0);
    });
}

/// Rule: a buffer whose write was given up goes, also where a hold of it is parked.
#[test]
fn what_was_given_up_goes() {
    check(|| {
        let buffer = Arc::new(Buffer::hot(Loom::new));
        // A user's hold and the write's.
        assert!(buffer.get(0) && buffer.state.try_pin());
        assert!(buffer.state.set_dirty());
        assert!(buffer.state.change(Change::START_WRITE).is_ok());
        let user = {
            let b = buffer.clone();
            thread::spawn(move || {
                let thrown_out =
                    b.put(0, || false) && b.state.snapshot().has(hold::WRITE_ERROR) && b.kill();
                // Another use meanwhile or later.
                if b.get(1) {
                    b.put(1, || false) && b.kill()
                } else {
                    thrown_out
                }
            })
        };
        assert!(buffer.state.finish(Change::WRITE_DROPPED).is_some());
        let swept = buffer.kill();
        let thrown_out = user.join().unwrap();
        assert!(swept != thrown_out, "kept, or gone twice");
    });
}

/// Rule: who waits for any buffer finds it, or is told.
#[test]
fn parking_wakes_waiters() {
    check(|| {
        let buffer = Arc::new(Buffer::new(Loom::new));
        assert!(buffer.get(0));
        let waiters = Arc::new(Waiters::new(Loom::new(0)));
        // The first to release makes it hot, when the waiter may have looked already.
        let users = [0, 1].map(|cpu| {
            let (b, w) = (buffer.clone(), waiters.clone());
            thread::spawn(move || b.put(cpu, || w.any()) && w.any())
        });
        waiters.enter();
        let killed = buffer.kill();
        let told = users.map(|user| user.join().unwrap()).contains(&true);
        assert!(killed || told, "a waiter would sleep beside a free buffer");
    });
}

/// Rule: as above, beside a user who comes back between two visits of the waiter.
#[test]
fn a_visit_leaves_nothing_parked() {
    check(|| {
        let buffer = Arc::new(Buffer::hot(Loom::new));
        let waiters = Arc::new(Waiters::new(Loom::new(0)));
        // Left on another CPU.
        assert!(buffer.get(1));
        buffer.put(1, || false);
        assert_eq!(buffer.parked(), 1);
        let user = {
            let (b, w) = (buffer.clone(), waiters.clone());
            thread::spawn(move || b.get(0) && b.put(0, || w.any()) && w.any())
        };
        waiters.enter();
        let found = [(); 2].map(|()| buffer.visit()).contains(&true);
        let told = user.join().unwrap();
        assert!(found || told, "a waiter would sleep beside a free buffer");
        assert_eq!(buffer.state.snapshot().holds(), 0);
    });
}

/// Rule: a release too many is found out beside what is parked, and changes nothing.
#[test]
fn a_second_release_changes_nothing() {
    let b = Buffer::hot(|word| Plain(word.into()));
    assert!(b.get(0) && b.get(0));
    assert!(!b.put(0, || false) && !b.put(0, || false));
    assert_eq!((b.state.snapshot().holds(), b.parked()), (1, 1));
    for _ in 0..2 {
        assert_eq!(b.release(0, || false), Some(Released::NotHeld));
        assert_eq!((b.state.snapshot().holds(), b.parked()), (1, 1));
    }
    b.cool();
    assert_eq!(b.release(0, || false), Some(Released::NotHeld));
    // Hot with no hold left.
    let b = Buffer::hot(|word| Plain(word.into()));
    assert_eq!(b.release(0, || false), Some(Released::NotHeld));
    assert_eq!((b.state.snapshot().holds(), b.parked()), (0, 0));
    // On another CPU it is found out later.
    assert!(b.get(0));
    assert!(!b.put(0, || false));
    assert_eq!(b.release(1, || false), None);
    let cooled = b.state.cool(b.slots.iter(), ID, &b.cools);
    assert_eq!(cooled, Some(Released::NotHeld));
    assert_eq!((b.state.snapshot().holds(), b.parked()), (0, 0));
}
