// SPDX-License-Identifier: GPL-2.0

//! The birth and death of tasks, through the kernel's tracepoints.
//!
//! The tracepoints are not exported by name; they are found among those that the kernel has.
//!
//! C headers: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h),
//! [`include/trace/events/task.h`](srctree/include/trace/events/task.h),
//! [`include/trace/events/sched.h`](srctree/include/trace/events/sched.h).

use crate::bindings as own;
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_char, c_void},
    prelude::*,
    sync::{Arc, ArcBorrow},
    task::Task,
};

/// What is to be done when tasks come and go. Must not sleep.
pub(crate) trait TaskEvents: Send + Sync + 'static {
    /// The current task has created `child`, which has copied the current task's flags and has not
    /// run yet; `is_thread` if in the same process.
    fn created(this: ArcBorrow<'_, Self>, child: &Task, is_thread: bool);

    /// The current task has begun to exit; `is_last` if it is the last thread of its process.
    fn exiting(this: ArcBorrow<'_, Self>, is_last: bool);
}

/// A probe that is registered until this is dropped.
///
/// # Invariants
///
/// `probe` with `data` is registered at `tracepoint`, a tracepoint of the kernel itself.
pub(super) struct Probe {
    tracepoint: *mut bindings::tracepoint,
    probe: *mut c_void,
    data: *mut c_void,
}

// SAFETY: Only ever used to unregister, which any thread may do.
unsafe impl Send for Probe {}
// SAFETY: There are no `&self` methods.
unsafe impl Sync for Probe {}

impl Probe {
    /// # Safety
    ///
    /// `probe` has the signature of the tracepoint `name`, after a first argument `data` which it
    /// may be called with until `tracepoint_synchronize_unregister()`, after this was dropped.
    pub(super) unsafe fn register(
        name: &CStr,
        probe: *mut c_void,
        data: *mut c_void,
    ) -> Result<Self> {
        let tracepoint = find(name).ok_or(ENODEV)?;
        // SAFETY: A tracepoint of the kernel, and by this function's contract a probe for it.
        to_result(unsafe { bindings::tracepoint_probe_register(tracepoint, probe, data) })?;
        // INVARIANT: Just registered.
        Ok(Self {
            tracepoint,
            probe,
            data,
        })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe {
            bindings::tracepoint_probe_unregister(self.tracepoint, self.probe, self.data);
        }
    }
}

/// The kernel's tracepoint of that name.
fn find(name: &CStr) -> Option<*mut bindings::tracepoint> {
    struct Search<'a> {
        name: &'a CStr,
        found: Option<*mut bindings::tracepoint>,
    }

    /// # Safety
    ///
    /// `tracepoint` is one, and `search` a `Search`.
    unsafe extern "C" fn visit(tracepoint: *mut bindings::tracepoint, search: *mut c_void) {
        // SAFETY: By this function's contract; nobody else has a reference to it now.
        let search = unsafe { &mut *search.cast::<Search<'_>>() };
        // SAFETY: The name of a tracepoint is a C string that is never changed.
        let name = unsafe { CStr::from_char_ptr((*tracepoint).name.cast::<c_char>()) };
        if name == search.name {
            search.found = Some(tracepoint);
        }
    }

    let mut search = Search { name, found: None };
    // SAFETY: `visit` is called, before this returns, with the kernel's tracepoints and `search`.
    unsafe { bindings::for_each_kernel_tracepoint(Some(visit), (&raw mut search).cast()) };
    search.found
}

/// The events of all tasks, delivered to a `T` until this is dropped.
pub(crate) struct Listener<T: TaskEvents> {
    // Dropped in this order by `drop`: first no new calls, then wait for the last, then the data.
    created: Option<Probe>,
    exiting: Option<Probe>,
    _data: Arc<T>,
}

impl<T: TaskEvents> Listener<T> {
    /// Begins to listen.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` where the kernel has no such tracepoints, `ENOMEM`.
    pub(crate) fn new(data: Arc<T>) -> Result<Self> {
        let raw = Arc::as_ptr(&data).cast_mut().cast::<c_void>();
        let mut this = Self {
            created: None,
            exiting: None,
            _data: data,
        };
        let probe = (on_newtask::<T> as unsafe extern "C" fn(_, _, _)) as *mut c_void;
        // SAFETY: The signature is that of `TRACE_EVENT(task_newtask)`; `this` keeps the data, and
        // its drop waits.
        let created = unsafe { Probe::register(c"task_newtask", probe, raw) }?;
        this.created = Some(created);
        let probe = (on_exit::<T> as unsafe extern "C" fn(_, _, _)) as *mut c_void;
        // SAFETY: As above, with `TRACE_EVENT(sched_process_exit)`.
        let exiting = unsafe { Probe::register(c"sched_process_exit", probe, raw) }?;
        this.exiting = Some(exiting);
        Ok(this)
    }
}

impl<T: TaskEvents> Drop for Listener<T> {
    fn drop(&mut self) {
        self.created = None;
        self.exiting = None;
        // SAFETY: Process context, may sleep.
        unsafe { own::memscope_helper_tracepoint_synchronize_unregister() };
    }
}

/// # Safety
///
/// Called by the tracepoint `task_newtask`, with a `T`.
unsafe extern "C" fn on_newtask<T: TaskEvents>(
    data: *mut c_void,
    task: *mut bindings::task_struct,
    clone_flags: u64,
) {
    // SAFETY: By the contract the listener's `Arc`, which it keeps until after this.
    let data = unsafe { ArcBorrow::from_raw(data.cast_const().cast::<T>()) };
    // SAFETY: The new task is valid at least until it is woken, after this. `Task` is a transparent
    // `task_struct`.
    let task = unsafe { &*task.cast::<Task>() };
    T::created(
        data,
        task,
        clone_flags & u64::from(bindings::CLONE_THREAD) != 0,
    );
}

/// # Safety
///
/// Called by the tracepoint `sched_process_exit`, with a `T`.
unsafe extern "C" fn on_exit<T: TaskEvents>(
    data: *mut c_void,
    _task: *mut bindings::task_struct,
    group_dead: bool,
) {
    // SAFETY: By the contract the listener's `Arc`, which it keeps until after this.
    let data = unsafe { ArcBorrow::from_raw(data.cast_const().cast::<T>()) };
    T::exiting(data, group_dead);
}
