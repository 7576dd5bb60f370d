// SPDX-License-Identifier: MIT OR Apache-2.0

//! An open `/dev/memscope`.

use crate::{
    error::{Error, Result},
    mark::{Mark, Outcome},
    status::{Entry, Status},
    sys, Scopes,
};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    io::Errno,
};
use std::{
    fs::OpenOptions,
    marker::PhantomData,
    os::unix::fs::{FileTypeExt, MetadataExt},
    sync::atomic::{AtomicBool, Ordering},
};

bitflags::bitflags! {
    /// What the loaded module can do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// `SET_IO_FLUSHER` and `GET_IO_FLUSHER`.
        const IO_FLUSHER = 1 << 0;
        /// [`Device::set_scopes`] and [`Device::scopes`].
        const SCOPES = 1 << 1;
        /// [`Device::mark`] and [`Device::hold`].
        const MARK = 1 << 2;
        /// [`Device::suspend`].
        const SUSPEND = 1 << 3;
        /// [`Device::read`] and the other single calls.
        const CALL = 1 << 4;
        /// [`Device::status`].
        const STATUS = 1 << 5;
        /// [`Device::delegate`] and [`Device::revoke`].
        const DELEGATE = 1 << 6;
        /// The counters of an [`Entry`].
        const ACCOUNTING = 1 << 7;
        /// [`Device::register`].
        const REGISTER = 1 << 8;
        // Those of newer modules are kept.
        const _ = !0;
    }
}

/// To whom, and for what, [`Device::delegate`] gives a file.
#[derive(Clone, Copy, Debug)]
pub struct Delegation<'a> {
    /// The most that may be set through the file.
    pub scopes: Scopes,
    /// Only to processes with this effective user id.
    pub uid: Option<u32>,
    /// Only to the process that this pidfd refers to.
    pub pidfd: Option<BorrowedFd<'a>>,
    /// Only to the first process that uses it.
    pub first: bool,
    /// Revoked when the delegating process closes its last descriptor of it.
    pub tied: bool,
}

impl Delegation<'_> {
    /// To whoever has the file.
    #[must_use]
    pub fn new(scopes: Scopes) -> Self {
        Self {
            scopes,
            uid: None,
            pidfd: None,
            first: false,
            tied: false,
        }
    }
}

/// An open `/dev/memscope`.
///
/// Opening needs access to the node, and most commands `CAP_SYS_RESOURCE` in the initial user
/// namespace, or a file that [was delegated](Device::delegate). [`Client`](crate::Client) is the
/// one that also works without the module.
///
/// As long as it is open the module cannot be unloaded. It is close-on-exec.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
}

