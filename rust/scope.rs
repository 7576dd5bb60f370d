// SPDX-License-Identifier: GPL-2.0

//! Allocation scopes: what the allocations of the current task may do to get memory.
//!
//! [`boundary`] is where a task enters the module. It hands out a [`MemallocScope`], from which
//! inner scopes are made; each borrows the one it was made from, so that they can only be left in
//! the reverse order. A scope restores what it found, and the boundary puts right, and reports,
//! what a forgotten guard left behind:
//!
//! ```ignore
//! scope::boundary(|cx| {
//!     let mut noio = cx.enter(Kinds::NOIO);
//!     let page = KBox::new(0u8, gfp::current(Gfp::KERNEL).flags())?;
//!     noio.with(Kinds::NOWAIT, |s| no_direct_reclaim_in_here(s));
//! })
//! ```
//!
//! Entering and leaving neither sleep nor lock nor allocate. Process context only: in an interrupt
//! the current task is whichever was interrupted.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h).

use crate::kapi::{
    gfp::Gfp,
    task::{self, Flags},
};
use core::{cell::Cell, marker::PhantomData};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    types::NotThreadSafe,
};

pub(crate) mod work;

/// A set of kinds of scope; the bits are those of `enum memscope_kind` of the C API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kinds(u32);

impl Kinds {
    /// No scope.
    pub(crate) const NONE: Self = Self(0);
    /// No allocation starts I/O or enters a filesystem to reclaim.
    pub(crate) const NOIO: Self = Self(crate::bindings::memscope_kind_MEMSCOPE_NOIO);
    /// No allocation enters a filesystem to reclaim.
    pub(crate) const NOFS: Self = Self(crate::bindings::memscope_kind_MEMSCOPE_NOFS);
    /// No allocation enters direct reclaim, compaction, the OOM killer or reclaim throttling.
    ///
    /// The module's own allocations, made with [`gfp::current`](crate::kapi::gfp::current), stay
    /// out of the reserves. A callee's may use them, `__GFP_NOFAIL` warns, mempools still wait,
    /// and memcg limits are exceeded rather than reclaimed for.
    pub(crate) const NOWAIT: Self = Self(crate::bindings::memscope_kind_MEMSCOPE_NOWAIT);
    /// Callees may use the emergency reserves. See [`MemallocScope::noreclaim`].
    pub(crate) const NORECLAIM: Self = Self(crate::bindings::memscope_kind_MEMSCOPE_NORECLAIM);
    /// Allocations stay in zones that allow long-term pinning.
    pub(crate) const PIN: Self = Self(crate::bindings::memscope_kind_MEMSCOPE_PIN);

    /// From bits of the C API; unknown ones are dropped.
    pub(crate) const fn from_bits_truncate(bits: u32) -> Self {
        let all = Self::NOIO.0 | Self::NOFS.0 | Self::NOWAIT.0 | Self::NORECLAIM.0 | Self::PIN.0;
        Self(bits & all)
    }

    /// To bits of the C API.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The kinds in either.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The task flags that these kinds set.
    pub(crate) const fn flags(self) -> Flags {
        let mut flags = Flags::NONE;
        if self.contains(Self::NOIO) {
            flags = flags.union(Flags::NOIO);
        }
        if self.contains(Self::NOFS) {
            flags = flags.union(Flags::NOFS);
        }
        if self.contains(Self::NOWAIT) {
            flags = flags.union(Flags::NOWAIT);
        }
        if self.contains(Self::NORECLAIM) {
            flags = flags.union(Flags::MEMALLOC);
        }
        if self.contains(Self::PIN) {
            flags = flags.union(Flags::PIN);
        }
        flags
    }
}

/// The scopes that the current task is in, to be entered in another context.
///
/// `PF_MEMALLOC` comes out as [`Kinds::NOWAIT`], whoever set it: the other context then does not
/// wait for reclaim, but has no budget of the reserves. Entering it there sets `PF_MEMALLOC` all
/// the same, with what [`Kinds::NOWAIT`] says of callees.
#[inline]
pub(crate) fn capture() -> Kinds {
    let flags = task::flags();
    let mut kinds = Kinds::NONE;
    if flags.contains(Flags::NOIO) {
        kinds = kinds.union(Kinds::NOIO);
    }
    if flags.contains(Flags::NOFS) {
        kinds = kinds.union(Kinds::NOFS);
    }
    if flags.contains(Flags::MEMALLOC) || flags.contains(Flags::NOWAIT) {
        kinds = kinds.union(Kinds::NOWAIT);
    }
    if flags.contains(Flags::PIN) {
        kinds = kinds.union(Kinds::PIN);
    }
    kinds
}

/// How many leaked scopes were put right since the module was loaded.
static LEAKS: Atomic<u64> = Atomic::new(0);

