// SPDX-License-Identifier: GPL-2.0

//! Threads and processes other than the current one: which there are, and what can be seen of them.
//!
//! Nothing here changes a task.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h).

use super::{pid::Pid, task::Flags};
use crate::bindings as own;
use kernel::{
    bindings, current,
    fs::File,
    sync::{aref::ARef, rcu},
    task::{Kuid, Task},
};

/// A number that no other task has while a reference to `task` is held.
pub(crate) fn key(task: &Task) -> usize {
    task.as_ptr() as usize
}

/// The current task.
pub(crate) fn current_task() -> ARef<Task> {
    let current: &Task = current!();
    current.into()
}

/// The [`key`] of the current task.
pub(crate) fn current_key() -> usize {
    key(current!())
}

/// Whether the current task is running, not an interrupt of it.
pub(crate) fn is_in_task() -> bool {
    // SAFETY: May be called anywhere.
    unsafe { own::memscope_helper_in_task() }
}

/// The [`Process::key`] of the current process.
pub(crate) fn current_process_key() -> usize {
    tgid_key(current!())
}

/// The [`Process::key`] of the process of `task`; 0 if that has been reaped.
fn tgid_key(task: &Task) -> usize {
    // SAFETY: `task` is valid, and keeps its `signal`, which never changes.
    let signal = unsafe { (*task.as_ptr()).signal };
    // SAFETY: As above; the pointer, which becomes null when the process is reaped, is read once
    // and not followed.
    let pid = unsafe {
        (&raw const (*signal).pids[bindings::pid_type_PIDTYPE_TGID as usize]).read_volatile()
    };
    pid as usize
}

/// Logs, now and then, that the current task serves the device and reclaims without a scope.
pub(crate) fn warn_unmarked(major: u32, minor: u32, io: bool, fs: bool) {
    // SAFETY: Prints in any context.
    unsafe { own::memscope_helper_warn_unmarked(major, minor, io, fs) };
}

/// Why a thread has not run what was queued for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Stopped, by a signal or a tracer.
    Stopped,
    /// In a sleep that only a fatal signal, or none, ends; or a worker of io_uring that sleeps in
    /// a request.
    Blocked,
    /// Neither: it is on its way.
    Running,
}

/// Memscope's flags of `task`, which may be changing them.
pub(crate) fn peek_flags(task: &Task) -> Flags {
    // SAFETY: `task` is valid; its word of flags is read once.
    Flags::from_bits_truncate(unsafe { own::memscope_helper_peek_flags(task.as_ptr()) })
}

fn peek(task: &Task, bit: u32) -> bool {
    // SAFETY: As in `peek_flags`.
    unsafe { own::memscope_helper_peek_flags(task.as_ptr()) & bit != 0 }
}

/// Whether `task` has begun to exit.
pub(crate) fn is_exiting(task: &Task) -> bool {
    peek(task, bindings::PF_EXITING)
}

/// Whether `task` is a kernel thread, which belongs to no process.
pub(crate) fn is_kthread(task: &Task) -> bool {
    peek(task, bindings::PF_KTHREAD)
}

/// Whether `task` is a worker that the kernel runs in a process (io_uring, vhost); it never returns
/// to user mode.
pub(crate) fn is_user_worker(task: &Task) -> bool {
    peek(task, bindings::PF_USER_WORKER)
}

/// Whether `task` is a worker of io_uring.
pub(crate) fn is_io_worker(task: &Task) -> bool {
    peek(task, bindings::PF_IO_WORKER)
}

/// The numbers of `task` and of its process in the pid namespace of the current task; 0 if it has
/// none there, or has ended.
pub(crate) fn numbers(task: &Task) -> (u32, u32) {
    let number = |kind| {
        // SAFETY: `task` is valid; without a namespace it is the current task's.
        unsafe { bindings::__task_pid_nr_ns(task.as_ptr(), kind, core::ptr::null_mut()) }
            .unsigned_abs()
    };
    (
        number(bindings::pid_type_PIDTYPE_PID),
        number(bindings::pid_type_PIDTYPE_TGID),
    )
}

/// The user that `uid` is in the user namespace of the current task, if any.
pub(crate) fn user_id(uid: u32) -> Option<Kuid> {
    // SAFETY: The namespace of the current task's credentials stays while it runs.
    let raw = unsafe { bindings::make_kuid(bindings::current_user_ns(), uid) };
    (raw.val != u32::MAX).then(|| Kuid::from_raw(raw))
}

/// A thread's name, ended by a NUL.
pub(crate) type Name = [u8; bindings::TASK_COMM_LEN as usize];

