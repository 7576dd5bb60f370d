// SPDX-License-Identifier: GPL-2.0

//! The lock-free rules under the model checker: every interleaving of two or three threads, with
//! the values that weakly ordered memory may show.

use crate::kapi::rcu_table::hold::{self, Change, Released, State, Waiters};
use crate::policy::dirty::{Dirty, Range};
use crate::policy::limits::{admit, Usage};
use crate::policy::writeback::ErrorLatch;
use crate::words::Loom;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A buffer of the model: its state, its block number, and data that says which block it belongs
/// to.
struct Buffer {
    state: State<Loom>,
    key: AtomicU64,
    data: AtomicU64,
}

impl Buffer {
    /// A dead one.
    fn dead() -> Self {
        Self {
            state: State::new(Loom::new(hold::DEAD)),
            key: AtomicU64::new(0),
            data: AtomicU64::new(0),
        }
    }

    /// One that is in the cache and not held.
    fn idle(key: u64, flags: u64) -> Self {
        let buffer = Self::dead();
        buffer.begin(key, flags);
        buffer.state.release();
        buffer
    }

    /// A new life. Relaxed, so that only the state word's ordering can make it right.
    fn begin(&self, key: u64, flags: u64) {
        self.key.store(key, Ordering::Relaxed);
        self.data.store(key, Ordering::Relaxed);
        assert!(self.state.revive(flags));
    }

    /// What a lookup does when it meets this buffer under RCU. Leaves it held if it is the right
    /// one.
    fn lookup(&self, key: u64) -> bool {
        if self.key.load(Ordering::Relaxed) != key || self.state.try_hold(0).is_err() {
            return false;
        }
        if self.key.load(Ordering::Relaxed) == key {
            return true;
        }
        self.state.release();
        false
    }

    /// What a holder may rely on.
    fn check(&self, key: u64) {
        assert_eq!(
            self.key.load(Ordering::Relaxed),
            key,
            "another life of the buffer"
        );
        assert_eq!(
            self.data.load(Ordering::Relaxed),
            key,
            "data of another block"
        );
        assert!(!self.state.snapshot().has(hold::DEAD), "killed while held");
    }
}

fn spawn<T: 'static>(f: impl FnOnce() -> T + 'static) -> thread::JoinHandle<T> {
    thread::spawn(f)
}

pub(crate) fn check(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    // Three threads with more forced switches than this take hours and have shown nothing more.
    model.preemption_bound = Some(3);
    model.check(f);
}

/// Rule: a held buffer is not killed, and a killed one is not held. Two lookups against an evictor
/// that gives the buffer to another block.
#[test]
fn lookup_against_eviction() {
    check(|| {
        let buffer = Arc::new(Buffer::idle(1, 0));
        let lookups: Vec<_> = [1, 2]
            .map(|key| {
                let b = buffer.clone();
                spawn(move || {
                    if b.lookup(key) {
                        b.check(key);
                        b.state.release();
                    }
                })
            })
            .into();
        if buffer.state.try_kill(hold::UNCLEAN).is_ok() {
            assert!(!buffer.lookup(1), "a dead buffer was held");
            buffer.begin(2, 0);
            buffer.check(2);
            buffer.state.release();
        }
        for t in lookups {
            t.join().unwrap();
        }
        assert_eq!(buffer.state.snapshot().holds(), 0);
    });
}

/// Rule: two evictors never get the same buffer.
#[test]
fn one_evictor_wins() {
    check(|| {
        let buffer = Arc::new(Buffer::idle(1, 0));
        let other = {
            let b = buffer.clone();
            spawn(move || b.state.try_kill(hold::UNCLEAN).is_ok())
        };
        let mine = buffer.state.try_kill(hold::UNCLEAN).is_ok();
        assert!(mine != other.join().unwrap());
    });
}

/// Rule: of two holders that want the buffer gone, the last one kills it, once; and who finds it
/// later does not.
#[test]
fn last_holder_kills() {
    check(|| {
        let buffer = Arc::new(Buffer::idle(1, 0));
        assert!(buffer.lookup(1) && buffer.lookup(1));
        let killed = |b: &Buffer| match b.state.release_and_kill(hold::UNCLEAN) {
            Released::Killed { .. } => 1,
            Released::Shared => 0,
            other => panic!("{other:?}"),
        };
        let threads: Vec<_> = [(); 2]
            .map(|()| {
                let b = buffer.clone();
                spawn(move || killed(&b))
            })
            .into();
        let kills: i32 = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(kills, 1);
        assert!(!buffer.lookup(1));
    });
}

