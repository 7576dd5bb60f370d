// SPDX-License-Identifier: GPL-2.0

//! Runs of adjacent blocks against a search through all cuts.

use crate::policy::merge::{Capacity, Piece, Run, Runs};
use proptest::prelude::*;

const BLOCK: u32 = 4;

/// Blocks mostly ascending by one, ranges mostly whole.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let step = prop_oneof![6 => Just(1u64), 1 => Just(0), 1 => 2..5u64];
    let range = prop_oneof![
        4 => Just((0, BLOCK)),
        1 => (0..BLOCK, 1..=BLOCK).prop_filter("empty", |(a, b)| a < b),
    ];
    (
        0..50u64,
        proptest::collection::vec((step, range, 1..4u32), 0..40),
    )
        .prop_map(|(first, list)| {
            let mut block = first;
            list.into_iter()
                .map(|(step, (start, end), segments)| {
                    block += step;
                    Piece {
                        block,
                        start,
                        end,
                        segments,
                    }
                })
                .collect()
        })
}

fn runs(pieces: &[Piece], capacity: Capacity) -> Vec<Run> {
    Runs::new(pieces.iter().copied(), capacity).collect()
}

/// Whether `pieces` may be one bio: every byte after the first follows the one before on the
/// device.
fn legal(pieces: &[Piece], capacity: &Capacity) -> bool {
    let mut bytes = Vec::new();
    for p in pieces {
        bytes.extend((p.start..p.end).map(|b| p.block * u64::from(BLOCK) + u64::from(b)));
    }
    let segments: u32 = pieces.iter().map(|p| p.segments).sum();
    let consecutive = bytes.windows(2).all(|w| w[1] == w[0] + 1)
        // A block has one buffer, so two pieces of it are no run, even where the bytes are.
        && pieces.windows(2).all(|w| w[1].block != w[0].block);
    let fits = bytes.len() as u64 <= capacity.bytes && segments <= capacity.segments;
    pieces.len() == 1 || (consecutive && fits)
}

proptest! {
    /// Rule: runs cover the input in order, each is one legal bio, and none could have been longer.
    #[test]
    fn runs_are_legal_and_longest(list in pieces(), bytes in 1..40u64, segments in 1..20u32) {
        let capacity = Capacity { block_bytes: BLOCK, bytes, segments };
        let mut next = 0;
        for run in runs(&list, capacity) {
            prop_assert_eq!(run.first, next);
            prop_assert!(run.pieces > 0);
            let of = &list[run.first..run.first + run.pieces];
            prop_assert!(legal(of, &capacity));
            prop_assert_eq!(run.block, of[0].block);
            prop_assert_eq!(run.start, of[0].start);
            prop_assert_eq!(run.bytes, of.iter().map(|p| u64::from(p.end - p.start)).sum::<u64>());
            prop_assert_eq!(run.segments, of.iter().map(|p| p.segments).sum::<u32>());
            next += run.pieces;
            if next < list.len() {
                prop_assert!(!legal(&list[run.first..=next], &capacity), "stopped early at {next}");
            }
        }
        prop_assert_eq!(next, list.len());
    }

    /// Rule: unsorted input gives shorter runs, never wrong ones.
    #[test]
    fn unsorted_input_is_never_merged_wrongly(mut list in pieces(), seed in any::<u64>()) {
        for i in (1..list.len()).rev() {
            list.swap(i, (seed.rotate_left(i as u32) % (i as u64 + 1)) as usize);
        }
        let capacity = Capacity { block_bytes: BLOCK, bytes: 64, segments: 64 };
        for run in runs(&list, capacity) {
            prop_assert!(legal(&list[run.first..run.first + run.pieces], &capacity));
        }
    }
}

/// Rule: the end of the number space does not wrap into block 0.
#[test]
fn the_last_block_has_no_successor() {
    let whole = |block| Piece {
        block,
        start: 0,
        end: BLOCK,
        segments: 1,
    };
    let capacity = Capacity {
        block_bytes: BLOCK,
        bytes: u64::MAX,
        segments: u32::MAX,
    };
    assert_eq!(
        runs(&[whole(u64::MAX - 1), whole(u64::MAX), whole(0)], capacity).len(),
        2
    );
    let heavy = Piece {
        segments: u32::MAX,
        ..whole(1)
    };
    assert_eq!(runs(&[whole(0), heavy], capacity).len(), 2);
}