impl Device {
    /// Opens `/dev/memscope`.
    ///
    /// # Errors
    ///
    /// [`NoModule`](crate::ErrorKind::NoModule) or
    /// [`NoPermission`](crate::ErrorKind::NoPermission).
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/memscope")
            .map_err(|e| Error::open(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        Self::check(file.into())
    }

    /// Takes the descriptor that systemd has opened for this service by
    /// `OpenFile=/dev/memscope:memscope`. `None` where there is none, or it was taken before.
    ///
    /// # Errors
    ///
    /// `ENOTTY` where it is not of `/dev/memscope`.
    pub fn from_systemd() -> Option<Result<Self>> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let number = listen_fd(
            &|name| std::env::var(name).ok(),
            std::process::id(),
            "memscope",
        )?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return None;
        }
        let fd = sys::take_descriptor(number)?;
        Some(Self::check(fd))
    }

    /// Takes a descriptor that was inherited or received over a socket.
    ///
    /// # Errors
    ///
    /// `ENOTTY` where it is not of `/dev/memscope`.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        Self::check(fd)
    }

    // Another device may take the numbers of the commands for something else.
    fn check(fd: OwnedFd) -> Result<Self> {
        const DOING: &str = "use the descriptor as /dev/memscope";
        let file = std::fs::File::from(fd);
        let is_device = file
            .metadata()
            .ok()
            .filter(|m| m.file_type().is_char_device())
            .and_then(|m| {
                let id = format!(
                    "/sys/dev/char/{}:{}/uevent",
                    rustix::fs::major(m.rdev()),
                    rustix::fs::minor(m.rdev())
                );
                std::fs::read_to_string(id).ok()
            })
            // A container may have no sysfs; then the command below has to tell.
            .is_none_or(|uevent| uevent.lines().any(|l| l == "DEVNAME=memscope"));
        if !is_device {
            return Err(Error::command(DOING, Errno::NOTTY));
        }
        let device = Self { fd: file.into() };
        device.features().map_err(|e| {
            Error::command(
                DOING,
                Errno::from_raw_os_error(e.raw_os_error().unwrap_or(0)),
            )
        })?;
        Ok(device)
    }

    /// What the loaded module can do. Needs no capability.
    ///
    /// # Errors
    ///
    /// None are expected.
    pub fn features(&self) -> Result<Features> {
        let mut features = sys::Features::default();
        // SAFETY: No addresses.
        unsafe { sys::with(&self.fd, &mut features) }
            .map_err(|e| Error::command("ask what the module can do", e))?;
        Ok(Features::from_bits_retain(features.0))
    }

    fn value(&self, doing: &'static str, opcode: u32, value: u32) -> Result<u32> {
        sys::value(&self.fd, opcode, value)
            .map(|n| n.unsigned_abs())
            .map_err(|e| Error::command(doing, e))
    }

    /// Turns the IO_FLUSHER state of the calling thread on or off, as
    /// `prctl(PR_SET_IO_FLUSHER)` does.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability.
    pub fn set_io_flusher(&self, on: bool) -> Result<()> {
        self.value(
            "set the IO_FLUSHER state",
            sys::SET_IO_FLUSHER,
            u32::from(on),
        )?;
        Ok(())
    }

    /// Whether the calling thread is an IO_FLUSHER.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability.
    pub fn io_flusher(&self) -> Result<bool> {
        Ok(self.value("read the IO_FLUSHER state", sys::GET_IO_FLUSHER, 0)? == 1)
    }

    /// Replaces the scopes of the calling thread, for good.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability.
    pub fn set_scopes(&self, scopes: Scopes) -> Result<()> {
        self.value(
            "set the scopes of the calling thread",
            sys::SET_SCOPES,
            scopes.bits(),
        )?;
        Ok(())
    }

    /// The scopes of the calling thread.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability.
    pub fn scopes(&self) -> Result<Scopes> {
        let bits = self.value("read the scopes of the calling thread", sys::GET_SCOPES, 0)?;
        Ok(Scopes::from_bits_retain(bits))
    }

    fn mark_with(&self, mark: &Mark<'_>, extra: u32) -> Result<Outcome> {
        let mut argument = mark.argument();
        argument.flags |= extra;
        // SAFETY: No addresses.
        unsafe { sys::with(&self.fd, &mut argument) }.map_err(|e| {
            if mark.pidfd.is_some() {
                Error::command_on_other("mark the process", e)
            } else {
                Error::command("mark the threads", e)
            }
        })?;
        Ok(Outcome {
            done: argument.done,
            remaining: argument.remaining,
            stopped: argument.stopped,
            blocked: argument.blocked,
        })
    }

    /// Replaces the scopes of the threads, for good.
    ///
    /// # Errors
    ///
    /// `EPERM`: no capability, or no right to send the process signals. `ESRCH`: it has ended.
    pub fn mark(&self, mark: &Mark<'_>) -> Result<Outcome> {
        self.mark_with(mark, 0)
    }

    /// Holds the threads in the scopes, in addition to what they have, until the [`Hold`] is
    /// dropped or this process ends or calls `execve()`.
    ///
    /// Threads that a held thread creates are held, processes are not. One open file has one hold
    /// of a target, so this takes the device.
    ///
    /// ```
    /// use memscope::{Device, Mark, Scopes};
    ///
    /// # fn main() -> Result<(), memscope::Error> {
    /// # if Device::open().is_err() { return Ok(()) }
    /// let hold = Device::open()?.hold(&Mark::process(Scopes::IO_FLUSHER))?;
    /// assert_eq!(hold.outcome().remaining, 0);
    /// // ... serve the device, in threads that may come and go ...
    /// drop(hold);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Device::mark`].
    pub fn hold(self, mark: &Mark<'_>) -> Result<Hold> {
        let outcome = self.mark_with(mark, sys::MARK_HOLD)?;
        Ok(Hold {
            device: self,
            outcome,
        })
    }

    /// Leaves every scope of the calling thread until the guard is dropped: for work that is not
    /// in the I/O path. Needs no capability. Nests.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` on a kernel without tracepoints.
    pub fn suspend(&self) -> Result<Suspended<'_>> {
        self.value("suspend the scopes", sys::SUSPEND, 0)?;
        Ok(Suspended {
            device: self,
            _thread: PhantomData,
        })
    }

    /// Who is marked. Without the capability: those of the caller's user only.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; [`Unsupported`](crate::ErrorKind::Unsupported) with an older module.
    pub fn status(&self) -> Result<Status> {
        let mut status = Status::default();
        let mut cursor = 0;
        loop {
            let mut room = vec![sys::Entry::default(); 256];
            let mut argument = sys::Status {
                cursor,
                entries: room.as_mut_ptr() as usize as u64,
                entry_size: size_of::<sys::Entry>() as u32,
                count: room.len() as u32,
                ..Default::default()
            };
            // SAFETY: `room` has `count` entries of `entry_size` bytes, and lives.
            unsafe { sys::with(&self.fd, &mut argument) }
                .map_err(|e| Error::command("read who is marked", e))?;
            let filled = (argument.count as usize).min(room.len());
            status
                .entries
                .extend(room[..filled].iter().map(Entry::from_raw));
            status.missed = argument.missed;
            status.unmarked = argument.unmarked;
            if filled < room.len() {
                return Ok(status);
            }
            cursor = argument.cursor;
        }
    }

    /// From here on lets whoever has this open file mark itself, and only itself, by
    /// [`Device::hold`]. It cannot be widened or undone, only [revoked](Device::revoke).
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability; `EBUSY` where it is delegated already.
    pub fn delegate(&self, delegation: &Delegation<'_>) -> Result<()> {
        let mut flags = 0;
        for (set, flag) in [
            (delegation.uid.is_some(), sys::DELEGATE_UID),
            (delegation.pidfd.is_some(), sys::DELEGATE_PIDFD),
            (delegation.first, sys::DELEGATE_FIRST),
            (delegation.tied, sys::DELEGATE_TIED),
        ] {
            if set {
                flags |= flag;
            }
        }
        let mut argument = sys::Delegate {
            flags,
            scopes: delegation.scopes.bits(),
            uid: delegation.uid.unwrap_or(0),
            pidfd: delegation.pidfd.map_or(0, |fd| fd.as_raw_fd()),
        };
        // SAFETY: No addresses.
        unsafe { sys::with(&self.fd, &mut argument) }
            .map_err(|e| Error::command("delegate the file", e))?;
        Ok(())
    }

    /// Ends what was marked through this file, which was [delegated](Device::delegate).
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability; `EINVAL` where it was not delegated.
    pub fn revoke(&self) -> Result<()> {
        self.value("revoke the delegation", sys::REVOKE, 0)?;
        Ok(())
    }

    fn register_with(&self, fd: impl AsFd, flags: u32) -> Result<()> {
        let mut argument = sys::Register {
            flags,
            fd: fd.as_fd().as_raw_fd(),
        };
        // SAFETY: No addresses.
        unsafe { sys::with(&self.fd, &mut argument) }
            .map_err(|e| Error::command("register the device that is served", e))?;
        Ok(())
    }

    /// Says that the calling process serves this block device: the kernel then logs when a thread
    /// of it that has no scope enters reclaim. Until the device is closed.
    ///
    /// # Errors
    ///
    /// `ENOTBLK` where `fd` is not of a block device's node.
    pub fn register(&self, fd: impl AsFd) -> Result<()> {
        self.register_with(fd, 0)
    }

    /// Takes [`Device::register`] back.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it was not registered.
    pub fn unregister(&self, fd: impl AsFd) -> Result<()> {
        self.register_with(fd, sys::REGISTER_REMOVE)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Device> for OwnedFd {
    fn from(device: Device) -> Self {
        device.fd
    }
}

/// Threads held in scopes by an open file; see [`Device::hold`].
#[derive(Debug)]
#[must_use = "the hold ends when this is dropped"]
pub struct Hold {
    device: Device,
    outcome: Outcome,
}

impl Hold {
    /// On how many threads it was in force when it began.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The file that holds.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// The file that holds, to be closed when the hold is to end.
impl From<Hold> for OwnedFd {
    fn from(hold: Hold) -> Self {
        hold.device.into()
    }
}

/// The calling thread without its scopes; see [`Device::suspend`].
#[derive(Debug)]
#[must_use = "the scopes come back when this is dropped"]
pub struct Suspended<'a> {
    device: &'a Device,
    // It is this thread that is suspended.
    _thread: PhantomData<*mut ()>,
}

impl Drop for Suspended<'_> {
    fn drop(&mut self) {
        // Fails only where the delegation was revoked, and then there is nothing to come back.
        let _ = sys::value(self.device, sys::RESUME, 0);
    }
}