/// Rule: threads that miss the same block insert it once, while others evict: get-or-insert over
/// two buffers, lookups without the lock, changes of the index under it.
#[test]
fn lookup_release_evict_insert() {
    struct Cache {
        buffers: [Buffer; 2],
        lock: Mutex<()>,
    }

    impl Cache {
        fn find(&self, key: u64) -> Option<&Buffer> {
            self.buffers.iter().find(|b| b.lookup(key))
        }

        fn get(&self, key: u64) {
            let found = self.find(key).or_else(|| {
                let _locked = self.lock.lock().unwrap();
                self.find(key).or_else(|| {
                    let free = self.buffers.iter().find(|b| {
                        b.state.snapshot().has(hold::DEAD)
                            || b.state.try_kill(hold::UNCLEAN).is_ok()
                    })?;
                    free.begin(key, 0);
                    Some(free)
                })
            });
            // None: both were held.
            if let Some(buffer) = found {
                buffer.check(key);
                buffer.state.release();
            }
        }
    }

    check(|| {
        let cache = Arc::new(Cache {
            buffers: [Buffer::idle(1, 0), Buffer::dead()],
            lock: Mutex::new(()),
        });
        let other = {
            let c = cache.clone();
            spawn(move || {
                c.get(2);
                c.get(3);
            })
        };
        cache.get(2);
        cache.get(1);
        other.join().unwrap();
        let live: Vec<u64> = cache
            .buffers
            .iter()
            .filter(|b| !b.state.snapshot().has(hold::DEAD))
            .map(|b| b.key.load(Ordering::Relaxed))
            .collect();
        assert!(
            live.len() < 2 || live[0] != live[1],
            "inserted twice: {live:?}"
        );
    });
}

/// What a hashed wait queue of the kernel gives: a sleeper sleeps while its condition holds, and a
/// wake-up after a change makes it look again.
struct Queue(Mutex<()>, Condvar);

impl Queue {
    fn new() -> Self {
        Self(Mutex::new(()), Condvar::new())
    }

    fn sleep_while(&self, condition: impl Fn() -> bool) {
        let mut locked = self.0.lock().unwrap();
        while condition() {
            locked = self.1.wait(locked).unwrap();
        }
    }

    fn wake(&self) {
        drop(self.0.lock().unwrap());
        self.1.notify_all();
    }
}

/// Sleeps as the module does, until no flag of `flags` is set.
fn wait_clear(state: &State<Loom>, queue: &Queue, flags: u64) {
    while state.ask_wake(|s| s.has(flags)) {
        queue.sleep_while(|| state.snapshot().has(hold::WAITED));
    }
}

/// Rule: nobody sleeps for ever: two that wait for a read, and one that ends it. The model checker
/// reports a sleep without end as a deadlock. And whoever waited sees the data.
#[test]
fn end_of_io_wakes_all() {
    check(|| {
        let shared = Arc::new((Buffer::idle(1, hold::READING), Queue::new()));
        let readers: Vec<_> = [(); 2]
            .map(|()| {
                let s = shared.clone();
                spawn(move || {
                    wait_clear(&s.0.state, &s.1, hold::READING);
                    assert_eq!(
                        s.0.data.load(Ordering::Relaxed),
                        7,
                        "data of the read not seen"
                    );
                })
            })
            .into();
        shared.0.data.store(7, Ordering::Relaxed);
        if shared.0.state.change(Change::READ_DONE).unwrap() {
            shared.1.wake();
        }
        for t in readers {
            t.join().unwrap();
        }
    });
}

/// Rule: as above, with sleepers that wait for different things: what one leaves behind must not
/// keep the other asleep.
#[test]
fn sleepers_with_different_conditions() {
    check(|| {
        let buffer = Buffer::idle(1, hold::DIRTY);
        assert!(buffer.state.change(Change::START_WRITE).is_ok());
        let shared = Arc::new((buffer, Queue::new()));
        let writing = {
            let s = shared.clone();
            spawn(move || wait_clear(&s.0.state, &s.1, hold::WRITING))
        };
        let reading = {
            let s = shared.clone();
            spawn(move || wait_clear(&s.0.state, &s.1, hold::READING))
        };
        if shared.0.state.change(Change::WRITE_DONE).unwrap() {
            shared.1.wake();
        }
        writing.join().unwrap();
        reading.join().unwrap();
    });
}

