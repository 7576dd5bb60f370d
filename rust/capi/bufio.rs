// SPDX-License-Identifier: GPL-2.0

//! Bodies of the C API of the buffer cache.
//!
//! C header: `include/linux/memscope-bufio.h`, whose contracts are not repeated here. A
//! `memscope_bufio_client` is a boxed [`Handle`], a `memscope_buffer` a [`Buffer`] that is held.

use crate::{
    bindings::{
        self, block_device, dm_io_client, memscope_buffer, memscope_bufio_client, sector_t,
    },
    bufio::{
        client::{self, Client, Options},
        global::Global,
        lookup::{self, Want},
        policy::writeback::OnFailure,
        writeback, Buffer, Hold,
    },
    kapi::{
        bio::Bdev,
        block_mem,
        callback::Callback,
        dm_io::{self, DmIoClient},
        gfp::Gfp,
        rcu_table,
    },
};
use core::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};
use kernel::{
    debugfs,
    ffi::{c_int, c_uint, c_ulong, c_ushort, c_void},
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
};

/// What C callers of the cache share.
struct Root {
    global: Arc<Global>,
    directory: debugfs::Dir,
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
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Called once.
        unsafe { ROOT.init() };
        *ROOT.lock() = Some(Root {
            global: Global::new()?,
            directory: debugfs::Dir::new(c"memscope").subdir(c"bufio"),
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

check_signature!(
    memscope_bufio_client_create,
    memscope_bufio_client_destroy,
    memscope_bufio_client_reset,
    memscope_bufio_set_sector_offset,
    memscope_bufio_read,
    memscope_bufio_read_with_ioprio,
    memscope_bufio_get,
    memscope_bufio_new,
    memscope_bufio_prefetch,
    memscope_bufio_prefetch_with_ioprio,
    memscope_bufio_release,
    memscope_bufio_mark_buffer_dirty,
    memscope_bufio_mark_partial_buffer_dirty,
    memscope_bufio_write_dirty_buffers_async,
    memscope_bufio_write_dirty_buffers,
    memscope_bufio_issue_flush,
    memscope_bufio_issue_discard,
    memscope_bufio_forget,
    memscope_bufio_forget_buffers,
    memscope_bufio_set_minimum_buffers,
    memscope_bufio_get_block_size,
    memscope_bufio_get_device_size,
    memscope_bufio_get_dm_io_client,
    memscope_bufio_get_block_number,
    memscope_bufio_get_block_data,
    memscope_bufio_get_aux_data,
    memscope_bufio_get_client,
    memscope_bufio_read_async,
    memscope_bufio_set_maximum_bytes,
    memscope_bufio_get_allocated_bytes,
    memscope_bufio_set_dm_io,
    memscope_bufio_current_allocated,
    memscope_bufio_peak_allocated,
    memscope_bufio_reset_peak,
    memscope_bufio_get_usage,
    memscope_bufio_set_peak_bytes,
);

type BufferFn = Option<unsafe extern "C" fn(*mut memscope_buffer)>;

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

/// Takes a caller's hold over.
///
/// # Safety
///
/// `b` is held by the caller, who gives the hold up.
#[inline]
unsafe fn take_hold<'c>(b: *mut memscope_buffer) -> Hold<'c> {
    // SAFETY: By the contract; held buffers are not null, and their client is not destroyed.
    unsafe { rcu_table::Hold::from_raw(NonNull::new_unchecked(b.cast::<Buffer>())) }
}

/// Looks at a caller's hold.
///
/// # Safety
///
/// `b` is held by the caller during `'c`, or is the argument of a callback that runs.
#[inline]
unsafe fn borrow_hold<'c>(b: *mut memscope_buffer) -> ManuallyDrop<Hold<'c>> {
    // SAFETY: By the contract. The hold is not ended here.
    ManuallyDrop::new(unsafe { take_hold(b) })
}

/// Hands a hold to a C caller.
///
/// # Safety
///
/// `bp` may be written.
#[inline]
unsafe fn hand_out(hold: Hold<'_>, bp: *mut *mut memscope_buffer) -> *mut c_void {
    let data = hold.data().memory.as_ptr();
    // SAFETY: By the contract.
    unsafe { bp.write(hold.into_raw().as_ptr().cast()) };
    data.cast()
}

/// Hands the result of a read or new to a C caller.
///
/// # Safety
///
/// `bp` may be written.
#[inline]
unsafe fn hand_out_result(result: Result<Hold<'_>>, bp: *mut *mut memscope_buffer) -> *mut c_void {
    match result {
        // SAFETY: By the contract.
        Ok(hold) => unsafe { hand_out(hold, bp) },
        Err(error) => {
            // SAFETY: By the contract.
            unsafe { bp.write(ptr::null_mut()) };
            err_ptr(error)
        }
    }
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// As documented there: `bdev` is open while the client exists, and so are the callbacks.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_client_create(
    bdev: *mut block_device,
    block_size: c_uint,
    reserved_buffers: c_uint,
    aux_size: c_uint,
    alloc_callback: BufferFn,
    write_callback: BufferFn,
    flags: c_uint,
) -> *mut memscope_bufio_client {
    let create = || {
        if flags & !bindings::MEMSCOPE_BUFIO_CLIENT_FLAGS != 0 {
            return Err(EINVAL);
        }
        let bdev = NonNull::new(bdev).ok_or(EINVAL)?;
        let dm = flags & bindings::MEMSCOPE_BUFIO_CLIENT_DM_BUFFER != 0;
        let callback = |raw: BufferFn| {
            let function = raw.map_or(ptr::null_mut(), |function| function as *mut c_void);
            // SAFETY: The function is called with buffers of this client, as the caller was promised.
            unsafe { Callback::new(function, dm) }
        };
        let options = Options {
            // SAFETY: By the caller's contract.
            bdev: unsafe { Bdev::from_raw(bdev) },
            block_bytes: block_size,
            reserved: reserved_buffers,
            aux_bytes: aux_size,
            alloc_callback: callback(alloc_callback),
            write_callback: callback(write_callback),
            on_failure: if flags & bindings::MEMSCOPE_BUFIO_CLIENT_DROP_FAILED != 0 {
                OnFailure::Drop
            } else {
                OnFailure::Keep
            },
        };
        let (global, directory) =
            with_root(|root| (root.global.clone(), root.directory.clone())).ok_or(ENODEV)?;
        let handle = KBox::new(
            Handle {
                client: Client::new(global, options, Some(&directory))?,
                dm_io: KBox::pin_init(
                    new_mutex!(None, "memscope_bufio_client::dm_io"),
                    GFP_KERNEL,
                )?,
            },
            GFP_KERNEL,
        )?;
        Ok(handle)
    };
    match create() {
        Ok(handle) => {
            let word: *const Atomic<usize> = &handle.client.shared().handle;
            let raw = KBox::into_raw(handle);
            // SAFETY: The client exists, as a C caller's from here on.
            unsafe { (*word).store(raw as usize, Relaxed) };
            raw.cast()
        }
        Err(error) => err_ptr(error),
    }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's, and not used afterwards.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_client_destroy(c: *mut memscope_bufio_client) {
    // SAFETY: By the contract.
    drop(unsafe { KBox::from_raw(c.cast::<Handle>()) });
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_client_reset(c: *mut memscope_bufio_client) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.reset();
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_set_sector_offset(
    c: *mut memscope_bufio_client,
    start: sector_t,
) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.set_sector_offset(start);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's, and `bp` may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_read(
    c: *mut memscope_bufio_client,
    block: sector_t,
    bp: *mut *mut memscope_buffer,
) -> *mut c_void {
    // SAFETY: By the contract.
    let client = &unsafe { handle(c) }.client;
    let want = Want::Read {
        ioprio: writeback::IOPRIO_DEFAULT,
    };
    // SAFETY: By the contract.
    unsafe { hand_out_result(client.obtain(block, want), bp) }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's, and `bp` may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_read_with_ioprio(
    c: *mut memscope_bufio_client,
    block: sector_t,
    bp: *mut *mut memscope_buffer,
    ioprio: c_ushort,
) -> *mut c_void {
    // SAFETY: By the contract.
    let client = &unsafe { handle(c) }.client;
    // SAFETY: By the contract.
    unsafe { hand_out_result(client.obtain(block, Want::Read { ioprio }), bp) }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's, and `bp` may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get(
    c: *mut memscope_bufio_client,
    block: sector_t,
    bp: *mut *mut memscope_buffer,
) -> *mut c_void {
    // SAFETY: By the contract.
    match unsafe { handle(c) }.client.get(block) {
        // SAFETY: By the contract.
        Some(hold) => unsafe { hand_out(hold, bp) },
        None => {
            // SAFETY: By the contract.
            unsafe { bp.write(ptr::null_mut()) };
            ptr::null_mut()
        }
    }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's, and `bp` may be written.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_new(
    c: *mut memscope_bufio_client,
    block: sector_t,
    bp: *mut *mut memscope_buffer,
) -> *mut c_void {
    // SAFETY: By the contract.
    let client = &unsafe { handle(c) }.client;
    // SAFETY: By the contract.
    unsafe { hand_out_result(client.obtain(block, Want::New), bp) }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_prefetch(
    c: *mut memscope_bufio_client,
    block: sector_t,
    n_blocks: c_uint,
) {
    // SAFETY: By the contract.
    let client = &unsafe { handle(c) }.client;
    client.prefetch(block, n_blocks.into(), writeback::IOPRIO_DEFAULT);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_prefetch_with_ioprio(
    c: *mut memscope_bufio_client,
    block: sector_t,
    n_blocks: c_uint,
    ioprio: c_ushort,
) {
    // SAFETY: By the contract.
    let client = &unsafe { handle(c) }.client;
    client.prefetch(block, n_blocks.into(), ioprio);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller, who gives the hold up.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_release(b: *mut memscope_buffer) {
    // SAFETY: By the contract.
    client::release(unsafe { take_hold(b) });
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_mark_buffer_dirty(b: *mut memscope_buffer) {
    // SAFETY: By the contract.
    let hold = unsafe { borrow_hold(b) };
    let end = hold.shared().block_bytes as c_uint;
    kernel::warn_on!(!writeback::mark_dirty(&hold, 0, end));
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_mark_partial_buffer_dirty(
    b: *mut memscope_buffer,
    start: c_uint,
    end: c_uint,
) {
    // SAFETY: By the contract.
    let hold = unsafe { borrow_hold(b) };
    kernel::warn_on!(!writeback::mark_dirty(&hold, start, end));
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_write_dirty_buffers_async(
    c: *mut memscope_bufio_client,
) {
    if client::refuse_in_submission().is_ok() {
        // SAFETY: By the contract.
        writeback::write_all(unsafe { handle(c) }.client.table());
    }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_write_dirty_buffers(
    c: *mut memscope_bufio_client,
) -> c_int {
    errno(client::refuse_in_submission().and_then(|()| {
        // SAFETY: By the contract.
        writeback::flush(unsafe { handle(c) }.client.table())
    }))
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_issue_flush(c: *mut memscope_bufio_client) -> c_int {
    // SAFETY: By the contract.
    errno(unsafe { handle(c) }.client.issue_flush())
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_issue_discard(
    c: *mut memscope_bufio_client,
    block: sector_t,
    count: sector_t,
) -> c_int {
    // SAFETY: By the contract.
    errno(unsafe { handle(c) }.client.issue_discard(block, count))
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_forget(
    c: *mut memscope_bufio_client,
    block: sector_t,
) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.forget(block);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_forget_buffers(
    c: *mut memscope_bufio_client,
    block: sector_t,
    n_blocks: sector_t,
) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.forget_range(block, n_blocks);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_set_minimum_buffers(
    c: *mut memscope_bufio_client,
    n: c_uint,
) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.set_minimum(n);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_block_size(
    c: *mut memscope_bufio_client,
) -> c_uint {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.shared().block_bytes as c_uint
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_device_size(
    c: *mut memscope_bufio_client,
) -> sector_t {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.device_blocks()
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_dm_io_client(
    c: *mut memscope_bufio_client,
) -> *mut dm_io_client {
    // SAFETY: By the contract.
    let mut slot = unsafe { handle(c) }.dm_io.lock();
    if slot.is_none() {
        match DmIoClient::new() {
            Ok(client) => *slot = Some(client),
            Err(error) => return err_ptr(error),
        }
    }
    slot.as_ref().map_or(ptr::null_mut(), DmIoClient::as_ptr)
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller, or the argument of a callback.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_block_number(
    b: *mut memscope_buffer,
) -> sector_t {
    // SAFETY: By the contract.
    unsafe { borrow_hold(b) }.key()
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller, or the argument of a callback.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_block_data(
    b: *mut memscope_buffer,
) -> *mut c_void {
    // SAFETY: By the contract.
    unsafe { borrow_hold(b) }.data().memory.as_ptr().cast()
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller, or the argument of a callback.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_aux_data(
    b: *mut memscope_buffer,
) -> *mut c_void {
    // SAFETY: The object's memory goes on behind the entry; see `Table::new`.
    unsafe { b.cast::<Buffer>().add(1).cast() }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `b` is held by the caller, or the argument of a callback.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_client(
    b: *mut memscope_buffer,
) -> *mut memscope_bufio_client {
    // SAFETY: By the contract.
    let hold = unsafe { borrow_hold(b) };
    hold.shared().handle.load(Relaxed) as *mut memscope_bufio_client
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's; `done` may be called with `context`.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_read_async(
    c: *mut memscope_bufio_client,
    block: sector_t,
    ioprio: c_ushort,
    done: bindings::memscope_bufio_read_fn,
    context: *mut c_void,
) -> c_int {
    let Some(done) = done else {
        return EINVAL.to_errno();
    };
    // SAFETY: By the contract.
    let client = &unsafe { handle(c) }.client;
    let (hold, awaited) = match client.start(block, ioprio) {
        Ok(started) => started,
        Err(error) => return error.to_errno(),
    };
    // Pointers, as what is spawned outlives this call; addresses, as those may go to another thread.
    let buffer = hold.into_raw().as_ptr() as usize;
    let context = context as usize;
    let finish = move || {
        // SAFETY: The hold was given up above. The client stays until `done` is called.
        let hold = unsafe { take_hold(buffer as *mut memscope_buffer) };
        let (buffer, error) = match lookup::finish(hold, ioprio, awaited) {
            Ok(hold) => (hold.into_raw().as_ptr().cast(), 0),
            Err(error) => (ptr::null_mut(), error.to_errno()),
        };
        // SAFETY: By the contract.
        unsafe { done(buffer, error, context as *mut c_void) };
    };
    match client
        .shared()
        .global
        .readers
        .try_spawn(Gfp::NOIO_ONCE.flags(), finish)
    {
        Ok(()) => 0,
        Err(_) => {
            // SAFETY: Given up above, and not taken.
            client::release(unsafe { take_hold(buffer as *mut memscope_buffer) });
            ENOMEM.to_errno()
        }
    }
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_set_maximum_bytes(
    c: *mut memscope_bufio_client,
    bytes: c_ulong,
) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.set_maximum_bytes(bytes as u64);
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_get_allocated_bytes(
    c: *mut memscope_bufio_client,
) -> c_ulong {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.shared().usage.bytes() as c_ulong
}

/// See `include/linux/memscope-bufio.h`.
///
/// # Safety
///
/// As documented there.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_set_dm_io(
    ops: *const bindings::memscope_bufio_dm_io_ops,
) {
    // SAFETY: By the contract.
    unsafe { dm_io::set_ops(ops) };
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
