// SPDX-License-Identifier: GPL-2.0

//! The kernel's tracepoints are listened to only while there is something to look after.
//!
//! To begin and to end takes grace periods, so that is not done each time: they are left a few
//! seconds after the last mark is gone.

use super::{marks::Registry, tally::Tally};
use crate::kapi::{
    later,
    reclaim_events::{self, Which},
    task_events,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        lock::{mutex::MutexBackend, Guard},
        Arc, Mutex,
    },
};

/// How often it is looked whether they are still needed, in milliseconds.
pub(super) const INTERVAL_MS: u32 = 2000;

struct State {
    // For marks.
    tasks: Option<task_events::Listener<Registry>>,
    counting: Option<reclaim_events::Listener<Tally>>,
    // For marks, and for devices that are served.
    watch: Option<reclaim_events::Listener<Tally>>,
    // Nothing was there to look after the last time.
    idle: bool,
}

/// The probes of the module.
#[pin_data]
pub(super) struct Probes {
    registry: Arc<Registry>,
    tally: Arc<Tally>,
    #[pin]
    state: Mutex<State>,
    // Commands that are about to need them.
    users: Atomic<usize>,
}

/// The probes stay while this exists, and from then on while there are marks.
pub(super) struct Needed<'a>(&'a Probes);

impl Drop for Needed<'_> {
    fn drop(&mut self) {
        // Relaxed: the mutex orders what is done because of it.
        self.0.users.fetch_sub(1, Relaxed);
    }
}

impl Probes {
    pub(super) fn new(registry: Arc<Registry>, tally: Arc<Tally>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                registry,
                tally,
                state <- new_mutex!(
                    State {
                        tasks: None,
                        counting: None,
                        watch: None,
                        idle: false,
                    },
                    "Probes::state"
                ),
                users: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Sees to it that threads are looked after as they come and go, and counted.
    ///
    /// # Errors
    ///
    /// `ENODEV` where the kernel has no tracepoints, `ENOMEM`.
    pub(super) fn need_for_marks(&self) -> Result<Needed<'_>> {
        let (needed, mut state) = self.need_watch()?;
        if state.counting.is_none() {
            let tally = self.tally.clone();
            state.counting = Some(reclaim_events::Listener::new(tally, Which::Others)?);
        }
        if state.tasks.is_none() {
            state.tasks = Some(task_events::Listener::new(self.registry.clone())?);
        }
        Ok(needed)
    }

    /// Sees to it that threads are seen that enter reclaim.
    ///
    /// # Errors
    ///
    /// As above.
    pub(super) fn need_for_devices(&self) -> Result<Needed<'_>> {
        Ok(self.need_watch()?.0)
    }

    fn need_watch(&self) -> Result<(Needed<'_>, Guard<'_, State, MutexBackend>)> {
        let mut state = self.state.lock();
        // Relaxed: under the lock, as where it is read.
        self.users.fetch_add(1, Relaxed);
        let needed = Needed(self);
        state.idle = false;
        if state.watch.is_none() {
            let tally = self.tally.clone();
            state.watch = Some(reclaim_events::Listener::new(tally, Which::Begins)?);
        }
        Ok((needed, state))
    }

    /// Whether those for marks are registered.
    pub(super) fn are_on(&self) -> bool {
        self.state.lock().tasks.is_some()
    }

    /// Leaves them, whatever there is.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        // Each waits for grace periods.
        state.tasks = None;
        state.counting = None;
        state.watch = None;
    }
}

impl later::Run for Probes {
    /// Leaves the probes if there was nothing to look after now and the last time.
    fn run(&self) -> bool {
        self.tally.forget_gone();
        let mut state = self.state.lock();
        // Relaxed: who adds one holds the lock, and has added a mark before it is taken off.
        let in_use = self.users.load(Relaxed) > 0;
        if in_use || !self.registry.is_empty() {
            state.idle = false;
            return true;
        }
        if !state.idle {
            state.idle = true;
            return true;
        }
        state.tasks = None;
        state.counting = None;
        if self.tally.serves_none() {
            state.watch = None;
        }
        state.watch.is_some()
    }
}
