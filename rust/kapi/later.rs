// SPDX-License-Identifier: GPL-2.0

//! Something that is to be done some time later, in a worker of the kernel.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use crate::bindings as own;
use kernel::{bindings, prelude::*, sync::Arc, types::Opaque};

/// What is to be done.
pub(crate) trait Run: Send + Sync + 'static {
    /// Does it, in process context. Returns whether to do it again later.
    fn run(&self) -> bool;
}

/// Calls a `T` some time after it was asked to.
///
/// # Invariants
///
/// `work` is initialised, and pending or running only until this is dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Later<T: Run> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    delay_ms: u32,
    context: Arc<T>,
}

// SAFETY: Work may be queued and cancelled from any thread; `T` may be sent by its bound.
unsafe impl<T: Run> Send for Later<T> {}
// SAFETY: As above, and shared.
unsafe impl<T: Run> Sync for Later<T> {}

impl<T: Run> Later<T> {
    pub(crate) fn new(delay_ms: u32, context: Arc<T>) -> impl PinInit<Self> {
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                // SAFETY: The initialiser may write to `slot`, which is pinned. The callback gets
                // the work that is in there.
                unsafe { own::memscope_helper_init_delayed_work(slot, Some(Self::callback)) };
            }),
            delay_ms,
            context,
        })
    }

    /// Has it called after the delay, unless that is under way already.
    pub(crate) fn schedule(&self) {
        // SAFETY: A plain conversion.
        let delay = unsafe { bindings::__msecs_to_jiffies(self.delay_ms) };
        // SAFETY: The queue is the kernel's own; `work` is initialised, and cancelled before it
        // goes.
        unsafe {
            own::memscope_helper_queue_delayed_work(bindings::system_dfl_wq, self.work.get(), delay)
        };
    }

    /// # Safety
    ///
    /// Called by the workqueue for the `work` of a [`Later`].
    unsafe extern "C" fn callback(work: *mut bindings::work_struct) {
        // SAFETY: By the contract this is the first member of the `delayed_work` in a `Later`, ...
        let dwork = unsafe { kernel::container_of!(work, bindings::delayed_work, work) };
        // SAFETY: ... which is there until drop has waited for this.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(dwork), Self, work) };
        if this.context.run() {
            this.schedule();
        }
    }
}

#[pinned_drop]
impl<T: Run> PinnedDrop for Later<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the type invariant. Waits, also where it queues itself again.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}
