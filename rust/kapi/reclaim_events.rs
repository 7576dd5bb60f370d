// SPDX-License-Identifier: GPL-2.0

//! What tasks meet in the allocator, through the kernel's tracepoints.
//!
//! C headers: `include/trace/events/{kmem,vmscan,writeback}.h`. That the probes have the signatures
//! of the tracepoints, `rust/helpers/trace.c` checks, and this against that.

use super::task_events::Probe;
use crate::bindings as own;
use kernel::{
    bindings,
    ffi::{c_int, c_long, c_uint, c_ulong, c_void},
    prelude::*,
    sync::{Arc, ArcBorrow},
};

/// What is to be done, in the task that it happens to. Must not sleep or allocate.
pub(crate) trait ReclaimEvents: Send + Sync + 'static {
    /// Direct reclaim begins, of the machine or of a memory control group; what it may do.
    fn begins(this: ArcBorrow<'_, Self>, io: bool, fs: bool);

    /// It has ended.
    fn ended(this: ArcBorrow<'_, Self>);

    /// Pages were allocated that could have been reclaimed for. Any context, also that of an
    /// interrupt of the current task.
    fn allocated(this: ArcBorrow<'_, Self>);

    /// The task is about to pause for having dirtied pages.
    fn pauses(this: ArcBorrow<'_, Self>, ns: u64);
}

/// The events of all tasks, delivered to a `T` until this is dropped.
pub(crate) struct Listener<T: ReclaimEvents> {
    // In this order: first no new calls, and wait for the last, then the data.
    probes: KVec<Probe>,
    _data: Arc<T>,
}

/// Which of the events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// `begins` only: nothing is called that is called often.
    Begins,
    /// The others.
    Others,
}

macro_rules! probe {
    ($function:ident, $prototype:ident) => {{
        const _: () = {
            let _ = if true {
                own::$prototype
            } else {
                $function::<Nobody>
            };
        };
        ($function::<T> as *const c_void).cast_mut()
    }};
}

/// For the checks of types.
struct Nobody;

impl ReclaimEvents for Nobody {
    fn begins(_: ArcBorrow<'_, Self>, _: bool, _: bool) {}
    fn ended(_: ArcBorrow<'_, Self>) {}
    fn allocated(_: ArcBorrow<'_, Self>) {}
    fn pauses(_: ArcBorrow<'_, Self>, _: u64) {}
}

impl<T: ReclaimEvents> Listener<T> {
    /// Begins to listen.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` where the kernel has no such tracepoints, `ENOMEM`.
    pub(crate) fn new(data: Arc<T>, which: Which) -> Result<Self> {
        let raw = Arc::as_ptr(&data).cast_mut().cast::<c_void>();
        let mut this = Self {
            probes: KVec::new(),
            _data: data,
        };
        // The name, whether each kernel has it, and the probe.
        let begins: &[(&CStr, bool, *mut c_void)] = &[
            (
                c"mm_vmscan_direct_reclaim_begin",
                true,
                probe!(on_begin, memscope_probe_reclaim_begin),
            ),
            (
                c"mm_vmscan_memcg_reclaim_begin",
                false,
                probe!(on_begin, memscope_probe_reclaim_begin),
            ),
        ];
        let others = &[
            (
                c"mm_vmscan_direct_reclaim_end",
                true,
                probe!(on_end, memscope_probe_reclaim_end),
            ),
            (
                c"mm_vmscan_memcg_reclaim_end",
                false,
                probe!(on_end, memscope_probe_reclaim_end),
            ),
            (
                c"balance_dirty_pages",
                true,
                probe!(on_pause, memscope_probe_balance_dirty_pages),
            ),
            (
                c"mm_page_alloc",
                true,
                probe!(on_alloc, memscope_probe_page_alloc),
            ),
        ];
        for (name, required, probe) in if which == Which::Begins {
            begins
        } else {
            others
        } {
            this.probes.reserve(1, GFP_KERNEL)?;
            // SAFETY: The signatures are checked; `this` keeps the data, and its drop waits.
            match unsafe { Probe::register(name, *probe, raw) } {
                // There is room.
                Ok(probe) => this.probes.push(probe, GFP_KERNEL)?,
                Err(e) if e == ENODEV && !required => (),
                Err(e) => return Err(e),
            }
        }
        Ok(this)
    }
}

impl<T: ReclaimEvents> Drop for Listener<T> {
    fn drop(&mut self) {
        self.probes.clear();
        // SAFETY: Process context, may sleep.
        unsafe { own::memscope_helper_tracepoint_synchronize_unregister() };
    }
}

/// # Safety
///
/// `data` is that of a [`Listener`] of `T`, which keeps it until after the call.
unsafe fn listener<'a, T>(data: *mut c_void) -> ArcBorrow<'a, T> {
    // SAFETY: By the contract it is from an `Arc` that stays.
    unsafe { ArcBorrow::from_raw(data.cast_const().cast::<T>()) }
}

/// # Safety
///
/// Called by the tracepoint, with the data of a [`Listener`] of `T`.
unsafe extern "C" fn on_begin<T: ReclaimEvents>(
    data: *mut c_void,
    gfp: bindings::gfp_t,
    _order: c_int,
    _memcg: *mut bindings::mem_cgroup,
) {
    T::begins(
        // SAFETY: By the contract.
        unsafe { listener(data) },
        gfp & own::__GFP_IO != 0,
        gfp & own::__GFP_FS != 0,
    );
}

/// # Safety
///
/// As for `on_begin`.
unsafe extern "C" fn on_end<T: ReclaimEvents>(
    data: *mut c_void,
    _reclaimed: c_ulong,
    _memcg: *mut bindings::mem_cgroup,
) {
    // SAFETY: By the contract.
    T::ended(unsafe { listener(data) });
}

/// # Safety
///
/// As for `on_begin`.
unsafe extern "C" fn on_alloc<T: ReclaimEvents>(
    data: *mut c_void,
    _page: *mut bindings::page,
    _order: c_uint,
    gfp: bindings::gfp_t,
    _migratetype: c_int,
) {
    if gfp & own::__GFP_DIRECT_RECLAIM != 0 {
        // SAFETY: By the contract.
        T::allocated(unsafe { listener(data) });
    }
}

/// # Safety
///
/// As for `on_begin`.
unsafe extern "C" fn on_pause<T: ReclaimEvents>(
    data: *mut c_void,
    _wb: *mut bindings::bdi_writeback,
    _dtc: *mut own::dirty_throttle_control,
    _dirty_ratelimit: c_ulong,
    _task_ratelimit: c_ulong,
    _dirtied: c_ulong,
    _period: c_ulong,
    pause: c_long,
    _start: c_ulong,
) {
    // Where it is not positive, the task goes on at once.
    if pause > 0 {
        // SAFETY: A plain conversion.
        let ns = unsafe { bindings::jiffies64_to_nsecs(pause.unsigned_abs() as u64) };
        // SAFETY: By the contract.
        T::pauses(unsafe { listener(data) }, ns);
    }
}
