// SPDX-License-Identifier: GPL-2.0

//! What the table's user keeps beside each object: [`Aux`].

use super::{
    batch::BatchItem,
    entry::{Entry, Hold, Owned},
    Kind,
};
use crate::kapi::atomic::Relaxed;
use core::{any::TypeId, mem::needs_drop};

/// What is beside each object of a table: bytes that nobody here looks at, or a value of one type.
#[derive(Clone, Copy)]
pub(crate) struct Aux {
    bytes: usize,
    value: Option<Value>,
}

/// # Invariants
///
/// `write` writes a value of the type `id` to memory of that size and alignment; the type is `Send`,
/// `Sync` and needs no drop.
#[derive(Clone, Copy)]
struct Value {
    id: TypeId,
    write: unsafe fn(*mut u8),
}

impl Aux {
    /// Nothing.
    pub(crate) const NONE: Self = Self::bytes(0);

    /// Bytes.
    pub(crate) const fn bytes(bytes: u32) -> Self {
        Self {
            bytes: bytes as usize,
            value: None,
        }
    }

    /// A value, which is not dropped. Larger alignments than that of a word do not compile.
    pub(crate) fn of<T: Default + Send + Sync + 'static>() -> Self {
        const { assert!(!needs_drop::<T>() && align_of::<T>() <= align_of::<usize>()) };
        /// # Safety
        ///
        /// Memory for a `T` that nobody else uses.
        unsafe fn write<T: Default>(to: *mut u8) {
            // SAFETY: By the contract.
            unsafe { to.cast::<T>().write(T::default()) };
        }
        Self {
            bytes: size_of::<T>(),
            // INVARIANT: By the bounds and the assertion.
            value: Some(Value {
                id: TypeId::of::<T>(),
                write: write::<T>,
            }),
        }
    }

    /// Returns its size.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }
}

/// Returns the value beside an object.
///
/// # Safety
///
/// The object is live, or an [`Owned`]'s, and becomes no other [`Owned`] while the reference is there.
unsafe fn value_of<K: Kind, T: Send + Sync + 'static>(entry: &Entry<K>) -> Option<&T> {
    // Relaxed: does not change in one life.
    // SAFETY: An object that is live or owned keeps its table: see `Table::allocate`.
    let table = unsafe { &*entry.table.load(Relaxed) };
    let value = table.aux.value.as_ref()?;
    if value.id != TypeId::of::<T>() {
        return None;
    }
    let beside: *const Entry<K> = core::ptr::from_ref(entry).wrapping_add(1);
    // SAFETY: A `T` by its id, written when the object was allocated, and written again only with
    // exclusive access, which nobody has by the contract.
    Some(unsafe { &*beside.cast::<T>() })
}

impl<K: Kind> Hold<'_, K> {
    /// Returns the value beside the object; [`None`] if there is none of that type.
    pub(crate) fn aux<T: Send + Sync + 'static>(&self) -> Option<&T> {
        // SAFETY: The object is live while it is held.
        unsafe { value_of(self) }
    }
}

impl<K: Kind> BatchItem<'_, K> {
    /// As [`Hold::aux`].
    pub(crate) fn aux<T: Send + Sync + 'static>(&self) -> Option<&T> {
        // SAFETY: The object is held while this exists.
        unsafe { value_of(self) }
    }
}

impl<K: Kind> Owned<K> {
    /// As [`Hold::aux`].
    pub(crate) fn aux<T: Send + Sync + 'static>(&self) -> Option<&T> {
        // SAFETY: There is one `Owned`, and it is borrowed.
        unsafe { value_of(self) }
    }

    /// Makes the value beside the object anew, if there is one.
    pub(crate) fn renew_aux(&mut self) {
        if let Some(value) = self.table().aux.value {
            let beside = self.as_ptr().wrapping_add(1);
            // SAFETY: Behind the object is memory for the value; nobody else uses it while the object
            // is neither live nor borrowed.
            unsafe { (value.write)(beside.cast()) };
        }
    }
}
