// SPDX-License-Identifier: GPL-2.0

//! Memory for the data of blocks of one size.
//!
//! Where it comes from is chosen once for a size:
//!
//! | size | from |
//! |---|---|
//! | below a page | a slab of the pool's own |
//! | a power of two, to the largest the page allocator has | compound pages |
//! | anything else | vmalloc |
//!
//! C headers: [`include/linux/gfp.h`](srctree/include/linux/gfp.h),
//! [`include/linux/slab.h`](srctree/include/linux/slab.h),
//! [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use super::gfp::Gfp;
use crate::bindings;
use core::ptr::{self, NonNull};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    str::CStr,
    sync::atomic::{Atomic, Relaxed},
};

/// Largest block of pages: what the page allocator can give at all.
const PAGES_MAX_BYTES: usize = bindings::KMALLOC_MAX_SIZE as usize;

/// Where memory comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The pool's slab.
    Slab,
    /// Compound pages.
    Pages,
    /// vmalloc.
    Vmalloc,
}

/// Bytes of compound pages, and of vmalloc, in all pools; for people.
static PAGES_BYTES: Atomic<u64> = Atomic::new(0);
static VMALLOC_BYTES: Atomic<u64> = Atomic::new(0);

impl Source {
    fn counter(self) -> Option<&'static Atomic<u64>> {
        match self {
            // Small blocks: not worth an atomic each.
            Source::Slab => None,
            Source::Pages => Some(&PAGES_BYTES),
            Source::Vmalloc => Some(&VMALLOC_BYTES),
        }
    }
}

/// Returns the bytes that all pools have from `source`; 0 for slabs, which are not counted.
pub(crate) fn allocated_bytes(source: Source) -> u64 {
    source.counter().map_or(0, |counter| counter.load(Relaxed))
}

/// The data of one block.
///
/// # Invariants
///
/// `start` is memory of the size of the pool it came from, allocated from `source`; it is not null.
pub(crate) struct Memory {
    start: NonNull<u8>,
    source: Source,
    emergency_pages: u32,
}

// SAFETY: Plain memory. It is reached through raw pointers and copies only.
unsafe impl Send for Memory {}
// SAFETY: As above: no reference to the bytes is ever made from `&self`.
unsafe impl Sync for Memory {}

impl Memory {
    /// Returns the address.
    ///
    /// The bytes may be changed by a holder of the block and by the device at any time.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Returns where it comes from.
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// Whether the pages are adjacent in memory.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.source != Source::Vmalloc
    }
}

/// Memory for blocks of one size.
///
/// # Invariants
///
/// `slab` is there if `source` is [`Source::Slab`].
pub(crate) struct Pool {
    bytes: usize,
    source: Source,
    slab: Option<NonNull<bindings::kmem_cache>>,
}

