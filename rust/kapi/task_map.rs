// SPDX-License-Identifier: GPL-2.0

//! What is known of tasks, found in any context without a lock.
//!
//! For the kernel's tracepoints, which are hit with any lock held, and in interrupts.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h).

use core::{ops::Deref, ptr, ptr::NonNull};
use kernel::{
    bindings, new_spinlock,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        rcu, Arc, SpinLock,
    },
    types::Opaque,
};

const BUCKETS: usize = 256;

struct Node<T> {
    rcu: Opaque<bindings::callback_head>,
    next: Atomic<*mut Node<T>>,
    key: usize,
    value: T,
}

/// Values by keys, which are addresses of what they are about. A key may have several.
///
/// # Invariants
///
/// Each list holds nodes that a [`Slot`] owns. What was taken out is freed a grace period later.
#[pin_data]
pub(crate) struct Map<T> {
    buckets: [Atomic<*mut Node<T>>; BUCKETS],
    #[pin]
    lock: SpinLock<()>,
}

// SAFETY: Nodes are shared, and freed from any thread.
unsafe impl<T: Send + Sync> Send for Map<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Map<T> {}

fn bucket(key: usize) -> usize {
    // Addresses differ in the middle.
    (key >> 6 ^ key >> 14) % BUCKETS
}

impl<T: Send + Sync> Map<T> {
    /// Makes an empty map.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                buckets: [const { Atomic::new(ptr::null_mut()) }; BUCKETS],
                lock <- new_spinlock!((), "Map::lock"),
            }),
            GFP_KERNEL,
        )
    }

    /// Calls `f` with a value of `key`, if there is one.
    ///
    /// Any context; `f` must not sleep.
    pub(crate) fn with<R>(&self, key: usize, f: impl FnOnce(&T) -> R) -> Option<R> {
        let _rcu = rcu::read_lock();
        let mut at = self.buckets.get(bucket(key))?.load(Acquire);
        // SAFETY: A node stays until a grace period after it was taken out, by the type invariant.
        while let Some(node) = unsafe { at.as_ref() } {
            if node.key == key {
                return Some(f(&node.value));
            }
            at = node.next.load(Acquire);
        }
        None
    }
}

/// Memory for a value that is to be put into a map.
pub(crate) struct Room<T>(KBox<Node<T>>);

impl<T> Room<T> {
    // They are freed by RCU, which drops nothing.
    const NO_DROP: () = assert!(!core::mem::needs_drop::<T>());

    /// Takes memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(value: T, flags: kernel::alloc::Flags) -> Result<Self> {
        let () = Self::NO_DROP;
        let node = Node {
            rcu: Opaque::uninit(),
            next: Atomic::new(ptr::null_mut()),
            key: 0,
            value,
        };
        Ok(Self(KBox::new(node, flags)?))
    }
}

/// A value in a map, until this is dropped.
///
/// # Invariants
///
/// `node` is in `map`.
pub(crate) struct Slot<T: Send + Sync> {
    map: Arc<Map<T>>,
    node: NonNull<Node<T>>,
}

// SAFETY: It may be taken out from any thread.
unsafe impl<T: Send + Sync> Send for Slot<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T: Send + Sync> Slot<T> {
    /// Puts a value into `map`. Does not sleep.
    pub(crate) fn new(map: Arc<Map<T>>, room: Room<T>, key: usize) -> Self {
        let mut node = room.0;
        node.key = key;
        let node = NonNull::from(KBox::leak(node));
        {
            let _lock = map.lock.lock();
            if let Some(head) = map.buckets.get(bucket(key)) {
                // SAFETY: Valid, and not in the map yet.
                unsafe { node.as_ref() }
                    .next
                    .store(head.load(Relaxed), Relaxed);
                // Publishes what is in it.
                // INVARIANT: Owned by the value returned.
                head.store(node.as_ptr(), Release);
            }
        }
        Self { map, node }
    }
}

impl<T: Send + Sync> Deref for Slot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: In the map by the type invariant, so not freed.
        unsafe { &(*self.node.as_ptr()).value }
    }
}

impl<T: Send + Sync> Drop for Slot<T> {
    fn drop(&mut self) {
        let ours = self.node.as_ptr();
        {
            let _lock = self.map.lock.lock();
            // SAFETY: Valid by the type invariant.
            let (key, next) = unsafe { ((*ours).key, (*ours).next.load(Relaxed)) };
            let Some(mut at) = self.map.buckets.get(bucket(key)) else {
                return;
            };
            loop {
                let node = at.load(Relaxed);
                if node == ours {
                    at.store(next, Release);
                    break;
                }
                // SAFETY: In the list, which only changes under the lock.
                match unsafe { node.as_ref() } {
                    Some(node) => at = &node.next,
                    None => break,
                }
            }
        }
        // Since 7.3 the head has a type of its own, no larger than an `rcu_head`.
        // SAFETY: Allocated with `kmalloc()`, out of the list, and dropped by nobody else.
        unsafe { bindings::kvfree_call_rcu((*ours).rcu.get().cast(), ours.cast()) };
    }
}
