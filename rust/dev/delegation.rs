// SPDX-License-Identifier: GPL-2.0

//! Files that let who has them mark itself without the capability.

use super::{abi, check_capability, marks::Viewer, user, Flusher};
use crate::kapi::{
    pid::Pid,
    task::{self, Flags},
    thread::{self, Process},
};
use kernel::{
    ffi::c_int,
    fs::File,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        SetOnce,
    },
    task::Kuid,
};

/// What an open file is good for.
pub(super) struct Delegation {
    scopes: Flags,
    uid: Option<Kuid>,
    process: Option<Pid>,
    /// The first to use it, where it is for the first.
    first: Option<SetOnce<Pid>>,
    /// Whose closing it revokes it.
    tied: Option<Process>,
    revoked: Atomic<u32>,
}

/// `EKEYREVOKED`.
fn revoked() -> Error {
    Error::from_errno(-(abi::EKEYREVOKED as c_int))
}

impl Delegation {
    fn is_revoked(&self) -> bool {
        self.revoked.load(Acquire) != 0
    }

    /// Whether it is for the current process, or may be.
    fn is_for_current(&self) -> bool {
        if self.uid.is_some_and(|uid| uid != Kuid::current_euid()) {
            return false;
        }
        if self.process.as_ref().is_some_and(|p| !p.is_current()) {
            return false;
        }
        let first = self.first.as_ref().and_then(SetOnce::as_ref);
        first.is_none_or(Pid::is_current)
    }

    /// Where it is for the first process, that is the current one from now on, unless there was one.
    fn claim(&self) -> bool {
        let Some(first) = &self.first else {
            return true;
        };
        loop {
            if let Some(process) = first.as_ref() {
                return process.is_current();
            }
            if !first.populate(Pid::of_current_process()) {
                thread::cond_resched();
            }
        }
    }
}

/// What the current task may do with an open file.
pub(super) enum Right<'a> {
    /// What the device can do.
    Full,
    /// Mark itself.
    Own(&'a Delegation),
}

impl Right<'_> {
    /// Whether it covers `scopes`.
    pub(super) fn covers(&self, scopes: Flags) -> bool {
        match self {
            Self::Full => true,
            Self::Own(delegation) => delegation.scopes.contains(scopes),
        }
    }

    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// For a command with nothing left to refuse: makes use of it.
    ///
    /// # Errors
    ///
    /// `EPERM`: another process has been the first to.
    pub(super) fn claim(&self) -> Result {
        match self {
            Self::Own(delegation) if !delegation.claim() => Err(EPERM),
            _ => Ok(()),
        }
    }
}

