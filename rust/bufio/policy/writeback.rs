// SPDX-License-Identifier: GPL-2.0

//! When dirty blocks are written, what follows a failed write, and how its error is reported.
//!
//! Ticks are the caller's coarse clock (jiffies, or seconds).

use crate::kapi::word::{update, Word};

/// Write-back starts when there are more dirty blocks than this many times the clean ones, as in
/// dm-bufio.
pub(crate) const DIRTY_PER_CLEAN: usize = 3;

/// So many dirty blocks do not start it, however few are clean: else the first mark of an empty cache
/// would. As many as eviction leaves to a client, so that nobody waits for one of them to be clean.
pub(crate) const LEAST_DIRTY: usize = 8;

/// What the write-back worker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Write at least this many blocks, oldest first.
    pub(crate) blocks: usize,
    /// Write every block whose dirty data has reached the age limit.
    pub(crate) aged: bool,
    /// Look again after this many ticks, even if nothing happens; never zero. [`None`]: no dirty
    /// data that can reach an age.
    pub(crate) again_ticks: Option<u64>,
}

/// Decides what to write.
///
/// `oldest_ticks` is the age of the oldest dirty data that may be written now; `max_age_ticks` of
/// zero means no age limit. Write-back by ratio goes on until half of the blocks are clean, so that
/// it does not start again with the next mark.
pub(crate) fn plan(
    dirty: usize,
    clean: usize,
    oldest_ticks: Option<u64>,
    max_age_ticks: u64,
) -> Plan {
    let blocks = if dirty > clean.saturating_mul(DIRTY_PER_CLEAN).max(LEAST_DIRTY) {
        dirty.saturating_sub(dirty.saturating_add(clean) >> 1)
    } else {
        0
    };
    let oldest = oldest_ticks.filter(|_| max_age_ticks != 0);
    let aged = oldest.is_some_and(|age| age >= max_age_ticks);
    let again_ticks = oldest.map(|age| match max_age_ticks.saturating_sub(age) {
        // The aged ones are written now; what is younger cannot be known here.
        0 => max_age_ticks,
        left => left,
    });
    Plan {
        blocks,
        aged,
        again_ticks,
    }
}

/// What a client wants done with data that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Keep it dirty; only an explicit flush tries again.
    Keep,
    /// Drop it with its buffer, as dm-bufio does.
    Drop,
}

/// How often and how fast failed writes are repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    /// Attempts after the first; zero gives up at once.
    pub(crate) max: u8,
    /// Pause before the first repetition; doubles with each.
    pub(crate) first_ticks: u64,
    /// Longest pause.
    pub(crate) longest_ticks: u64,
    /// What follows the last.
    pub(crate) then: OnFailure,
}

/// What follows a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Stay dirty, and write again after this many ticks.
    Again {
        /// The pause.
        ticks: u64,
    },
    /// Stay dirty, and wait for an explicit flush.
    Keep,
    /// Drop the data.
    Drop,
}

/// The failures of one block since its last good write or explicit flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures(u16);

impl Failures {
    /// Counts a failed write and says what follows.
    pub(crate) fn count(&mut self, retries: &Retries) -> AfterFailure {
        let before = self.0;
        self.0 = before.saturating_add(1);
        if before >= u16::from(retries.max) {
            return match retries.then {
                OnFailure::Keep => AfterFailure::Keep,
                OnFailure::Drop => AfterFailure::Drop,
            };
        }
        let factor = 1u64.checked_shl(u32::from(before)).unwrap_or(u64::MAX);
        AfterFailure::Again {
            ticks: retries
                .first_ticks
                .saturating_mul(factor)
                .min(retries.longest_ticks),
        }
    }

    /// Returns the number, to be stored.
    pub(crate) fn to_count(self) -> u16 {
        self.0
    }

    /// From [`Self::to_count`].
    pub(crate) fn from_count(count: u16) -> Self {
        Self(count)
    }

    /// Forgets the failures: a write was good, or the owner asked for another try.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    /// Whether the block waits for an explicit flush.
    pub(crate) fn given_up(self, retries: &Retries) -> bool {
        self.0 > u16::from(retries.max)
    }
}

/// The first error since the last report.
///
/// Each error is either the one that a report returns, or came while that one was waiting for its
/// report.
#[derive(Debug)]
pub(crate) struct ErrorLatch<W>(W);

impl<W: Word> ErrorLatch<W> {
    /// Makes a latch of a word that is zero.
    pub(crate) const fn new(word: W) -> Self {
        Self(word)
    }

    /// Records a positive error number, unless one waits already.
    pub(crate) fn record(&self, errno: u32) {
        let _ = update(&self.0, |old| (old == 0).then_some(u64::from(errno)));
    }

    /// Takes the error for a report.
    pub(crate) fn take(&self) -> Option<u32> {
        u32::try_from(self.0.swap(0)).ok().filter(|&e| e != 0)
    }
}