/// Rule: the end of the last hold wakes who waits for this buffer.
#[test]
fn last_release_wakes() {
    check(|| {
        let shared = Arc::new((Buffer::idle(1, 0), Queue::new()));
        assert!(shared.0.lookup(1) && shared.0.lookup(1));
        let holders: Vec<_> = [(); 2]
            .map(|()| {
                let s = shared.clone();
                spawn(move || match s.0.state.release() {
                    Released::Last { wake: true, .. } => s.1.wake(),
                    Released::Last { wake: false, .. } | Released::Shared => (),
                    other => panic!("{other:?}"),
                })
            })
            .into();
        while shared.0.state.ask_wake(|s| s.holds() != 0) {
            shared
                .1
                .sleep_while(|| shared.0.state.snapshot().has(hold::WAITED));
        }
        for t in holders {
            t.join().unwrap();
        }
        assert!(shared.0.state.try_kill(hold::UNCLEAN).is_ok());
    });
}

/// Rule: who sees that a transfer has ended, well or not, can take the buffer away: the transfer's hold
/// went with it. And who sleeps for it is woken.
#[test]
fn a_transfer_ends_with_its_hold() {
    for (start, end, flag) in [
        (Change::START_READ, Change::READ_DONE, hold::READING),
        (Change::START_READ, Change::READ_FAILED, hold::READING),
        (Change::START_WRITE, Change::WRITE_DONE, hold::WRITING),
        (Change::START_WRITE, Change::WRITE_FAILED, hold::WRITING),
        (Change::START_WRITE, Change::WRITE_DROPPED, hold::WRITING),
    ] {
        check(move || {
            let buffer = Buffer::idle(1, start.need);
            assert!(buffer.lookup(1));
            assert!(buffer.state.change(start).is_ok());
            let shared = Arc::new((buffer, Queue::new()));
            let looker = {
                let s = shared.clone();
                spawn(move || {
                    let now = s.0.state.snapshot();
                    if !now.has(flag) {
                        // What stays dirty is not thrown away, but nobody holds it.
                        let refuse = hold::UNCLEAN & !(end.set & hold::DIRTY);
                        assert!(s.0.state.try_kill(refuse).is_ok(), "held");
                    }
                })
            };
            let sleeper = {
                let s = shared.clone();
                spawn(move || wait_clear(&s.0.state, &s.1, flag))
            };
            let finished = shared.0.state.finish(end).unwrap();
            assert!(finished.last.is_some());
            if finished.wake {
                shared.1.wake();
            }
            looker.join().unwrap();
            sleeper.join().unwrap();
        });
    }
}

/// Rule (W7): who waits for any buffer of a client is woken by the release of any.
#[test]
fn any_release_wakes_waiters() {
    check(|| {
        struct Client {
            buffers: [Buffer; 2],
            waiters: Waiters<Loom>,
            // Stands for the wait queue: counts wake-ups, so that a sleeper can tell one from none.
            wakes: AtomicUsize,
            queue: Queue,
        }
        let client = Arc::new(Client {
            buffers: [Buffer::idle(1, 0), Buffer::idle(2, 0)],
            waiters: Waiters::new(Loom::new(0)),
            wakes: AtomicUsize::new(0),
            queue: Queue::new(),
        });
        assert!(client.buffers[0].lookup(1) && client.buffers[1].lookup(2));
        let holder = {
            let c = client.clone();
            spawn(move || {
                for b in &c.buffers {
                    let last = matches!(b.state.release(), Released::Last { .. });
                    if last && c.waiters.any() {
                        c.wakes.fetch_add(1, Ordering::Relaxed);
                        c.queue.wake();
                    }
                }
            })
        };
        loop {
            // In the kernel: queued before entering, so that a wake-up from here on is not lost.
            let seen = client.wakes.load(Ordering::Relaxed);
            client.waiters.enter();
            let taken = client
                .buffers
                .iter()
                .any(|b| b.state.try_kill(hold::UNCLEAN).is_ok());
            if !taken {
                client
                    .queue
                    .sleep_while(|| client.wakes.load(Ordering::Relaxed) == seen);
            }
            client.waiters.leave();
            if taken {
                break;
            }
        }
        holder.join().unwrap();
        assert!(!client.waiters.any());
    });
}

