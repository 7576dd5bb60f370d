// SPDX-License-Identifier: GPL-2.0

//! What becomes of marks when tasks come and go.

use super::{
    record::{Hold, Mark, Spare},
    Registry, SCOPES,
};
use crate::kapi::{
    task::{self, Flags},
    task_events::TaskEvents,
    task_work::Notify,
    thread,
};
use kernel::{
    alloc::flags::GFP_ATOMIC,
    prelude::*,
    sync::{atomic::Relaxed, ArcBorrow},
    task::Task,
};

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
        let own = task::flags().intersection(SCOPES).difference(added);
        // What is copied with the flags. Not what the parent has still to do.
        let mark = parent
            .filter(|p| !p.is_suspended() && p.replace.is_none())
            .and_then(|p| p.mark.clone())
            .filter(|m| m.scopes.intersection(own) != Flags::NONE);

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
                    let hold = Hold {
                        inherited: true,
                        ..hold.clone()
                    };
                    holds.push(hold, GFP_ATOMIC)?;
                }
            }
        }
        if holds.is_empty() && added == Flags::NONE && mark.is_none() {
            return Ok(());
        }

        if state.records.get(&thread::key(child)).is_none() {
            let spare = Spare::new(&this.into(), GFP_ATOMIC)?;
            state.records.insert(spare.into_node(child.into()));
            this.active.fetch_add(1, Relaxed);
        }
        let record = state.records.get_mut(&thread::key(child)).ok_or(ESRCH)?;
        // The child is in the list of threads before this is called, so that a command may have been
        // first to see to it. It has not run yet: what it is to do then, it has still to do.
        record.added = added;
        if record.mark.is_none() {
            record.mark = mark.map(|mark| Mark {
                inherited: true,
                ..mark
            });
        }
        if record.holds.is_empty() {
            record.holds = holds;
        } else {
            for hold in holds {
                if record.holds.iter().all(|h| h.file != hold.file) {
                    record.holds.push(hold, GFP_ATOMIC)?;
                }
            }
        }
        if !record.dirty && own.union(record.wanted()) == own.union(added) {
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
