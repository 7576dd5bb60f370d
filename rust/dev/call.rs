// SPDX-License-Identifier: GPL-2.0

//! One read, write, fsync or fallocate under a set of scopes.

use super::{abi, user, Flusher};
use crate::kapi::{
    file_call::{self, Direction, Vectored},
    task::{self, Flags},
};
use kernel::prelude::*;

/// An operation whose arguments were found to be good.
enum Op {
    Vectored(Vectored),
    Fsync {
        start: i64,
        end: i64,
        datasync: bool,
    },
    Fallocate,
}

pub(super) fn call(device: &Flusher, arg: usize, size: usize) -> Result<isize> {
    let call: abi::Call = user::read_struct(arg, size)?;
    let right = device.right()?;
    let c = &call.0;
    let scopes = abi::flags_from_scopes(c.scopes)?;
    let op = parse(&call)?;
    if !right.covers(scopes) {
        return Err(EPERM);
    }
    right.claim()?;
    under(scopes, || match op {
        Op::Vectored(ref args) => file_call::vectored(args),
        Op::Fsync {
            start,
            end,
            datasync,
        } => file_call::fsync(c.fd, start, end, datasync),
        // A mode is an `int` with the same bits.
        Op::Fallocate => file_call::fallocate(c.fd, c.flags as i32, c.offset, c.len),
    })
}

fn parse(call: &abi::Call) -> Result<Op> {
    let c = &call.0;
    let has_iov = c.iov != 0 || c.iovcnt != 0;
    if c.reserved != 0 {
        return Err(EINVAL);
    }
    match c.op {
        abi::CALL_READ | abi::CALL_WRITE if c.len == 0 => Ok(Op::Vectored(Vectored {
            direction: if c.op == abi::CALL_READ {
                Direction::Read
            } else {
                Direction::Write
            },
            fd: c.fd,
            iov: usize::try_from(c.iov).map_err(|_| EFAULT)?,
            iovcnt: c.iovcnt,
            offset: c.offset,
            flags: c.flags,
        })),
        abi::CALL_FSYNC if !has_iov && c.flags & !abi::FSYNC_DATASYNC == 0 => {
            if c.offset < 0 || c.len < 0 {
                return Err(EINVAL);
            }
            let end = match c.len {
                0 => i64::MAX,
                len => c.offset.checked_add(len - 1).ok_or(EINVAL)?,
            };
            Ok(Op::Fsync {
                start: c.offset,
                end,
                datasync: c.flags & abi::FSYNC_DATASYNC != 0,
            })
        }
        abi::CALL_FALLOCATE if !has_iov => Ok(Op::Fallocate),
        _ => Err(EINVAL),
    }
}

/// Runs `f` with `scopes` in addition to what the current task has.
///
/// Nothing that runs meanwhile changes these flags: prctl() and task work are done on the way to and
/// from user mode.
fn under<R>(scopes: Flags, f: impl FnOnce() -> R) -> R {
    let before = task::update_flags(scopes, scopes);
    let result = f();
    task::update_flags(scopes.difference(before), Flags::NONE);
    result
}
