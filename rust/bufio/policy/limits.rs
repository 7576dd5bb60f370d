// SPDX-License-Identifier: GPL-2.0

//! Memory limits: who may grow, and who shrinks so that another can.
//!
//! A buffer is charged, with its header and aux data, to its client and to the whole cache *before*
//! it is allocated. [`admit`] charges within both limits or refuses and changes nothing, so no
//! admission takes the total past its limit, whichever clients exist. After a refusal the caller
//! evicts what [`choose`] names and asks again. When [`choose`] has nothing to name, every byte is
//! held by a user, under I/O or part of a guaranteed minimum: the caller then lives off its reserve
//! or waits for a release, still without passing the limit. The reserves are charged at creation
//! with [`Usage::force`], which cannot be refused: the total never exceeds the larger of the limit
//! and the reserves.

use crate::kapi::word::{update, Word};

/// Share of the low memory that the cache may use if nothing is set: 1/50
/// (`DM_BUFIO_MEMORY_PERCENT`).
const MEMORY_SHARE: u64 = 50;
/// Share of the vmalloc space that the cache may use if nothing is set: 1/4
/// (`DM_BUFIO_VMALLOC_PERCENT`).
const VMALLOC_SHARE_SHIFT: u32 = 2;

/// Returns the global limit to use if none is set.
pub(crate) fn default_limit_bytes(memory_bytes: u64, vmalloc_bytes: u64) -> u64 {
    let memory = memory_bytes.checked_div(MEMORY_SHARE).unwrap_or(0);
    memory.min(vmalloc_bytes >> VMALLOC_SHARE_SHIFT)
}

/// Returns what one buffer is charged, or [`None`] if the sum has no representation.
pub(crate) fn buffer_bytes(block: usize, header: usize, aux: usize) -> Option<u64> {
    let sum = block.checked_add(header)?.checked_add(aux)?;
    u64::try_from(sum).ok()
}

/// A count of charged bytes.
#[derive(Debug)]
pub(crate) struct Usage<W>(W);

impl<W: Word> Usage<W> {
    /// Makes a counter of a word that is zero.
    pub(crate) const fn new(word: W) -> Self {
        Self(word)
    }

    /// Returns the charged bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load_acquire()
    }

    /// Charges `bytes` if the sum stays within `limit`; otherwise says how many bytes are missing.
    pub(crate) fn charge(&self, bytes: u64, limit: u64) -> Result<(), u64> {
        update(&self.0, |used| {
            used.checked_add(bytes).filter(|&sum| sum <= limit)
        })
        .map(|_| ())
        .map_err(|used| used.saturating_add(bytes).saturating_sub(limit).max(1))
    }

    /// Charges `bytes` whatever the limit. For reserves only.
    pub(crate) fn force(&self, bytes: u64) {
        let _ = update(&self.0, |used| Some(used.saturating_add(bytes)));
    }

    /// Gives back `bytes`. Returns false, and stops at zero, if that many were not charged.
    pub(crate) fn uncharge(&self, bytes: u64) -> bool {
        update(&self.0, |used| Some(used.saturating_sub(bytes))).is_ok_and(|used| used >= bytes)
    }
}

/// Why a buffer was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The client's own limit; only its own buffers can help.
    Client {
        /// Bytes to evict before asking again.
        short_bytes: u64,
    },
    /// The global limit; [`choose`] says whose buffers should go.
    Global {
        /// Bytes to evict before asking again.
        short_bytes: u64,
    },
}

/// Charges one buffer to its client and to the whole, or to neither.
pub(crate) fn admit<G: Word, C: Word>(
    global: &Usage<G>,
    global_limit: u64,
    client: &Usage<C>,
    client_limit: u64,
    bytes: u64,
) -> Result<(), Refused> {
    client
        .charge(bytes, client_limit)
        .map_err(|short_bytes| Refused::Client { short_bytes })?;
    global.charge(bytes, global_limit).map_err(|short_bytes| {
        client.uncharge(bytes);
        Refused::Global { short_bytes }
    })
}

/// What [`choose`] knows about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Bytes charged to it.
    pub(crate) used_bytes: u64,
    /// Bytes that could be evicted now. The caller sets zero for a client that turned out to have
    /// none, or whose lock is taken, and asks again.
    pub(crate) evictable_bytes: u64,
    /// Bytes that it keeps whatever others need: its minimum and its reserve.
    pub(crate) floor_bytes: u64,
    /// Seconds since it last asked for a block.
    pub(crate) idle_seconds: u64,
}

impl Client {
    /// Returns what it can be asked for: never more than there is, never what its floor protects.
    pub(crate) fn spare_bytes(&self) -> u64 {
        self.used_bytes
            .saturating_sub(self.floor_bytes)
            .min(self.evictable_bytes)
    }

    /// Returns how much rather than others this one is chosen; zero if it has nothing to spare.
    ///
    /// What it holds above its floor counts, so that clients that are equally busy end with equal
    /// shares. Each doubling of its idle time counts as much again, so that an idle one gives way
    /// to a busy one and still keeps something for its return.
    fn weight(&self) -> u128 {
        if self.spare_bytes() == 0 {
            return 0;
        }
        let above = u128::from(self.used_bytes.saturating_sub(self.floor_bytes));
        let doublings = self
            .idle_seconds
            .checked_ilog2()
            .map_or(0, |n| n.saturating_add(1));
        above.saturating_mul(u128::from(doublings).saturating_add(1))
    }
}

/// A client to evict from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Victim {
    /// Its position in the sequence given.
    pub(crate) index: usize,
    /// How many bytes to evict; neither zero nor more than it can spare.
    pub(crate) bytes: u64,
}

/// Chooses the client that makes room for `want_bytes`, or [`None`] if none can spare anything.
///
/// A client that has nothing to spare is passed over and never ends the search.
pub(crate) fn choose(clients: impl Iterator<Item = Client>, want_bytes: u64) -> Option<Victim> {
    let mut best: Option<(u128, Victim)> = None;
    let mut next = 0usize;
    for client in clients {
        let index = next;
        next = next.saturating_add(1);
        let weight = client.weight();
        if weight > best.map_or(0, |(w, _)| w) {
            let bytes = client.spare_bytes().min(want_bytes.max(1));
            best = Some((weight, Victim { index, bytes }));
        }
    }
    best.map(|(_, victim)| victim)
}

/// Returns how many bytes to evict when `short_bytes` are missing.
///
/// A 64th of the limit at least, so that a cache at its limit does not choose a victim for each
/// miss.
pub(crate) fn batch_bytes(short_bytes: u64, limit_bytes: u64) -> u64 {
    short_bytes.max(limit_bytes >> 6)
}

/// Returns how many of a client's bytes a shrinker may ask for.
pub(crate) fn shrinkable_bytes(client: &Client, retain_bytes: u64) -> u64 {
    Client {
        floor_bytes: client.floor_bytes.max(retain_bytes),
        ..*client
    }
    .spare_bytes()
}
