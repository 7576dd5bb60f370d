// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who is marked.

use crate::{sys, Scopes};
use std::time::Duration;

/// How a thread was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum How {
    /// By itself with `prctl()`, `SET_IO_FLUSHER` or `SET_SCOPES`, or inherited from one that was.
    Own,
    /// For good, by [`Device::mark`](crate::Device::mark).
    Mark,
    /// By [`Device::hold`](crate::Device::hold).
    Hold,
    /// The same through a delegated file.
    Delegated,
    /// In a way that this crate does not know.
    Unknown(u32),
}

bitflags::bitflags! {
    /// More about an [`Entry`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EntryFlags: u32 {
        /// The thread has still to change its state.
        const PENDING = 1 << 0;
        /// The thread has suspended its scopes.
        const SUSPENDED = 1 << 1;
        /// Set on a thread that created this one.
        const INHERITED = 1 << 2;
        /// Set on the whole process.
        const PROCESS = 1 << 3;
        /// The process that set it has ended.
        const SETTER_GONE = 1 << 4;
        /// The counters are kept for this thread.
        const COUNTED = 1 << 5;
        const _ = !0;
    }
}

/// What marks cost and what they are for, since the thread is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How often the thread has entered direct reclaim.
    pub reclaims: u64,
    /// How long it was in there.
    pub reclaim_time: Duration,
    /// Its page allocations that were without I/O or without filesystems and could have reclaimed.
    pub constrained: u64,
    /// How often it was made to pause for having dirtied pages.
    pub pauses: u64,
    /// For how long.
    pub pause_time: Duration,
}

/// One mark of one thread. Ids are those of the caller's namespaces.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The thread.
    pub tid: u32,
    /// Its process.
    pub tgid: u32,
    /// Its real user id.
    pub uid: u32,
    /// What is in force on the thread now.
    pub scopes: Scopes,
    /// What this mark is.
    pub mark: Scopes,
    /// How it was set.
    pub how: How,
    /// More about it.
    pub flags: EntryFlags,
    /// The process that set it, if that is known.
    pub by_pid: Option<u32>,
    /// Its real user id.
    pub by_uid: Option<u32>,
    /// Its name at that time.
    pub by_comm: String,
    /// When, by `CLOCK_BOOTTIME`.
    pub since: Option<Duration>,
    /// The thread's counters, where [`EntryFlags::COUNTED`].
    pub counters: Counters,
    /// The thread's name.
    pub comm: String,
}

impl Entry {
    pub(crate) fn from_raw(raw: &sys::Entry) -> Self {
        let by = raw.how != 0;
        Self {
            tid: raw.tid,
            tgid: raw.tgid,
            uid: raw.uid,
            scopes: Scopes::from_bits_retain(raw.scopes),
            mark: Scopes::from_bits_retain(raw.mark),
            how: match raw.how {
                0 => How::Own,
                1 => How::Mark,
                2 => How::Hold,
                3 => How::Delegated,
                other => How::Unknown(other),
            },
            flags: EntryFlags::from_bits_retain(raw.flags),
            by_pid: Some(raw.by_pid).filter(|pid| *pid != 0),
            by_uid: Some(raw.by_uid).filter(|uid| *uid != u32::MAX),
            by_comm: name(&raw.by_comm),
            since: by.then(|| Duration::from_nanos(raw.since_ns)),
            counters: Counters {
                reclaims: raw.reclaims,
                reclaim_time: Duration::from_nanos(raw.reclaim_ns),
                constrained: raw.constrained,
                pauses: raw.pauses,
                pause_time: Duration::from_nanos(raw.pause_ns),
            },
            comm: name(&raw.comm),
        }
    }
}

fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// What [`Device::status`](crate::Device::status) found.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// One for each mark of each thread, in the order of thread ids.
    pub entries: Vec<Entry>,
    /// New threads that did not get what they should have inherited, for want of memory.
    pub missed: u64,
    /// How often an unmarked thread of a process that serves a registered device has entered
    /// reclaim.
    pub unmarked: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that fills its field has no NUL, and need not be UTF-8.
    #[test]
    fn names_end_at_nul_or_at_the_end() {
        assert_eq!(name(b"iscsid\0garbage\0\0"), "iscsid");
        assert_eq!(name(b"0123456789abcdef"), "0123456789abcdef");
        assert_eq!(name(b"\xff\0"), "\u{fffd}");
    }

    /// Nobody is not process 0 or user 4294967295.
    #[test]
    fn unknown_setters_are_none() {
        let raw = sys::Entry {
            by_uid: u32::MAX,
            ..Default::default()
        };
        let entry = Entry::from_raw(&raw);
        assert_eq!(
            (entry.by_pid, entry.by_uid, entry.since),
            (None, None, None)
        );
        assert_eq!(entry.how, How::Own);
    }
}
