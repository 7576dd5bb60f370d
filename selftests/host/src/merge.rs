// SPDX-License-Identifier: GPL-2.0

//! Runs of adjacent blocks against the bytes that they stand for.

use crate::policy::merge::{Capacity, Piece, Run};
use proptest::prelude::*;

const BLOCK: u32 = 4;

/// Blocks near each other, ranges mostly whole, to be added at the end or at the start.
fn pieces() -> impl Strategy<Value = Vec<(Piece, bool)>> {
    let range = prop_oneof![
        4 => Just((0, BLOCK)),
        1 => (0..BLOCK, 1..=BLOCK).prop_filter("empty", |(a, b)| a < b),
    ];
    let offset = prop_oneof![4 => Just(1u64), 1 => 0..4u64];
    proptest::collection::vec((offset, range, any::<bool>()), 1..40).prop_map(|list| {
        let (mut low, mut high) = (100u64, 100u64);
        list.into_iter()
            .map(|(offset, (start, end), after)| {
                let block = if after { high + offset } else { low - offset };
                low = low.min(block);
                high = high.max(block);
                (Piece { block, start, end }, after)
            })
            .collect()
    })
}

/// The device bytes of pieces, in order.
fn bytes(pieces: &[Piece]) -> Vec<u64> {
    pieces
        .iter()
        .flat_map(|p| (p.start..p.end).map(|b| p.block * u64::from(BLOCK) + u64::from(b)))
        .collect()
}

/// Whether `pieces` may be one bio: every byte after the first follows the one before on the
/// device, each block is there once, and there are not too many.
fn legal(pieces: &[Piece], most: usize) -> bool {
    bytes(pieces).windows(2).all(|w| w[1] == w[0] + 1)
        && pieces.windows(2).all(|w| w[1].block != w[0].block)
        && pieces.len() <= most
}

proptest! {
    /// Rule: a run takes exactly the pieces with which it stays one legal bio, at either end.
    #[test]
    fn a_run_takes_what_is_legal(list in pieces(), most in 1..12usize) {
        let capacity = Capacity::new(BLOCK, 1, most * BLOCK as usize, usize::MAX);
        let mut model = vec![list[0].0];
        let mut run = Run::new(list[0].0, capacity);
        for &(piece, after) in &list[1..] {
            let mut longer = model.clone();
            longer.insert(if after { longer.len() } else { 0 }, piece);
            let wanted = legal(&longer, most);
            if after {
                prop_assert_eq!(run.joins_after(piece), wanted);
            }
            let took = if after { run.push_after(piece) } else { run.push_before(piece) };
            prop_assert_eq!(took, wanted, "{:?} to {:?}", piece, model);
            if took {
                model = longer;
            }
            prop_assert_eq!(run.blocks(), model.len());
            prop_assert_eq!(run.first(), model[0]);
            prop_assert_eq!(run.last(), model[model.len() - 1]);
        }
    }

    /// Rule: the block that is asked for is one that could join, and none is asked for in vain.
    #[test]
    fn the_neighbours_named_can_join(list in pieces(), most in 1..12usize) {
        let capacity = Capacity::new(BLOCK, 1, most * BLOCK as usize, usize::MAX);
        let mut run = Run::new(list[0].0, capacity);
        for &(piece, _) in &list[1..] {
            run.push_after(piece);
            for (block, after) in [(run.block_after(), true), (run.block_before(), false)] {
                let mut longer = run;
                let took = block.is_some_and(|block| {
                    let whole = capacity.whole(block);
                    if after { longer.push_after(whole) } else { longer.push_before(whole) }
                });
                prop_assert_eq!(took, block.is_some());
            }
        }
    }

    /// Rule: a run fits the bio in bytes and in segments, and is never empty.
    #[test]
    fn capacity_is_the_smaller(block in 1..10_000u32, each in 1..50usize, bytes in 0..1_000_000usize,
                               segments in 0..500usize) {
        let blocks = Capacity::new(block, each, bytes, segments).blocks();
        prop_assert!(blocks >= 1);
        if blocks > 1 {
            prop_assert!(blocks * block as usize <= bytes && blocks * each <= segments);
        }
        let more = blocks + 1;
        prop_assert!(more * block as usize > bytes || more * each > segments);
        prop_assert_eq!(Capacity::new(block, each, bytes, segments).alone().blocks(), 1);
    }
}

/// Rule: the ends of the number space have no neighbour beyond.
#[test]
fn the_last_block_has_no_successor() {
    let capacity = Capacity::new(BLOCK, 1, 1 << 20, 256);
    let mut last = Run::new(capacity.whole(u64::MAX), capacity);
    assert_eq!(last.block_after(), None);
    assert!(!last.push_after(capacity.whole(0)));
    let mut first = Run::new(capacity.whole(0), capacity);
    assert_eq!(first.block_before(), None);
    assert!(!first.push_before(capacity.whole(u64::MAX)));
}
