// SPDX-License-Identifier: GPL-2.0

//! Allocation flags, with those that [`kernel::alloc::Flags`] has no name for.
//!
//! C headers: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h).

use super::task;
use crate::bindings;
use kernel::alloc;

/// A `gfp_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gfp(bindings::gfp_t);

impl Gfp {
    /// `GFP_KERNEL`: may sleep, reclaim, start I/O and enter filesystems.
    pub(crate) const KERNEL: Self = Self(bindings::GFP_KERNEL);
    /// `GFP_NOIO`: may reclaim, but neither start I/O nor enter filesystems.
    pub(crate) const NOIO: Self = Self(bindings::GFP_NOIO);
    /// [`Self::NOIO`], one attempt, without a warning when it fails.
    pub(crate) const NOIO_ONCE: Self =
        Self(bindings::GFP_NOIO | bindings::__GFP_NORETRY | bindings::__GFP_NOWARN);
    /// `GFP_NOFS`: may reclaim and start I/O, but not enter filesystems.
    pub(crate) const NOFS: Self = Self(bindings::GFP_NOFS);
    /// Neither waits nor touches the emergency reserves nor warns when it fails.
    pub(crate) const NOWAIT: Self = Self(
        bindings::__GFP_KSWAPD_RECLAIM
            | bindings::__GFP_NORETRY
            | bindings::__GFP_NOMEMALLOC
            | bindings::__GFP_NOWARN,
    );
    /// May take from the emergency reserves; neither waits nor warns when even those are empty.
    pub(crate) const RESERVES: Self = Self(
        bindings::__GFP_KSWAPD_RECLAIM
            | bindings::__GFP_NORETRY
            | bindings::__GFP_MEMALLOC
            | bindings::__GFP_NOWARN,
    );
    /// `__GFP_ZERO`.
    pub(crate) const ZERO: Self = Self(bindings::__GFP_ZERO);

    // What must not stay where an allocation may not wait.
    const WAITING: Self = Self(
        bindings::__GFP_RECLAIM
            | bindings::__GFP_NOFAIL
            | bindings::__GFP_RETRY_MAYFAIL
            | bindings::__GFP_MEMALLOC,
    );

    /// From the C representation.
    pub(crate) const fn from_raw(raw: bindings::gfp_t) -> Self {
        Self(raw)
    }

    /// To the C representation.
    pub(crate) const fn as_raw(self) -> bindings::gfp_t {
        self.0
    }

    /// Both sets of flags.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same in one attempt, without a warning when it fails.
    pub(crate) const fn once(self) -> Self {
        Self(self.0 | bindings::__GFP_NORETRY | bindings::__GFP_NOWARN)
    }

    /// The same without the emergency reserves.
    pub(crate) const fn no_reserves(self) -> Self {
        Self(self.0 & !bindings::__GFP_MEMALLOC | bindings::__GFP_NOMEMALLOC)
    }

    /// The same with no reclaim, no retry and no reserves.
    pub(crate) const fn nowait(self) -> Self {
        Self(self.0 & !Self::WAITING.0 | Self::NOWAIT.0)
    }

    /// For the containers of the `kernel` crate.
    pub(crate) const fn flags(self) -> alloc::Flags {
        // SAFETY: `Flags` is a tuple struct of one `u32`, so a value of the same size and every
        // bit pattern is valid; the assertion below checks that the bits mean the same.
        unsafe { core::mem::transmute::<bindings::gfp_t, alloc::Flags>(self.0) }
    }
}

// The kernel crate's own constant must come out of the conversion.
const _: () = assert!(
    // SAFETY: A `Flags` is one `u32`, checked by `transmute` as far as the size goes.
    unsafe { core::mem::transmute::<alloc::Flags, u32>(alloc::flags::GFP_KERNEL) }
        == bindings::GFP_KERNEL
);

/// What an allocation with `gfp` must use in the current task's scopes.
///
/// Applies noio, nofs and pin as the page allocator does by itself, and turns any allocation of a
/// task with `PF_MEMALLOC` into one that neither waits nor touches the reserves: only
/// [`NoReclaim::charge`](crate::scope::NoReclaim::charge) hands those out. May be called anywhere.
#[inline]
pub(crate) fn current(gfp: Gfp) -> Gfp {
    // SAFETY: Reads the current task's flags; takes and returns plain bits.
    let gfp = Gfp(unsafe { bindings::memscope_helper_current_gfp_context(gfp.0) });
    let nowait = task::Flags::MEMALLOC.union(task::Flags::NOWAIT);
    if task::flags().intersection(nowait) == task::Flags::NONE {
        gfp
    } else {
        gfp.nowait()
    }
}