/// The number of the descriptor with this name, as in sd_listen_fds_with_names(3).
fn listen_fd(env: &dyn Fn(&str) -> Option<String>, pid: u32, name: &str) -> Option<i32> {
    const FIRST: i32 = 3;
    if env("LISTEN_PID")?.parse() != Ok(pid) {
        return None;
    }
    let count: usize = env("LISTEN_FDS")?.parse().ok()?;
    let names = env("LISTEN_FDNAMES")?;
    let index = names.split(':').take(count).position(|n| n == name)?;
    Some(FIRST + i32::try_from(index).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what systemd passed to this very process, under the name, is taken.
    #[test]
    fn descriptors_of_systemd() {
        let find = |pid: &str, count: &str, names: &str| {
            let vars = [
                ("LISTEN_PID", pid.to_owned()),
                ("LISTEN_FDS", count.to_owned()),
                ("LISTEN_FDNAMES", names.to_owned()),
            ];
            let env = move |name: &str| {
                let found = vars.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| value.clone())
            };
            listen_fd(&env, 7, "memscope")
        };
        assert_eq!(find("7", "1", "memscope"), Some(3));
        assert_eq!(find("7", "3", "a:b:memscope"), Some(5));
        assert_eq!(find("7", "2", "a:b:memscope"), None);
        assert_eq!(find("8", "1", "memscope"), None);
        assert_eq!(find("7", "1", "memscope2"), None);
        assert_eq!(find("7", "x", "memscope"), None);
        assert_eq!(listen_fd(&|_| None, 7, "memscope"), None);
    }
}
