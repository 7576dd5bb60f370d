// SPDX-License-Identifier: GPL-2.0

//! What there is to be seen of the marks, without changing any.

use super::{
    super::abi::{self, Entry, RawEntry},
    origin::Origin,
    record::{FileId, Record},
    Registry, SCOPES,
};
use crate::kapi::{
    seq,
    task::{self, Flags},
    thread::{self, Process},
};
use kernel::{
    seq_file::SeqFile,
    sync::atomic::Relaxed,
    task::{Kuid, Task},
};

/// Whose threads may be seen; of every user where there is `None`.
pub(in crate::dev) struct Viewer {
    reader: Option<Kuid>,
    opener: Option<Kuid>,
}

impl Viewer {
    /// The current task.
    pub(in crate::dev) fn current() -> Self {
        Self {
            reader: (!task::is_sys_resource()).then(Kuid::current_euid),
            opener: None,
        }
    }

    /// The current task, which reads a file. What it reads may be for who opened that: a program
    /// with more rights is made to read its input.
    pub(in crate::dev) fn of_file(m: &SeqFile) -> Self {
        Self {
            opener: (!seq::opener_is_sys_resource(m)).then(|| seq::opener(m)),
            ..Self::current()
        }
    }

    pub(in crate::dev) fn sees_all(&self) -> bool {
        self.reader.is_none() && self.opener.is_none()
    }

    pub(in crate::dev) fn sees(&self, task: &Task) -> bool {
        [self.reader, self.opener]
            .iter()
            .flatten()
            .all(|uid| task.uid() == *uid)
    }

    /// Whether every thread of the process may be seen, and it has a number here.
    pub(in crate::dev) fn sees_process(&self, process: &Process) -> bool {
        let (mut any, mut all) = (false, process.number() != 0);
        process.for_each_thread(|task| {
            any = true;
            all = all && self.sees(task);
        });
        any && all
    }
}

const UNKNOWN: u32 = u32::MAX;

/// An entry about `task` without a mark in it.
fn blank(task: &Task) -> RawEntry {
    let (tid, tgid) = thread::numbers(task);
    RawEntry {
        tid,
        tgid,
        uid: task.uid().into_uid_in_current_ns(),
        how: abi::HOW_OWN,
        by_uid: UNKNOWN,
        comm: thread::name(task),
        ..Default::default()
    }
}

/// `entry` with a mark in it.
fn with_mark(entry: &RawEntry, how: u32, scopes: Flags, inherited: bool, origin: &Origin) -> Entry {
    let mut flags = entry.flags;
    for (bit, is_set) in [
        (abi::ENTRY_INHERITED, inherited),
        (abi::ENTRY_PROCESS, origin.whole),
        (abi::ENTRY_SETTER_GONE, origin.process.is_gone()),
    ] {
        if is_set {
            flags |= bit;
        }
    }
    Entry(RawEntry {
        mark: abi::scopes_from_flags(scopes),
        how,
        flags,
        by_pid: origin.process.number(),
        by_uid: origin.uid.into_uid_in_current_ns(),
        since_ns: origin.since_ns,
        by_comm: origin.name,
        ..*entry
    })
}

impl Registry {
    /// Calls `f` for each mark of `task`.
    pub(in crate::dev) fn for_each_entry(&self, task: &Task, mut f: impl FnMut(Entry)) {
        let mut entry = blank(task);
        let state = self.state.lock();
        // Under the lock, under which the thread changes: as its record says.
        let mut own = thread::peek_flags(task).intersection(SCOPES);
        entry.scopes = abi::scopes_from_flags(own);
        if let Some(record) = state.records.get(&thread::key(task)) {
            if record.dirty {
                entry.flags |= abi::ENTRY_PENDING;
            }
            if record.is_suspended() {
                entry.flags |= abi::ENTRY_SUSPENDED;
            }
            entry.flags |= abi::ENTRY_COUNTED;
            let counters = &record.counters;
            for (out, count) in [
                (&mut entry.reclaims, &counters.reclaims),
                (&mut entry.reclaim_ns, &counters.reclaim_ns),
                (&mut entry.constrained, &counters.constrained),
                (&mut entry.pauses, &counters.pauses),
                (&mut entry.pause_ns, &counters.pause_ns),
            ] {
                *out = count.load(Relaxed);
            }
            own = record.peek_own();
            if let Some(mark) = &record.mark {
                // Of what it was marked with, what it has not cleared since.
                let scopes = if record.replace.is_some() {
                    mark.scopes
                } else {
                    mark.scopes.intersection(own)
                };
                own = own.difference(scopes);
                if scopes != Flags::NONE {
                    f(with_mark(
                        &entry,
                        abi::HOW_MARK,
                        scopes,
                        mark.inherited,
                        &mark.origin,
                    ));
                }
            }
            for hold in &record.holds {
                let how = if hold.origin.delegated {
                    abi::HOW_DELEGATED
                } else {
                    abi::HOW_HOLD
                };
                f(with_mark(
                    &entry,
                    how,
                    hold.scopes,
                    hold.inherited,
                    &hold.origin,
                ));
            }
        }
        drop(state);
        if own != Flags::NONE {
            entry.mark = abi::scopes_from_flags(own);
            f(Entry(entry));
        }
    }

    /// Calls `f` for each thread that `file` holds, with the scopes, and that it suspends, with none.
    pub(in crate::dev) fn for_each_of_file(
        &self,
        file: FileId,
        mut f: impl FnMut(&Task, Option<Flags>),
    ) {
        let state = self.state.lock();
        for record in state.records.values() {
            let Record {
                task,
                holds,
                suspensions,
                ..
            } = record;
            for hold in holds.iter().filter(|h| h.file == file) {
                f(task, Some(hold.scopes));
            }
            if suspensions.iter().any(|s| s.file == file) {
                f(task, None);
            }
        }
    }
}
