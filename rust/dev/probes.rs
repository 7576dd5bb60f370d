// SPDX-License-Identifier: GPL-2.0

//! The kernel's tracepoints are listened to only while there is something to look after.
//!
//! To begin and to end takes grace periods, so that is not done each time: they are left a few
//! seconds after the last mark is gone.

use super::marks::Registry;
use crate::kapi::{later, task_events::Listener};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
};

/// How often it is looked whether they are still needed, in milliseconds.
pub(super) const INTERVAL_MS: u32 = 2000;

struct State {
    listener: Option<Listener<Registry>>,
    // Nothing was there to look after the last time.
    idle: bool,
}

/// The probes of the module.
#[pin_data]
pub(super) struct Probes {
    registry: Arc<Registry>,
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
    pub(super) fn new(registry: Arc<Registry>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                registry,
                state <- new_mutex!(
                    State {
                        listener: None,
                        idle: false,
                    },
                    "Probes::state"
                ),
                users: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Sees to it that threads are looked after as they come and go. Returns also whether that is
    /// new.
    ///
    /// # Errors
    ///
    /// `ENODEV` where the kernel has no tracepoints, `ENOMEM`.
    pub(super) fn need(&self) -> Result<(Needed<'_>, bool)> {
        let mut state = self.state.lock();
        // Relaxed: under the lock, as where it is read.
        self.users.fetch_add(1, Relaxed);
        let needed = Needed(self);
        let is_new = state.listener.is_none();
        if is_new {
            state.listener = Some(Listener::new(self.registry.clone())?);
        }
        state.idle = false;
        Ok((needed, is_new))
    }

    /// Whether they are registered.
    pub(super) fn are_on(&self) -> bool {
        self.state.lock().listener.is_some()
    }

    /// Leaves them, whatever there is.
    pub(super) fn stop(&self) {
        let listener = self.state.lock().listener.take();
        // Waits for grace periods.
        drop(listener);
    }
}

impl later::Run for Probes {
    /// Leaves the probes if there was nothing to look after now and the last time.
    fn run(&self) -> bool {
        let mut state = self.state.lock();
        // Relaxed: who adds one holds the lock, and has added a mark before it is taken off.
        if self.users.load(Relaxed) > 0 || !self.registry.is_empty() {
            state.idle = false;
            return true;
        }
        if !state.idle {
            state.idle = true;
            return true;
        }
        state.listener = None;
        false
    }
}
