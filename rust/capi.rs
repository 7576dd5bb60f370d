// SPDX-License-Identifier: GPL-2.0

//! Bodies of the in-kernel C API of scopes.
//!
//! C header: `include/linux/memscope.h`, whose contracts are not repeated here.

/// Checks at compile time that a body has the signature of its C prototype.
macro_rules! check_signature {
    ($($name:ident),* $(,)?) => {
        $(const _: () = {
            let _ = if true { bindings::$name } else { $name };
        };)*
    };
}

// Below the macro, which it uses.
pub(crate) mod bufio;

use crate::{
    bindings,
    kapi::gfp::{self, Gfp},
    scope::{self, Kinds},
};
use kernel::ffi::c_uint;

check_signature!(
    memscope_gfp,
    memscope_capture,
    memscope_work_run,
    memscope_queue_work,
);

/// See `include/linux/memscope.h`.
///
/// # Safety
///
/// None.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_gfp(gfp: bindings::gfp_t) -> bindings::gfp_t {
    gfp::current(Gfp::from_raw(gfp)).as_raw()
}

/// See `include/linux/memscope.h`.
///
/// # Safety
///
/// Process context.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_capture() -> c_uint {
    scope::capture().bits()
}

/// See `include/linux/memscope.h`.
///
/// # Safety
///
/// `wq` is a valid workqueue and `work` an initialised item, both until the item has run.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_queue_work(
    wq: *mut kernel::bindings::workqueue_struct,
    work: *mut bindings::memscope_work,
) -> bool {
    let captured = scope::capture().bits();
    // The lock keeps "add to the set" and "queue" together: see `memscope_work_run`.
    // SAFETY: The caller's `work` is initialised.
    let flags = unsafe { bindings::memscope_helper_spin_lock_irqsave(&raw mut (*work).lock) };
    // SAFETY: As above; `kinds` is only accessed under the lock.
    unsafe { (*work).kinds |= captured };
    // SAFETY: The caller's `wq` is valid and `work` is initialised.
    let queued = unsafe { bindings::memscope_helper_queue_work(wq, &raw mut (*work).work) };
    // SAFETY: Locked above.
    unsafe { bindings::memscope_helper_spin_unlock_irqrestore(&raw mut (*work).lock, flags) };
    queued
}

/// See `include/linux/memscope.h`.
///
/// # Safety
///
/// `work` is the member of an initialised `struct memscope_work`; called by its workqueue.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_work_run(work: *mut kernel::bindings::work_struct) {
    // SAFETY: The caller's pointer is to this member of that struct.
    let item = unsafe { kernel::container_of!(work, bindings::memscope_work, work) };
    // SAFETY: The item is initialised.
    let flags = unsafe { bindings::memscope_helper_spin_lock_irqsave(&raw mut (*item).lock) };
    // SAFETY: `kinds` is only accessed under the lock.
    let kinds = unsafe { (*item).kinds };
    // SAFETY: The item is initialised.
    if !unsafe { bindings::memscope_helper_work_pending(work) } {
        // Nobody queued the item again since it started: the next run's set begins empty. Where
        // somebody did, their set may be among `kinds` and must stay for that run.
        // SAFETY: As above.
        unsafe { (*item).kinds = 0 };
    }
    // SAFETY: As above.
    let run = unsafe { (*item).fn_ };
    // SAFETY: Locked above.
    unsafe { bindings::memscope_helper_spin_unlock_irqrestore(&raw mut (*item).lock, flags) };

    let kinds = Kinds::from_bits_truncate(kinds);
    // SAFETY: The owner set `fn` to its function, which takes the item; it may free the item, which
    // is not touched after this.
    scope::boundary(|cx| cx.with(kinds, |_| run.map(|run| unsafe { run(item) })));
}
