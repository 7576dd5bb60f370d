// SPDX-License-Identifier: MIT OR Apache-2.0

//! The numbers and structs of `/dev/memscope`, and the only unsafe code.
//!
//! The same as in `<linux/memscope.h>`, of 64 and 32 bit programs alike.

use rustix::{
    fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    io::{fcntl_setfd, Errno, FdFlags},
    ioctl::{ioctl, opcode, Ioctl, IoctlOutput, Opcode},
};
use std::ffi::{c_int, c_void};

const MAGIC: u8 = 0xD5;

pub(crate) const SET_IO_FLUSHER: Opcode = opcode::none(MAGIC, 0x00);
pub(crate) const GET_IO_FLUSHER: Opcode = opcode::none(MAGIC, 0x01);
pub(crate) const SET_SCOPES: Opcode = opcode::none(MAGIC, 0x02);
pub(crate) const GET_SCOPES: Opcode = opcode::none(MAGIC, 0x03);
pub(crate) const SUSPEND: Opcode = opcode::none(MAGIC, 0x06);
pub(crate) const RESUME: Opcode = opcode::none(MAGIC, 0x07);
pub(crate) const REVOKE: Opcode = opcode::none(MAGIC, 0x0b);

pub(crate) const MARK_HOLD: u32 = 1 << 0;
pub(crate) const MARK_PROCESS: u32 = 1 << 1;
pub(crate) const MARK_NO_INTERRUPT: u32 = 1 << 2;
pub(crate) const MARK_PIDFD: u32 = 1 << 3;

pub(crate) const CALL_READ: u32 = 0;
pub(crate) const CALL_WRITE: u32 = 1;
pub(crate) const CALL_FSYNC: u32 = 2;
pub(crate) const CALL_FALLOCATE: u32 = 3;
pub(crate) const FSYNC_DATASYNC: u32 = 1 << 0;

pub(crate) const DELEGATE_UID: u32 = 1 << 0;
pub(crate) const DELEGATE_PIDFD: u32 = 1 << 1;
pub(crate) const DELEGATE_FIRST: u32 = 1 << 2;
pub(crate) const DELEGATE_TIED: u32 = 1 << 3;

pub(crate) const REGISTER_REMOVE: u32 = 1 << 0;

/// A struct that is the argument of one command.
///
/// # Safety
///
/// The kernel reads and writes a value of this type, of this size, when it gets `OPCODE`; every
/// pattern of bits is a value of it. Addresses in it are the user's to vouch for.
pub(crate) unsafe trait Argument {
    const OPCODE: Opcode;
}

macro_rules! argument {
    ($name:ident, $size:literal, $opcode:expr) => {
        const _: () = assert!(size_of::<$name>() == $size);

        // SAFETY: Laid out as the struct of this command in <linux/memscope.h>; integers only.
        unsafe impl Argument for $name {
            const OPCODE: Opcode = $opcode;
        }
    };
}

#[repr(transparent)]
#[derive(Default)]
pub(crate) struct Features(pub(crate) u64);
argument!(Features, 8, opcode::read::<u64>(MAGIC, 0x04));

#[repr(C)]
#[derive(Default)]
pub(crate) struct Mark {
    pub(crate) flags: u32,
    pub(crate) scopes: u32,
    pub(crate) pidfd: i32,
    pub(crate) timeout_ms: u32,
    pub(crate) done: u32,
    pub(crate) remaining: u32,
    pub(crate) stopped: u32,
    pub(crate) blocked: u32,
}
argument!(Mark, 32, opcode::read_write::<Mark>(MAGIC, 0x05));

#[repr(C)]
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) op: u32,
    pub(crate) scopes: u32,
    pub(crate) fd: i32,
    pub(crate) flags: u32,
    pub(crate) iov: u64,
    pub(crate) iovcnt: u32,
    pub(crate) reserved: u32,
    pub(crate) offset: i64,
    pub(crate) len: i64,
}
argument!(Call, 48, opcode::write::<Call>(MAGIC, 0x08));

#[repr(C)]
#[derive(Clone, Default)]
pub(crate) struct Entry {
    pub(crate) tid: u32,
    pub(crate) tgid: u32,
    pub(crate) uid: u32,
    pub(crate) scopes: u32,
    pub(crate) mark: u32,
    pub(crate) how: u32,
    pub(crate) flags: u32,
    pub(crate) by_pid: u32,
    pub(crate) by_uid: u32,
    pub(crate) reserved: u32,
    pub(crate) since_ns: u64,
    pub(crate) reclaims: u64,
    pub(crate) reclaim_ns: u64,
    pub(crate) constrained: u64,
    pub(crate) pauses: u64,
    pub(crate) pause_ns: u64,
    pub(crate) comm: [u8; 16],
    pub(crate) by_comm: [u8; 16],
}
const _: () = assert!(size_of::<Entry>() == 120);

#[repr(C)]
#[derive(Default)]
pub(crate) struct Status {
    pub(crate) cursor: u64,
    pub(crate) entries: u64,
    pub(crate) entry_size: u32,
    pub(crate) count: u32,
    pub(crate) flags: u32,
    pub(crate) reserved: u32,
    pub(crate) missed: u64,
    pub(crate) unmarked: u64,
}
argument!(Status, 48, opcode::read_write::<Status>(MAGIC, 0x09));

