// SPDX-License-Identifier: GPL-2.0

//! What memscope does to one thread, and why; and how the thread brings its flags in line with it.

use super::{
    super::abi::{MAX_PER_TASK, SCOPES},
    super::tally::Counters,
    Origin, Registry,
};
use crate::kapi::{
    task::{self, Flags},
    task_map::{Room, Slot},
    task_work::{Notify, Work},
    thread::{self, Process},
};
use kernel::{
    alloc::flags::GFP_ATOMIC,
    prelude::*,
    rbtree::{RBTreeNode, RBTreeNodeReservation},
    sync::{aref::ARef, Arc},
    task::Task,
};

/// Tells one open file from all others, past and present.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(pub(super) u64);

/// A hold of a file on a thread or, in [`Group`], on every thread of a process.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) file: FileId,
    // Closing a descriptor counts in the process that did the holding.
    pub(super) setter: Process,
    pub(super) scopes: Flags,
    pub(super) notify: Notify,
    pub(super) origin: Arc<Origin>,
    // Set on a thread that created this one.
    pub(super) inherited: bool,
}

/// What a thread was marked with for good. It may have changed its mind since, by `prctl()`.
#[derive(Clone)]
pub(super) struct Mark {
    pub(super) scopes: Flags,
    pub(super) origin: Arc<Origin>,
    pub(super) inherited: bool,
}

/// A thread's own leave of absence.
pub(super) struct Suspension {
    pub(super) file: FileId,
    pub(super) setter: Process,
    pub(super) depth: u32,
}

/// What memscope does to one thread.
pub(super) struct Record {
    pub(super) task: ARef<Task>,
    pub(super) work: Arc<Work<Registry>>,
    pub(super) counters: Slot<Counters>,
    pub(super) holds: KVec<Hold>,
    pub(super) suspensions: KVec<Suspension>,
    // Set by memscope because of `holds`, and not there otherwise.
    pub(super) added: Flags,
    // The thread's own, which it has again when the last suspension ends.
    pub(super) parked: Flags,
    pub(super) mark: Option<Mark>,
    // What is to become the thread's own, as `mark` says.
    pub(super) replace: Option<Flags>,
    // The flags are to be brought in line; the work is queued, as `notified` says.
    pub(super) dirty: bool,
    pub(super) notified: Notify,
}

impl Record {
    pub(super) fn wanted(&self) -> Flags {
        self.holds
            .iter()
            .fold(Flags::NONE, |all, hold| all.union(hold.scopes))
    }

    pub(super) fn is_suspended(&self) -> bool {
        !self.suspensions.is_empty()
    }

    /// Brings the flags of the current task, whose record this is, in line with it.
    pub(super) fn apply(&mut self) {
        let now = task::flags().intersection(SCOPES);
        let mut own = now.difference(self.added).union(self.parked);
        if let Some(replace) = self.replace.take() {
            own = replace;
        }
        let target = if self.is_suspended() {
            self.parked = own;
            Flags::NONE
        } else {
            self.parked = Flags::NONE;
            own.union(self.wanted())
        };
        task::update_flags(SCOPES, target);
        self.added = target.difference(own);
        self.dirty = false;
    }

