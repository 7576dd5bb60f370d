// SPDX-License-Identifier: GPL-2.0

//! Bodies of the C API of the buffer cache.
//!
//! C header: `include/linux/memscope-bufio.h`, whose contracts are not repeated here. A
//! `memscope_bufio_client` is a boxed [`Handle`], a `memscope_buffer` a
//! [`Entry`](crate::bufio::Entry) that is held.

mod buffers;
mod clients;

use crate::{
    bindings::{self, memscope_bufio_client},
    bufio::{client::Client, global::Global},
    kapi::{block_mem, debugfs, dm_io::DmIoClient},
};
use kernel::{
    ffi::{c_int, c_ulong},
    prelude::*,
    sync::{Arc, Mutex},
};

check_signature!(
    memscope_bufio_current_allocated,
    memscope_bufio_peak_allocated,
    memscope_bufio_reset_peak,
    memscope_bufio_get_usage,
    memscope_bufio_set_peak_bytes,
);

/// What C callers of the cache share.
struct Root {
    global: Arc<Global>,
    directory: Arc<debugfs::Dir>,
}

kernel::sync::global_lock! {
    // SAFETY: `Registration::new` initialises it, before any caller: the module's symbols can be used
    // only after its init.
    unsafe(uninit) static ROOT: Mutex<Option<Root>> = None;
}

/// The cache, while the module is loaded.
pub(crate) struct Registration(());

impl Registration {
    /// Makes the cache ready for callers; once, when the module is loaded.
    ///
    /// What it shows of itself is in `debugfs`.
    pub(crate) fn new(debugfs: &Arc<debugfs::Dir>) -> Result<Self> {
        // SAFETY: Called once.
        unsafe { ROOT.init() };
        *ROOT.lock() = Some(Root {
            global: Global::new()?,
            directory: debugfs::Dir::new(c"bufio", Some(debugfs))?,
        });
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let root = ROOT.lock().take();
        drop(root);
    }
}

fn with_root<R>(f: impl FnOnce(&Root) -> R) -> Option<R> {
    ROOT.lock().as_ref().map(f)
}

/// A C client.
struct Handle {
    client: Client,
    dm_io: Pin<KBox<Mutex<Option<DmIoClient>>>>,
}

/// Returns an error as a pointer.
fn err_ptr<T>(error: Error) -> *mut T {
    error.to_errno() as isize as *mut T
}

/// Returns the client of a C caller.
///
/// # Safety
///
/// `c` is from `memscope_bufio_client_create()` and not destroyed during `'c`.
#[inline]
unsafe fn handle<'c>(c: *mut memscope_bufio_client) -> &'c Handle {
    // SAFETY: By the contract.
    unsafe { &*c.cast::<Handle>() }
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

/// Returns the value of a module parameter.
///
/// # Safety
///
/// Process context.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_current_allocated() -> c_ulong {
    with_root(|root| root.global.usage.bytes()).unwrap_or(0) as c_ulong
}

/// Returns the value of a module parameter.
///
/// # Safety
///
/// Process context.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_peak_allocated() -> c_ulong {
    with_root(|root| root.global.peak()).unwrap_or(0) as c_ulong
}

/// Sets the value of a module parameter.
///
/// # Safety
///
/// Process context.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_reset_peak() {
    with_root(|root| root.global.set_peak(root.global.usage.bytes()));
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `usage` may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_usage(
    usage: *mut bindings::memscope_bufio_usage,
) {
    let now = with_root(|root| bindings::memscope_bufio_usage {
        limit_bytes: root.global.limit() as c_ulong,
        current_bytes: root.global.usage.bytes() as c_ulong,
        peak_bytes: root.global.peak() as c_ulong,
        page_bytes: block_mem::allocated_bytes(block_mem::Source::Pages) as c_ulong,
        vmalloc_bytes: block_mem::allocated_bytes(block_mem::Source::Vmalloc) as c_ulong,
    });
    // SAFETY: By the contract.
    unsafe { usage.write(now.unwrap_or_default()) };
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// Process context.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_set_peak_bytes(bytes: c_ulong) {
    with_root(|root| root.global.set_peak(bytes as u64));
}
