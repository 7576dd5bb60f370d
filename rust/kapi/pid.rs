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
    bindings,
    error::to_result,
    fs::file::LocalFile,
    prelude::*,
    sync::{aref::ARef, rcu},
    task::Task,
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
    /// `EBADF` if that is no pidfd, `EINVAL` if the process is not in the pid namespace of the current
    /// task.
    pub(crate) fn from_pidfd(fd: i32) -> Result<Self> {
        let fd = u32::try_from(fd).map_err(|_| EBADF)?;
        let file = LocalFile::fget(fd).map_err(|_| EBADF)?;
        // SAFETY: The file is open, and is so while `file` lives.
        let pid = unsafe { own::memscope_helper_pidfd_pid(file.as_ptr()) };
        let pid = NonNull::new(pid).ok_or(EBADF)?;
        // INVARIANT: The helper has taken the reference.
        let this = Self(pid);
        if this.number() == 0 {
            return Err(EINVAL);
        }
        Ok(this)
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

    /// That of the current process.
    pub(crate) fn of_current_process() -> Self {
        // SAFETY: The current task exists while it runs.
        let pid =
            unsafe { bindings::get_task_pid(Task::current_raw(), bindings::pid_type_PIDTYPE_TGID) };
        // SAFETY: A running task has a process.
        // INVARIANT: `get_task_pid()` has taken a reference.
        Self(unsafe { NonNull::new_unchecked(pid) })
    }

    /// That of the process of `task`; `None` if that has been reaped.
    pub(crate) fn of_process(task: &Task) -> Option<Self> {
        // SAFETY: `task` is valid.
        let pid = unsafe { bindings::get_task_pid(task.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
        // INVARIANT: `get_task_pid()` has taken a reference.
        NonNull::new(pid).map(Self)
    }

    /// A number that no other has while this exists.
    pub(crate) fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Its number in the pid namespace of the current task, 0 if it has none there.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::pid_vnr(self.0.as_ptr()) }.unsigned_abs()
    }

    /// Whether there is no such process any more, not even a zombie.
    pub(crate) fn is_gone(&self) -> bool {
        let _rcu = rcu::read_lock();
        // SAFETY: Valid by the type invariant; in an RCU read-side section.
        unsafe { bindings::pid_task(self.0.as_ptr(), bindings::pid_type_PIDTYPE_TGID).is_null() }
    }

    /// Whether the current process is the one.
    pub(crate) fn is_current(&self) -> bool {
        self.0 == Self::of_current_process().0
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

impl Clone for Pid {
    fn clone(&self) -> Self {
        // SAFETY: Valid by the type invariant.
        unsafe { own::memscope_helper_get_pid(self.0.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self(self.0)
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        // SAFETY: The reference is owned by the type invariant.
        unsafe { bindings::put_pid(self.0.as_ptr()) };
    }
}

// SAFETY: References to a `struct pid` may be dropped, and it may be looked at, by any thread.
unsafe impl Send for Pid {}
// SAFETY: As above.
unsafe impl Sync for Pid {}

/// The thread with the lowest number from `from` on in the pid namespace of the current task, and
/// that number. `None` for the thread if it has just ended.
pub(crate) fn next_thread(from: u32) -> Option<(u32, Option<ARef<Task>>)> {
    let from = i32::try_from(from).ok()?;
    let _rcu = rcu::read_lock();
    // SAFETY: The namespace of a running task stays. In an RCU read-side section.
    let ns = unsafe { bindings::task_active_pid_ns(Task::current_raw()) };
    // SAFETY: As above.
    let pid = NonNull::new(unsafe { bindings::find_ge_pid(from, ns) })?;
    // SAFETY: `pid` is valid in this section.
    let number = unsafe { bindings::pid_nr_ns(pid.as_ptr(), ns) };
    // SAFETY: As above.
    let task = unsafe { bindings::pid_task(pid.as_ptr(), bindings::pid_type_PIDTYPE_PID) };
    let task = NonNull::new(task.cast::<Task>()).map(|task| {
        // SAFETY: Valid in this section. `Task` is a transparent `task_struct`.
        ARef::from(unsafe { task.as_ref() })
    });
    Some((number.unsigned_abs(), task))
}
