// SPDX-License-Identifier: GPL-2.0

//! The numbers of the user-space interface, and their meaning as task flags.
//!
//! UAPI header: `include/uapi/linux/memscope.h`.

use crate::{bindings, kapi::task::Flags};
use kernel::{
    prelude::*,
    transmute::{AsBytes, FromBytes},
};

pub(super) const SET_IO_FLUSHER: u32 = bindings::MEMSCOPE_IOC_SET_IO_FLUSHER;
pub(super) const GET_IO_FLUSHER: u32 = bindings::MEMSCOPE_IOC_GET_IO_FLUSHER;
pub(super) const SET_SCOPES: u32 = bindings::MEMSCOPE_IOC_SET_SCOPES;
pub(super) const GET_SCOPES: u32 = bindings::MEMSCOPE_IOC_GET_SCOPES;
pub(super) const GET_FEATURES: u32 = bindings::MEMSCOPE_IOC_GET_FEATURES;

pub(super) const SUSPEND: u32 = bindings::MEMSCOPE_IOC_SUSPEND;
pub(super) const RESUME: u32 = bindings::MEMSCOPE_IOC_RESUME;
/// A command with a struct, of whatever size.
pub(super) const MARK: u32 = bindings::MEMSCOPE_IOC_MARK & !IOCSIZE_MASK;

/// As above.
pub(super) const CALL: u32 = bindings::MEMSCOPE_IOC_CALL & !IOCSIZE_MASK;

/// As above.
pub(super) const STATUS: u32 = bindings::MEMSCOPE_IOC_STATUS & !IOCSIZE_MASK;

/// As above.
pub(super) const DELEGATE: u32 = bindings::MEMSCOPE_IOC_DELEGATE & !IOCSIZE_MASK;
pub(super) const REVOKE: u32 = bindings::MEMSCOPE_IOC_REVOKE;

pub(super) const DELEGATE_UID: u32 = bindings::MEMSCOPE_DELEGATE_UID;
pub(super) const DELEGATE_PIDFD: u32 = bindings::MEMSCOPE_DELEGATE_PIDFD;
pub(super) const DELEGATE_FIRST: u32 = bindings::MEMSCOPE_DELEGATE_FIRST;
pub(super) const DELEGATE_TIED: u32 = bindings::MEMSCOPE_DELEGATE_TIED;

/// As above.
pub(super) const REGISTER: u32 = bindings::MEMSCOPE_IOC_REGISTER & !IOCSIZE_MASK;
pub(super) const REGISTER_REMOVE: u32 = bindings::MEMSCOPE_REGISTER_REMOVE;

pub(super) const EKEYREVOKED: u32 = bindings::EKEYREVOKED;

pub(super) const MAX_PER_TASK: usize = bindings::MEMSCOPE_MAX_PER_TASK as usize;

/// The bits of a command that are its argument's size.
pub(super) const IOCSIZE_MASK: u32 = bindings::MEMSCOPE_IOCSIZE_MASK;

/// The size of the argument that is in `cmd`.
pub(super) const fn argument_size(cmd: u32) -> usize {
    ((cmd & IOCSIZE_MASK) >> bindings::MEMSCOPE_IOCSIZE_SHIFT) as usize
}

pub(super) const MARK_HOLD: u32 = bindings::MEMSCOPE_MARK_HOLD;
pub(super) const MARK_PROCESS: u32 = bindings::MEMSCOPE_MARK_PROCESS;
pub(super) const MARK_PIDFD: u32 = bindings::MEMSCOPE_MARK_PIDFD;
pub(super) const MARK_NO_INTERRUPT: u32 = bindings::MEMSCOPE_MARK_NO_INTERRUPT;

pub(super) const CALL_READ: u32 = bindings::MEMSCOPE_CALL_READ;
pub(super) const CALL_WRITE: u32 = bindings::MEMSCOPE_CALL_WRITE;
pub(super) const CALL_FSYNC: u32 = bindings::MEMSCOPE_CALL_FSYNC;
pub(super) const CALL_FALLOCATE: u32 = bindings::MEMSCOPE_CALL_FALLOCATE;
pub(super) const FSYNC_DATASYNC: u32 = bindings::MEMSCOPE_FSYNC_DATASYNC;

/// What `GET_FEATURES` answers.
pub(super) const FEATURES: u64 = (bindings::MEMSCOPE_FEATURE_IO_FLUSHER
    | bindings::MEMSCOPE_FEATURE_SCOPES
    | bindings::MEMSCOPE_FEATURE_MARK
    | bindings::MEMSCOPE_FEATURE_SUSPEND
    | bindings::MEMSCOPE_FEATURE_CALL
    | bindings::MEMSCOPE_FEATURE_STATUS
    | bindings::MEMSCOPE_FEATURE_DELEGATE
    | bindings::MEMSCOPE_FEATURE_ACCOUNTING
    | bindings::MEMSCOPE_FEATURE_REGISTER) as u64;

/// `struct memscope_mark`.
#[repr(transparent)]
pub(super) struct Mark(pub(super) bindings::memscope_mark);

