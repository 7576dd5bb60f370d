// SPDX-License-Identifier: GPL-2.0

//! Limits and the choice of victims, against a plain model of several clients.

use crate::policy::limits::{
    admit, batch_bytes, buffer_bytes, choose, default_limit_bytes, shrinkable_bytes, Client,
    Refused, Usage,
};
use crate::words::Plain;
use proptest::prelude::*;

fn client() -> impl Strategy<Value = Client> {
    (0..1000u64, 0..1200u64, 0..500u64, 0..100_000u64).prop_map(|(used, evictable, floor, idle)| {
        Client {
            used_bytes: used,
            evictable_bytes: evictable,
            floor_bytes: floor,
            idle_seconds: idle,
        }
    })
}

/// The cache as the limits see it: clients that take buffers of one byte and can give them back.
struct Cache {
    global: Usage<Plain>,
    limit: u64,
    clients: Vec<(Usage<Plain>, Client)>,
}

impl Cache {
    fn new(limit: u64, floors: &[u64]) -> Self {
        let cache = Self {
            global: Usage::new(Plain::default()),
            limit,
            clients: floors
                .iter()
                .map(|&floor_bytes| {
                    let state = Client {
                        used_bytes: 0,
                        evictable_bytes: 0,
                        floor_bytes,
                        idle_seconds: 0,
                    };
                    (Usage::new(Plain::default()), state)
                })
                .collect(),
        };
        for (usage, client) in &cache.clients {
            cache.global.force(client.floor_bytes);
            usage.force(client.floor_bytes);
        }
        cache
    }

    fn seen(&self) -> Vec<Client> {
        self.clients
            .iter()
            .map(|(u, c)| Client {
                used_bytes: u.bytes(),
                ..*c
            })
            .collect()
    }

    fn give_back(&mut self, index: usize, bytes: u64) {
        let (usage, client) = &mut self.clients[index];
        client.evictable_bytes -= bytes;
        assert!(usage.uncharge(bytes));
        assert!(self.global.uncharge(bytes));
    }

    /// Admits one buffer for a client, as the module does. Returns false if nothing could be
    /// evicted.
    fn miss(&mut self, index: usize, bytes: u64, batch: bool) -> bool {
        // One eviction makes room for one admission; a second is a victim that gave less.
        for _ in 0..=self.clients.len() {
            let (usage, _) = &self.clients[index];
            match admit(&self.global, self.limit, usage, u64::MAX, bytes) {
                Ok(()) => {
                    self.clients[index].1.evictable_bytes += bytes;
                    assert!(self.global.bytes() <= self.limit);
                    return true;
                }
                Err(Refused::Client { .. }) => unreachable!("no client limit"),
                Err(Refused::Global { short_bytes }) => {
                    let want = if batch {
                        batch_bytes(short_bytes, self.limit)
                    } else {
                        short_bytes
                    };
                    let Some(victim) = choose(self.seen().into_iter(), want) else {
                        return false;
                    };
                    let spare = self.seen()[victim.index].spare_bytes();
                    assert!(victim.bytes > 0 && victim.bytes <= spare);
                    self.give_back(victim.index, victim.bytes);
                }
            }
        }
        panic!("evictions made no room");
    }
}

/// Rule (W1): with any number of idle clients beside it, empty or full, created before or after, a
/// busy client's 20,000 misses never pass the limit and always find room.
#[test]
fn w1_idle_clients_do_not_end_enforcement() {
    for idle_fill in [0, 1, 100] {
        for busy in [0, 1, 2] {
            let mut cache = Cache::new(1000, &[1, 1, 1]);
            for i in 0..3 {
                for _ in 0..if i == busy { 0 } else { idle_fill } {
                    assert!(cache.miss(i, 1, true));
                }
                cache.clients[i].1.idle_seconds = if i == busy { 0 } else { 1000 };
            }
            let mut peak = 0;
            for _ in 0..20_000 {
                assert!(cache.miss(busy, 1, true), "nothing evictable");
                peak = peak.max(cache.global.bytes());
            }
            assert!(peak > 900 && peak <= 1000, "peak {peak}");
        }
    }
}

/// Rule: clients that are equally busy end with equal shares, whoever was first.
#[test]
fn equal_clients_get_equal_shares() {
    let mut cache = Cache::new(900, &[0, 0, 0]);
    for _ in 0..900 {
        assert!(cache.miss(0, 1, false));
    }
    for _ in 0..2000 {
        for i in 0..3 {
            assert!(cache.miss(i, 1, false));
        }
    }
    for c in cache.seen() {
        assert!((299..=301).contains(&c.used_bytes), "{:?}", cache.seen());
    }
}

/// Rule: an idle client gives way to a busy one, more the longer it is idle, and not below its
/// floor.
#[test]
fn idle_clients_shrink_but_keep_their_floor() {
    let mut left = Vec::new();
    for idle_seconds in [0, 10, 1000, 1_000_000] {
        let mut cache = Cache::new(1000, &[20, 0]);
        for _ in 0..1000 - cache.global.bytes() {
            assert!(cache.miss(0, 1, false));
        }
        cache.clients[0].1.idle_seconds = idle_seconds;
        for _ in 0..5000 {
            assert!(cache.miss(1, 1, false));
        }
        left.push(cache.seen()[0].used_bytes);
    }
    assert!(left.windows(2).all(|w| w[1] < w[0]), "{left:?}");
    assert!(left[0] >= 500 && left[2] <= 150 && left[3] > 20, "{left:?}");
}

