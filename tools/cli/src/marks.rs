// SPDX-License-Identifier: MIT OR Apache-2.0

//! `memscope mark` and `memscope clear`.

use crate::{cli::Other, Failure, SOME_REMAIN};
use memscope::{Device, Mark, Scopes};
use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    process::{pidfd_open, Pid, PidfdFlags},
};
use std::{process::ExitCode, time::Duration};

/// From here on it is this process, and no other that gets its number.
pub(crate) fn open_process(number: i32) -> Result<OwnedFd, Failure> {
    let pid = Pid::from_raw(number).ok_or("0 is no process")?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| match e {
        Errno::SRCH => format!("there is no process {number}"),
        // Linux says so of a thread that is not its process's first.
        Errno::INVAL | Errno::NOENT => format!("{number} is a thread of another process"),
        e => format!("process {number}: {e}"),
    })?;
    Ok(pidfd)
}

pub(crate) fn mark(other: &Other, scopes: Scopes) -> Result<ExitCode, Failure> {
    let pidfd = open_process(other.pid)?;
    let mut mark = if other.thread {
        Mark::other_thread(pidfd.as_fd(), scopes)
    } else {
        Mark::other_process(pidfd.as_fd(), scopes)
    }
    .timeout(Duration::from_millis(other.timeout.into()));
    if other.no_interrupt {
        mark = mark.no_interrupt();
    }
    let outcome = Device::open()?.mark(&mark)?;
    if outcome.remaining == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let mut why = Vec::new();
    for (n, what) in [
        (outcome.stopped, "stopped"),
        (outcome.blocked, "blocked in the kernel"),
    ] {
        if n > 0 {
            why.push(format!("{n} {what}"));
        }
    }
    eprintln!(
        "memscope: {} of {} threads of process {} have still to change{}; they do when they next \
         return from the kernel",
        outcome.remaining,
        u64::from(outcome.done) + u64::from(outcome.remaining),
        other.pid,
        if why.is_empty() {
            String::new()
        } else {
            format!(" ({})", why.join(", "))
        }
    );
    Ok(SOME_REMAIN.into())
}
