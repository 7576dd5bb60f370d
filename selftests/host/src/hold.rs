// SPDX-License-Identifier: GPL-2.0

//! The hold protocol in one thread, against a plain model. `model` has the concurrent part.

use crate::kapi::rcu_table::hold::{self, Change, NotHeld, Released, Snapshot, State};
use crate::words::Plain;
use proptest::prelude::*;

const FLAGS: [u64; 11] = [
    hold::DEAD,
    hold::READING,
    hold::WRITING,
    hold::DIRTY,
    hold::REFERENCED,
    hold::PREFETCHED,
    hold::WAITED,
    hold::READ_ERROR,
    hold::WRITE_ERROR,
    hold::EMERGENCY,
    hold::HOT,
];

fn flags() -> impl Strategy<Value = u64> {
    proptest::sample::subsequence(&FLAGS[..], 0..=3).prop_map(|f| f.into_iter().sum())
}

#[derive(Clone, Debug)]
enum Op {
    TryHold(u64),
    TryPin,
    Release,
    ReleaseAndKill(u64),
    TryKill(u64),
    Revive(u64),
    Change(usize),
    Finish(usize),
    SetDirty,
    Clear(u64),
    AskWake(u64),
}

const CHANGES: [Change; 7] = [
    Change::START_READ,
    Change::READ_DONE,
    Change::READ_FAILED,
    Change::START_WRITE,
    Change::WRITE_DONE,
    Change::WRITE_FAILED,
    Change::WRITE_DROPPED,
];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => flags().prop_map(Op::TryHold),
        1 => Just(Op::TryPin),
        4 => Just(Op::Release),
        1 => flags().prop_map(Op::ReleaseAndKill),
        2 => flags().prop_map(Op::TryKill),
        3 => flags().prop_map(Op::Revive),
        5 => (0..CHANGES.len()).prop_map(Op::Change),
        5 => (0..CHANGES.len()).prop_map(Op::Finish),
        1 => Just(Op::SetDirty),
        1 => (0..2usize).prop_map(|i| Op::Clear([hold::REFERENCED, hold::EMERGENCY][i])),
        1 => flags().prop_map(Op::AskWake),
    ]
}

#[derive(Clone, Debug, Default)]
struct Model {
    holds: u64,
    flags: u64,
}

impl Model {
    fn has(&self, flags: u64) -> bool {
        self.flags & flags != 0
    }

    fn touch(&mut self) {
        if self.has(hold::PREFETCHED) {
            self.flags &= !hold::PREFETCHED;
        } else {
            self.flags |= hold::REFERENCED;
        }
    }

    fn wake(&mut self) -> bool {
        let waited = self.has(hold::WAITED);
        self.flags &= !hold::WAITED;
        waited
    }
}

fn same(s: Snapshot, m: &Model) -> bool {
    s.holds() == m.holds && FLAGS.iter().all(|&f| s.has(f) == m.has(f))
}

fn released(state: Released, model: &mut Model, kill: Option<u64>) -> Result<(), TestCaseError> {
    let before = Model {
        holds: 0,
        ..model.clone()
    };
    if model.holds == 0 {
        prop_assert_eq!(state, Released::NotHeld);
        return Ok(());
    }
    model.holds -= 1;
    if model.holds > 0 {
        prop_assert_eq!(state, Released::Shared);
        return Ok(());
    }
    let waited = model.wake();
    let kills = kill.is_some_and(|refuse| !before.has(refuse | hold::DEAD));
    match state {
        Released::Last { was, wake } => {
            prop_assert!(!kills && same(was, &before));
            prop_assert_eq!(wake, waited);
        }
        Released::Killed { was, wake } => {
            prop_assert!(kills && same(was, &before));
            prop_assert_eq!(wake, waited);
            model.flags |= hold::DEAD;
        }
        other => prop_assert!(false, "{:?}", other),
    }
    Ok(())
}

