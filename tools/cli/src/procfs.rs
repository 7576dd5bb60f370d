// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `/proc` tells about threads.

use memscope::Scopes;
use std::{fs, io, path::Path};

/// A thread, as its `stat` file shows it.
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) scopes: Scopes,
    pub(crate) comm: String,
}

/// The numbers that are names in a folder.
fn numbers(dir: impl AsRef<Path>) -> Vec<u32> {
    let mut found: Vec<u32> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    found
}

pub(crate) fn processes() -> Vec<u32> {
    numbers("/proc")
}

/// The threads of a process that still exist.
pub(crate) fn threads(pid: u32) -> Vec<Thread> {
    numbers(format!("/proc/{pid}/task"))
        .into_iter()
        .filter_map(|tid| {
            let stat = fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
            let stat = String::from_utf8_lossy(&stat);
            let name = stat.split_once('(')?.1.rsplit_once(')')?.0;
            Some(Thread {
                tid,
                scopes: memscope::scopes_of_stat(&stat)?,
                comm: name.into(),
            })
        })
        .collect()
}

/// The real user of a process.
pub(crate) fn uid(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

/// The value of a field of `/proc/PID/status`.
pub(crate) fn status_field(pid: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))
        .map(|v| v.trim().into())
}

/// Which device files a process has open, as far as one may see.
pub(crate) fn open_devices(pid: u32) -> Vec<String> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            target
                .to_str()?
                .strip_prefix("/dev/")
                .map(ToOwned::to_owned)
        })
        .collect()
}

/// Which descriptors of a process are of files of the device that were delegated.
pub(crate) fn delegated_files(pid: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let entry = entry?;
        // One that is closed meanwhile is none.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if text.lines().any(|l| l.starts_with("memscope-delegated:")) {
            found.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(|n| n.parse::<i32>().ok()),
            );
        }
    }
    Ok(found)
}

/// The name of the program that a process runs, without its folder.
pub(crate) fn program(pid: u32) -> Option<String> {
    let first = |bytes: Vec<u8>| {
        let first = bytes.split(|b| *b == 0).next()?.to_vec();
        let name = String::from_utf8_lossy(&first).into_owned();
        Some(name.rsplit('/').next()?.to_owned())
    };
    fs::read(format!("/proc/{pid}/cmdline"))
        .ok()
        .and_then(first)
        .filter(|name| !name.is_empty())
}