/// The name of `task`, which may be changing it.
pub(crate) fn name(task: &Task) -> Name {
    let mut name = Name::default();
    // SAFETY: `task` is valid; there is room for a name.
    unsafe { own::memscope_helper_task_comm(name.as_mut_ptr().cast(), task.as_ptr()) };
    name
}

/// Lets others run, if need be.
pub(crate) fn cond_resched() {
    // SAFETY: Process context, no locks held.
    unsafe { own::memscope_helper_cond_resched() };
}

fn peek_state(task: &Task) -> u32 {
    // SAFETY: `task` is valid; its state is read once.
    unsafe { own::memscope_helper_peek_state(task.as_ptr()) }
}

/// Whether `task` is in a sleep that a signal would end.
pub(crate) fn is_interruptible(task: &Task) -> bool {
    peek_state(task) & bindings::TASK_INTERRUPTIBLE != 0
}

/// What `task` is doing.
pub(crate) fn peek_busy(task: &Task) -> Busy {
    let state = peek_state(task);
    if state & (bindings::__TASK_STOPPED | bindings::__TASK_TRACED) != 0 {
        Busy::Stopped
    } else if state & bindings::TASK_UNINTERRUPTIBLE != 0 || state != 0 && is_io_worker(task) {
        Busy::Blocked
    } else {
        Busy::Running
    }
}

/// A process, alive or dead.
///
/// Keeps its `struct pid` in memory, which is small, and no `task_struct`: a thread that has ended
/// does not count for `RLIMIT_NPROC` any more.
#[derive(Clone)]
pub(crate) struct Process(Pid);

impl Process {
    /// The process of `task`; `None` if that has been reaped.
    pub(crate) fn of(task: &Task) -> Option<Self> {
        Pid::of_process(task).map(Self)
    }

    /// The process of the current task.
    pub(crate) fn current() -> Self {
        Self(Pid::of_current_process())
    }

    /// A number that no other process has while this exists.
    pub(crate) fn key(&self) -> usize {
        self.0.key()
    }

    /// Whether it has been reaped.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_gone()
    }

    /// Its number in the pid namespace of the current task; 0 if it has none there, or has ended.
    pub(crate) fn number(&self) -> u32 {
        if self.is_gone() {
            return 0;
        }
        self.0.number()
    }

    /// Whether `task` is a thread of it.
    pub(crate) fn contains(&self, task: &Task) -> bool {
        self.key() == tgid_key(task)
    }

    /// Whether the current task is a thread of it.
    pub(crate) fn is_current(&self) -> bool {
        self.contains(current!())
    }

    /// Calls `f` for every thread that the process had when this was called and has not lost since;
    /// of those created meanwhile, for some.
    ///
    /// `f` must not sleep.
    pub(crate) fn for_each_thread(&self, mut f: impl FnMut(&Task)) {
        let Some(task) = self.0.process() else {
            return;
        };
        let _rcu = rcu::read_lock();
        // SAFETY: `task` is valid, and its `signal` with it. In an RCU read-side section.
        let mut raw = unsafe { own::memscope_helper_first_thread(task.as_ptr()) };
        while !raw.is_null() {
            // SAFETY: A task in the list stays valid until a grace period after it has left it.
            // The kernel crate's `Task` is a transparent `task_struct`.
            f(unsafe { &*raw.cast::<Task>() });
            // SAFETY: As above.
            raw = unsafe { own::memscope_helper_next_thread(raw) };
        }
    }
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// Whether the current process has a descriptor of the open file `file`.
///
/// Not in a process that is exiting: its table is then being taken down.
pub(crate) fn has_descriptor(file: &File) -> bool {
    /// # Safety
    ///
    /// None: the pointers are only compared.
    unsafe extern "C" fn is_same(
        wanted: *const kernel::ffi::c_void,
        file: *mut bindings::file,
        _fd: kernel::ffi::c_uint,
    ) -> kernel::ffi::c_int {
        core::ptr::eq(wanted, file.cast_const().cast()).into()
    }

    // SAFETY: The current task's own `files`, which only that task changes.
    let files = unsafe { (*Task::current_raw()).files };
    // SAFETY: `files` is the current task's or null, which is checked for by `iterate_fd`;
    // `is_same` takes what it is called with.
    unsafe { bindings::iterate_fd(files, 0, Some(is_same), file.as_ptr().cast()) != 0 }
}

/// Whether a signal that will end the current process is pending.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: Looks at the current task.
    unsafe { own::memscope_helper_fatal_signal_pending() }
}