proptest! {
    /// Rule: every operation does what the plain model does, and nothing on refusal.
    #[test]
    fn matches_the_plain_model(ops in proptest::collection::vec(op(), 1..80)) {
        let state = State::new(Plain::default());
        state.set(hold::DEAD);
        let mut m = Model { holds: 0, flags: hold::DEAD };
        for op in ops {
            match op {
                Op::TryHold(refuse) => {
                    let result = state.try_hold(refuse);
                    if m.has(hold::DEAD) {
                        prop_assert_eq!(result, Err(NotHeld::Dead));
                    } else if m.has(refuse & !hold::HOT) {
                        prop_assert_eq!(result, Err(NotHeld::Flagged));
                    } else if m.has(hold::HOT) {
                        prop_assert_eq!(result, Err(NotHeld::Hot));
                    } else {
                        prop_assert!(same(result.unwrap(), &m));
                        m.holds += 1;
                        m.touch();
                    }
                }
                Op::TryPin => {
                    prop_assert_eq!(state.try_pin(), !m.has(hold::DEAD));
                    if !m.has(hold::DEAD) { m.holds += 1; }
                }
                Op::Release => released(state.release(), &mut m, None)?,
                Op::ReleaseAndKill(refuse) => {
                    released(state.release_and_kill(refuse), &mut m, Some(refuse))?;
                }
                Op::TryKill(refuse) => {
                    let expected = m.holds == 0 && !m.has(hold::DEAD | refuse);
                    match state.try_kill(refuse) {
                        Ok(s) => { prop_assert!(expected && same(s, &m)); m.flags |= hold::DEAD; }
                        Err(s) => prop_assert!(!expected && same(s, &m)),
                    }
                }
                Op::Revive(flags) => {
                    prop_assert_eq!(state.revive(flags), m.has(hold::DEAD));
                    if m.has(hold::DEAD) { m = Model { holds: 1, flags: flags & !hold::DEAD }; }
                }
                Op::Change(i) => {
                    let c = CHANGES[i];
                    let applies = m.flags & c.need == c.need && !m.has(c.refuse);
                    match state.change(c) {
                        Ok(wake) => {
                            prop_assert!(applies);
                            m.flags &= !c.clear;
                            m.flags |= c.set;
                            let waited = c.clear & hold::IO != 0 && m.wake();
                            prop_assert_eq!(wake, waited);
                        }
                        Err(s) => prop_assert!(!applies && same(s, &m)),
                    }
                }
                Op::Finish(i) => {
                    let c = CHANGES[i];
                    let applies = m.flags & c.need == c.need && !m.has(c.refuse) && m.holds > 0;
                    let finished = state.finish(c);
                    prop_assert_eq!(finished.is_some(), applies);
                    if let Some(finished) = finished {
                        m.flags &= !c.clear;
                        m.flags |= c.set;
                        m.holds -= 1;
                        let waited = (c.clear & hold::IO != 0 || m.holds == 0) && m.wake();
                        prop_assert_eq!(finished.wake, waited);
                        prop_assert_eq!(finished.last.is_some(), m.holds == 0);
                        prop_assert!(finished.last.is_none_or(|s| same(s, &m)));
                    }
                }
                Op::SetDirty => {
                    prop_assert_eq!(state.set_dirty(), !m.has(hold::DIRTY));
                    m.flags |= hold::DIRTY;
                }
                Op::Clear(flags) => {
                    prop_assert!(same(state.clear(flags), &m));
                    m.flags &= !flags;
                }
                Op::AskWake(flags) => {
                    prop_assert_eq!(state.ask_wake(|s| s.has(flags)), m.has(flags));
                    if m.has(flags) { m.flags |= hold::WAITED; }
                }
            }
            prop_assert!(same(state.snapshot(), &m), "{:?} is not {:?}", state.snapshot(), m);
        }
    }
}

/// Rule: reads, writes and dirty data exclude each other as the cache needs it.
#[test]
fn io_excludes_io() {
    let state = State::new(Plain::default());
    assert!(
        state.change(Change::START_READ).is_err(),
        "what is fit for use is not read"
    );
    state.set(hold::READ_ERROR);
    assert_eq!(state.change(Change::START_READ), Ok(false));
    assert!(
        state.change(Change::START_READ).is_err(),
        "one read at a time"
    );
    assert!(
        state.try_kill(hold::UNCLEAN).is_err(),
        "not evicted under I/O"
    );
    assert!(state.change(Change::READ_DONE).is_ok());
    assert!(state.change(Change::READ_DONE).is_err(), "a read ends once");
    assert!(
        state.change(Change::START_WRITE).is_err(),
        "nothing to write"
    );
    assert!(state.set_dirty());
    state.set(hold::READ_ERROR);
    assert!(
        state.change(Change::START_READ).is_err(),
        "a read would destroy dirty data"
    );
    assert!(state.change(Change::START_WRITE).is_ok());
    assert!(state.set_dirty(), "marked again during the write");
    assert!(
        state.change(Change::START_WRITE).is_err(),
        "one write at a time"
    );
    assert!(state.change(Change::WRITE_DONE).is_ok());
    assert!(
        state.try_kill(hold::UNCLEAN).is_err(),
        "the second mark is still to be written"
    );
    assert!(state.change(Change::START_WRITE).is_ok());
    assert!(state.change(Change::WRITE_FAILED).is_ok());
    assert!(
        state.snapshot().has(hold::DIRTY),
        "a failed write keeps the data dirty"
    );
    assert!(state.change(Change::START_WRITE).is_ok());
    assert!(state.change(Change::WRITE_DROPPED).is_ok());
    assert!(state.try_kill(hold::UNCLEAN).is_ok());
    state.set(hold::READ_ERROR);
    assert!(
        state.change(Change::START_READ).is_err(),
        "a dead buffer has no I/O"
    );
}

/// Rule: the count never runs into the flags.
#[test]
fn too_many_holds_are_refused() {
    let state = State::new(Plain::default());
    state.word().0.set(!0 << 32);
    assert_eq!(state.try_hold(0), Err(NotHeld::Full));
    assert!(!state.try_pin());
    assert_eq!(state.snapshot().holds(), u64::from(u32::MAX));
    assert!(!state.snapshot().has(!0));
}

/// Rule: the flags are distinct bits of the lower half.
#[test]
fn flags_are_distinct() {
    let all: u64 = FLAGS.iter().fold(0, |a, f| a ^ f);
    assert_eq!(all.count_ones() as usize, FLAGS.len());
    assert!(FLAGS.iter().all(|f| f.count_ones() == 1 && *f < 1 << 32));
}
