// SPDX-License-Identifier: GPL-2.0

//! Processes that a pidfd refers to, and the right to control them.
//!
//! The kernel exports none of the functions that take a pidfd.
//!
//! C headers: [`include/linux/pid.h`](srctree/include/linux/pid.h),
//! [`include/uapi/linux/pidfd.h`](srctree/include/uapi/linux/pidfd.h).

use crate::bindings as own;
use core::ptr::NonNull;
use kernel::{
    bindings, error::to_result, fs::file::LocalFile, prelude::*, sync::aref::ARef, task::Task,
};

/// A `struct pid`: it never comes to mean another process.
///
/// # Invariants
///
/// Owns a reference.
pub(crate) struct Pid(NonNull<bindings::pid>);

impl Pid {
    /// What the descriptor `fd` of the current process refers to.
    ///
    /// # Errors
    ///
    /// `EBADF` if that is no pidfd.
    pub(crate) fn from_pidfd(fd: u32) -> Result<Self> {
        let file = LocalFile::fget(fd).map_err(|_| EBADF)?;
        // SAFETY: The file is open, and is so while `file` lives.
        let pid = unsafe { own::memscope_helper_pidfd_pid(file.as_ptr()) };
        let pid = NonNull::new(pid).ok_or(EBADF)?;
        // INVARIANT: The helper has taken the reference.
        Ok(Self(pid))
    }

    /// The process of which it is the number, by its first thread; `None` if that has been reaped, or if
    /// it is the number of another thread.
    pub(crate) fn process(&self) -> Option<ARef<Task>> {
        self.task(bindings::pid_type_PIDTYPE_TGID)
    }

    /// The thread of which it is the number, if that is alive.
    pub(crate) fn thread(&self) -> Option<ARef<Task>> {
        self.task(bindings::pid_type_PIDTYPE_PID)
    }

    fn task(&self, kind: bindings::pid_type) -> Option<ARef<Task>> {
        // SAFETY: Valid by the type invariant.
        let task = unsafe { bindings::get_pid_task(self.0.as_ptr(), kind) };
        // SAFETY: `get_pid_task` has taken a reference, which is passed on. The kernel crate's
        // `Task` is a transparent `task_struct`.
        NonNull::new(task.cast::<Task>()).map(|task| unsafe { ARef::from_raw(task) })
    }

    /// Whether the current process sees it in its pid namespace.
    pub(crate) fn is_visible(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::pid_vnr(self.0.as_ptr()) != 0 }
    }

    /// Whether the current task may send it signals: user ids or `CAP_KILL` in the user namespace
    /// of the process, and what security modules say.
    ///
    /// # Errors
    ///
    /// Those of `kill(pid, 0)`: `EPERM`, `ESRCH`.
    pub(crate) fn check_kill(&self) -> Result {
        // SAFETY: Valid by the type invariant. Signal 0 is checked for and not sent.
        to_result(unsafe { bindings::kill_pid(self.0.as_ptr(), 0, 0) })
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        // SAFETY: The reference is owned by the type invariant.
        unsafe { bindings::put_pid(self.0.as_ptr()) };
    }
}
