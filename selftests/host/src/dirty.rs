// SPDX-License-Identifier: GPL-2.0

//! Dirty ranges against a set of bytes.

use crate::policy::dirty::{write_align, Dirty, Range};
use crate::words::Plain;
use proptest::prelude::*;

const BLOCK: u32 = 96;

fn bytes_of(range: Option<Range>) -> Vec<u32> {
    range.map_or_else(Vec::new, |r| (r.start()..r.end()).collect())
}

#[derive(Clone, Debug)]
enum Op {
    Mark(u32, u32),
    StartWrite,
    EndWrite { good: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..BLOCK, 1..=BLOCK).prop_map(|(a, b)| Op::Mark(a, b)),
        1 => Just(Op::StartWrite),
        1 => any::<bool>().prop_map(|good| Op::EndWrite { good }),
    ]
}

/// The smallest interval that covers a set, as a list of bytes.
fn hull(set: &[u32]) -> Vec<u32> {
    match (set.iter().min(), set.iter().max()) {
        (Some(&a), Some(&b)) => (a..=b).collect(),
        _ => Vec::new(),
    }
}

proptest! {
    /// Rule: only non-empty ranges within the block exist.
    #[test]
    fn new_rejects_what_dm_bufio_calls_a_bug(a in 0..200u32, b in 0..200u32, block in 0..200u32) {
        let range = Range::new(a, b, block);
        prop_assert_eq!(range.is_some(), a < b && b <= block);
        if let Some(r) = range {
            prop_assert_eq!((r.start(), r.end(), r.bytes()), (a, b, b - a));
        }
    }

    /// Rule: marks merge to their hull; a write takes all of it; marks during a write start anew; a
    /// failed write puts its range back.
    #[test]
    fn marks_and_writes_match_a_byte_set(ops in proptest::collection::vec(op(), 1..60)) {
        let dirty = Dirty::new(Plain::default());
        let mut model: Vec<u32> = Vec::new();
        let mut in_flight: Option<Range> = None;
        let mut model_flight: Vec<u32> = Vec::new();
        for op in ops {
            match op {
                Op::Mark(a, b) => {
                    if let Some(r) = Range::new(a, b, BLOCK) {
                        dirty.mark(r);
                        model.extend(a..b);
                        model = hull(&model);
                    }
                }
                Op::StartWrite => if in_flight.is_none() {
                    in_flight = dirty.take();
                    model_flight = std::mem::take(&mut model);
                    prop_assert_eq!(bytes_of(in_flight), model_flight.clone());
                },
                Op::EndWrite { good } => {
                    if let Some(range) = in_flight.take() {
                        if !good {
                            dirty.mark(range);
                            model.append(&mut model_flight);
                            model = hull(&model);
                        }
                    }
                }
            }
            prop_assert_eq!(bytes_of(dirty.peek()), model.clone());
        }
    }

    /// Rule: with the block on a device boundary, widening is dm-bufio's: both ends to the
    /// alignment, the end capped to the block.
    #[test]
    fn widen_is_dm_bufios_on_aligned_blocks(
        sectors in 1..200u32, a in 0..102400u32, b in 0..102400u32, shift in 9..17u32,
    ) {
        let block = sectors * 512;
        let align = write_align(1 << shift);
        prop_assert_eq!(align, u32::max(4096, 1 << shift));
        let Some(range) = Range::new(a, b, block) else { return Ok(()) };
        let wide = range.widen(align, 0, block);
        prop_assert_eq!(wide.start(), a & align.wrapping_neg());
        prop_assert_eq!(wide.end(), ((b + align - 1) & align.wrapping_neg()).min(block));
    }

    /// Rule: widening covers the range, stays in the block, ends at device boundaries or block
    /// ends, and adds less than one alignment on each side. Checked byte by byte.
    #[test]
    fn widen_ends_at_device_boundaries(
        block in 1..300u32, a in 0..300u32, b in 0..300u32, align in 1..70u32, device in 0..1000u32,
    ) {
        let Some(range) = Range::new(a, b, block) else { return Ok(()) };
        let wide = range.widen(align, device % align, block);
        let mut start = a;
        while start > 0 && (device + start) % align != 0 { start -= 1; }
        let mut end = b;
        while end < block && (device + end) % align != 0 { end += 1; }
        prop_assert_eq!((wide.start(), wide.end()), (start, end));
    }
}

/// Rule: no input panics or wraps.
#[test]
fn widen_survives_extremes() {
    let max = u32::MAX;
    for align in [0, 1, 3, 4096, 1 << 31, max] {
        for phase in [0, 1, max] {
            for (a, b) in [(0, 1), (0, max), (max - 1, max)] {
                let range = Range::new(a, b, max).unwrap();
                let wide = range.widen(align, phase, max);
                assert!(wide.start() <= a && wide.end() >= b);
            }
        }
    }
}
