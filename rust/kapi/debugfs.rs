// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that hold the module while they are open.
//!
//! [`kernel::debugfs`] of Linux 7.2 leaves `fops.owner` unset: a file that is closed after the
//! module was unloaded calls into what is not there any more.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h).

use kernel::{
    bindings,
    ffi::{c_int, c_void},
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::Arc,
};

/// A directory, removed when this and everything in it are dropped.
///
/// A kernel or a machine without debugfs has none, which is no error.
///
/// # Invariants
///
/// `dentry` is from `debugfs_create_dir()`, and not removed: a directory or an error pointer.
pub(crate) struct Dir {
    dentry: *mut bindings::dentry,
    _parent: Option<Arc<Dir>>,
}

// SAFETY: debugfs locks for itself.
unsafe impl Send for Dir {}
// SAFETY: As above.
unsafe impl Sync for Dir {}

impl Dir {
    /// Creates a directory in `parent`, or in the root of debugfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &'static CStr, parent: Option<&Arc<Dir>>) -> Result<Arc<Self>> {
        let above = parent.map_or(core::ptr::null_mut(), |p| p.dentry);
        // SAFETY: `name` is a C string; the parent is there, an error pointer, or null for the root.
        let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), above) };
        // INVARIANT: Just created. Where there is no memory it is dropped, and so removed.
        let this = Self {
            dentry,
            _parent: parent.cloned(),
        };
        Ok(Arc::new(this, GFP_KERNEL)?)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; error pointers are taken. What is in it is gone.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

/// What a file shows.
pub(crate) trait Show: Send + Sync {
    /// Prints all of it. Called in process context, again if it did not fit.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

struct Shown<'a, T>(&'a T);

impl<T: Show> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

/// A read-only file for root.
///
/// # Invariants
///
/// `dentry` is a file that refers to `fops` and `data`, or an error pointer. An open file holds this
/// module, without which nothing drops this.
#[pin_data(PinnedDrop)]
pub(crate) struct File<T: Show> {
    dentry: *mut bindings::dentry,
    data: T,
    dir: Arc<Dir>,
}

// SAFETY: debugfs locks for itself, and `T` may be sent by its bound.
unsafe impl<T: Show> Send for File<T> {}
// SAFETY: As above, and shared.
unsafe impl<T: Show> Sync for File<T> {}

extern "C" {
    // THIS_MODULE, of which Rust has no constant in every version. Only its address is used.
    static __this_module: u8;
}

impl<T: Show> File<T> {
    // Static: a file that is still open when it is removed is released by these later.
    const FOPS: bindings::file_operations = bindings::file_operations {
        owner: (&raw const __this_module).cast_mut().cast(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// Creates a file in `dir`.
    pub(crate) fn new<'a>(
        dir: Arc<Dir>,
        name: &'a CStr,
        data: T,
    ) -> impl PinInit<Self> + use<'a, T> {
        let fops: &'static bindings::file_operations = &Self::FOPS;
        pin_init!(&this in Self {
            // Before the file, which may be opened as soon as it is there.
            data,
            dir,
            dentry: {
                let this = this.as_ptr();
                // SAFETY: `name` is a C string, which is copied; `dir` is there by its invariant.
                // `data` is initialised, and stays where it is until drop has
                // removed the file; `fops` stays for ever.
                unsafe {
                    bindings::debugfs_create_file_full(
                        name.as_char_ptr(),
                        0o400,
                        (*this).dir.dentry,
                        (&raw mut (*this).data).cast(),
                        core::ptr::null(),
                        fops,
                    )
                }
            },
        })
    }

    /// # Safety
    ///
    /// Called by debugfs for a file that `new` has created.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: debugfs has left the file's data there.
        let data = unsafe { (*inode).i_private };
        // SAFETY: The file is being opened; `show` takes this data.
        unsafe { bindings::single_open(file, Some(Self::show), data) }
    }

    /// # Safety
    ///
    /// Called by `seq_read()` for a file that `open` has opened.
    unsafe extern "C" fn show(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: `single_open()` has left the data there, which is that of a `File<T>`; debugfs
        // does not call this after the file has been removed.
        let data = unsafe { &*(*m).private.cast::<T>() };
        // SAFETY: Valid and this thread's for the time of the call.
        let m = unsafe { SeqFile::from_raw(m) };
        seq_print!(m, "{}", Shown(data));
        0
    }
}

#[pinned_drop]
impl<T: Show> PinnedDrop for File<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant; error pointers are taken. Waits for calls under way.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}