/// Rule: the count of waiters is exact: seen by each that is in it, and zero when all have left.
#[test]
fn waiters_are_counted() {
    check(|| {
        let waiters = Arc::new(Waiters::new(Loom::new(0)));
        let threads: Vec<_> = [(); 2]
            .map(|()| {
                let w = waiters.clone();
                spawn(move || {
                    w.enter();
                    assert!(w.any());
                    w.leave();
                })
            })
            .into();
        for t in threads {
            t.join().unwrap();
        }
        assert!(!waiters.any());
    });
}

/// Rule: data that was marked dirty is written, or still marked with its range: two markers, of
/// ranges that may be covered already, against two writes, of which the first fails.
#[test]
fn no_mark_is_lost() {
    struct Block {
        state: State<Loom>,
        dirty: Dirty<Loom>,
        memory: [AtomicU64; 2],
        disk: [AtomicU64; 2],
    }

    fn write(b: &Block, good: bool) {
        if b.state.change(Change::START_WRITE).is_err() {
            return;
        }
        let Some(range) = b.dirty.take() else {
            b.state.change(Change::WRITE_DONE).unwrap();
            return;
        };
        if good {
            for i in range.start()..range.end() {
                let data = b.memory[i as usize].load(Ordering::Relaxed);
                b.disk[i as usize].store(data, Ordering::Relaxed);
            }
            b.state.change(Change::WRITE_DONE).unwrap();
        } else {
            b.dirty.mark(range);
            b.state.change(Change::WRITE_FAILED).unwrap();
        }
    }

    check(|| {
        let state = State::new(Loom::new(hold::DEAD));
        assert!(state.revive(hold::DIRTY));
        let dirty = Dirty::new(Loom::new(0));
        dirty.mark(Range::new(0, 1, 2).unwrap());
        let block = Arc::new(Block {
            state,
            dirty,
            memory: [AtomicU64::new(0), AtomicU64::new(0)],
            disk: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let markers: Vec<_> = [0u32, 1]
            .map(|i| {
                let b = block.clone();
                spawn(move || {
                    b.memory[i as usize].store(1, Ordering::Relaxed);
                    b.dirty.mark(Range::new(i, i + 1, 2).unwrap());
                    b.state.set_dirty();
                })
            })
            .into();
        write(&block, false);
        write(&block, true);
        for t in markers {
            t.join().unwrap();
        }
        for i in 0..2 {
            let marked = block.state.snapshot().has(hold::DIRTY)
                && block
                    .dirty
                    .peek()
                    .is_some_and(|r| (r.start()..r.end()).contains(&i));
            let written = block.disk[i as usize].load(Ordering::Relaxed) == 1;
            assert!(marked || written, "mark of byte {i} lost");
        }
    });
}

/// Rule: admissions from several threads together stay within the limit, and a refusal leaves
/// nothing.
#[test]
fn admissions_stay_within_the_limit() {
    check(|| {
        let global = Arc::new(Usage::new(Loom::new(0)));
        let threads: Vec<_> = [(); 2]
            .map(|()| {
                let g = global.clone();
                spawn(move || {
                    let client = Usage::new(Loom::new(0));
                    let admitted = admit(&g, 3, &client, u64::MAX, 2).is_ok();
                    assert!(g.bytes() <= 3);
                    assert_eq!(client.bytes(), if admitted { 2 } else { 0 });
                    admitted
                })
            })
            .into();
        let admitted = threads.into_iter().map(|t| t.join().unwrap());
        assert_eq!(admitted.filter(|&a| a).count(), 1);
        assert_eq!(global.bytes(), 2);
    });
}

/// Rule: two failures and two reports: each report has another error or none, and none is left
/// over.
#[test]
fn errors_are_reported_once() {
    check(|| {
        let latch = Arc::new(ErrorLatch::new(Loom::new(0)));
        let writers: Vec<_> = [5, 28]
            .map(|errno| {
                let l = latch.clone();
                spawn(move || l.record(errno))
            })
            .into();
        let first = latch.take();
        for t in writers {
            t.join().unwrap();
        }
        let second = latch.take();
        let reports: Vec<u32> = [first, second].into_iter().flatten().collect();
        assert!(!reports.is_empty() && reports.iter().all(|e| [5, 28].contains(e)));
        assert!(reports.len() < 2 || reports[0] != reports[1], "{reports:?}");
        assert_eq!(latch.take(), None);
    });
}
