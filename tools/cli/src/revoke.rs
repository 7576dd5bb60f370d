// SPDX-License-Identifier: MIT OR Apache-2.0

//! `memscope revoke`.

use crate::{marks, procfs, Failure};
use memscope::Device;
use rustix::process::{pidfd_getfd, PidfdGetfdFlags};
use std::process::ExitCode;

/// Revokes by descriptors that are taken from the process: the delegated file is the same in
/// whatever process it is open, so who was to keep it (systemd) loses it as well.
pub(crate) fn revoke(pid: i32) -> Result<ExitCode, Failure> {
    let pidfd = marks::open_process(pid)?;
    let why = |e: std::io::Error| format!("process {pid}: {e}");
    let delegated = procfs::delegated_files(pid).map_err(why)?;
    if delegated.is_empty() {
        return Err(format!("process {pid} has nothing open that was delegated").into());
    }
    for number in delegated {
        let fd =
            pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).map_err(|e| why(e.into()))?;
        Device::from_fd(fd)?.revoke()?;
    }
    Ok(ExitCode::SUCCESS)
}
