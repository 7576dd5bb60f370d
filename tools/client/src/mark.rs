// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is asked of the kernel for threads, and how far it got.

use crate::{sys, Scopes};
use rustix::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Whom a mark is for, with what, and how.
///
/// ```
/// use memscope::{Mark, Scopes};
/// use std::time::Duration;
///
/// let mark = Mark::process(Scopes::IO_FLUSHER).timeout(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a mark does nothing until a device gets it"]
pub struct Mark<'a> {
    scopes: Scopes,
    process: bool,
    pub(crate) pidfd: Option<BorrowedFd<'a>>,
    interrupt: bool,
    timeout: Duration,
}

impl<'a> Mark<'a> {
    fn new(scopes: Scopes, process: bool, pidfd: Option<BorrowedFd<'a>>) -> Self {
        Self {
            scopes,
            process,
            pidfd,
            interrupt: true,
            timeout: Duration::from_secs(1),
        }
    }

    /// The calling thread.
    pub fn thread(scopes: Scopes) -> Self {
        Self::new(scopes, false, None)
    }

    /// Every thread of the calling process, io_uring's workers included.
    pub fn process(scopes: Scopes) -> Self {
        Self::new(scopes, true, None)
    }

    /// Every thread of the process that the pidfd refers to.
    pub fn other_process(pidfd: BorrowedFd<'a>, scopes: Scopes) -> Self {
        Self::new(scopes, true, Some(pidfd))
    }

    /// The one thread that the pidfd refers to: a process's first, or with `PIDFD_THREAD` any.
    pub fn other_thread(pidfd: BorrowedFd<'a>, scopes: Scopes) -> Self {
        Self::new(scopes, false, Some(pidfd))
    }

    /// Leaves threads that sleep in a system call to finish it, where otherwise they are
    /// interrupted as by `SIGSTOP` and `SIGCONT`.
    pub fn no_interrupt(mut self) -> Self {
        self.interrupt = false;
        self
    }

    /// How long to wait for other threads to change; one second if this is not called.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn argument(&self) -> sys::Mark {
        let mut flags = 0;
        if self.process {
            flags |= sys::MARK_PROCESS;
        }
        if self.pidfd.is_some() {
            flags |= sys::MARK_PIDFD;
        }
        if !self.interrupt {
            flags |= sys::MARK_NO_INTERRUPT;
        }
        sys::Mark {
            flags,
            scopes: self.scopes.bits(),
            pidfd: self.pidfd.map_or(0, |fd| fd.as_raw_fd()),
            timeout_ms: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            ..Default::default()
        }
    }
}

/// On how many threads a mark is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Threads that have it.
    pub done: u32,
    /// Threads that do not yet: they change when they next return to user mode, without being
    /// asked again.
    pub remaining: u32,
    /// How many of these are stopped.
    pub stopped: u32,
    /// How many of these are in a sleep that is not interrupted.
    pub blocked: u32,
}