/// Rule: when nothing is evictable the request is refused, and the limit still holds.
#[test]
fn nothing_evictable_is_said_so() {
    let mut cache = Cache::new(100, &[0, 0]);
    for _ in 0..100 {
        assert!(cache.miss(0, 1, true));
    }
    cache.clients[0].1.evictable_bytes = 0;
    assert!(!cache.miss(1, 1, true));
    assert_eq!(cache.global.bytes(), 100);
    assert_eq!(cache.clients[1].0.bytes(), 0);
}

/// Rule: reserves beyond the limit are charged all the same, and then nothing else is admitted.
#[test]
fn reserves_are_never_refused() {
    let mut cache = Cache::new(100, &[80, 80]);
    assert_eq!(cache.global.bytes(), 160);
    assert!(!cache.miss(0, 1, true));
    assert_eq!(cache.global.bytes(), 160);
}

proptest! {
    /// Rule: a refused charge changes nothing and names what is missing; an accepted one stays
    /// within.
    #[test]
    fn charges_stay_within(
        limit in 0..2000u64, ops in proptest::collection::vec((any::<bool>(), 0..500u64), 1..50),
    ) {
        let usage = Usage::new(Plain::default());
        let mut model = 0u64;
        for (charge, bytes) in ops {
            if charge {
                let expected = if model + bytes <= limit {
                    model += bytes;
                    Ok(())
                } else {
                    Err(model + bytes - limit)
                };
                prop_assert_eq!(usage.charge(bytes, limit), expected);
            } else {
                prop_assert_eq!(usage.uncharge(bytes), model >= bytes);
                model = model.saturating_sub(bytes);
            }
            prop_assert_eq!(usage.bytes(), model);
        }
    }

    /// Rule: both counters are charged or none is.
    #[test]
    fn admission_is_whole(
        g in 0..100u64, gl in 0..100u64, c in 0..100u64, cl in 0..100u64, bytes in 0..50u64,
    ) {
        let (global, client) = (Usage::new(Plain::default()), Usage::new(Plain::default()));
        global.force(g);
        client.force(c);
        let result = admit(&global, gl, &client, cl, bytes);
        let expected = if c + bytes > cl {
            Err(Refused::Client { short_bytes: c + bytes - cl })
        } else if g + bytes > gl {
            Err(Refused::Global { short_bytes: g + bytes - gl })
        } else {
            Ok(())
        };
        prop_assert_eq!(result, expected);
        let added = if expected.is_ok() { bytes } else { 0 };
        prop_assert_eq!((global.bytes(), client.bytes()), (g + added, c + added));
    }

    /// Rules: who has nothing to spare is never chosen; if anyone has, someone is; more bytes above
    /// the floor and more idle time never make a client less likely; what is asked for can be
    /// given.
    #[test]
    fn choice_is_sound(clients in proptest::collection::vec(client(), 0..8), want in 0..2000u64) {
        let spare = |c: &Client| c.used_bytes.saturating_sub(c.floor_bytes).min(c.evictable_bytes);
        match choose(clients.iter().copied(), want) {
            None => prop_assert!(clients.iter().all(|c| spare(c) == 0)),
            Some(victim) => {
                let v = clients[victim.index];
                prop_assert_eq!(victim.bytes, spare(&v).min(want.max(1)));
                prop_assert!(victim.bytes > 0);
                for c in clients.iter().filter(|c| spare(c) > 0) {
                    let above = |c: &Client| c.used_bytes - c.floor_bytes;
                    let better = above(c) > above(&v) && c.idle_seconds >= v.idle_seconds
                        || above(c) >= above(&v) && c.idle_seconds > 2 * v.idle_seconds + 1;
                    prop_assert!(!better, "chose {:?} over {:?}", v, c);
                }
            }
        }
    }

    /// Rule: a shrinker gets no more than what is above both floors.
    #[test]
    fn shrinker_leaves_what_is_retained(c in client(), retain in 0..1000u64) {
        let left = c.used_bytes.saturating_sub(c.floor_bytes.max(retain));
        prop_assert_eq!(shrinkable_bytes(&c, retain), left.min(c.evictable_bytes));
    }

    /// Rule: what is missing is evicted in one go, and a 64th of the limit at least.
    #[test]
    fn batches_cover_what_is_missing(short in 0..10_000u64, limit in 0..100_000u64) {
        let batch = batch_bytes(short, limit);
        prop_assert!(batch >= short && batch >= limit / 64);
        prop_assert!(batch == short || batch == limit / 64);
    }

    /// Rule: headers count, and sums without representation are refused.
    #[test]
    fn headers_count(block in 0..usize::MAX, header in 0..4096usize, aux in 0..4096usize) {
        let sum = block as u128 + header as u128 + aux as u128;
        let expected = usize::try_from(sum).ok().map(|s| s as u64);
        prop_assert_eq!(buffer_bytes(block, header, aux), expected);
    }
}

/// Rule: extremes neither panic nor wrap.
#[test]
fn extremes() {
    let c = Client {
        used_bytes: u64::MAX,
        evictable_bytes: u64::MAX,
        floor_bytes: 0,
        idle_seconds: u64::MAX,
    };
    assert_eq!(
        choose([c, c].into_iter(), u64::MAX).map(|v| v.bytes),
        Some(u64::MAX)
    );
    let usage = Usage::new(Plain::default());
    usage.force(u64::MAX);
    usage.force(1);
    assert_eq!(usage.bytes(), u64::MAX);
    assert_eq!(usage.charge(1, u64::MAX), Err(1));
    assert_eq!(default_limit_bytes(u64::MAX, u64::MAX), u64::MAX / 50);
    assert_eq!(default_limit_bytes(1000, 40), 10);
}
