// SPDX-License-Identifier: MIT OR Apache-2.0

//! Errors that say what to do.

use rustix::io::Errno;
use std::{fmt, io};

/// What kind of failure it was: what a program may want to do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no `/dev/memscope`, and `prctl()` cannot do what was asked for.
    NoModule,
    /// The module that is loaded is too old for this, or the kernel is.
    Unsupported,
    /// `/dev/memscope` may not be opened, or `CAP_SYS_RESOURCE` is missing.
    NoPermission,
    /// The process or thread has ended.
    NoSuchProcess,
    /// The file was delegated, and that has been revoked.
    Revoked,
    /// Anything else; [`Error::raw_os_error`] says more.
    Other,
}

/// A failure: what was tried, the system's error, and what can be done about it.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    doing: &'static str,
    errno: Option<Errno>,
    advice: &'static str,
}

/// The result of what talks to the kernel.
pub type Result<T> = std::result::Result<T, Error>;

const NEEDS_CAPABILITY: &str =
    "CAP_SYS_RESOURCE in the initial user namespace is needed: run as root, or give it to the \
     service (systemd: AmbientCapabilities=CAP_SYS_RESOURCE; container: add SYS_RESOURCE), or pass \
     a file that was delegated";
const LOAD_MODULE: &str = "is memscope.ko loaded? modprobe memscope";
const NEWER_MODULE: &str = "the loaded memscope.ko does not have this: load a newer one";

impl Error {
    /// Opening the device.
    pub(crate) fn open(errno: Errno) -> Self {
        let (kind, advice) = match errno {
            Errno::NOENT | Errno::NODEV | Errno::NXIO => (ErrorKind::NoModule, LOAD_MODULE),
            Errno::ACCESS | Errno::PERM => (
                ErrorKind::NoPermission,
                "the user must be root or in the device's group (ls -l /dev/memscope), and a \
                 container or unit must allow the device (systemd: DeviceAllow=/dev/memscope rw)",
            ),
            _ => (ErrorKind::Other, ""),
        };
        Self {
            kind,
            doing: "open /dev/memscope",
            errno: Some(errno),
            advice,
        }
    }

    /// A command or prctl.
    pub(crate) fn command(doing: &'static str, errno: Errno) -> Self {
        let (kind, advice) = match errno {
            Errno::PERM => (ErrorKind::NoPermission, NEEDS_CAPABILITY),
            Errno::NOTTY => (ErrorKind::Unsupported, NEWER_MODULE),
            Errno::NODEV => (
                ErrorKind::Unsupported,
                "this kernel was built without tracepoints",
            ),
            Errno::SRCH => (ErrorKind::NoSuchProcess, "it has ended"),
            Errno::KEYREVOKED => (
                ErrorKind::Revoked,
                "ask whoever delegated the file for a new one",
            ),
            _ => (ErrorKind::Other, ""),
        };
        Self {
            kind,
            doing,
            errno: Some(errno),
            advice,
        }
    }

    /// A command on another process.
    pub(crate) fn command_on_other(doing: &'static str, errno: Errno) -> Self {
        let mut error = Self::command(doing, errno);
        match errno {
            Errno::PERM => {
                error.advice = "needed are CAP_SYS_RESOURCE in the initial user namespace and the \
                    right to send the process signals; a kernel thread cannot be marked";
            }
            Errno::INVAL => {
                error.advice = "is the process in a pid namespace that this one does not see?";
            }
            _ => {}
        }
        error
    }

    /// What prctl cannot do.
    pub(crate) fn beyond_prctl(doing: &'static str, why_no_device: Option<&Error>) -> Self {
        let mut error = Self {
            kind: ErrorKind::NoModule,
            doing,
            errno: None,
            advice: "without /dev/memscope only IO_FLUSHER of the calling thread can be set, by \
                     prctl; load the module: modprobe memscope",
        };
        if let Some(why) = why_no_device.filter(|why| why.kind != ErrorKind::NoModule) {
            error = Self {
                doing,
                ..why.clone()
            };
        }
        error
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The `errno` of the system call, if one failed.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno.map(Errno::raw_os_error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        if let Some(errno) = self.errno {
            write!(f, ": {}", io::Error::from(errno))?;
        }
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error
            .errno
            .map_or(io::ErrorKind::Unsupported, |e| io::Error::from(e).kind());
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A missing capability, module, permission and right are told apart, each with advice.
    #[test]
    fn errors_say_what_to_do() {
        let cases = [
            (Error::open(Errno::NOENT), ErrorKind::NoModule, "modprobe"),
            (Error::open(Errno::ACCESS), ErrorKind::NoPermission, "group"),
            (
                Error::command("mark", Errno::PERM),
                ErrorKind::NoPermission,
                "CAP_SYS_RESOURCE",
            ),
            (
                Error::command("mark", Errno::NOTTY),
                ErrorKind::Unsupported,
                "newer",
            ),
            (
                Error::command_on_other("mark", Errno::PERM),
                ErrorKind::NoPermission,
                "signals",
            ),
            (
                Error::beyond_prctl("mark", None),
                ErrorKind::NoModule,
                "modprobe",
            ),
            (
                Error::beyond_prctl("mark", Some(&Error::open(Errno::ACCESS))),
                ErrorKind::NoPermission,
                "group",
            ),
        ];
        for (error, kind, word) in cases {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
