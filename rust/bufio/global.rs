// SPDX-License-Identifier: GPL-2.0

//! What all clients share: the limit, and the list of clients among which room is made.

use super::{alloc, policy::limits, Table};
use crate::kapi::{
    atomic::{Atomic, Relaxed},
    params,
    rcu_table::{hold::Waiters, Parking},
    wait::Word64,
    workqueue::OwnedQueue,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

/// What all clients share.
#[pin_data]
pub(crate) struct Global {
    /// Bytes of all clients.
    pub(crate) usage: limits::Usage<Word64>,
    /// Most bytes ever.
    peak: Atomic<u64>,
    default_limit: u64,
    /// Threads that sleep until a buffer can be taken, of any client.
    pub(crate) waiters: Waiters<Word64>,
    /// Changes when a buffer may have become free while somebody waits.
    pub(crate) freed: Word64,
    /// Where holds of hot buffers are parked.
    pub(crate) parking: Arc<Parking>,
    #[pin]
    clients: Mutex<KVec<Arc<Table>>>,
    /// Runs the clients' work.
    pub(crate) queue: OwnedQueue,
    /// Waits for asynchronous reads.
    pub(crate) readers: OwnedQueue,
}

impl Global {
    /// Makes it; once, when the module is loaded.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let queue = OwnedQueue::new(c"memscope_bufio")?;
        let readers = OwnedQueue::new(c"memscope_bufio_read")?;
        let parking = Arc::new(Parking::new()?, GFP_KERNEL)?;
        let default_limit =
            limits::default_limit_bytes(params::low_memory_bytes(), params::vmalloc_bytes());
        Arc::pin_init(
            pin_init!(Self {
                usage: super::buffer::no_usage(),
                peak: Atomic::new(0),
                default_limit,
                waiters: Waiters::new(Word64::new(0)),
                freed: Word64::new(0),
                parking,
                clients <- new_mutex!(KVec::new(), "Global::clients"),
                queue,
                readers,
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the limit of all clients together.
    pub(crate) fn limit(&self) -> u64 {
        match params::max_cache_size_bytes() {
            0 => self.default_limit,
            bytes => bytes,
        }
    }

    /// Returns the most bytes that were charged at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    /// Takes note of the bytes that are charged now.
    pub(crate) fn note_peak(&self) {
        let bytes = self.usage.bytes();
        // Relaxed, and not exact when two clients grow at once past each other: for people.
        let mut peak = self.peak.load(Relaxed);
        while bytes > peak {
            match self.peak.cmpxchg(peak, bytes, Relaxed) {
                Ok(_) => return,
                Err(seen) => peak = seen,
            }
        }
    }

    /// Counts the most bytes from `bytes` on.
    pub(crate) fn set_peak(&self, bytes: u64) {
        self.peak.store(bytes, Relaxed);
    }

    /// Adds a client.
    pub(crate) fn add(&self, table: &Arc<Table>) -> Result {
        let mut clients = self.clients.lock();
        // Nothing in the I/O path waits for the list unless the limit is reached, and a new client
        // brings no reclaim into it: its own pages are not needed for this.
        clients.push(table.clone(), GFP_NOWAIT).map_err(|_| ENOMEM)
    }

    /// Takes a client out.
    pub(crate) fn remove(&self, table: &Arc<Table>) {
        let mut clients = self.clients.lock();
        let index = clients.iter().position(|other| Arc::ptr_eq(other, table));
        let table = index.and_then(|index| clients.remove(index).ok());
        drop(clients);
        drop(table);
    }

    /// Evicts clean buffers, of whoever can best spare them, until `short_bytes` are free or nobody has
    /// any. Returns the bytes that were freed.
    ///
    /// May sleep, for another thread that does the same.
    pub(crate) fn make_room(&self, short_bytes: u64) -> u64 {
        let want = limits::batch_bytes(short_bytes, self.limit());
        let clients = self.clients.lock();
        let mut freed = 0u64;
        // A client that had nothing when asked is passed over from then on.
        let mut barren = 0u64;
        while freed < want {
            let candidates = clients.iter().enumerate().map(|(i, table)| {
                let mut client = table.shared.for_limits(table);
                if i < 64 && barren & (1 << i) != 0 {
                    client.evictable_bytes = 0;
                }
                client
            });
            let Some(victim) = limits::choose(candidates, want.saturating_sub(freed)) else {
                break;
            };
            let Some(table) = clients.get(victim.index) else {
                break;
            };
            let got = alloc::evict_bytes(table, victim.bytes);
            freed = freed.saturating_add(got);
            if got < victim.bytes {
                if victim.index >= 64 {
                    break;
                }
                barren |= 1 << victim.index;
            }
        }
        freed
    }
}
