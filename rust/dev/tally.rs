// SPDX-License-Identifier: GPL-2.0

//! Whether marks matter: what marked threads meet in the allocator, and who should be marked.

use super::{
    abi::{self, MAX_PER_TASK},
    marks::FileId,
    user, Flusher,
};
use crate::kapi::{
    block_node, clock,
    reclaim_events::ReclaimEvents,
    task::{self, Flags},
    task_map::{Map, Room, Slot},
    thread::{self, Process},
};
use kernel::{
    fs::File,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow, Mutex,
    },
};

/// What one thread has met. It alone changes them, so that all are relaxed.
pub(super) struct Counters {
    pub(super) reclaims: Atomic<u64>,
    pub(super) reclaim_ns: Atomic<u64>,
    pub(super) constrained: Atomic<u64>,
    pub(super) pauses: Atomic<u64>,
    pub(super) pause_ns: Atomic<u64>,
    // When the one under way began; 0 for none.
    began_ns: Atomic<u64>,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            reclaims: Atomic::new(0),
            reclaim_ns: Atomic::new(0),
            constrained: Atomic::new(0),
            pauses: Atomic::new(0),
            pause_ns: Atomic::new(0),
            began_ns: Atomic::new(0),
        }
    }
}

/// A device that a process serves.
pub(super) struct Service {
    file: FileId,
    pub(super) setter: Process,
    pub(super) device: (u32, u32),
    _slot: Slot<(u32, u32)>,
}

/// What is counted, and for whom.
#[pin_data]
pub(crate) struct Tally {
    pub(super) threads: Arc<Map<Counters>>,
    // By process.
    served: Arc<Map<(u32, u32)>>,
    #[pin]
    services: Mutex<KVec<Service>>,
    // How many there are, to be seen without the lock.
    count: Atomic<usize>,
    unmarked: Atomic<u64>,
}

