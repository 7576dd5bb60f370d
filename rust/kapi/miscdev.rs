// SPDX-License-Identifier: GPL-2.0

//! Registration of a misc device that pins the module while it is open.
//!
//! [`kernel::miscdevice::MiscDeviceRegistration`] of Linux 7.2 leaves `fops.owner` unset, so that
//! a module can be unloaded under an open file, and has no way to set the node's mode.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h).

use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    fs::File,
    miscdevice::{MiscDevice, MiscDeviceOptions},
    prelude::*,
    types::{ForeignOwnable, Opaque},
};

/// A misc device with what [`MiscDevice`] lacks.
pub(crate) trait Device: MiscDevice {
    /// What belongs to the device rather than to an open file.
    type Context: Send + Sync;

    /// Called when the device is opened, in place of [`MiscDevice::open`].
    ///
    /// # Errors
    ///
    /// They fail `open()`.
    fn open(context: &Self::Context, file: &File) -> Result<Self::Ptr>;

    /// Called each time that a descriptor of `file` is closed, by `close()`, `execve()` or the end
    /// of a process; in the task that does it. The file stays open where there are others.
    fn flush(device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, file: &File);
}

/// A registered misc device.
///
/// # Invariants
///
/// - `misc` is registered from initialisation to drop.
/// - `misc.fops` points to `fops`, which is pinned and outlives the registration. Open files refer
///   to it too, but each of them holds the module `fops.owner`, whose exit drops this.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Device> {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    fops: bindings::file_operations,
    context: T::Context,
}

// SAFETY: `misc_deregister()` may be called from another thread than `misc_register()`, and
// `fops` is not changed after initialisation; the context may be sent by its bound.
unsafe impl<T: Device> Send for Registration<T> {}
// SAFETY: Nothing but the context is used through `&self`, and that may be by its bound.
unsafe impl<T: Device> Sync for Registration<T> {}

impl<T: Device> Registration<T> {
    /// Registers `/dev/NAME` with `mode`, owned by root.
    ///
    /// # Errors
    ///
    /// Those of `misc_register()`: `EBUSY` (no minor left), `EEXIST` (the name is taken), `ENOMEM`.
    pub(crate) fn register(
        name: &'static CStr,
        mode: u16,
        module: &'static ThisModule,
        context: T::Context,
    ) -> impl PinInit<Self, Error> {
        let mut raw = MiscDeviceOptions { name }.into_raw::<T>();
        raw.mode = mode;
        // SAFETY: `into_raw` has set `fops` to a static table.
        let mut fops = unsafe { *raw.fops };
        fops.owner = module.as_ptr();
        fops.open = Some(Self::open);
        fops.flush = Some(Self::flush);
        try_pin_init!(&this in Self {
            // Before `misc`: the device can be opened as soon as that is registered.
            fops,
            context,
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                // SAFETY: `this` is the place that is being initialised; no reference is made.
                raw.fops = unsafe { &raw const (*this.as_ptr()).fops };
                // SAFETY: The initialiser may write to `slot`.
                unsafe { slot.write(raw) };
                // SAFETY: `slot` is initialised and pinned, and `fops` was initialised above.
                // INVARIANT: Registered if this succeeds; if not, drop does not run.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }

    /// # Safety
    ///
    /// Called by `misc_open()` for a device that was registered with this function.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The pointers are those of a file that is being opened.
        let ret = unsafe { bindings::generic_file_open(inode, file) };
        if ret != 0 {
            return ret;
        }
        // SAFETY: `misc_open()` has left a pointer to the `struct miscdevice` here, ...
        let misc = unsafe { (*file).private_data }.cast::<bindings::miscdevice>();
        // SAFETY: ... which by this function's contract is that of a `Registration<T>`, and which
        // it keeps registered during this call.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(misc), Self, misc) };
        // SAFETY: Valid during this call; no descriptor refers to it yet.
        match <T as Device>::open(&this.context, unsafe { File::from_raw_file(file) }) {
            Ok(device) => {
                // SAFETY: As above; from here on the other methods' private data.
                unsafe { (*file).private_data = device.into_foreign() };
                0
            }
            Err(e) => e.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by the VFS for a file that [`Self::open`] has opened.
    unsafe extern "C" fn flush(file: *mut bindings::file, _id: bindings::fl_owner_t) -> c_int {
        // SAFETY: The file is open, so that `open` has stored a `T::Ptr` and `release` has not
        // taken it.
        let device = unsafe { <T::Ptr as ForeignOwnable>::borrow((*file).private_data) };
        // SAFETY: Valid during this call, and `fdget_pos()` is of no concern to a character device
        // without a position.
        T::flush(device, unsafe { File::from_raw_file(file) });
        0
    }
}

#[pinned_drop]
impl<T: Device> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}
