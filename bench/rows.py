# SPDX-License-Identifier: GPL-2.0
"""What the measured rows mean: names, goals, and which chart they are in.

The goals are those of the project's design; a row without a goal is shown and not judged.
"""

from dataclasses import dataclass

DM = "dm-bufio"


@dataclass(frozen=True)
class Row:
    """One row.

    value: what the goal is about: "ratio" (ours / theirs), "extra" (ours - theirs), "ours", or
        "second" (ours, or where this machine has no two whole CPUs to give, as much of what it has).
    goal: a number with how it is meant: ("at most", 0.35).
    mode: how it was measured: icount, free or targets.
    """

    name: str
    against: str
    chart: str
    goal: tuple | None = None
    value: str = "ratio"
    better: str = "less"


def at_most(n):
    return ("at most", n)


def at_least(n):
    return ("at least", n)


ROWS = {
    # The table of goals.
    "hit_1": Row("hit: get + release, one hot block", DM, "hits", at_most(0.35)),
    "hit_512": Row("hit: get + release, 512 blocks at random", DM, "hits", at_most(0.35)),
    "throughput_1": Row("hits a second on 2 CPUs, one hot block", DM, "throughput", at_least(2), better="more"),
    "throughput_512": Row("hits a second on 2 CPUs, 512 blocks", DM, "throughput", at_least(2), better="more"),
    "hotspot": Row("hotspot: reads a second, 16 readers and 1 dirtier", DM, "throughput", at_least(2), better="more"),
    "hotspot_dirties": Row("hotspot: blocks made dirty a second, meanwhile", DM, "throughput", better="more"),
    "scaling_1": Row("hits on 2 CPUs, times those on 1, one hot block", DM, "throughput", at_least(1.85), "second", "more"),
    "scaling_hotspot": Row("hotspot: reads on 2 CPUs, times those on 1", DM, "throughput", at_least(1.85), "second", "more"),
    "scaling_512": Row("hits on 2 CPUs, times those on 1, 512 blocks", DM, "throughput", None, "second", "more"),
    # Nobody shares a block.
    "scaling_own": Row("hits on 2 CPUs, times those on 1, each with a client of its own", DM, "throughput", None, "second", "more"),
    "miss": Row("miss: allocate, read from a RAM disk", DM, "misses", at_most(0.9)),
    "writeback_adjacent": Row("write-back of 512 adjacent dirty 4 KiB blocks", DM, "dirty", at_most(0.5)),
    "memory": Row("bytes beside each cached 4 KiB block", "struct dm_buffer", "memory", at_most(1.0)),
    "scope": Row("scope: enter + leave", "memalloc_noio_save/restore", "scopes", at_most(10), "extra"),
    "ioctl_set": Row("ioctl: set flusher", "prctl", "calls", at_most(1.1)),
    "over_limit": Row("bytes over the limit, beside an idle client", DM, "counts", at_most(0), "ours"),
    "locked_reclaim": Row("direct reclaim entered with a client's lock held", DM, "counts", at_most(0), "ours"),
    # The rest.
    "thrash": Row("reads over twice what the cache may hold", DM, "hits"),
    "miss_null": Row("miss: allocate, read from a device that copies nothing", DM, "misses"),
    "miss_evict": Row("miss in a full cache: evict, read from a RAM disk", DM, "misses"),
    "prefetch": Row("prefetch of 1,024 blocks, and their first use", DM, "misses"),
    "new_dirty": Row("new + dirty + release", DM, "dirty"),
    "redirty": Row("marking a dirty buffer dirty", DM, "dirty"),
    "writeback_adjacent_brd": Row("write-back of 512 adjacent blocks, RAM disk", DM, "dirty"),
    "writeback_scattered": Row("write-back of 512 scattered blocks", DM, "dirty"),
    "scope_nested": Row("two scopes, nested", "the inlines, nested", "scopes", at_most(20), "extra"),
    "scope_variable": Row("scope of kinds that the compiler does not know", "memalloc_noio_save/restore", "scopes"),
    "ioctl_get": Row("ioctl: get flusher", "prctl", "calls", at_most(1.1)),
    "ioctl_unknown": Row("an unknown ioctl", "getppid", "calls"),
    "scoped_write": Row("4 KiB write under a scope, one ioctl", "pwrite", "calls"),
    "marked_write": Row("4 KiB write with scopes set and set back around it", "pwrite", "calls"),
    "thread_held": Row("making a thread in a held process", "one that is not held", "calls"),
    "fault_beside": Row("page fault, while another thread is held and counted", "nobody is", "calls"),
    "fault_counted": Row("page fault of a thread that is held and counted", "nobody is", "calls"),
    "lock_miss": Row("miss: with the client's lock held", DM, "locks"),
    "pressure_reads": Row("reads a second under memory pressure", DM, "latency", better="more"),
}
for _size, _name in ((512, "512 B"), (3072, "3 KiB"), (65536, "64 KiB"), (1 << 20, "1 MiB")):
    ROWS[f"hit_bs_{_size}"] = Row(f"hit, blocks of {_name}", DM, "sizes")
    ROWS[f"miss_bs_{_size}"] = Row(f"miss, blocks of {_name}, RAM disk", DM, "sizes")
for _n in (1, 10, 100, 1000):
    ROWS[f"clients_hit_{_n}"] = Row(f"hit, {_n:,} client{'s' * (_n > 1)}", DM, "clients")
    ROWS[f"clients_miss_{_n}"] = Row(f"miss, {_n:,} client{'s' * (_n > 1)}", DM, "clients")
    ROWS[f"clients_create_{_n}"] = Row(f"creating one of {_n:,} client{'s' * (_n > 1)}", DM, "clients")
for _n in (1000, 10000, 100000, 1000000):
    ROWS[f"buffers_{_n}"] = Row(f"hit, {_n:,} cached blocks", DM, "buffers")
for _n in (1, 4, 16, 64, 256, 1024):
    ROWS[f"mark_{_n}"] = Row(f"marking {_n:,} thread{'s' * (_n > 1)}, for each", "each calls prctl", "marks")
for _what, _name in (("read", "allocation and read"), ("wait", "forget of an absent block meanwhile")):
    for _q, _of in (("p50", "median"), ("p99", "99 %"), ("p999", "99.9 %"), ("max", "longest")):
        ROWS[f"pressure_{_what}_{_q}"] = Row(f"{_name} under memory pressure: {_of}", DM, "latency")
for _target in ("verity", "integrity", "thin"):
    ROWS[f"fio_{_target}"] = Row(f"fio on dm-{_target}: a request of 4 KiB", f"dm-{_target} on dm-bufio", "targets")

CHARTS = {
    "hits": "Hits",
    "throughput": "Throughput",
    "misses": "Misses",
    "dirty": "Dirty blocks",
    "memory": "Memory",
    "sizes": "Block sizes",
    "clients": "Clients",
    "buffers": "Cached blocks",
    "latency": "Under memory pressure",
    "counts": "Limits and reclaim",
    "locks": "Under a client's lock",
    "scopes": "Scopes",
    "calls": "Calls",
    "marks": "Marking threads",
    "targets": "Whole targets",
}
