// SPDX-License-Identifier: GPL-2.0

//! A block buffer cache whose allocations are scoped.
//!
//! A [`Client`](client::Client) caches blocks of one size of one device. A buffer is an object of an
//! [`rcu_table`](crate::kapi::rcu_table); what the table and the block layer do is under `kapi`, what is
//! decided without the kernel is in [`policy`], and here is what joins them:
//!
//! - [`buffer`]: a buffer, its data, the end of its transfers.
//! - [`client`]: creation, destruction, accessors. [`shared`]: what belongs to the client's table.
//! - [`guard`]: the Rust API.
//! - [`lookup`]: get, read, new, prefetch, release.
//! - [`alloc`]: the allocation ladder and eviction.
//! - [`writeback`]: dirty marks, merged writes, flushes, the client's work.
//! - [`sweep`]: what follows the end of a write.
//! - [`ghosts`]: the blocks that were evicted not long ago.
//! - [`global`]: what all clients share: the limit and the list of clients.
//!
//! # Queues
//!
//! Each buffer is in one queue of its table: [`CLEAN`], [`MAIN`], [`DIRTY`] (oldest mark first) or [`WRITING`]
//! (oldest write first). The end of a write may come in an interrupt and moves nothing; whoever next
//! needs the queues right calls [`sweep::sweep`].
//!
//! # Lock order
//!
//! 1. `Global::clients`, a mutex. Nothing under it allocates or waits for I/O.
//! 2. The lock of one table, a spin lock with softirqs off.
//! 3. `Client::reserve` and `Client::ghosts`, spin locks.
//!
//! No two tables are locked at once. Nothing is allocated, submitted or waited for under any of them.

pub(crate) mod alloc;
pub(crate) mod buffer;
pub(crate) mod client;
pub(crate) mod ghosts;
pub(crate) mod global;
// Whole, whatever the C API happens to use of it; the selftest crate uses the rest.
#[allow(dead_code)]
pub(crate) mod guard;
pub(crate) mod lookup;
pub(crate) mod shared;
// Written and tested as a whole; what the kernel's types make unnecessary is used by host tests.
#[allow(dead_code)]
pub(crate) mod policy;
pub(crate) mod stats;
pub(crate) mod sweep;
pub(crate) mod writeback;

pub(crate) use buffer::{Bufio, Entry, Hold, Locked, Owned, Table};

/// Queue of buffers that are as on the device, or being read, and were used once.
pub(crate) const CLEAN: usize = 0;
/// Queue of buffers to write.
pub(crate) const DIRTY: usize = 1;
/// Queue of buffers whose write was started, finished or not.
pub(crate) const WRITING: usize = 2;
/// Queue of buffers that are as on the device and were used again.
pub(crate) const MAIN: usize = 3;