// SAFETY: A slab may be used from any thread.
unsafe impl Send for Pool {}
// SAFETY: As above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Makes a pool for blocks of `bytes`, a non-zero multiple of 512. May sleep.
    pub(crate) fn new(name: &CStr, bytes: usize) -> Result<Self> {
        if bytes == 0 || bytes % 512 != 0 {
            return Err(EINVAL);
        }
        let source = if bytes < PAGE_SIZE {
            Source::Slab
        } else if bytes.is_power_of_two() && bytes <= PAGES_MAX_BYTES {
            Source::Pages
        } else {
            Source::Vmalloc
        };
        let slab = if source == Source::Slab {
            // Aligned as far as the size allows, at least to a sector.
            let mut args = bindings::kmem_cache_args {
                align: 1 << bytes.trailing_zeros(),
                ..Default::default()
            };
            let flags = 1 << bindings::_slab_flag_bits__SLAB_RECLAIM_ACCOUNT;
            // SAFETY: The name is copied and `args` is read during the call.
            let slab = unsafe {
                bindings::__kmem_cache_create_args(
                    name.as_char_ptr(),
                    bytes as u32,
                    &mut args,
                    flags,
                )
            };
            Some(NonNull::new(slab).ok_or(ENOMEM)?)
        } else {
            None
        };
        // INVARIANT: As just made.
        Ok(Self {
            bytes,
            source,
            slab,
        })
    }

    /// Returns the size of a block.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory that a block takes.
    pub(crate) fn footprint(&self) -> usize {
        match self.source {
            Source::Slab | Source::Pages => self.bytes,
            Source::Vmalloc => self.bytes.next_multiple_of(PAGE_SIZE),
        }
    }

    /// Returns where blocks come from.
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    fn order(&self) -> u32 {
        self.bytes
            .trailing_zeros()
            .saturating_sub(PAGE_SIZE.trailing_zeros())
    }

    /// Allocates a block, whose bytes are undefined.
    ///
    /// vmalloc enters with the page allocator's flags and whatever scope the task is in: its page
    /// tables know nothing else.
    pub(crate) fn allocate(&self, gfp: Gfp) -> Option<Memory> {
        self.allocate_from(self.source, gfp)
    }

    /// Allocates a block from vmalloc where adjacent pages cannot be had.
    pub(crate) fn allocate_anyhow(&self, gfp: Gfp) -> Option<Memory> {
        if self.source != Source::Pages {
            return self.allocate(gfp);
        }
        self.allocate(gfp.once())
            .or_else(|| self.allocate_from(Source::Vmalloc, gfp))
    }

    fn allocate_from(&self, source: Source, gfp: Gfp) -> Option<Memory> {
        let gfp = gfp.as_raw();
        let start: *mut u8 = match (source, self.slab) {
            // SAFETY: The slab exists.
            (Source::Slab, Some(slab)) => unsafe {
                bindings::kmem_cache_alloc_noprof(slab.as_ptr(), gfp).cast()
            },
            (Source::Pages, _) => {
                let gfp = gfp | bindings::__GFP_COMP;
                // SAFETY: No requirements.
                let start = unsafe { bindings::get_free_pages_noprof(gfp, self.order()) };
                start as *mut u8
            }
            (Source::Vmalloc, _) => {
                // vmalloc warns of flags it does not know.
                let gfp = gfp & !(bindings::__GFP_NOMEMALLOC | bindings::__GFP_COMP);
                // SAFETY: No requirements.
                unsafe { bindings::memscope_helper_vmalloc(self.bytes, gfp).cast() }
            }
            (Source::Slab, None) => ptr::null_mut(),
        };
        let start = NonNull::new(start)?;
        if let Some(counter) = source.counter() {
            // Relaxed: only a sum.
            counter.add(self.footprint() as u64, Relaxed);
        }
        // INVARIANT: Just allocated.
        Some(Memory {
            start,
            source,
            emergency_pages: self.count_emergency_pages(source, start.as_ptr()),
        })
    }

    /// Frees a block. Any context but a hard interrupt.
    pub(crate) fn free(&self, memory: Memory) {
        let start = memory.start.as_ptr();
        if let Some(counter) = memory.source.counter() {
            counter.add((self.footprint() as u64).wrapping_neg(), Relaxed);
        }
        match (memory.source, self.slab) {
            (Source::Slab, Some(slab)) => {
                // SAFETY: From this slab, by the type invariants.
                unsafe { bindings::kmem_cache_free(slab.as_ptr(), start.cast()) }
            }
            (Source::Pages, _) => {
                // SAFETY: From `get_free_pages_noprof` of this order.
                unsafe { bindings::free_pages(start as usize, self.order()) }
            }
            (Source::Vmalloc, _) => {
                // SAFETY: From vmalloc. Defers by itself where it may not sleep.
                unsafe { bindings::kvfree(start.cast()) }
            }
            (Source::Slab, None) => (),
        }
    }

    /// Returns how many pages of a block came from the kernel's emergency reserves.
    #[inline]
    pub(crate) fn emergency_pages(&self, memory: &Memory) -> usize {
        memory.emergency_pages as usize
    }

    /// Counts them, when the block is new: the page allocator's mark stays until it is freed.
    ///
    /// Slab pages are not looked at: slabs keep theirs from ordinary allocations by themselves, and this
    /// pool never asks them for any.
    fn count_emergency_pages(&self, source: Source, start: *mut u8) -> u32 {
        match source {
            Source::Slab => 0,
            Source::Pages => {
                // SAFETY: The address of a page of ours.
                let any = unsafe { bindings::memscope_helper_page_is_pfmemalloc(start.cast()) };
                if any {
                    1 << self.order()
                } else {
                    0
                }
            }
            Source::Vmalloc => (0..self.bytes)
                .step_by(PAGE_SIZE)
                .filter(|&offset| {
                    let page = start.wrapping_add(offset);
                    // SAFETY: Within the block, so a page of ours.
                    unsafe { bindings::memscope_helper_page_is_pfmemalloc(page.cast()) }
                })
                .count() as u32,
        }
    }

    /// Copies bytes out of a block. Returns whether the range is within it.
    pub(crate) fn read(&self, memory: &Memory, offset: usize, to: &mut [u8]) -> bool {
        let Some(end) = offset.checked_add(to.len()) else {
            return false;
        };
        if end > self.bytes {
            return false;
        }
        let from = memory.as_ptr().wrapping_add(offset);
        // SAFETY: Within the block; `to` is not, as it is borrowed from elsewhere. A writer beside us
        // makes the copy's bytes unspecified, as for any memory that a device writes.
        unsafe {
            bindings::memscope_helper_copy(to.as_mut_ptr().cast(), from.cast(), to.len());
        }
        true
    }

    /// Copies bytes into a block. Returns whether the range is within it.
    pub(crate) fn write(&self, memory: &Memory, offset: usize, from: &[u8]) -> bool {
        let Some(end) = offset.checked_add(from.len()) else {
            return false;
        };
        if end > self.bytes {
            return false;
        }
        let to = memory.as_ptr().wrapping_add(offset);
        // SAFETY: As in `read`.
        unsafe {
            bindings::memscope_helper_copy(to.cast(), from.as_ptr().cast(), from.len());
        }
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(slab) = self.slab {
            // SAFETY: Ours; every block was freed, as each belongs to a buffer that keeps the pool.
            unsafe { bindings::kmem_cache_destroy(slab.as_ptr()) };
        }
    }
}
