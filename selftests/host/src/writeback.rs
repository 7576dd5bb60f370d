// SPDX-License-Identifier: GPL-2.0

//! Write-back triggers, retries, and the error latch.

use crate::policy::writeback::{
    plan, AfterFailure, ErrorLatch, Failures, OnFailure, Plan, Retries, DIRTY_PER_CLEAN,
    LEAST_DIRTY,
};
use crate::words::Plain;
use proptest::prelude::*;

proptest! {
    /// Rule: write-back by ratio starts where dm-bufio's does, but never with a few blocks; when it
    /// has written what it said, it does not start again at once, and would not with one mark more.
    #[test]
    fn ratio_starts_and_ends(clean in 0..2000usize, dirty in 0..9000usize, near in 0..8usize) {
        // Half of the cases at the boundary, and some at the least.
        let (dirty, clean) = match near {
            0..=4 => ((DIRTY_PER_CLEAN * clean + near).saturating_sub(2), clean),
            5 => (LEAST_DIRTY - 2 + dirty % 5, clean % 4),
            _ => (dirty, clean),
        };
        let p = plan(dirty, clean, None, 0);
        prop_assert_eq!(p.blocks > 0, dirty > DIRTY_PER_CLEAN * clean && dirty > LEAST_DIRTY);
        prop_assert!(p.blocks <= dirty);
        if p.blocks > 0 {
            let (d, c) = (dirty - p.blocks, clean + p.blocks);
            prop_assert!(d <= c);
            prop_assert!(d + 1 >= c || d == 0, "wrote more than needed: {} {}", d, c);
            prop_assert_eq!(plan(d, c, None, 0).blocks, 0);
            if c > 1 {
                prop_assert_eq!(plan(d + 1, c - 1, None, 0).blocks, 0);
            }
        }
    }

    /// Rule: data is written when it reaches the age limit, and looked at again at that moment.
    #[test]
    fn age_limit_is_exact(max_age in 1..100u64, age in 0..200u64) {
        let p = plan(0, 1, Some(age), max_age);
        prop_assert_eq!(p.aged, age >= max_age);
        prop_assert_eq!(p.again_ticks, Some(if p.aged { max_age } else { max_age - age }));
    }

    /// Rule: dirty data is written within the age limit plus one period, whenever it was marked:
    /// follow the plan's own alarm clock over a random sequence of marks.
    #[test]
    fn nothing_stays_dirty_past_twice_the_limit(
        max_age in 1..50u64, gaps in proptest::collection::vec(0..30u64, 1..30),
    ) {
        let mut marks: Vec<u64> = gaps.iter().scan(0, |t, g| { *t += g; Some(*t) }).collect();
        let mut dirty: Vec<u64> = Vec::new();
        let mut now = marks[0];
        let mut alarm = Some(now);
        while alarm.is_some() || !marks.is_empty() {
            let next_mark = marks.first().copied();
            now = match (alarm, next_mark) {
                (Some(a), Some(m)) => a.min(m),
                (Some(a), None) => a,
                (None, Some(m)) => m,
                (None, None) => break,
            };
            while marks.first() == Some(&now) {
                dirty.push(marks.remove(0));
                alarm = alarm.or(Some(now));
            }
            if alarm == Some(now) {
                let p = plan(0, 1, dirty.first().map(|&m| now - m), max_age);
                prop_assert_ne!(p.again_ticks, Some(0));
                if p.aged {
                    dirty.retain(|&m| now - m < max_age);
                }
                prop_assert!(p.again_ticks.is_some() || !p.aged);
                alarm = p.again_ticks.map(|t| now + t);
            }
            for &m in &dirty {
                prop_assert!(now - m < 2 * max_age, "marked {} now {}", m, now);
            }
        }
        prop_assert!(dirty.is_empty(), "left unwritten: {:?}", dirty);
    }

    /// Rule: a write is repeated `max` times, pauses double up to the longest, then the policy
    /// decides.
    #[test]
    fn retries_are_bounded(
        max in any::<u8>(), first in 0..1000u64, longest in 0..100_000u64, keep in any::<bool>(),
    ) {
        let then = if keep { OnFailure::Keep } else { OnFailure::Drop };
        let retries = Retries { max, first_ticks: first, longest_ticks: longest, then };
        let mut failures = Failures::default();
        let mut expected = u128::from(first);
        for _ in 0..max {
            prop_assert!(!failures.given_up(&retries));
            prop_assert_eq!(
                failures.count(&retries),
                AfterFailure::Again { ticks: expected.min(u128::from(longest)) as u64 }
            );
            expected = (expected * 2).min(1 << 64);
        }
        let last = if keep { AfterFailure::Keep } else { AfterFailure::Drop };
        for _ in 0..3 {
            prop_assert_eq!(failures.count(&retries), last);
            prop_assert!(failures.given_up(&retries));
            prop_assert_eq!(Failures::from_count(failures.to_count()), failures);
        }
        failures.reset();
        prop_assert_eq!(failures, Failures::default());
        prop_assert!(!failures.given_up(&retries));
    }

    /// Rule: an error is reported once, and it is the first since the last report.
    #[test]
    fn errors_are_reported_once(
        events in proptest::collection::vec(proptest::option::of(1..200u32), 0..50),
    ) {
        let latch = ErrorLatch::new(Plain::default());
        let mut model = None;
        for event in events {
            match event {
                Some(errno) => { latch.record(errno); model = model.or(Some(errno)); }
                None => prop_assert_eq!(latch.take(), model.take()),
            }
        }
        prop_assert_eq!(latch.take(), model);
        prop_assert_eq!(latch.take(), None);
    }
}

/// Rule: no age limit means no alarm, and no dirty data means none either.
#[test]
fn no_limit_no_alarm() {
    let idle = Plan {
        blocks: 0,
        aged: false,
        again_ticks: None,
    };
    assert_eq!(plan(1, 1, Some(u64::MAX), 0), idle);
    assert_eq!(plan(0, 0, None, 30), idle);
    assert!(plan(1, 1, Some(u64::MAX), 30).aged);
}
