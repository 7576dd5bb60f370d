// SPDX-License-Identifier: GPL-2.0

//! Work that another task does itself, on its way back to user mode.
//!
//! The only way to have a task's flags changed by someone else: the task runs the work, and writes
//! its own flags in it.
//!
//! C header: [`include/linux/task_work.h`](srctree/include/linux/task_work.h).

use super::thread;
use crate::bindings as own;
use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed, Release},
        Arc,
    },
    task::Task,
    types::Opaque,
};

/// What a [`Work`] does.
pub(crate) trait Run: Send + Sync + 'static {
    /// Runs in the task that the work was queued for: in process context, without locks, on its
    /// way to user mode, or while it exits.
    fn run(&self);
}

/// How soon the task gets to its work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Notify {
    /// When it next returns to user mode of its own accord.
    Resume,
    /// At once: interruptible sleeps end. A system call that cannot be restarted fails with
    /// `EINTR`, as it would when the process is stopped and continued.
    ///
    /// Not for a worker of io_uring: that does it between two requests, at once if it has none.
    /// Interrupting it would fail the request.
    Signal,
}

/// A unit of work for a task.
///
/// # Invariants
///
/// `head` is in a task's list only while `queued` is 1, and then that list owns a reference to
/// this, and one to the module.
#[pin_data]
pub(crate) struct Work<T: Run> {
    #[pin]
    head: Opaque<bindings::callback_head>,
    queued: Atomic<u32>,
    context: Arc<T>,
}

// SAFETY: `head` is only accessed by whoever has set `queued`, and by the list after that.
unsafe impl<T: Run> Send for Work<T> {}
// SAFETY: As above.
unsafe impl<T: Run> Sync for Work<T> {}

impl<T: Run> Work<T> {
    /// Allocates a unit of work that runs `context`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(context: Arc<T>, flags: kernel::alloc::Flags) -> Result<Arc<Self>> {
        // INVARIANT: Not queued.
        Arc::pin_init(
            pin_init!(Self {
                head <- Opaque::ffi_init(|slot: *mut bindings::callback_head| {
                    // SAFETY: The initialiser may write to `slot`.
                    unsafe {
                        slot.write(bindings::callback_head {
                            next: core::ptr::null_mut(),
                            func: Some(Self::callback),
                        })
                    };
                }),
                queued: Atomic::new(0),
                context,
            }),
            flags,
        )
    }

    /// What it runs.
    pub(crate) fn context(&self) -> &Arc<T> {
        &self.context
    }

    /// Queues the work for `task`, unless it is queued already.
    ///
    /// Does not sleep. The module stays loaded until the work has run; the caller runs on behalf
    /// of something that keeps it loaded now.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the task is past the point where it would run it.
    pub(crate) fn queue(this: &Arc<Self>, task: &Task, notify: Notify) -> Result {
        if this.queued.xchg(1, Full) == 1 {
            return Ok(());
        }
        let wake = notify == Notify::Signal && thread::is_io_worker(task);
        let mode = match notify {
            Notify::Signal if !wake => bindings::task_work_notify_mode_TWA_SIGNAL,
            _ => bindings::task_work_notify_mode_TWA_RESUME,
        };
        let raw = Arc::into_raw(this.clone());
        // SAFETY: The module is loaded while its code runs, and the caller keeps it so.
        unsafe { own::memscope_helper_module_get() };
        // SAFETY: `raw` points to a live object, no reference to its `head` exists.
        let head = unsafe { Opaque::cast_into(&raw const (*raw).head) };
        // SAFETY: `task` is alive in memory. `head` is initialised, in no list, since this call
        // is the one that set `queued`, and stays valid by the reference in `raw`.
        // INVARIANT: The references are the two that the list now owns.
        let ret = unsafe { bindings::task_work_add(task.as_ptr(), head, mode) };
        if ret == 0 {
            // Relaxed: see `Drain`.
            USED.store(1, Relaxed);
            if wake && thread::is_interruptible(task) {
                // It looks for task work before it sleeps again.
                task.wake_up();
            }
            return Ok(());
        }
        // SAFETY: Not queued, so the reference is still this function's. Same for the module's,
        // which is not the last.
        drop(unsafe { Arc::from_raw(raw) });
        // SAFETY: As above.
        unsafe { own::memscope_helper_module_put() };
        this.queued.store(0, Release);
        Err(Error::from_errno(ret))
    }

    /// # Safety
    ///
    /// Called by `task_work_run()` for the `head` of a queued [`Work`].
    unsafe extern "C" fn callback(head: *mut bindings::callback_head) {
        // SAFETY: By the contract, `head` is that member.
        let raw = unsafe { kernel::container_of!(Opaque::cast_from(head), Self, head) };
        // SAFETY: By the type invariant the list owned this reference, which it gave up.
        let this = unsafe { Arc::from_raw(raw) };
        // It can be queued again from here on; the list does not look at `head` any more.
        this.queued.store(0, Release);
        this.context.run();
        drop(this);
        // SAFETY: By the type invariant. `Drain` waits for the rest of this function.
        unsafe { own::memscope_helper_module_put() };
    }
}

/// Whether any work was ever queued.
static USED: Atomic<u32> = Atomic::new(0);

/// To be dropped last when the module is unloaded: waits for what is left of the callbacks.
///
/// A callback drops its reference to the module before it has returned.
pub(crate) struct Drain;

impl Drop for Drain {
    fn drop(&mut self) {
        // Relaxed: dropping the last reference to the module comes after, and unloading after that.
        if USED.load(Relaxed) == 0 {
            return;
        }
        // SAFETY: May sleep, as the exit of a module may. Returns after every task has left the
        // kernel code it was preempted in.
        unsafe { own::memscope_helper_synchronize_rcu_tasks() };
    }
}
