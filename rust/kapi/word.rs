// SPDX-License-Identifier: GPL-2.0

//! The atomic word that the lock-free rules are written against.
//!
//! The kernel implements it with `kernel::sync::atomic`, the host tests with `core` atomics and
//! with the model checker's, so that all three run the same code.

#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

/// A 64-bit atomic.
///
/// Every read-modify-write is fully ordered, as `smp_mb()` on both sides: the wake-up rules of
/// [`super::rcu_table::hold`] pair a write of one word with a read of another, which acquire and release do
/// not order.
pub(crate) trait Word {
    /// Reads the word. Later accesses stay after the read.
    fn load_acquire(&self) -> u64;

    /// Stores `new` if the word holds `old`; otherwise returns what it holds. A failure orders nothing.
    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64>;

    /// Adds `delta`, wrapping, and returns the old value.
    fn fetch_add(&self, delta: u64) -> u64;

    /// Stores `new` and returns the old value.
    fn swap(&self, new: u64) -> u64;
}

/// Replaces the word by `f(word)`.
///
/// Returns the value that was replaced, or, when `f` refuses with [`None`], the value it refused.
#[inline]
pub(crate) fn update<W: Word>(word: &W, mut f: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
    let mut old = word.load_acquire();
    loop {
        let Some(new) = f(old) else {
            return Err(old);
        };
        match word.compare_exchange(old, new) {
            Ok(()) => return Ok(old),
            // What it found is not used: it is not ordered, and `f` may refuse it, upon which the
            // caller goes on as after an acquiring read.
            Err(_) => old = word.load_acquire(),
        }
    }
}
