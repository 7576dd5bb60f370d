// SPDX-License-Identifier: GPL-2.0

//! Sequences of holds, linked through the objects: [`Batch`], [`Deferred`].

use super::{
    entry::{unlisted, Entry, Hold},
    Kind, Table,
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::{self, NonNull},
};
use kernel::sync::atomic::{Full, Relaxed};

impl<K: Kind> Table<K> {
    /// Puts a hold aside for [`Self::take_deferred`], unless the object is there: then ends it. Any
    /// context.
    pub(crate) fn defer(&self, hold: Hold<'_, K>) {
        // Full, here and below: what was done to the object comes before.
        if hold
            .aside
            .cmpxchg(unlisted(), ptr::null_mut(), Full)
            .is_err()
        {
            drop(hold);
            return;
        }
        let entry = hold.into_raw();
        let mut head = self.deferred.load(Relaxed);
        loop {
            // SAFETY: Held.
            unsafe { entry.as_ref() }.aside.store(head, Relaxed);
            match self.deferred.cmpxchg(head, entry.as_ptr(), Full) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Returns the holds that were put aside.
    pub(crate) fn take_deferred(&self) -> Deferred<'_, K> {
        // INVARIANT: A chain of holds given up in `defer`, and taken once by the exchange.
        Deferred {
            head: self.deferred.xchg(ptr::null_mut(), Full),
            _table: PhantomData,
        }
    }
}

/// Holds in an order, linked through the objects.
///
/// # Invariants
///
/// `head` starts a chain through `batch` of objects with a hold each that belongs to this value; it ends
/// in null, and `tail` is its last, if any.
pub(crate) struct Batch<'t, K: Kind> {
    head: *mut Entry<K>,
    tail: *mut Entry<K>,
    len: usize,
    _table: PhantomData<Hold<'t, K>>,
}

// SAFETY: A sequence of holds, which are `Send`.
unsafe impl<K: Kind> Send for Batch<'_, K> {}

impl<'t, K: Kind> Batch<'t, K> {
    /// Makes an empty one.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Empty.
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
            _table: PhantomData,
        }
    }

    /// Returns the number of holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a hold at the end.
    ///
    /// An object is in one batch at a time: the caller owns its transfer.
    pub(crate) fn push(&mut self, hold: Hold<'t, K>) {
        let entry = hold.into_raw();
        // SAFETY: Held.
        unsafe { entry.as_ref() }
            .batch
            .store(ptr::null_mut(), Relaxed);
        // INVARIANT: The chain goes on to the new object and ends there.
        // SAFETY: Null or held by this value.
        match unsafe { self.tail.as_ref() } {
            Some(tail) => tail.batch.store(entry.as_ptr(), Relaxed),
            None => self.head = entry.as_ptr(),
        }
        self.tail = entry.as_ptr();
        self.len += 1;
    }

    /// Takes the first hold out.
    pub(crate) fn pop(&mut self) -> Option<Hold<'t, K>> {
        let entry = NonNull::new(self.head)?;
        // SAFETY: Held by this value.
        // INVARIANT: The chain starts with the next one.
        self.head = unsafe { entry.as_ref() }.batch.load(Relaxed);
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        self.len = self.len.saturating_sub(1);
        // SAFETY: Given up in `push`, once, and out of the chain now.
        Some(unsafe { Hold::from_raw(entry) })
    }

    /// Looks at each object.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BatchItem<'_, K>> {
        let mut link = self.head;
        core::iter::from_fn(move || {
            // SAFETY: Null or held by this value, which is borrowed.
            let entry = unsafe { link.as_ref() }?;
            link = entry.batch.load(Relaxed);
            Some(BatchItem(entry))
        })
    }

    /// Gives up the value for a pointer.
    pub(crate) fn into_raw(self) -> *mut Entry<K> {
        ManuallyDrop::new(self).head
    }

    /// Makes the value again.
    ///
    /// # Safety
    ///
    /// `head` came from [`Self::into_raw`], and this is called once for that. The table lives for
    /// `'t`.
    pub(crate) unsafe fn from_raw(head: *mut Entry<K>) -> Self {
        let mut this = Self::new();
        let mut link = head;
        // SAFETY: Null or held, by the contract.
        while let Some(entry) = unsafe { link.as_ref() } {
            this.tail = link;
            this.len += 1;
            link = entry.batch.load(Relaxed);
        }
        // INVARIANT: The chain as it was.
        this.head = head;
        this
    }
}

impl<K: Kind> Drop for Batch<'_, K> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Holds that were put aside.
///
/// # Invariants
///
/// `head` starts a chain through `aside` of objects with a hold each that belongs to this value; it ends
/// in null.
pub(crate) struct Deferred<'t, K: Kind> {
    head: *mut Entry<K>,
    _table: PhantomData<Hold<'t, K>>,
}

impl<'t, K: Kind> Iterator for Deferred<'t, K> {
    type Item = Hold<'t, K>;

    fn next(&mut self) -> Option<Hold<'t, K>> {
        let entry = NonNull::new(self.head)?;
        // SAFETY: Held by this value.
        // INVARIANT: The chain starts with the next one. From here on it may be put aside again.
        self.head = unsafe { entry.as_ref() }.aside.xchg(unlisted(), Full);
        // SAFETY: Given up in `defer`, once, and out of the chain now.
        Some(unsafe { Hold::from_raw(entry) })
    }
}

impl<K: Kind> Drop for Deferred<'_, K> {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}

/// An object of a batch.
///
/// # Invariants
///
/// The object is held while this exists.
pub(crate) struct BatchItem<'b, K: Kind>(&'b Entry<K>);

impl<K: Kind> BatchItem<'_, K> {
    /// Returns a pointer that names the object in callbacks.
    pub(crate) fn as_ptr(&self) -> *mut Entry<K> {
        ptr::from_ref(self.0).cast_mut()
    }

    /// Returns the data.
    pub(crate) fn data(&self) -> &K::Data {
        let data = self.0.data.get();
        // SAFETY: Held, by the type invariants: as `Hold::data`.
        unsafe { (*data).assume_init_ref() }
    }
}

impl<K: Kind> Deref for BatchItem<'_, K> {
    type Target = Entry<K>;

    fn deref(&self) -> &Entry<K> {
        self.0
    }
}
