// SPDX-License-Identifier: GPL-2.0

//! Who opened a file that is made as it is read.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h).

use core::ffi::c_int;
use kernel::{bindings, fs::File, seq_file::SeqFile, task::Kuid};

/// The file through which `m` is read.
fn file(m: &SeqFile) -> &File {
    let m: *const bindings::seq_file = core::ptr::from_ref(m).cast();
    // SAFETY: `SeqFile` is a transparent `seq_file`, valid while it is borrowed.
    let file = unsafe { (*m).file };
    // SAFETY: `seq_open()` has set it to the file that is open while it is read; a file of `/proc`
    // or debugfs has no position that `fdget_pos()` would have to guard.
    unsafe { File::from_raw_file(file) }
}

/// The user who opened it.
pub(crate) fn opener(m: &SeqFile) -> Kuid {
    file(m).cred().euid()
}

/// Whether who opened it had `CAP_SYS_RESOURCE` in the initial user namespace.
pub(crate) fn opener_is_sys_resource(m: &SeqFile) -> bool {
    // SAFETY: The file is valid; the namespace is static, the number a capability.
    unsafe {
        bindings::file_ns_capable(
            file(m).as_ptr(),
            &raw mut bindings::init_user_ns,
            bindings::CAP_SYS_RESOURCE as c_int,
        )
    }
}
