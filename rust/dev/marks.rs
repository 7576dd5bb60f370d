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

mod record;

use crate::kapi::{
    task::{self, Flags},
    task_events::TaskEvents,
    task_work::{Notify, Run},
    thread::{self, Busy, Process},
};
use kernel::{
    alloc::flags::GFP_ATOMIC,
    new_spinlock,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow, SpinLock,
    },
    task::Task,
    time::{Instant, Monotonic},
};

use super::abi::SCOPES;
pub(super) use record::FileId;
use record::{Hold, Record, Spare, Suspension};

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
}

/// Every record of the module.
#[pin_data]
pub(crate) struct Registry {
    #[pin]
    state: SpinLock<State>,
    // Whether there may be anything in `state`: spares other people's threads the lock.
    active: Atomic<usize>,
    // New tasks that could not be looked after for want of memory.
    missed: Atomic<u64>,
    next_file: Atomic<u64>,
}

impl Registry {
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_spinlock!(
                    State {
                        records: RBTree::new(),
                        groups: KVec::new(),
                    },
                    "Registry::state"
                ),
                active: Atomic::new(0),
                missed: Atomic::new(0),
                next_file: Atomic::new(1),
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
    /// - `ENOMEM`: what was done so far stays; a hold ends with its file.
    /// - `EINTR`: a fatal signal.
    pub(super) fn mark(self: &Arc<Self>, request: &Request) -> Result<Outcome> {
        if let (Some(file), Target::Process(process)) = (request.hold, &request.target) {
            self.set_group(process, self.hold(file, request))?;
        }
        let started = Instant::<Monotonic>::now();
        let mut spares = KVec::new();
        let mut missing = 1;
        loop {
            // Before the lock. Some more, for the threads that are created meanwhile.
            while spares.len() < missing {
                spares.push(Spare::new(self, GFP_KERNEL)?, GFP_KERNEL)?;
            }
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
            thread::sleep_tick_killable();
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
        }
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
                let peeked = thread::peek_flags(task).intersection(SCOPES);
                // For good, and so already; or a hold that it does not have is to end.
                if match request.hold {
                    None => peeked == request.scopes,
                    Some(_) => request.scopes == Flags::NONE,
                } {
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
                None if record.replace == Some(request.scopes) => Ok(more_urgent),
                None => Ok(!record.has_own(request.scopes)),
            };
            let changed = match change {
                Ok(false) => Ok(()),
                Ok(true) => {
                    if hold.is_none() {
                        record.replace = Some(request.scopes);
                    }
                    record.change(request.notify)
                }
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
    /// `ENOMEM`.
    pub(super) fn suspend(self: &Arc<Self>, file: FileId) -> Result {
        let mut spare = Some(Spare::new(self, GFP_KERNEL)?);
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
        let suspension = Suspension {
            file,
            setter: Process::current(),
        };
        let result = record.suspensions.push(suspension, GFP_ATOMIC);
        record.apply();
        if record.is_idle() {
            self.forget(state, key);
        }
        result.map_err(|_| ENOMEM)
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
        let at = record
            .suspensions
            .iter()
            .rposition(|s| s.file == file)
            .ok_or(EINVAL)?;
        let _ = record.suspensions.remove(at);
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

impl Run for Registry {
    /// Brings the current task in line with its record.
    fn run(&self) {
        let key = thread::current_key();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(record) = state.records.get_mut(&key) {
            if record.dirty {
                record.apply();
            }
            // An exiting task may have passed `exiting` before the record was made.
            if record.is_idle() || thread::is_exiting(&record.task) {
                self.forget(state, key);
            }
        }
    }
}

impl TaskEvents for Registry {
    fn created(this: ArcBorrow<'_, Self>, child: &Task, is_thread: bool) {
        // Pairs with `set_group`.
        task::full_barrier();
        if this.active.load(Relaxed) == 0 {
            return;
        }
        if Self::adopt(this, child, is_thread).is_err() {
            // Relaxed: a counter for people.
            this.missed.fetch_add(1, Relaxed);
        }
    }

    fn exiting(this: ArcBorrow<'_, Self>, is_last: bool) {
        // Relaxed: a record of this task that this misses is seen by the work that came with it.
        if this.active.load(Relaxed) == 0 {
            return;
        }
        let mut guard = this.state.lock();
        this.forget(&mut guard, thread::current_key());
        if is_last {
            this.retain_groups(&mut guard, |g| !g.process.is_current());
        }
    }
}

impl Registry {
    /// Makes a record for `child`, which has copied the flags of the current task, if it needs one.
    fn adopt(this: ArcBorrow<'_, Self>, child: &Task, is_thread: bool) -> Result {
        let mut guard = this.state.lock();
        let state = &mut *guard;
        let key = thread::current_key();
        let parent = state.records.get(&key);
        let added = parent.map_or(Flags::NONE, |p| p.added);

        let mut holds = KVec::new();
        if is_thread {
            let inherited = parent
                .filter(|p| !p.is_suspended())
                .map_or(&[] as &[Hold], |p| &p.holds);
            let joined = state
                .groups
                .iter()
                .filter(|g| g.process.contains(child))
                .map(|g| &g.hold);
            for hold in Iterator::chain(inherited.iter(), joined) {
                if holds.iter().all(|h: &Hold| h.file != hold.file) {
                    holds.push(hold.clone(), GFP_ATOMIC)?;
                }
            }
        }
        if holds.is_empty() && added == Flags::NONE {
            return Ok(());
        }

        let spare = Spare::new(&this.into(), GFP_ATOMIC)?;
        state.records.insert(spare.into_node(child.into()));
        this.active.fetch_add(1, Relaxed);
        let record = state.records.get_mut(&thread::key(child)).ok_or(ESRCH)?;
        record.holds = holds;
        record.added = added;
        let own = task::flags().intersection(SCOPES).difference(added);
        if own.union(record.wanted()) == own.union(added) {
            return Ok(());
        }
        // It runs this before it enters user mode for the first time, unless it never does.
        let notify = if thread::is_user_worker(child) {
            Notify::Signal
        } else {
            Notify::Resume
        };
        if record.change(notify).is_err() {
            this.forget(state, thread::key(child));
        }
        Ok(())
    }
}
