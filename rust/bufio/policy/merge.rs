// SPDX-License-Identifier: GPL-2.0

//! Runs of adjacent blocks, each of which becomes one bio.

use core::iter::Peekable;

/// What one block contributes to a transfer: the bytes `start..end` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Block number.
    pub(crate) block: u64,
    /// First byte.
    pub(crate) start: u32,
    /// Byte after the last.
    pub(crate) end: u32,
    /// Bio segments that these bytes need: one if contiguous in memory, else one for each page.
    pub(crate) segments: u32,
}

/// What one bio can take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Bytes of a block.
    pub(crate) block_bytes: u32,
    /// Most bytes of a bio.
    pub(crate) bytes: u64,
    /// Most segments of a bio.
    pub(crate) segments: u32,
}

/// A run of pieces that are adjacent on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Index of the first piece.
    pub(crate) first: usize,
    /// Number of pieces; not zero.
    pub(crate) pieces: usize,
    /// Block number of the first piece.
    pub(crate) block: u64,
    /// First byte in that block.
    pub(crate) start: u32,
    /// Bytes of the whole run.
    pub(crate) bytes: u64,
    /// Segments of the whole run.
    pub(crate) segments: u32,
}

/// Cuts a sequence of pieces into runs, in order.
///
/// Two pieces are in one run when the first reaches the end of its block, the second starts at the
/// beginning of the next block, and both fit one bio. A piece that exceeds a bio by itself is a run
/// of its own: the block layer splits it. Pieces that are not sorted give shorter runs, never wrong
/// ones.
pub(crate) struct Runs<I: Iterator<Item = Piece>> {
    pieces: Peekable<I>,
    capacity: Capacity,
    next_index: usize,
}

impl<I: Iterator<Item = Piece>> Runs<I> {
    /// Makes the iterator.
    pub(crate) fn new(pieces: I, capacity: Capacity) -> Self {
        Self {
            pieces: pieces.peekable(),
            capacity,
            next_index: 0,
        }
    }
}

impl<I: Iterator<Item = Piece>> Iterator for Runs<I> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let capacity = self.capacity;
        let mut last = self.pieces.next()?;
        let mut run = Run {
            first: self.next_index,
            pieces: 1,
            block: last.block,
            start: last.start,
            bytes: u64::from(last.end.saturating_sub(last.start)),
            segments: last.segments,
        };
        while let Some((piece, bytes, segments)) = self
            .pieces
            .peek()
            .and_then(|next| joined(&run, &last, next, &capacity))
        {
            run.bytes = bytes;
            run.segments = segments;
            run.pieces = run.pieces.saturating_add(1);
            last = piece;
            self.pieces.next();
        }
        self.next_index = self.next_index.saturating_add(run.pieces);
        Some(run)
    }
}

/// Returns `next` and the size of `run` with it, if it continues the run and fits.
fn joined(run: &Run, last: &Piece, next: &Piece, capacity: &Capacity) -> Option<(Piece, u64, u32)> {
    let adjacent = last.end == capacity.block_bytes
        && next.start == 0
        && last.block.checked_add(1) == Some(next.block);
    let bytes = run.bytes.checked_add(u64::from(next.end))?;
    let segments = run.segments.checked_add(next.segments)?;
    let fits = bytes <= capacity.bytes && segments <= capacity.segments;
    (adjacent && fits).then_some((*next, bytes, segments))
}
