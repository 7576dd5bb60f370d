// SPDX-License-Identifier: GPL-2.0

//! The current task: its allocation flags and its capabilities.
//!
//! Only ever the current task: no other may write a task's flags.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h).

use super::current::current;
use crate::bindings;
use kernel::ffi::c_int;

/// A set of `PF_*` flags out of [`Flags::SCOPES`] and [`Flags::LOCAL_THROTTLE`].
///
/// # Invariants
///
/// Holds no other bit, so that no value can change what is not memscope's to change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    /// No flag.
    pub(crate) const NONE: Self = Self(0);
    /// `PF_MEMALLOC_NOIO`.
    pub(crate) const NOIO: Self = Self(bindings::PF_MEMALLOC_NOIO);
    /// `PF_MEMALLOC_NOFS`.
    pub(crate) const NOFS: Self = Self(bindings::PF_MEMALLOC_NOFS);
    /// `PF_MEMALLOC`.
    pub(crate) const MEMALLOC: Self = Self(bindings::PF_MEMALLOC);
    /// What a nowait scope sets: the kernel's own flag where it has one, else `PF_MEMALLOC`.
    pub(crate) const NOWAIT: Self = Self(bindings::PF_NOWAIT);
    /// `PF_MEMALLOC_PIN`.
    pub(crate) const PIN: Self = Self(bindings::PF_MEMALLOC_PIN);
    /// `PF_LOCAL_THROTTLE`.
    pub(crate) const LOCAL_THROTTLE: Self = Self(bindings::PF_LOCAL_THROTTLE);
    /// Every flag that an allocation scope can set.
    pub(crate) const SCOPES: Self =
        Self(Self::NOIO.0 | Self::NOFS.0 | Self::MEMALLOC.0 | Self::NOWAIT.0 | Self::PIN.0);

    // INVARIANT: only bits of the constants above pass.
    /// The flags among `bits` that are memscope's.
    pub(crate) const fn from_bits_truncate(bits: u32) -> Self {
        Self(bits & (Self::SCOPES.0 | Self::LOCAL_THROTTLE.0))
    }

    /// The flags as `PF_*` bits.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every flag of `other` is in `self`.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags in `self`, `other` or both.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags in both.
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The flags in `self` and not in `other`.
    pub(crate) const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The current task's flags, as far as they are memscope's.
#[inline(always)]
pub(crate) fn flags() -> Flags {
    let task = current();
    // SAFETY: The current task exists while it runs. Volatile, as `READ_ONCE()` in C.
    Flags::from_bits_truncate(unsafe { (&raw const (*task).flags).read_volatile() })
}

/// Makes those flags of the current task that are in `mask` what they are in `value`.
///
/// Returns memscope's flags as they were before.
#[inline(always)]
pub(crate) fn update_flags(mask: Flags, value: Flags) -> Flags {
    let task = current();
    // SAFETY: As in `flags`.
    let old = unsafe { (&raw const (*task).flags).read_volatile() };
    let new = old & !mask.0 | value.0 & mask.0;
    // SAFETY: Writes the current task's own flags, which that task may do in process context, and
    // nobody else does meanwhile; by the type invariant only bits that any task may set or clear.
    unsafe { (&raw mut (*task).flags).write_volatile(new) };
    Flags::from_bits_truncate(old)
}

/// Whether the current task has `CAP_SYS_RESOURCE` in the initial user namespace.
///
/// Sets `PF_SUPERPRIV` if it has, and is audited if it has not, as in any system call.
pub(crate) fn has_sys_resource() -> bool {
    // SAFETY: `capable()` looks at the current task's credentials and may be called from any
    // system call; the number is a valid capability.
    unsafe { bindings::capable(bindings::CAP_SYS_RESOURCE as c_int) }
}

/// As [`has_sys_resource`], where it is no error not to have it: not audited.
pub(crate) fn is_sys_resource() -> bool {
    // SAFETY: As above; the namespace is static.
    unsafe {
        bindings::ns_capable_noaudit(
            &raw mut bindings::init_user_ns,
            bindings::CAP_SYS_RESOURCE as c_int,
        )
    }
}

/// A full memory barrier.
pub(crate) fn full_barrier() {
    // SAFETY: May be called anywhere.
    unsafe { bindings::memscope_helper_smp_mb() };
}
