// SPDX-License-Identifier: GPL-2.0

//! The allocation ladder: order, bounds, and which locks are held.

use crate::policy::ladder::{ahead, Ladder, Next, Outcome, Request, Step, StepScope};
use proptest::prelude::*;

const OUTCOMES: [Outcome; 5] = [
    Outcome::Got,
    Outcome::Failed,
    Outcome::NoRoom,
    Outcome::Freed,
    Outcome::Found,
];

fn walk(request: Request, outcome: impl Fn(Step) -> Outcome, max: usize) -> (Vec<Step>, Next) {
    let mut ladder = Ladder::new(request);
    let mut steps = vec![ladder.step()];
    loop {
        match ladder.next(outcome(ladder.step())) {
            Next::Try(step) if steps.len() < max => steps.push(step),
            end => return (steps, end),
        }
    }
}

/// Rule: without memory the steps are those of DESIGN.md, in that order, and NOIO comes once.
#[test]
fn no_memory_goes_up_the_ladder() {
    use Step::*;
    let (steps, _) = walk(Request::Demand, |_| Outcome::Failed, 11);
    assert_eq!(
        steps,
        [
            Nowait, Noio, Reserve, EvictClean, EvictDirty, Wait, Nowait, Reserve, EvictClean,
            EvictDirty, Wait
        ]
    );
}

/// Rule: read-ahead stops where it would have to wait, or to take what demand may need.
#[test]
fn prefetch_stops() {
    use Step::*;
    assert_eq!(
        walk(Request::Prefetch, |_| Outcome::Failed, 99),
        (vec![Nowait], Next::GiveUp)
    );
    let full = |step| {
        if step == Nowait {
            Outcome::NoRoom
        } else {
            Outcome::Failed
        }
    };
    assert_eq!(
        walk(Request::Prefetch, full, 99),
        (vec![Nowait, MakeRoom], Next::GiveUp)
    );
    let stolen = |step| {
        if step == Nowait {
            Outcome::NoRoom
        } else {
            Outcome::Freed
        }
    };
    assert_eq!(
        walk(Request::Prefetch, stolen, 99),
        (
            vec![Nowait, MakeRoom, Nowait, MakeRoom, Nowait],
            Next::GiveUp
        )
    );
}

/// Rule: at the limit, room is made before the reserve is touched, and reclaim is not tried.
#[test]
fn at_the_limit_room_is_made_first() {
    use Step::*;
    let full = |step| {
        if step == Nowait {
            Outcome::NoRoom
        } else {
            Outcome::Failed
        }
    };
    let (steps, _) = walk(Request::Demand, full, 6);
    assert_eq!(
        steps,
        [Nowait, MakeRoom, Reserve, EvictClean, EvictDirty, Wait]
    );
}

/// Rule: a wake-up starts over: room that goes to others is made twice in each lap, not twice in all.
#[test]
fn room_is_made_again_after_a_wait() {
    use Step::*;
    let stolen = |step| match step {
        Nowait => Outcome::NoRoom,
        MakeRoom => Outcome::Freed,
        _ => Outcome::Failed,
    };
    let (steps, _) = walk(Request::Demand, stolen, 18);
    let lap = [
        Nowait, MakeRoom, Nowait, MakeRoom, Nowait, Reserve, EvictClean, EvictDirty, Wait,
    ];
    assert_eq!(steps, [lap, lap].concat());
}

/// Rule: exactly the steps that can sleep are entered without the lock, and only they may reclaim.
#[test]
fn what_sleeps_has_no_lock() {
    for step in Step::ALL {
        let under_lock = matches!(step, Step::Nowait | Step::Reserve | Step::EvictClean);
        assert_eq!(step.drops_lock(), !under_lock, "{step:?}");
        assert_eq!(step.scope() == StepScope::Nowait, under_lock, "{step:?}");
    }
}

/// Rule: each step has a counter and a name of its own.
#[test]
fn counters_are_distinct() {
    for (i, step) in Step::ALL.into_iter().enumerate() {
        assert_eq!(step.index(), i);
        assert!(Step::ALL.iter().filter(|s| s.name() == step.name()).count() == 1);
    }
    assert_eq!(Step::ALL.len(), Step::COUNT);
}

/// Walks every sequence of outcomes up to the second wait. Rules: a lap has a bound, and the bound
/// is tight; NOIO comes once; prefetch never reaches a step past MakeRoom; demand never gives up;
/// an end comes only from an outcome that says so; Found is believed only where the lock was
/// dropped.
#[test]
fn every_path_is_bounded() {
    #[derive(Clone, Copy)]
    struct Path {
        lap: usize,
        noio: usize,
        waits: usize,
    }
    fn explore(ladder: Ladder, request: Request, mut path: Path, longest: &mut usize) {
        path.lap += 1;
        assert!(path.lap <= Ladder::STEPS_PER_LAP);
        *longest = path.lap.max(*longest);
        let step = ladder.step();
        path.noio += usize::from(step == Step::Noio);
        assert!(path.noio <= 1);
        if request == Request::Prefetch {
            assert!(matches!(step, Step::Nowait | Step::MakeRoom), "{step:?}");
        }
        if step == Step::Wait {
            path.lap = 0;
            path.waits += 1;
            if path.waits == 2 {
                return;
            }
        }
        for outcome in OUTCOMES {
            let mut next = ladder;
            match next.next(outcome) {
                Next::Try(to) => {
                    assert_eq!(to, next.step());
                    assert!(outcome != Outcome::Got);
                    assert!(outcome != Outcome::Found || !step.drops_lock());
                    explore(next, request, path, longest);
                }
                Next::Have(from) => assert!(outcome == Outcome::Got && from == step),
                Next::Found => assert!(outcome == Outcome::Found && step.drops_lock()),
                Next::GiveUp => assert!(request == Request::Prefetch),
            }
        }
    }
    let start = Path {
        lap: 0,
        noio: 0,
        waits: 0,
    };
    for (request, expected) in [
        (Request::Demand, Ladder::STEPS_PER_LAP),
        (Request::Prefetch, 5),
    ] {
        let mut longest = 0;
        explore(Ladder::new(request), request, start, &mut longest);
        assert_eq!(longest, expected, "{request:?}");
    }
}

proptest! {
    /// Rule: a client on emergency pages, or one that owes its reserve, does not work ahead.
    #[test]
    fn nothing_ahead_while_short(wanted in any::<u64>(), pages in 0..3u64, owed in 0..3u64) {
        prop_assert_eq!(ahead(wanted, pages, owed), if pages + owed == 0 { wanted } else { 0 });
    }
}