// SAFETY: Integers without padding; every pattern of bits is a value.
unsafe impl FromBytes for Mark {}
// SAFETY: As above.
unsafe impl AsBytes for Mark {}

const _: () = assert!(size_of::<Mark>() == 32);

/// `struct memscope_call`.
#[repr(transparent)]
pub(super) struct Call(pub(super) bindings::memscope_call);

// SAFETY: Integers without padding; every pattern of bits is a value.
unsafe impl FromBytes for Call {}

const _: () = assert!(size_of::<Call>() == 48);

/// `struct memscope_delegate`.
#[repr(transparent)]
pub(super) struct Delegate(pub(super) bindings::memscope_delegate);

// SAFETY: Integers without padding; every pattern of bits is a value.
unsafe impl FromBytes for Delegate {}

const _: () = assert!(size_of::<Delegate>() == 16);

/// `struct memscope_register`.
#[repr(transparent)]
pub(super) struct Register(pub(super) bindings::memscope_register);

// SAFETY: Integers without padding; every pattern of bits is a value.
unsafe impl FromBytes for Register {}

const _: () = assert!(size_of::<Register>() == 8);

/// `struct memscope_status`.
#[repr(transparent)]
pub(super) struct Status(pub(super) bindings::memscope_status);

// SAFETY: Integers without padding; every pattern of bits is a value.
unsafe impl FromBytes for Status {}
// SAFETY: As above.
unsafe impl AsBytes for Status {}

const _: () = assert!(size_of::<Status>() == 48);

pub(super) use bindings::memscope_entry as RawEntry;

/// `struct memscope_entry`.
#[repr(transparent)]
pub(super) struct Entry(pub(super) RawEntry);

// SAFETY: Integers without padding.
unsafe impl AsBytes for Entry {}

const _: () = assert!(size_of::<Entry>() == 120);

pub(super) const HOW_OWN: u32 = bindings::MEMSCOPE_HOW_OWN;
pub(super) const HOW_MARK: u32 = bindings::MEMSCOPE_HOW_MARK;
pub(super) const HOW_HOLD: u32 = bindings::MEMSCOPE_HOW_HOLD;
pub(super) const HOW_DELEGATED: u32 = bindings::MEMSCOPE_HOW_DELEGATED;

pub(super) const ENTRY_PENDING: u32 = bindings::MEMSCOPE_ENTRY_PENDING;
pub(super) const ENTRY_SUSPENDED: u32 = bindings::MEMSCOPE_ENTRY_SUSPENDED;
pub(super) const ENTRY_INHERITED: u32 = bindings::MEMSCOPE_ENTRY_INHERITED;
pub(super) const ENTRY_PROCESS: u32 = bindings::MEMSCOPE_ENTRY_PROCESS;
pub(super) const ENTRY_COUNTED: u32 = bindings::MEMSCOPE_ENTRY_COUNTED;
pub(super) const ENTRY_SETTER_GONE: u32 = bindings::MEMSCOPE_ENTRY_SETTER_GONE;

/// `PR_IO_FLUSHER` of `kernel/sys.c`.
pub(super) const IO_FLUSHER: Flags = Flags::NOIO.union(Flags::LOCAL_THROTTLE);

/// Every flag that a `MEMSCOPE_SCOPE_*` bit stands for.
pub(super) const SCOPES: Flags = IO_FLUSHER.union(Flags::NOFS);

const TABLE: [(u32, Flags); 3] = [
    (bindings::MEMSCOPE_SCOPE_NOIO, Flags::NOIO),
    (bindings::MEMSCOPE_SCOPE_NOFS, Flags::NOFS),
    (
        bindings::MEMSCOPE_SCOPE_LOCAL_THROTTLE,
        Flags::LOCAL_THROTTLE,
    ),
];

/// What the bits are called.
pub(super) const SCOPE_NAMES: [(u32, &str); 3] = [
    (bindings::MEMSCOPE_SCOPE_NOIO, "noio"),
    (bindings::MEMSCOPE_SCOPE_NOFS, "nofs"),
    (bindings::MEMSCOPE_SCOPE_LOCAL_THROTTLE, "local_throttle"),
];

/// The task flags of a set of `MEMSCOPE_SCOPE_*` bits.
///
/// # Errors
///
/// `EINVAL` if any other bit is in it.
pub(super) fn flags_from_scopes(scopes: u32) -> Result<Flags> {
    let mut rest = scopes;
    let mut flags = Flags::NONE;
    for (bit, flag) in TABLE {
        if rest & bit != 0 {
            flags = flags.union(flag);
            rest &= !bit;
        }
    }
    if rest == 0 {
        Ok(flags)
    } else {
        Err(EINVAL)
    }
}

/// The `MEMSCOPE_SCOPE_*` bits of the task's flags.
pub(super) fn scopes_from_flags(flags: Flags) -> u32 {
    let mut scopes = 0;
    for (bit, flag) in TABLE {
        if flags.contains(flag) {
            scopes |= bit;
        }
    }
    scopes
}
