// SPDX-License-Identifier: GPL-2.0

//! The functions that hand out buffers, and those of a buffer.

use super::{err_ptr, handle};
use crate::{
    bindings::{self, memscope_buffer, memscope_bufio_client, sector_t},
    bufio::{
        client,
        lookup::{self, Want},
        writeback, Entry, Hold,
    },
    kapi::{gfp::Gfp, rcu_table, wait::Word64},
};
use core::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};
use kernel::{
    ffi::{c_int, c_uint, c_ushort, c_void},
    prelude::*,
    sync::atomic::Relaxed,
};

check_signature!(
    memscope_bufio_read,
    memscope_bufio_read_with_ioprio,
    memscope_bufio_get,
    memscope_bufio_new,
    memscope_bufio_prefetch,
    memscope_bufio_prefetch_with_ioprio,
    memscope_bufio_release,
    memscope_bufio_mark_buffer_dirty,
    memscope_bufio_mark_partial_buffer_dirty,
    memscope_bufio_get_block_number,
    memscope_bufio_get_block_data,
    memscope_bufio_get_aux_data,
    memscope_bufio_get_client,
    memscope_bufio_read_async,
);

/// Takes a caller's hold over.
///
/// # Safety
///
/// `b` is held by the caller, who gives the hold up.
#[inline]
unsafe fn take_hold<'c>(b: *mut memscope_buffer) -> Hold<'c> {
    // SAFETY: By the contract; held buffers are not null, and their client is not destroyed.
    unsafe { rcu_table::Hold::from_raw(NonNull::new_unchecked(b.cast::<Entry>())) }
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
    match unsafe { handle(c) }.client.find(block) {
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
    unsafe { b.cast::<Entry>().add(1).cast() }
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
    // Addresses, as what is spawned outlives this call and runs in another thread.
    let buffer = hold.into_raw().as_ptr() as usize;
    let context = context as usize;
    let reads = ptr::from_ref(&client.shared().async_reads) as usize;
    let finish = move || {
        // SAFETY: The hold was given up above. The client's end waits for `reads`.
        let hold = unsafe { take_hold(buffer as *mut memscope_buffer) };
        let (buffer, error) = match lookup::finish(hold, ioprio, awaited) {
            Ok(hold) => (hold.into_raw().as_ptr().cast(), 0),
            Err(error) => (ptr::null_mut(), error.to_errno()),
        };
        // SAFETY: By the contract.
        unsafe { done(buffer, error, context as *mut c_void) };
        // SAFETY: The client's end waits for this, so it is there until then.
        unsafe { &*(reads as *const Word64) }.drop_one();
    };
    client.shared().async_reads.bump();
    match client
        .shared()
        .global
        .readers
        .try_spawn(Gfp::NOIO_ONCE.flags(), finish)
    {
        Ok(()) => 0,
        Err(_) => {
            client.shared().async_reads.drop_one();
            // SAFETY: Given up above, and not taken.
            client::release(unsafe { take_hold(buffer as *mut memscope_buffer) });
            ENOMEM.to_errno()
        }
    }
}
