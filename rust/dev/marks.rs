// SPDX-License-Identifier: GPL-2.0

//! Marks that are set for others, or that end by themselves.
//!
//! A [`Record`] says what memscope has done to a thread's flags and why; there is one for each
//! thread that is held, suspended, or has a change under way. The thread itself brings its flags in
//! line with its record ([`Record::apply`]): on the spot where it is the one that asks, and in
//! task work where it is not. Nobody else writes them.
//!
//! A new thread joins the holds of the thread that creates it, and those of its process, before it
//! runs; a new process loses what its parent has by holds.
//!
//! One lock, `Registry::state`, is taken in process context only and is innermost. It is held while
//! task work is queued.

mod events;
mod origin;
mod record;
mod status;

use crate::kapi::{
    task::{self, Flags},
    task_work::{Notify, Run},
    thread::{self, Busy, Process},
    wait::Word64,
};
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, SpinLock,
    },
    task::Task,
    time::{Instant, Monotonic},
};

use super::{
    abi::{MAX_PER_TASK, SCOPES},
    tally::Tally,
};
pub(super) use origin::Origin;
pub(super) use record::FileId;
use record::{Hold, Record, Spare};
pub(super) use status::Viewer;

/// Whose marks are to change.
pub(super) enum Target {
    Thread(ARef<Task>),
    Process(Process),
}

impl Target {
    fn for_each_thread(&self, mut f: impl FnMut(&Task)) {
        let mut f = |task: &Task| {
            if !thread::is_exiting(task) {
                f(task)
            }
        };
        match self {
            Self::Thread(task) => f(task),
            Self::Process(process) => process.for_each_thread(f),
        }
    }
}

/// What is to be done to the threads of a [`Target`].
pub(super) struct Request {
    pub(super) target: Target,
    pub(super) scopes: Flags,
    /// By this file, until it is closed; or for good.
    pub(super) hold: Option<FileId>,
    pub(super) notify: Notify,
    pub(super) timeout_ms: u32,
    pub(super) origin: Arc<Origin>,
    /// Whether to remember who marked a thread for good, which needs to be told of its end.
    pub(super) remember: bool,
}

/// How far a request has got.
#[derive(Default)]
pub(super) struct Outcome {
    /// Threads on which it is in force.
    pub(super) done: u32,
    /// Threads on which it is not.
    pub(super) remaining: u32,
    /// Of these, how many are stopped.
    pub(super) stopped: u32,
    /// Of these, how many are in a sleep that is not interrupted.
    pub(super) blocked: u32,
    /// Threads for which there was no memory set aside.
    missing: usize,
}

struct Group {
    process: Process,
    hold: Hold,
}

struct State {
    records: RBTree<usize, Record>,
    groups: KVec<Group>,
    // How many threads have yet to bring their flags in line before those who wait for some look
    // again; zero if nobody waits.
    awaited: u32,
}

/// Every record of the module.
#[pin_data]
pub(crate) struct Registry {
    #[pin]
    state: SpinLock<State>,
    // Whether there may be anything in `state`: spares other people's threads the lock.
    active: Atomic<usize>,
    // Changes when `awaited` has come down to zero.
    progress: Word64,
    // New tasks that could not be looked after for want of memory.
    missed: Atomic<u64>,
    next_file: Atomic<u64>,
    tally: Arc<Tally>,
}

