// SPDX-License-Identifier: GPL-2.0

//! What a client counts.

use super::{policy::ladder::Step, Table, DIRTY, WRITING};
use crate::kapi::counters::Counters;
use kernel::{fmt, prelude::*, sync::atomic::Relaxed};

/// An event.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    /// A block was found.
    Hit,
    /// A block was not found by a read or new.
    Miss,
    /// A get found nothing.
    GetMiss,
    /// A buffer was evicted.
    Evict,
    /// A block was prefetched.
    Prefetch,
    /// A bio with a read was submitted.
    ReadBio,
    /// A bio with a write was submitted.
    WriteBio,
    /// Blocks were written.
    WriteBlock,
    /// A read failed.
    ReadError,
    /// A block's write failed.
    WriteError,
    /// A merged write failed, and its blocks were written one by one.
    WriteSplit,
    /// Pages came from the kernel's emergency reserves.
    EmergencyPage,
    /// Nanoseconds slept for a buffer.
    WaitNs,
    /// Buffers freed for the shrinker.
    Shrunk,
}

const EVENTS: [(&str, Event); 14] = [
    ("hits", Event::Hit),
    ("misses", Event::Miss),
    ("get_misses", Event::GetMiss),
    ("evictions", Event::Evict),
    ("prefetched", Event::Prefetch),
    ("read_bios", Event::ReadBio),
    ("write_bios", Event::WriteBio),
    ("written_blocks", Event::WriteBlock),
    ("read_errors", Event::ReadError),
    ("write_errors", Event::WriteError),
    ("write_splits", Event::WriteSplit),
    ("emergency_pages_seen", Event::EmergencyPage),
    ("wait_ns", Event::WaitNs),
    ("shrunk", Event::Shrunk),
];

const COUNTERS: usize = EVENTS.len() + Step::COUNT;

/// A client's counters.
pub(crate) struct Stats(Counters<COUNTERS>);

impl Stats {
    /// Makes counters at zero.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Counters::new()?))
    }

    /// Counts an event.
    #[inline]
    pub(crate) fn inc(&self, event: Event) {
        self.0.inc(event as usize);
    }

    /// Counts an event that shows that the client is in use. Writes this CPU's memory only.
    #[inline]
    pub(crate) fn used(&self, event: Event) {
        self.0.inc_now(event as usize);
    }

    /// Returns when the client was last used, in jiffies; 0 for never.
    pub(crate) fn last_use(&self) -> u64 {
        self.0.last_now()
    }

    /// Counts several.
    pub(crate) fn add(&self, event: Event, n: u64) {
        self.0.add(event as usize, n);
    }

    /// Counts a step of the ladder that was taken.
    pub(crate) fn step(&self, step: Step) {
        self.0.inc(EVENTS.len().wrapping_add(step.index()));
    }

    /// Returns how often an event was.
    pub(crate) fn sum(&self, event: Event) -> u64 {
        self.0.sum(event as usize)
    }
}

/// Prints a client's state, one number a line.
pub(crate) fn print(table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let shared = &table.shared;
    let (mut held, mut reading) = (0u64, 0u64);
    shared.count_held(table, &mut held, &mut reading);
    writeln!(f, "block_bytes {}", shared.block_bytes)?;
    writeln!(f, "buffers {}", table.entries())?;
    writeln!(f, "clean {}", shared.clean_len(table))?;
    writeln!(f, "dirty {}", table.queue_len(DIRTY))?;
    let writing = table.queue_len(WRITING);
    writeln!(
        f,
        "writing {}",
        writing.saturating_sub(shared.unswept(table))
    )?;
    writeln!(f, "held {held}")?;
    writeln!(f, "reading {reading}")?;
    writeln!(f, "reserve {}", shared.reserve_len())?;
    writeln!(f, "reserve_wanted {}", shared.reserved)?;
    writeln!(f, "minimum {}", shared.minimum.load(Relaxed))?;
    writeln!(f, "bytes {}", shared.usage.bytes())?;
    writeln!(f, "bytes_max {}", shared.own_limit())?;
    writeln!(f, "buffer_bytes {}", shared.buffer_bytes())?;
    writeln!(f, "table_bytes {}", table.segment_bytes())?;
    writeln!(f, "emergency_pages {}", shared.emergency.load(Relaxed))?;
    writeln!(f, "lost_blocks {}", shared.lost.load(Relaxed))?;
    writeln!(f, "idle_seconds {}", shared.idle_seconds())?;
    for (name, event) in EVENTS {
        writeln!(f, "{name} {}", shared.stats.sum(event))?;
    }
    for step in Step::ALL {
        let n = shared.stats.0.sum(EVENTS.len().wrapping_add(step.index()));
        writeln!(f, "step_{} {n}", step.name())?;
    }
    Ok(())
}