    /// Has the thread apply it; the current one at once.
    ///
    /// # Errors
    ///
    /// `ESRCH`: the thread is dead, as far as its flags go.
    pub(super) fn change(&mut self, notify: Notify) -> Result {
        if thread::key(&self.task) == thread::current_key() {
            self.apply();
            return Ok(());
        }
        if self.dirty && notify > self.notified {
            // Queued already, but not urgently. The other unit finds nothing left to do. Without
            // memory for it the thread gets there later.
            if let Ok(work) = Work::new(self.work.context().clone(), GFP_ATOMIC) {
                self.work = work;
            }
        }
        if !self.dirty || notify > self.notified {
            self.notified = notify;
        }
        self.dirty = true;
        Work::queue(&self.work, &self.task, notify)
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_idle(&self) -> bool {
        !self.dirty
            && self.holds.is_empty()
            && self.suspensions.is_empty()
            && self.mark.is_none()
            && self.added == Flags::NONE
            && self.parked == Flags::NONE
    }

    /// Sets, changes or ends (without scopes) the hold of `hold.file`.
    ///
    /// Returns whether that changed anything.
    pub(super) fn set_hold(&mut self, hold: &Hold) -> Result<bool> {
        if let Some(at) = self.holds.iter().position(|h| h.file == hold.file) {
            if hold.scopes == Flags::NONE {
                // The index is that of an element.
                let _ = self.holds.remove(at);
                return Ok(true);
            }
            let Some(old) = self.holds.get_mut(at) else {
                return Ok(false);
            };
            let changed = old.scopes != hold.scopes;
            *old = hold.clone();
            return Ok(changed);
        }
        if hold.scopes == Flags::NONE {
            return Ok(false);
        }
        if self.holds.len() >= MAX_PER_TASK {
            return Err(ENOSPC);
        }
        self.holds.push(hold.clone(), GFP_ATOMIC)?;
        Ok(true)
    }

    /// Marks the thread for good.
    ///
    /// Returns whether it has anything to do for it.
    pub(super) fn set_mark(&mut self, scopes: Flags, origin: &Arc<Origin>) -> bool {
        if let Some(mark) = &self.mark {
            // Done by the same command, which looks again; or before, and not changed since.
            if Arc::ptr_eq(&mark.origin, origin) && !mark.inherited
                || mark.scopes == scopes && self.has_own(scopes)
            {
                return false;
            }
        }
        self.replace = Some(scopes);
        self.mark = Some(Mark {
            scopes,
            origin: origin.clone(),
            inherited: false,
        });
        true
    }

    /// Begins a suspension, or one more of the same file.
    pub(super) fn suspend(&mut self, file: FileId) -> Result {
        if let Some(suspension) = self.suspensions.iter_mut().find(|s| s.file == file) {
            suspension.depth = suspension.depth.checked_add(1).ok_or(ENOSPC)?;
            return Ok(());
        }
        if self.suspensions.len() >= MAX_PER_TASK {
            return Err(ENOSPC);
        }
        let suspension = Suspension {
            file,
            setter: Process::current(),
            depth: 1,
        };
        Ok(self.suspensions.push(suspension, GFP_ATOMIC)?)
    }

    /// Ends the last suspension of the file.
    pub(super) fn resume(&mut self, file: FileId) -> Result {
        let at = self
            .suspensions
            .iter()
            .position(|s| s.file == file)
            .ok_or(EINVAL)?;
        let suspension = self.suspensions.get_mut(at).ok_or(EINVAL)?;
        suspension.depth = suspension.depth.saturating_sub(1);
        if suspension.depth == 0 {
            // The index is that of an element.
            let _ = self.suspensions.remove(at);
        }
        Ok(())
    }

    /// The thread's own flags, as far as can be seen from outside.
    pub(super) fn peek_own(&self) -> Flags {
        thread::peek_flags(&self.task)
            .intersection(SCOPES)
            .difference(self.added)
            .union(self.parked)
    }

    /// Whether the thread's own flags are `own` and, with the holds, in force.
    pub(super) fn has_own(&self, own: Flags) -> bool {
        if self.dirty {
            return false;
        }
        if self.is_suspended() {
            return self.parked == own;
        }
        let now = thread::peek_flags(&self.task).intersection(SCOPES);
        now.difference(self.added) == own.difference(self.added)
            && now == own.union(self.wanted())
            && own.intersection(self.added) == Flags::NONE
    }
}

/// Memory for a record, got before the lock is taken.
pub(super) struct Spare {
    pub(super) node: RBTreeNodeReservation<usize, Record>,
    pub(super) work: Arc<Work<Registry>>,
    pub(super) room: Room<Counters>,
}

impl Spare {
    pub(super) fn new(registry: &Arc<Registry>, flags: kernel::alloc::Flags) -> Result<Self> {
        Ok(Self {
            node: RBTreeNodeReservation::new(flags)?,
            work: Work::new(registry.clone(), flags)?,
            room: Room::new(Counters::new(), flags)?,
        })
    }

    pub(super) fn into_node(self, task: ARef<Task>) -> RBTreeNode<usize, Record> {
        let key = thread::key(&task);
        let map = self.work.context().tally.threads.clone();
        let record = Record {
            task,
            counters: Slot::new(map, self.room, key),
            work: self.work,
            holds: KVec::new(),
            suspensions: KVec::new(),
            added: Flags::NONE,
            parked: Flags::NONE,
            mark: None,
            replace: None,
            dirty: false,
            notified: Notify::Resume,
        };
        self.node.into_node(key, record)
    }
}
