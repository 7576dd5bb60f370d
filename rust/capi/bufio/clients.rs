// SPDX-License-Identifier: GPL-2.0

//! The functions of a client as a whole.

use super::{err_ptr, errno, handle, with_root, Handle};
use crate::{
    bindings::{
        self, block_device, dm_io_client, memscope_buffer, memscope_bufio_client, sector_t,
    },
    bufio::{
        client::{Client, Options},
        policy::writeback::OnFailure,
    },
    kapi::{
        atomic::{Atomic, Relaxed},
        bdev::Bdev,
        callback::Callback,
        dm_io::{self, DmIoClient},
        rcu_table::Aux,
    },
};
use core::ptr::{self, NonNull};
use kernel::{
    ffi::{c_int, c_uint, c_ulong, c_void},
    new_mutex,
    prelude::*,
};

check_signature!(
    memscope_bufio_client_create,
    memscope_bufio_client_destroy,
    memscope_bufio_client_reset,
    memscope_bufio_set_sector_offset,
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
    memscope_bufio_set_maximum_bytes,
    memscope_bufio_get_allocated_bytes,
    memscope_bufio_set_dm_io,
);

type BufferFn = Option<unsafe extern "C" fn(*mut memscope_buffer)>;

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
        // SAFETY: By the caller's contract.
        let bdev = unsafe { Bdev::from_raw(bdev) };
        let options = Options {
            reserved: reserved_buffers,
            aux: Aux::bytes(aux_size),
            alloc_callback: callback(alloc_callback),
            write_callback: callback(write_callback),
            on_failure: if flags & bindings::MEMSCOPE_BUFIO_CLIENT_DROP_FAILED != 0 {
                OnFailure::Drop
            } else {
                OnFailure::Keep
            },
            ..Options::new(bdev, block_size)
        };
        let (global, directory) =
            with_root(|root| (root.global.clone(), root.directory.clone())).ok_or(ENODEV)?;
        let handle = KBox::new(
            Handle {
                client: Client::new(global, options, Some(directory))?,
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
/// `c` is a client of the caller's.
#[no_mangle]
pub(crate) unsafe extern "C" fn memscope_bufio_write_dirty_buffers_async(
    c: *mut memscope_bufio_client,
) {
    // SAFETY: By the contract.
    unsafe { handle(c) }.client.write_dirty_async();
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
    // SAFETY: By the contract.
    errno(unsafe { handle(c) }.client.write_dirty())
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