/// Runs `f` with the task's scopes as they are; returns with them as they were.
///
/// Where a guard was forgotten (`mem::forget`) inside, its flags are put right here at the latest,
/// and reported: once in the kernel log, and each time in [`leaks`].
#[inline]
pub(crate) fn boundary<R>(f: impl FnOnce(&mut MemallocScope<'_>) -> R) -> R {
    f(&mut MemallocScope::new(Flags::NONE))
}

/// How many leaked scopes were put right since the module was loaded.
pub(crate) fn leaks() -> u64 {
    // Relaxed: a counter for people.
    LEAKS.load(Relaxed)
}

#[cold]
fn report_leak(expected: Flags, left: Flags) {
    // Relaxed: a counter for people; exactly one task sees 0.
    if LEAKS.fetch_add(1, Relaxed) == 0 {
        pr_warn!(
            "a scope guard was forgotten: task flags {:#x} where {:#x} were due; put right\n",
            left.bits(),
            expected.bits()
        );
    }
}

/// A scope that the current task is in, until this is dropped.
///
/// Dropping restores exactly the scope flags that were found on entering. A guard that is
/// forgotten is put right when the scope around it is left.
#[must_use = "the scope ends at once when the guard is unused"]
pub(crate) struct MemallocScope<'a> {
    // The task's scope flags before this scope, and in it.
    found: Flags,
    inside: Flags,
    // Keeps the outer scope's guard borrowed, so that this one is dropped first.
    _parent: PhantomData<&'a mut ()>,
    // The flags are those of the task that entered.
    _task: NotThreadSafe,
}

impl MemallocScope<'_> {
    #[inline]
    fn new(flags: Flags) -> Self {
        let found = task::update_flags(flags, flags).intersection(Flags::SCOPES);
        Self {
            found,
            inside: found.union(flags),
            _parent: PhantomData,
            _task: NotThreadSafe,
        }
    }

    /// Enters scopes of `kinds`, in addition to what the task is in.
    ///
    /// `self` cannot be used until the returned guard is dropped.
    #[inline]
    pub(crate) fn enter(&mut self, kinds: Kinds) -> MemallocScope<'_> {
        MemallocScope::new(kinds.flags())
    }

    /// Runs `f` in scopes of `kinds`.
    #[inline]
    pub(crate) fn with<R>(
        &mut self,
        kinds: Kinds,
        f: impl FnOnce(&mut MemallocScope<'_>) -> R,
    ) -> R {
        f(&mut self.enter(kinds))
    }

    /// Enters a noio scope.
    #[inline]
    pub(crate) fn noio(&mut self) -> MemallocScope<'_> {
        self.enter(Kinds::NOIO)
    }

    /// Enters a nofs scope.
    #[inline]
    pub(crate) fn nofs(&mut self) -> MemallocScope<'_> {
        self.enter(Kinds::NOFS)
    }

    /// Enters a nowait scope; see [`Kinds::NOWAIT`] for what it does not promise.
    #[inline]
    pub(crate) fn nowait(&mut self) -> MemallocScope<'_> {
        self.enter(Kinds::NOWAIT)
    }

    /// Enters a pin scope.
    #[inline]
    pub(crate) fn pin(&mut self) -> MemallocScope<'_> {
        self.enter(Kinds::PIN)
    }

    /// Enters a noreclaim scope whose own allocations may take `budget` bytes of the reserves.
    ///
    /// For code that frees memory by allocating a little. Callees that allocate for themselves are
    /// not counted: call none that allocates without bound.
    #[inline]
    pub(crate) fn noreclaim(&mut self, budget: usize) -> NoReclaim<'_> {
        NoReclaim {
            left: Cell::new(budget),
            _scope: self.enter(Kinds::NORECLAIM),
        }
    }

    /// The scopes that the task is in, to be entered in another context.
    #[inline]
    pub(crate) fn capture(&self) -> Kinds {
        capture()
    }
}

impl Drop for MemallocScope<'_> {
    #[inline]
    fn drop(&mut self) {
        let left = task::update_flags(Flags::SCOPES, self.found).intersection(Flags::SCOPES);
        if left != self.inside {
            report_leak(self.inside, left);
        }
    }
}

/// A noreclaim scope, with a budget for the module's own use of the reserves.
#[must_use = "the scope ends at once when the guard is unused"]
pub(crate) struct NoReclaim<'a> {
    left: Cell<usize>,
    _scope: MemallocScope<'a>,
}

impl NoReclaim<'_> {
    /// Takes `bytes` from the budget; returns the flags to allocate them with.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if that is more than what is left; the budget is then unchanged.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Gfp> {
        self.left
            .set(self.left.get().checked_sub(bytes).ok_or(ENOMEM)?);
        Ok(Gfp::RESERVES)
    }

    /// Gives back what was charged and not allocated, or has been freed.
    pub(crate) fn refund(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_add(bytes));
    }
}