impl Registry {
    pub(super) fn new(tally: Arc<Tally>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_spinlock!(
                    State {
                        records: RBTree::new(),
                        groups: KVec::new(),
                        awaited: 0,
                    },
                    "Registry::state"
                ),
                active: Atomic::new(0),
                progress: Word64::new(0),
                missed: Atomic::new(0),
                next_file: Atomic::new(1),
                tally,
            }),
            GFP_KERNEL,
        )
    }

    /// An identity for a file that is being opened.
    pub(super) fn new_file(&self) -> FileId {
        // Relaxed: only has to be unique.
        FileId(self.next_file.fetch_add(1, Relaxed))
    }

    /// Does what `request` says, and waits for the threads to have done it.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: no thread of the target is alive.
    /// - `ENOSPC`: enough files hold a thread; as below.
    /// - `ENOMEM`: what was done so far stays; a hold ends with its file.
    /// - `EINTR`: a fatal signal.
    pub(super) fn mark(self: &Arc<Self>, request: &Request) -> Result<Outcome> {
        let result = self.mark_all(request);
        if request.hold.is_none() && (request.scopes == Flags::NONE || !request.remember) {
            self.forget_marks(request);
        }
        result
    }

    fn mark_all(self: &Arc<Self>, request: &Request) -> Result<Outcome> {
        if let (Some(file), Target::Process(process)) = (request.hold, &request.target) {
            self.set_group(process, self.hold(file, request))?;
        }
        let started = Instant::<Monotonic>::now();
        let mut spares = KVec::new();
        let mut missing = 1;
        loop {
            // Before the lock. Some more, for the threads that are created meanwhile.
            while spares.len() < missing {
                spares.push(Spare::new(self, GFP_KERNEL_ACCOUNT)?, GFP_KERNEL)?;
            }
            let seen = self.progress.value();
            let outcome = self.pass(request, &mut spares)?;
            if outcome.missing > 0 {
                missing = outcome.missing.saturating_add(8);
                continue;
            }
            if outcome.done == 0 && outcome.remaining == 0 {
                // The last thread may have gone before the process's hold was set.
                if let (Some(file), Target::Process(process)) = (request.hold, &request.target) {
                    let none = Hold {
                        scopes: Flags::NONE,
                        ..self.hold(file, request)
                    };
                    self.set_group(process, none)?;
                }
                return Err(ESRCH);
            }
            if outcome.remaining == 0
                || started.elapsed().as_millis() >= i64::from(request.timeout_ms)
            {
                return Ok(outcome);
            }
            if thread::fatal_signal_pending() {
                return Err(EINTR);
            }
            // Until they have all changed, or something else is to be seen: an exit wakes nobody.
            self.progress.wait_changed_killable(seen, 1);
            // Somebody else may be waiting for this thread in the same way.
            self.run();
        }
    }

    fn hold(&self, file: FileId, request: &Request) -> Hold {
        Hold {
            file,
            setter: Process::current(),
            scopes: request.scopes,
            notify: request.notify,
            origin: request.origin.clone(),
            inherited: false,
        }
    }

    /// Removes what [`Self::mark_all`] needed to know which threads it has seen to.
    fn forget_marks(&self, request: &Request) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        request.target.for_each_thread(|task| {
            let key = thread::key(task);
            let Some(record) = state.records.get_mut(&key) else {
                return;
            };
            let is_ours = |m: &record::Mark| Arc::ptr_eq(&m.origin, &request.origin);
            if record.mark.as_ref().is_some_and(is_ours) {
                record.mark = None;
                if record.is_idle() {
                    self.forget(state, key);
                }
            }
        });
    }

    /// Makes new threads of `process` join the hold, or no more.
    fn set_group(&self, process: &Process, hold: Hold) -> Result {
        let mut room: KVec<Group> = KVec::new();
        loop {
            let mut state = self.state.lock();
            let groups = &mut state.groups;
            let at = groups
                .iter()
                .position(|g| g.hold.file == hold.file && g.process == *process);
            if let Some(at) = at {
                if hold.scopes == Flags::NONE {
                    let _ = groups.remove(at);
                    self.active.fetch_sub(1, Relaxed);
                } else if let Some(group) = groups.get_mut(at) {
                    group.hold = hold;
                }
                return Ok(());
            }
            if hold.scopes == Flags::NONE {
                return Ok(());
            }
            if groups.iter().filter(|g| g.process == *process).count() >= MAX_PER_TASK {
                return Err(ENOSPC);
            }
            if groups.len() == groups.capacity() {
                if room.capacity() > groups.len() {
                    // The larger table, with what the smaller one holds.
                    for group in groups.drain_all() {
                        room.push_within_capacity(group).map_err(|_| ENOMEM)?;
                    }
                    core::mem::swap(groups, &mut room);
                } else {
                    let wanted = groups.len().saturating_mul(2).saturating_add(4);
                    drop(state);
                    room = KVec::with_capacity(wanted, GFP_KERNEL)?;
                    continue;
                }
            }
            groups
                .push_within_capacity(Group {
                    process: process.clone(),
                    hold,
                })
                .map_err(|_| ENOMEM)?;
            self.active.fetch_add(1, Relaxed);
            drop(state);
            // Pairs with `created`: a new thread either sees that there is something, or is in
            // the list of threads by the time that list is read.
            task::full_barrier();
            return Ok(());
        }
    }

    /// Looks at every thread of the target once, and has those change that have not.
    fn pass(&self, request: &Request, spares: &mut KVec<Spare>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut result = Ok(());
        let hold = request.hold.map(|file| self.hold(file, request));
        let mut guard = self.state.lock();
        let state = &mut *guard;
        request.target.for_each_thread(|task| {
            if result.is_err() {
                return;
            }
            let key = thread::key(task);
            if state.records.get(&key).is_none() {
                // What it does not have is to end. The flags that it has prove nothing else: they may
                // be those of a call (`CALL`).
                let has_none = thread::peek_flags(task).intersection(SCOPES) == Flags::NONE;
                if request.scopes == Flags::NONE && (request.hold.is_some() || has_none) {
                    outcome.done += 1;
                    return;
                }
                let Some(spare) = spares.pop() else {
                    outcome.missing += 1;
                    return;
                };
                // There was none with that key.
                state.records.insert(spare.into_node(task.into()));
                self.active.fetch_add(1, Relaxed);
            }
            let Some(record) = state.records.get_mut(&key) else {
                return;
            };
            let more_urgent = record.dirty && request.notify > record.notified;
            let change = match &hold {
                Some(hold) => record.set_hold(hold).map(|changed| changed || more_urgent),
                None => Ok(record.set_mark(request.scopes, &request.origin) || more_urgent),
            };
            let changed = match change {
                Ok(false) => Ok(()),
                Ok(true) => record.change(request.notify),
                Err(e) => {
                    result = Err(e);
                    Ok(())
                }
            };
            if changed.is_err() {
                // It will never run in user mode again.
                self.forget(state, key);
                return;
            }
            if record.dirty {
                outcome.remaining += 1;
                match thread::peek_busy(task) {
                    Busy::Stopped => outcome.stopped += 1,
                    Busy::Blocked => outcome.blocked += 1,
                    Busy::Running => (),
                }
            } else {
                outcome.done += 1;
                if record.is_idle() {
                    self.forget(state, key);
                }
            }
        });
        // The least that anybody waits for.
        if state.awaited == 0 || (1..state.awaited).contains(&outcome.remaining) {
            state.awaited = outcome.remaining;
        }
        result.map(|()| outcome)
    }

    /// Removes a record. What it refers to can be let go of under the lock.
    fn forget(&self, state: &mut State, key: usize) {
        if state.records.remove_node(&key).is_some() {
            self.active.fetch_sub(1, Relaxed);
        }
    }

    /// Removes the groups that are not to be kept.
    fn retain_groups(&self, state: &mut State, mut keep: impl FnMut(&Group) -> bool) {
        let before = state.groups.len();
        state.groups.retain(|group| keep(group));
        let removed = before.saturating_sub(state.groups.len());
        self.active.fetch_sub(removed, Relaxed);
    }

    /// Takes the current thread out of every scope until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// `ENOSPC`, `ENOMEM`.
    pub(super) fn suspend(self: &Arc<Self>, file: FileId) -> Result {
        let mut spare = Some(Spare::new(self, GFP_KERNEL_ACCOUNT)?);
        let task = thread::current_task();
        let key = thread::key(&task);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.records.get(&key).is_none() {
            if let Some(spare) = spare.take() {
                state.records.insert(spare.into_node(task));
                self.active.fetch_add(1, Relaxed);
            }
        }
        let record = state.records.get_mut(&key).ok_or(ENOMEM)?;
        let result = record.suspend(file);
        record.apply();
        if record.is_idle() {
            self.forget(state, key);
        }
        result
    }

    /// Ends the last suspension that the current thread made with the same file.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(super) fn resume(&self, file: FileId) -> Result {
        let key = thread::current_key();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let record = state.records.get_mut(&key).ok_or(EINVAL)?;
        record.resume(file)?;
        record.apply();
        if record.is_idle() {
            self.forget(state, key);
        }
        Ok(())
    }

    /// Ends what `file` holds and suspends: all of it, or what `setter` did.
    pub(super) fn close(&self, file: FileId, setter: Option<&Process>) {
        // Relaxed: whoever used the file has done so before it is closed.
        if self.active.load(Relaxed) == 0 {
            return;
        }
        let ends = |f: FileId, s: &Process| f == file && setter.is_none_or(|setter| setter == s);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        self.retain_groups(state, |g| !ends(g.hold.file, &g.hold.setter));

        let mut cursor = state.records.cursor_front_mut();
        while let Some(mut at) = cursor {
            let (_, record) = at.current_mut();
            let had = record.holds.len() + record.suspensions.len();
            let mut notify = Notify::Resume;
            record.holds.retain(|h| {
                let end = ends(h.file, &h.setter);
                if end {
                    notify = notify.max(h.notify);
                }
                !end
            });
            record.suspensions.retain(|s| {
                let end = ends(s.file, &s.setter);
                if end {
                    notify = Notify::Signal;
                }
                !end
            });
            let changed = had != record.holds.len() + record.suspensions.len();
            let gone = changed && (record.change(notify).is_err() || record.is_idle());
            cursor = if gone {
                self.active.fetch_sub(1, Relaxed);
                at.remove_current().0
            } else {
                at.move_next()
            };
        }
    }
}

impl Registry {
    /// Whether there is nothing to look after.
    pub(super) fn is_empty(&self) -> bool {
        self.active.load(Relaxed) == 0
    }

    /// How many new threads did not get what they should have.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    /// Forgets everything; the threads keep what they have. For the time when the module goes: no
    /// file is open, no work under way, and no probe registered.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        let records = core::mem::replace(&mut state.records, RBTree::new());
        let groups = core::mem::take(&mut state.groups);
        drop(state);
        // Each refers to the registry.
        drop(records);
        drop(groups);
    }
}

impl Run for Registry {
    /// Brings the current task in line with its record.
    fn run(&self) {
        let key = thread::current_key();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut wake = false;
        if let Some(record) = state.records.get_mut(&key) {
            if record.dirty {
                record.apply();
                wake = state.awaited == 1;
                state.awaited = state.awaited.saturating_sub(1);
            }
            // An exiting task may have passed `exiting` before the record was made.
            if record.is_idle() || thread::is_exiting(&record.task) {
                self.forget(state, key);
            }
        }
        if wake {
            drop(guard);
            self.progress.bump();
            self.progress.wake();
        }
    }
}