impl Flusher {
    /// What the current task may do with the file.
    ///
    /// # Errors
    ///
    /// `EKEYREVOKED`, `EPERM`.
    pub(super) fn right(&self) -> Result<Right<'_>> {
        let Some(delegation) = self.delegation.as_ref() else {
            check_capability()?;
            return Ok(Right::Full);
        };
        self.check_revoked()?;
        if delegation.is_for_current() {
            Ok(Right::Own(delegation))
        } else {
            Err(EPERM)
        }
    }

    /// `EPERM` without the capability, and on a delegated file.
    #[inline]
    pub(super) fn check_full(&self) -> Result {
        match self.delegation.as_ref() {
            None => check_capability(),
            Some(_) => Err(EPERM),
        }
    }

    pub(super) fn check_revoked(&self) -> Result {
        match self.delegation.as_ref() {
            Some(delegation) if delegation.is_revoked() => Err(revoked()),
            _ => Ok(()),
        }
    }

    /// For the end of a command that has left something behind: takes it back if the file was
    /// revoked meanwhile, or if another thread has closed the last descriptor of the process.
    pub(super) fn recheck(&self, file: &File) -> Result {
        self.recheck_closed(file);
        let result = self.check_revoked();
        if result.is_err() {
            self.end_all(None);
        }
        result
    }

    fn recheck_closed(&self, file: &File) {
        // Pairs with `end_delegation` and `flush`.
        task::full_barrier();
        if self.closed.load(Relaxed) && !thread::has_descriptor(file) {
            self.closed_by_current();
        }
    }

    pub(super) fn delegate(&self, file: &File, arg: usize, size: usize) -> Result<isize> {
        let delegate: abi::Delegate = user::read_struct(arg, size)?;
        check_capability()?;
        let d = &delegate.0;
        let has = |flag| d.flags & flag != 0;
        let known =
            abi::DELEGATE_UID | abi::DELEGATE_PIDFD | abi::DELEGATE_FIRST | abi::DELEGATE_TIED;
        let both = abi::DELEGATE_PIDFD | abi::DELEGATE_FIRST;
        let scopes = abi::flags_from_scopes(d.scopes)?;
        if d.flags & !known != 0
            || scopes == Flags::NONE
            || d.flags & both == both
            || !has(abi::DELEGATE_UID) && d.uid != 0
            || !has(abi::DELEGATE_PIDFD) && d.pidfd != 0
        {
            return Err(EINVAL);
        }
        let uid = if has(abi::DELEGATE_UID) {
            Some(thread::user_id(d.uid).ok_or(EINVAL)?)
        } else {
            None
        };
        let process = if has(abi::DELEGATE_PIDFD) {
            let pid = Pid::from_pidfd(d.pidfd)?;
            pid.process().ok_or(ESRCH)?;
            Some(pid)
        } else {
            None
        };
        let delegation = Delegation {
            scopes,
            uid,
            process,
            first: has(abi::DELEGATE_FIRST).then(SetOnce::new),
            tied: has(abi::DELEGATE_TIED).then(Process::current),
            revoked: Atomic::new(0),
        };
        if !self.delegation.populate(delegation) {
            return Err(EBUSY);
        }
        self.recheck_closed(file);
        Ok(0)
    }

    pub(super) fn revoke(&self, arg: usize) -> Result<isize> {
        check_capability()?;
        if arg != 0 {
            return Err(EINVAL);
        }
        let delegation = self.delegation.as_ref().ok_or(EINVAL)?;
        self.end_delegation(delegation);
        Ok(0)
    }

    /// Ends what the current process has done, which has closed the file, and revokes a delegation
    /// that is tied to it.
    pub(super) fn closed_by_current(&self) {
        self.end_all(Some(&Process::current()));
        if let Some(delegation) = self.delegation.as_ref() {
            if delegation.tied.as_ref().is_some_and(Process::is_current) {
                self.end_delegation(delegation);
            }
        }
    }

    fn end_delegation(&self, delegation: &Delegation) {
        delegation.revoked.store(1, Release);
        // Pairs with `recheck`: either that sees it, or this what was marked.
        task::full_barrier();
        self.end_all(None);
    }

    /// What fdinfo says of it: the user is the file's, the process another's.
    pub(super) fn show_delegation(&self, viewer: &Viewer, m: &kernel::seq_file::SeqFile) {
        let Some(d) = self.delegation.as_ref() else {
            return;
        };
        let names = super::status::Names(abi::scopes_from_flags(d.scopes));
        kernel::seq_print!(m, "memscope-delegated:\t{names}");
        if let Some(uid) = d.uid {
            kernel::seq_print!(m, " uid {}", uid.into_uid_in_current_ns());
        }
        let first = d.first.as_ref().and_then(SetOnce::as_ref);
        if let Some(pid) = d.process.as_ref().or(first) {
            let seen = match pid.process().and_then(|task| Process::of(&task)) {
                Some(process) => viewer.sees_process(&process),
                None => viewer.sees_all(),
            };
            if seen {
                kernel::seq_print!(m, " process {}", pid.number());
            }
        }
        kernel::seq_print!(m, "{}\n", if d.is_revoked() { " revoked" } else { "" });
    }
}
