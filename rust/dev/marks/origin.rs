// SPDX-License-Identifier: GPL-2.0

//! Who set a mark, when and how: for people who want to see it.

use crate::kapi::{
    clock,
    pid::Pid,
    thread::{self, Name},
};
use kernel::{
    prelude::*,
    sync::Arc,
    task::{Kuid, Task},
};

/// Of all the marks that one command has set.
pub(crate) struct Origin {
    pub(in crate::dev) process: Pid,
    pub(in crate::dev) uid: Kuid,
    pub(in crate::dev) name: Name,
    /// `CLOCK_BOOTTIME`.
    pub(in crate::dev) since_ns: u64,
    /// Of every thread of the process.
    pub(in crate::dev) whole: bool,
    /// Through a delegated file.
    pub(in crate::dev) delegated: bool,
}

impl Origin {
    /// The current task, now.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(in crate::dev) fn current(whole: bool, delegated: bool) -> Result<Arc<Self>> {
        let task: &Task = kernel::current!();
        let this = Self {
            process: Pid::of_current_process(),
            uid: task.uid(),
            name: thread::name(task),
            since_ns: clock::boottime_ns(),
            whole,
            delegated,
        };
        Ok(Arc::new(this, GFP_KERNEL_ACCOUNT)?)
    }
}