#[repr(C)]
#[derive(Default)]
pub(crate) struct Delegate {
    pub(crate) flags: u32,
    pub(crate) scopes: u32,
    pub(crate) uid: u32,
    pub(crate) pidfd: i32,
}
argument!(Delegate, 16, opcode::write::<Delegate>(MAGIC, 0x0a));

#[repr(C)]
#[derive(Default)]
pub(crate) struct Register {
    pub(crate) flags: u32,
    pub(crate) fd: i32,
}
argument!(Register, 8, opcode::write::<Register>(MAGIC, 0x0c));

struct Command {
    opcode: Opcode,
    argument: *mut c_void,
}

// SAFETY: Only made by `value` and `with`, which answer for the pair. IS_MUTATING is the safe
// choice.
unsafe impl Ioctl for Command {
    type Output = c_int;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    /// # Safety
    ///
    /// None: the pointer is not used, as the result of each command is the system call's.
    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<c_int> {
        Ok(out)
    }
}

/// A command whose argument is a number.
///
/// On a descriptor that is not memscope's the number may mean something else, so [`super::Device`]
/// only holds descriptors that are.
pub(crate) fn value(fd: impl AsFd, opcode: Opcode, value: u32) -> Result<c_int, Errno> {
    let command = Command {
        opcode,
        argument: std::ptr::without_provenance_mut(value as usize),
    };
    // SAFETY: memscope takes a number here and touches no memory.
    unsafe { ioctl(fd, command) }
}

/// A command whose argument is a struct.
///
/// # Safety
///
/// The addresses in `argument` must be good for what the command does with them.
pub(crate) unsafe fn with<A: Argument>(fd: impl AsFd, argument: &mut A) -> Result<c_int, Errno> {
    let command = Command {
        opcode: A::OPCODE,
        argument: std::ptr::from_mut(argument).cast(),
    };
    // SAFETY: The contract of `Argument`; the rest is promised by the caller.
    unsafe { ioctl(fd, command) }
}

/// Owns an inherited descriptor from here on, close-on-exec.
///
/// `None` where it is not open. The caller answers for that nothing else in the program owns it.
pub(crate) fn take_descriptor(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: Not -1; and whether it is open is what is asked, before it is owned.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).ok()?;
    // SAFETY: It is open. systemd has opened it for whoever asks for this name, once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of the module and this file agree, number by number and struct by struct.
    #[test]
    fn numbers_are_those_of_the_header() {
        let header = include_str!("../../../include/uapi/linux/memscope.h");
        // _IO(MAGIC, nr), or _IOx(MAGIC, nr, type)
        for (name, opcode) in [
            ("SET_IO_FLUSHER", SET_IO_FLUSHER),
            ("GET_IO_FLUSHER", GET_IO_FLUSHER),
            ("SET_SCOPES", SET_SCOPES),
            ("GET_SCOPES", GET_SCOPES),
            ("GET_FEATURES", Features::OPCODE),
            ("MARK", Mark::OPCODE),
            ("SUSPEND", SUSPEND),
            ("RESUME", RESUME),
            ("CALL", Call::OPCODE),
            ("STATUS", Status::OPCODE),
            ("DELEGATE", Delegate::OPCODE),
            ("REVOKE", REVOKE),
            ("REGISTER", Register::OPCODE),
        ] {
            let line = header
                .lines()
                .find_map(|l| l.strip_prefix(&format!("#define MEMSCOPE_IOC_{name}\t")))
                .unwrap_or_else(|| panic!("{name} is not in the header"))
                .trim();
            let direction = match line.split('(').next().unwrap() {
                "_IO" => 0,
                "_IOW" => 1,
                "_IOR" => 2,
                "_IOWR" => 3,
                other => panic!("{name}: {other}"),
            };
            let number = line.split("0x").nth(1).unwrap();
            let number = u32::from_str_radix(&number[..2], 16).unwrap();
            assert_eq!(opcode & 0xff, number, "{name}");
            assert_eq!((opcode >> 8) & 0xff, u32::from(MAGIC), "{name}");
            assert_eq!(opcode >> 30, direction, "{name}");
        }
        assert!(header.lines().any(|l| l.split_whitespace().eq([
            "#define",
            "MEMSCOPE_IOC_MAGIC",
            "0xD5"
        ])));
        for (name, value) in [
            ("MARK_HOLD", MARK_HOLD),
            ("MARK_PROCESS", MARK_PROCESS),
            ("MARK_NO_INTERRUPT", MARK_NO_INTERRUPT),
            ("MARK_PIDFD", MARK_PIDFD),
            ("FSYNC_DATASYNC", FSYNC_DATASYNC),
            ("DELEGATE_UID", DELEGATE_UID),
            ("DELEGATE_PIDFD", DELEGATE_PIDFD),
            ("DELEGATE_FIRST", DELEGATE_FIRST),
            ("DELEGATE_TIED", DELEGATE_TIED),
            ("REGISTER_REMOVE", REGISTER_REMOVE),
            ("SCOPE_NOIO", crate::Scopes::NOIO.bits()),
            ("SCOPE_NOFS", crate::Scopes::NOFS.bits()),
            ("SCOPE_LOCAL_THROTTLE", crate::Scopes::LOCAL_THROTTLE.bits()),
        ] {
            let value = format!("(1U << {})", value.trailing_zeros());
            assert!(
                header.lines().any(|l| l
                    .strip_prefix(&format!("#define MEMSCOPE_{name}"))
                    .is_some_and(|rest| rest.trim() == value)),
                "{name}"
            );
        }
    }
}