impl Tally {
    pub(super) fn new() -> Result<Arc<Self>> {
        let threads = Map::new()?;
        let served = Map::new()?;
        Arc::pin_init(
            pin_init!(Self {
                threads,
                served,
                services <- new_mutex!(KVec::new(), "Tally::services"),
                count: Atomic::new(0),
                unmarked: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// How often a thread that serves a device has reclaimed without scopes.
    pub(super) fn unmarked(&self) -> u64 {
        self.unmarked.load(Relaxed)
    }

    /// Whether no process has said that it serves a device.
    pub(super) fn serves_none(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Has the current process serve `device` while it has `file` open.
    fn serve(&self, file: FileId, device: (u32, u32)) -> Result {
        let setter = Process::current();
        let mut services = self.services.lock();
        // Those of processes that are no more would have no bound.
        self.retain_in(&mut services, |s| !s.setter.is_gone());
        if services
            .iter()
            .any(|s| s.file == file && s.setter == setter && s.device == device)
        {
            return Ok(());
        }
        if services.iter().filter(|s| s.setter == setter).count() >= MAX_PER_TASK {
            return Err(ENOSPC);
        }
        let room = Room::new(device, GFP_KERNEL_ACCOUNT)?;
        services.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let slot = Slot::new(self.served.clone(), room, setter.key());
        services.push(
            Service {
                file,
                setter,
                device,
                _slot: slot,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        self.count.store(services.len(), Relaxed);
        Ok(())
    }

    fn serve_no_longer(&self, file: FileId, device: (u32, u32)) -> Result {
        let setter = Process::current();
        if self.retain(|s| s.file != file || s.setter != setter || s.device != device) {
            Ok(())
        } else {
            Err(ENOENT)
        }
    }

    /// Ends what was registered with `file`, by `setter` or anybody.
    pub(super) fn close(&self, file: FileId, setter: Option<&Process>) {
        // Relaxed: whoever used the file has done so before it is closed.
        if !self.serves_none() {
            self.retain(|s| s.file != file || setter.is_some_and(|setter| *setter != s.setter));
        }
    }

    /// Ends what was registered by processes that have died with their descriptors still open in
    /// another one: a table of descriptors may be shared.
    pub(super) fn forget_gone(&self) {
        if !self.serves_none() {
            self.retain(|s| !s.setter.is_gone());
        }
    }

    /// Ends what is not to be kept. Returns whether there was any.
    fn retain(&self, keep: impl FnMut(&Service) -> bool) -> bool {
        self.retain_in(&mut self.services.lock(), keep)
    }

    fn retain_in(
        &self,
        services: &mut KVec<Service>,
        mut keep: impl FnMut(&Service) -> bool,
    ) -> bool {
        let before = services.len();
        services.retain(|s| keep(s));
        self.count.store(services.len(), Relaxed);
        services.len() < before
    }

    /// Calls `f` for each device that is served, with `file` only if it is given.
    pub(super) fn for_each_service(&self, file: Option<FileId>, mut f: impl FnMut(&Service)) {
        for service in &*self.services.lock() {
            if file.is_none_or(|file| file == service.file) {
                f(service);
            }
        }
    }
}

/// The scopes that say what reclaim may do.
const RECLAIM: Flags = Flags::NOIO.union(Flags::NOFS);

impl ReclaimEvents for Tally {
    fn begins(this: ArcBorrow<'_, Self>, io: bool, fs: bool) {
        let marked = this.threads.with(thread::current_key(), |counters| {
            counters.reclaims.fetch_add(1, Relaxed);
            counters.began_ns.store(clock::monotonic_ns(), Relaxed);
        });
        // Not by NOFS: the kernel sets that itself for a while, as readahead does. Who has NOIO by
        // other means than MARK is not allowed either, and LOCAL_THROTTLE the kernel sets on threads
        // of its own only: who has that has said that it is a flusher.
        let flusher = marked.is_some() || task::flags().contains(Flags::LOCAL_THROTTLE);
        if (io || fs) && !flusher && !this.serves_none() {
            let device = this.served.with(thread::current_process_key(), |d| *d);
            if let Some((major, minor)) = device {
                this.unmarked.fetch_add(1, Relaxed);
                thread::warn_unmarked(major, minor, io, fs);
            }
        }
    }

    fn ended(this: ArcBorrow<'_, Self>) {
        this.threads.with(thread::current_key(), |counters| {
            let began = counters.began_ns.load(Relaxed);
            if began != 0 {
                let ns = clock::monotonic_ns().saturating_sub(began);
                counters.reclaim_ns.fetch_add(ns, Relaxed);
                counters.began_ns.store(0, Relaxed);
            }
        });
    }

    fn allocated(this: ArcBorrow<'_, Self>) {
        // Most tasks are through here.
        if task::flags().intersection(RECLAIM) == Flags::NONE || !thread::is_in_task() {
            return;
        }
        this.threads.with(thread::current_key(), |counters| {
            counters.constrained.fetch_add(1, Relaxed);
        });
    }

    fn pauses(this: ArcBorrow<'_, Self>, ns: u64) {
        this.threads.with(thread::current_key(), |counters| {
            counters.pauses.fetch_add(1, Relaxed);
            counters.pause_ns.fetch_add(ns, Relaxed);
        });
    }
}

impl Flusher {
    pub(super) fn register(&self, file: &File, arg: usize, size: usize) -> Result<isize> {
        let register: abi::Register = user::read_struct(arg, size)?;
        let right = self.right()?;
        let r = &register.0;
        if r.flags & !abi::REGISTER_REMOVE != 0 {
            return Err(EINVAL);
        }
        let device = block_node::number(r.fd)?;
        right.claim()?;
        let tally = &self.shared.tally;
        if r.flags & abi::REGISTER_REMOVE != 0 {
            tally.serve_no_longer(self.id, device)?;
        } else {
            let _needed = self.shared.watch()?;
            tally.serve(self.id, device)?;
        }
        self.recheck(file)?;
        Ok(0)
    }
}
