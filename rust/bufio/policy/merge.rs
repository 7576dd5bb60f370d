// SPDX-License-Identifier: GPL-2.0

//! Runs of adjacent blocks, each of which becomes one bio.

/// What one block contributes to a transfer: the bytes `start..end` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Block number.
    pub(crate) block: u64,
    /// First byte.
    pub(crate) start: u32,
    /// Byte after the last.
    pub(crate) end: u32,
}

/// What one bio can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    block_bytes: u32,
    blocks: usize,
}

impl Capacity {
    /// Returns what a bio of at most `bytes` and `segments` takes of blocks that need
    /// `block_segments` each: one block at least, which the block layer splits where it must.
    pub(crate) fn new(
        block_bytes: u32,
        block_segments: usize,
        bytes: usize,
        segments: usize,
    ) -> Self {
        let by_bytes = usize::try_from(block_bytes)
            .ok()
            .and_then(|each| bytes.checked_div(each))
            .unwrap_or(0);
        let by_segments = segments.checked_div(block_segments).unwrap_or(0);
        Self {
            block_bytes,
            blocks: by_bytes.min(by_segments).max(1),
        }
    }

    /// The same for one block: what failed with others is tried alone.
    pub(crate) fn alone(self) -> Self {
        Self { blocks: 1, ..self }
    }

    /// Returns the most blocks of a run.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns all of a block.
    pub(crate) fn whole(&self, block: u64) -> Piece {
        Piece {
            block,
            start: 0,
            end: self.block_bytes,
        }
    }
}

/// Pieces that are adjacent on the device: the first reaches the end of its block, each other one
/// starts at the beginning of the next block, and all but the last are whole from there on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    capacity: Capacity,
    first: Piece,
    last: Piece,
    blocks: usize,
}

impl Run {
    /// Starts a run with one piece.
    pub(crate) fn new(piece: Piece, capacity: Capacity) -> Self {
        Self {
            capacity,
            first: piece,
            last: piece,
            blocks: 1,
        }
    }

    /// Returns the first piece.
    pub(crate) fn first(&self) -> Piece {
        self.first
    }

    /// Returns the last piece.
    pub(crate) fn last(&self) -> Piece {
        self.last
    }

    /// Returns the number of pieces.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns the block that may be next, if there can be one.
    pub(crate) fn block_after(&self) -> Option<u64> {
        (self.has_room() && self.last.end == self.capacity.block_bytes)
            .then(|| self.last.block.checked_add(1))
            .flatten()
    }

    /// Returns the block that may come before, if there can be one.
    pub(crate) fn block_before(&self) -> Option<u64> {
        (self.has_room() && self.first.start == 0)
            .then(|| self.first.block.checked_sub(1))
            .flatten()
    }

    /// Whether `piece` continues the run.
    pub(crate) fn joins_after(&self, piece: Piece) -> bool {
        self.block_after() == Some(piece.block) && piece.start == 0
    }

    /// Adds a piece at the end. Returns false, and changes nothing, if it does not continue the run.
    pub(crate) fn push_after(&mut self, piece: Piece) -> bool {
        let joins = self.joins_after(piece);
        if joins {
            self.last = piece;
            self.blocks = self.blocks.saturating_add(1);
        }
        joins
    }

    /// Adds a piece at the start. Returns false, and changes nothing, if the run does not continue it.
    pub(crate) fn push_before(&mut self, piece: Piece) -> bool {
        let joins =
            self.block_before() == Some(piece.block) && piece.end == self.capacity.block_bytes;
        if joins {
            self.first = piece;
            self.blocks = self.blocks.saturating_add(1);
        }
        joins
    }

    fn has_room(&self) -> bool {
        self.blocks < self.capacity.blocks
    }
}
