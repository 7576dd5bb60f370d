// SPDX-License-Identifier: GPL-2.0

//! Dirty byte ranges of a block.
//!
//! A block has at most one dirty range: marks are merged to the smallest range that covers them, as
//! dm-bufio does. The range sits in one atomic word, so that marking takes no lock. A writer takes
//! the range out before it submits; a mark made during the write starts a new range; a failed write
//! puts its range back.

use crate::kapi::word::{update, Word};

/// Writes are widened to this many bytes at least (`DM_BUFIO_WRITE_ALIGN`).
pub(crate) const WRITE_ALIGN_BYTES: u32 = 4096;

/// A non-empty byte range within a block.
///
/// # Invariants
///
/// `start < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    start: u32,
    end: u32,
}

impl Range {
    /// Returns the range `start..end` of a block, or [`None`] if it is empty or leaves the block.
    pub(crate) fn new(start: u32, end: u32, block_bytes: u32) -> Option<Self> {
        // INVARIANT: checked here.
        (start < end && end <= block_bytes).then_some(Self { start, end })
    }

    /// Returns the first byte.
    pub(crate) fn start(self) -> u32 {
        self.start
    }

    /// Returns the byte after the last.
    pub(crate) fn end(self) -> u32 {
        self.end
    }

    /// Returns the number of bytes.
    pub(crate) fn bytes(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Returns the smallest range that covers both.
    pub(crate) fn union(self, other: Self) -> Self {
        // INVARIANT: min of starts < max of ends.
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// Widens the range to what the device should be given.
    ///
    /// Both ends move outwards to a multiple of `align_bytes` on the device, and stop at the
    /// block's ends. `phase_bytes` is the device offset of the block, modulo `align_bytes`: a block
    /// that does not start on a multiple is widened to the device's boundaries and not to its own.
    pub(crate) fn widen(self, align_bytes: u32, phase_bytes: u32, block_bytes: u32) -> Self {
        let align = u64::from(align_bytes.max(1));
        let phase = u64::from(phase_bytes);
        let down = |v: u64| v.checked_div(align).unwrap_or(v).saturating_mul(align);
        let start = down(phase.saturating_add(u64::from(self.start)));
        let end = phase
            .saturating_add(u64::from(self.end))
            .saturating_add(align.saturating_sub(1));
        let start = start.saturating_sub(phase);
        let end = down(end).saturating_sub(phase).min(u64::from(block_bytes));
        // INVARIANT: the start moved down, the end up or to the block's end, past which it never
        // was. Both fit: they lie between 0 and `block_bytes`.
        Self {
            start: u32::try_from(start).unwrap_or(self.start),
            end: u32::try_from(end).unwrap_or(self.end).max(self.end),
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.start) << 32 | u64::from(self.end)
    }

    fn unpack(word: u64) -> Option<Self> {
        let start = u32::try_from(word >> 32).unwrap_or(u32::MAX);
        let end = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        // INVARIANT: checked here; the empty word is 0..0.
        (start < end).then_some(Self { start, end })
    }
}

/// Returns the alignment of writes for a device: its physical block, [`WRITE_ALIGN_BYTES`] at
/// least.
pub(crate) fn write_align(physical_block_bytes: u32) -> u32 {
    physical_block_bytes.max(WRITE_ALIGN_BYTES)
}

/// The dirty range of one block.
///
/// The flag that says "dirty" is in the state word ([`hold`](crate::kapi::rcu_table::hold)). A marker merges here first
/// and sets the flag after; a writer clears the flag first and takes the range after. So a mark is
/// seen by that writer or leaves the flag set for the next, and a set flag with no range means
/// "nothing to write".
#[derive(Debug)]
pub(crate) struct Dirty<W>(W);

impl<W: Word> Dirty<W> {
    /// Makes a tracker of a word that is zero.
    pub(crate) const fn new(word: W) -> Self {
        Self(word)
    }

    /// Adds `range`. Also puts back what a failed write had taken.
    pub(crate) fn mark(&self, range: Range) {
        // The exchange is needed even where the range is covered already: it orders the caller's
        // data before the `take` of a writer. A plain read would let the writer take the range
        // without the data.
        let _ = update(&self.0, |word| {
            let new = Range::unpack(word).map_or(range, |old| old.union(range));
            Some(new.pack())
        });
    }

    /// Takes the range out, for a write.
    pub(crate) fn take(&self) -> Option<Range> {
        Range::unpack(self.0.swap(0))
    }

    /// Returns the range.
    pub(crate) fn peek(&self) -> Option<Range> {
        Range::unpack(self.0.load_acquire())
    }
}
