// SPDX-License-Identifier: GPL-2.0

//! Tests of the scope guards, in the kernel: `/dev/scope_guard` runs them one by one.
//!
//! The crate is the project's own `rust/kapi` and `rust/scope` with tests around them. What they
//! leave in `current->flags` is read here without them.

// The project's sources, as they are.
#[allow(dead_code)]
#[path = "rust"]
mod project {
    pub(crate) mod bindings;
    #[path = "kapi"]
    pub(crate) mod kapi {
        mod current;
        pub(crate) mod gfp;
        pub(crate) mod task;
        pub(crate) mod workqueue;
    }
    pub(crate) mod scope;
}
mod cost;
mod guards;
mod pressure;
mod testing;

use project::{bindings, kapi, scope};

use kernel::{
    fs::File,
    ioctl::{_IOC_NR, _IOC_TYPE},
    miscdevice::{MiscDevice, MiscDeviceOptions, MiscDeviceRegistration},
    prelude::*,
    str::CString,
    uaccess::UserSlice,
};

module! {
    type: Module,
    name: "scope_guard",
    authors: ["The memscope authors"],
    description: "Test of memscope's scope guards",
    license: "GPL",
}

#[pin_data]
struct Module {
    // The kernel crate's own, so that this depends on no more of the project than it tests. It does
    // not hold the module while the device is open: close first, then rmmod.
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"scope_guard" }),
        })
    }
}

struct Device;

/// Commands of type `g`: run the test of that number, write its name and what went wrong (NUL
/// terminated) to a buffer of this size, return 0 or, if it failed, 1.
const TEST_TYPE: u32 = b'g' as u32;
const TEXT_BYTES: usize = 256;

/// Commands of type `h`.
const DO_TYPE: u32 = b'h' as u32;
const DO_LEAKS: u32 = 0;
const DO_ALLOCATE: u32 = 1;
const DO_COST: u32 = 2;
const DO_COST_EMPTY: u32 = 3;

#[vtable]
impl MiscDevice for Device {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<()> {
        Ok(())
    }

    fn ioctl((): (), _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match (_IOC_TYPE(cmd), _IOC_NR(cmd)) {
            (TEST_TYPE, nr) => run(nr as usize, arg),
            (DO_TYPE, DO_LEAKS) => Ok(scope::leaks() as isize),
            (DO_TYPE, DO_ALLOCATE) => pressure::allocate(arg),
            (DO_TYPE, DO_COST) => cost::guard(arg),
            (DO_TYPE, DO_COST_EMPTY) => cost::empty(arg),
            _ => Err(ENOTTY),
        }
    }
}

fn run(nr: usize, arg: usize) -> Result<isize> {
    let &(name, test) = guards::TESTS.get(nr).ok_or(ENOENT)?;
    let result = testing::run(test);
    let text = match &result {
        Ok(()) => CString::try_from_fmt(fmt!("{name}"))?,
        Err(failure) => CString::try_from_fmt(fmt!("{name}: {failure}"))?,
    };
    let mut buffer = [0u8; TEXT_BYTES];
    let bytes = text.to_bytes();
    let len = bytes.len().min(TEXT_BYTES - 1);
    buffer[..len].copy_from_slice(&bytes[..len]);
    UserSlice::new(UserPtr::from_addr(arg), TEXT_BYTES)
        .writer()
        .write_slice(&buffer)?;
    Ok(result.is_err().into())
}
