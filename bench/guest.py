#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Guest side of scripts/bench: measures, and prints one JSON object for each row.

Usage: bench/guest.py icount|free|targets [--quick]

A row: {"id", "unit", "theirs": [...], "ours": [...]}. The samples of both come
from this boot, taken in turns. Names, goals and verdicts are report.py's.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time

BUILD = os.environ["MEMSCOPE_BUILD"]
FILES = "/sys/kernel/debug/memscope_bench/"
RAM, OTHER, NULL = "/dev/ram0", "/dev/ram1", "/dev/nullb0"
MODULES = {"dm": "dm_bufio", "memscope": "memscope"}
MAX_BYTES = 1 << 30


def sh(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(text))


def emit(row, theirs, ours, unit, **more):
    if not isinstance(theirs, list):
        theirs, ours = [theirs], [ours]
    print(json.dumps({"id": row, "unit": unit, "theirs": theirs, "ours": ours, **more}), flush=True)


def case(cache, name, **args):
    """One case of the bench module: its figures."""
    words = [cache, name] + [f"{key}={value}" for key, value in args.items()]
    write(FILES + "run", " ".join(words))
    with open(FILES + "result", encoding="ascii") as f:
        return {key: int(value) for key, value in (line.split() for line in f)}


def limit(size):
    for module in MODULES.values():
        write(f"/sys/module/{module}/parameters/max_cache_size_bytes", size)


def turns_of(turns, take):
    """What take(cache) gives for each cache, in turns."""
    found = [[take(cache) for cache in MODULES] for _ in range(turns)]
    return tuple(map(list, zip(*found)))


def calls(*args):
    out = subprocess.run([f"{BUILD}/bench/calls", *map(str, args)], check=True, capture_output=True, text=True).stdout
    return {key: int(value) / 1000 for key, value in (line.split() for line in out.splitlines())}


def set_up(mib):
    sh("modprobe", "-a", "dm-mod", "dm-bufio")
    sh("modprobe", "brd", "rd_nr=2", f"rd_size={mib << 10}")
    sh("modprobe", "null_blk", "nr_devices=1", "queue_mode=2", "gb=64", "bs=512", "memory_backed=0", "irqmode=0")
    sh("insmod", f"{BUILD}/ext/bench/memscope_bench.ko")
    # Where a program's memory is decides how many page tables a call makes.
    write("/proc/sys/kernel/randomize_va_space", 0)
    # A RAM disk's pages are there from the first write on.
    for dev in (RAM, OTHER):
        sh("dd", "if=/dev/zero", f"of={dev}", "bs=1M", f"count={mib}", "status=none")
    # Free pages that a CPU keeps for itself do not count as free.
    write("/proc/sys/vm/percpu_pagelist_high_fraction", 100000)
    limit(MAX_BYTES)


# --- instructions ----------------------------------------------------------------


# Where other work of the kernel comes in between, now and then: the least of so many is without it.
TURNS = 5


def least(row, found, figure, scale=1000):
    """Of the figures of each side's turns."""
    theirs, ours = (min(got[figure] for got in side) / scale for side in found)
    emit(row, theirs, ours, "instructions")


def both(row, name, figure="median_ps", turns=1, **args):
    """A case on each cache."""
    least(row, turns_of(turns, lambda cache: case(cache, name, **args)), figure)


def icount(quick):
    both("hit_1", "hit", dev=NULL, blocks=1)
    both("hit_512", "hit", dev=NULL, blocks=512)
    both("miss", "miss", dev=RAM)
    both("writeback_adjacent", "writeback", turns=TURNS, dev=NULL, n=512)
    both("new_dirty", "new_dirty", turns=3 * TURNS, dev=NULL)
    both("redirty", "redirty", dev=NULL)
    both("prefetch", "prefetch", dev=RAM)
    scope = case("scope", "cost")
    empty = scope["empty_ps"]
    for row, theirs, ours in (
        ("scope", "inline_ps", "memscope_ps"),
        ("scope_nested", "inline_nested_ps", "memscope_nested_ps"),
        ("scope_variable", "inline_ps", "memscope_variable_ps"),
    ):
        # Whole instructions: the clock rounds to a few nanoseconds over all iterations.
        emit(row, round((scope[theirs] - empty) / 1000), round((scope[ours] - empty) / 1000), "instructions")
    one = calls("set")
    emit("ioctl_set", one["prctl_set_ps"], one["ioctl_set_ps"], "instructions")
    emit("ioctl_get", one["prctl_get_ps"], one["ioctl_get_ps"], "instructions")
    emit("ioctl_unknown", one["getppid_ps"], one["unknown_ioctl_ps"], "instructions")
    both("writeback_scattered", "writeback", turns=TURNS, dev=NULL, n=512, stride=8)
    both("lock_miss", "lock_held", "held_ps", turns=TURNS, dev=RAM)
    both("miss_null", "miss", dev=NULL)
    if quick:
        return

    both("writeback_adjacent_brd", "writeback", dev=RAM, n=512)
    limit(8 << 20)
    both("miss_evict", "miss", turns=9, dev=RAM, fill=4096)
    both("thrash", "thrash", turns=3 * TURNS, dev=RAM, blocks=4096)
    limit(MAX_BYTES)
    for size, n, rounds in ((512, 256, 16), (3072, 256, 16), (65536, 32, 4), (1 << 20, 8, 4)):
        both(f"hit_bs_{size}", "hit", dev=NULL, bs=size, blocks=16)
        both(f"miss_bs_{size}", "miss", turns=TURNS, dev=RAM, bs=size, n=n, rounds=rounds)
    for n in (1, 10, 100, 1000):
        found = turns_of(TURNS if n <= 100 else 1, lambda cache, n=n: case(cache, "clients", dev=NULL, clients=n))
        for what, figure in (("hit", "median_ps"), ("miss", "miss_ps"), ("create", "create_ps")):
            least(f"clients_{what}_{n}", found, figure)
    for n in (1000, 10000, 100000, 1000000):
        both(f"buffers_{n}", "hit", dev=NULL, bs=512, blocks=n)
    # Before any mark: the probes stay a while after the last.
    found = [calls("fault") for _ in range(TURNS)]
    for row in ("fault_beside", "fault_counted"):
        emit(row, *(min(got[figure] for got in found) / 256 for figure in ("fault_idle_ps", f"{row}_ps")), "instructions")
    for n in (1, 4, 16, 64, 256, 1024):
        got = calls("mark", n)
        emit(f"mark_{n}", got["prctl_each_ps"], got["mark_ps"], "ns")
    got = calls("write", "/dev/shm/bench")
    emit("scoped_write", got["pwrite_ps"], got["scoped_write_ps"], "instructions")
    emit("marked_write", got["pwrite_ps"], got["marked_write_ps"], "instructions")
    found = [calls("threads") for _ in range(TURNS)]
    emit("thread_held", *(min(got[figure] for got in found) for figure in ("thread_idle_ps", "thread_held_ps")), "instructions")


# --- throughput --------------------------------------------------------------------


# Many short turns: what else this machine does then disturbs some of them, and not the median.
def rates(row, turns, dirties=None, **args):
    """Operations a second, in turns; more is better. Of the dirtiers in a row of their own."""
    theirs, ours = turns_of(turns, lambda cache: case(cache, "throughput", **args))
    for name, figure in ((row, "reads_per_ks"), (dirties, "dirties_per_ks")):
        if name:
            emit(name, *([got[figure] / 1000 for got in side] for side in (theirs, ours)), "1/s")


def scaling(row, turns, readers=0, **args):
    """What the second CPU gives: the same load on one and on two, between two turns of a loop that shares nothing."""
    args = {"dev": NULL, **args}
    loads = {
        "machine": ("memscope", {"dev": NULL, "control": 1, "ms": args["ms"], "rounds": args["rounds"]}, 0),
        "dm": ("dm", args, readers),
        "memscope": ("memscope", args, readers),
    }

    def factor(name):
        cache, words, threads = loads[name]
        one, two = (case(cache, "throughput", readers=threads or cpus, cpus=cpus, **words)["reads_per_ks"]
                    for cpus in (1, 2))
        return two / one

    found = {name: [] for name in loads}
    for _ in range(turns):
        for name, factors in found.items():
            factors.append(factor(name))
    machine = found["machine"] + [factor("machine")]
    emit(row, found["dm"], found["memscope"], "x", machine=[(a + b) / 2 for a, b in zip(machine, machine[1:])])


def reclaimable():
    """Page cache that is refilled all the time, until the function that this returns is called."""
    end = threading.Event()

    def read():
        while not end.is_set():
            # Of a RAM disk: nothing waits for a device outside of this machine.
            with open(OTHER, "rb") as f:
                while not end.is_set() and f.read(1 << 20):
                    pass

    thread = threading.Thread(target=read)
    thread.start()
    return lambda: (end.set(), thread.join())


def latencies(turns):
    found = {cache: [] for cache in MODULES}
    write("/proc/self/oom_score_adj", -1000)
    with open("/proc/zoneinfo", encoding="ascii") as f:
        low = sum(int(n) for n in re.findall(r"^\s+low\s+(\d+)", f.read(), re.MULTILINE))
    stop = reclaimable()
    try:
        for _ in range(turns):
            for cache, samples in found.items():
                samples.append(case(cache, "pressure", dev=RAM, leave=low, ms=700, blocks=32768))
    finally:
        stop()
    theirs, ours = found["dm"], found["memscope"]
    # A thousandth of the waits is less than one.
    for what, quantiles in (("read", ("p50", "p99", "p999", "max")), ("wait", ("p50", "p99", "max"))):
        for q in quantiles:
            figure = f"{what}_{q}_ns"
            emit(f"pressure_{what}_{q}", [s[figure] for s in theirs], [s[figure] for s in ours], "ns")
    figure = "reads_per_ks"
    emit("pressure_reads", [s[figure] / 1000 for s in theirs], [s[figure] / 1000 for s in ours], "1/s")


def tested(cache, line):
    """A case of the test modules: its rows and figures."""
    files = f"/sys/kernel/debug/bufio_test_{cache}/"
    write(files + "run", line)
    found = {}
    with open(files + "result", encoding="ascii") as f:
        for words in map(str.split, f):
            if words and words[0] in ("row", "own", "theirs", "fig"):
                found[words[1].split(".", 1)[1]] = int(words[2])
    return found


def counts():
    """What is counted, not timed: by the modules of selftests/bufio."""
    sh("insmod", f"{BUILD}/ext/bufio/dm_bufio_test.ko")
    sh("insmod", f"{BUILD}/ext/bufio/memscope_bufio_test.ko")
    peak, reclaim = {}, {}
    for cache in MODULES:
        got = tested(cache, f"w1_limit dev={RAM} limit=4194304 blocks=20000 timeout=120")
        peak[cache] = max(0, got["peak_with_idle_bytes"] - got["limit_bytes"])
    emit("over_limit", peak["dm"], peak["memscope"], "bytes")
    stop = reclaimable()
    try:
        for cache in MODULES:
            got = tested(cache, f"pressure_global dev={RAM} seconds=5 timeout=120")
            reclaim[cache] = got["reclaim_with_mutex"] + got["reclaim_in_atomic"]
            # Nothing is shown by a run without reclaim by the cache itself, or by a probe that sees no lock.
            blind = [what for what, wanted in (("tracepoints", 2), ("probe_sees_spin_lock", 2), ("reclaim_from_cache", 1))
                     if got[what] < wanted]
            if cache == "dm" and got["probe_sees_mutex"] < 1:
                blind.append("probe_sees_mutex")
            if blind:
                sys.exit(f"locked_reclaim on {cache} would show nothing: {', '.join(blind)}")
    finally:
        stop()
    emit("locked_reclaim", reclaim["dm"], reclaim["memscope"], "times")


def memory(cache):
    """Bytes beside each cached block."""
    return case(cache, "memory", dev=NULL, n=131072)["each_mb"] / 1000


def free(quick):
    turns = 5 if quick else 21
    write("/proc/sys/vm/drop_caches", 3)
    # Not before the first of all, which finds more pages that are not counted as free.
    turns_of(1, memory)
    theirs, ours = turns_of(7, memory)
    emit("memory", theirs, ours, "bytes")
    rates("throughput_1", turns, dev=NULL, blocks=1, readers=2, cpus=2, ms=60)
    rates("throughput_512", turns, dev=NULL, blocks=512, readers=2, cpus=2, ms=60)
    rates("hotspot", turns, dirties="hotspot_dirties", dev=NULL, blocks=64, readers=16, dirtiers=1, ms=150)
    # What is judged more often: two CPUs of this machine are disturbed more than one.
    scaling("scaling_1", turns, blocks=1, ms=50, rounds=3)
    scaling("scaling_hotspot", turns, blocks=64, dirtiers=1, ms=60, rounds=3, readers=16)
    scaling("scaling_512", turns // 3, blocks=512, ms=50, rounds=3)
    scaling("scaling_own", turns // 3, blocks=512, own=1, ms=50, rounds=3)
    latencies(3)
    counts()


# --- whole targets -------------------------------------------------------------------


# Small: verity's hashes are made with instructions that are emulated.
TARGET_MIB = 16
TARGET_TURNS = 3
TARGETS = {"verity": "dm-verity", "integrity": "dm-integrity", "thin": "dm-thin-pool"}


def use(cache):
    """Loads the targets on a cache."""
    for module in (*TARGETS.values(), "dm-persistent-data"):
        subprocess.run(["modprobe", "-r", module], check=False, stderr=subprocess.DEVNULL)
    config = "/run/modprobe.d/memscope-dm-bufio.conf"
    if cache == "dm":
        subprocess.run(["rmmod", "memscope_dm_bufio"], check=False, stderr=subprocess.DEVNULL)
        if os.path.exists(config):
            os.remove(config)
    else:
        subprocess.run(["modprobe", "-r", "dm-bufio"], check=False, stderr=subprocess.DEVNULL)
        sh("modprobe", "dm-mod")
        sh("insmod", f"{BUILD}/memscope-dm-bufio.ko")
        os.makedirs(os.path.dirname(config), exist_ok=True)
        write(config, "install dm_bufio /bin/true\n")
    sh("modprobe", "-a", *TARGETS.values())
    holder = "dm_bufio" if cache == "dm" else "memscope_dm_bufio"
    for module in ("dm_verity", "dm_integrity", "dm_persistent_data"):
        if not os.path.exists(f"/sys/module/{holder}/holders/{module}"):
            sys.exit(f"{module} is not on {holder}")


def sectors(dev):
    with open(f"/sys/block/{os.path.basename(dev)}/size", encoding="ascii") as f:
        return int(f.read())


def wipe(dev):
    sh("dd", "if=/dev/zero", f"of={dev}", "bs=1M", f"count={TARGET_MIB}", "status=none")


def dm_create(name, table, *options):
    sh("dmsetup", "create", name, "--table", table, *options)


def up(target, root):
    if target == "verity":
        blocks = sectors("/dev/ram0") // 8
        table = f"0 {8 * blocks} verity 1 /dev/ram0 /dev/ram1 4096 4096 {blocks} 0 sha256 {root} -"
        dm_create("t", table, "--readonly")
    elif target == "integrity":
        wipe("/dev/ram2")
        dm_create("t", "0 8 integrity /dev/ram2 0 - D 1 internal_hash:crc32c")
        sh("dmsetup", "remove", "t")
        with open("/dev/ram2", "rb") as f:
            data = int.from_bytes(f.read(24)[16:24], "little")
        dm_create("t", f"0 {data} integrity /dev/ram2 0 - D 1 internal_hash:crc32c")
        sh("dd", "if=/dev/zero", "of=/dev/mapper/t", "bs=1M", f"count={data // 2048}", "oflag=direct", "status=none")
    else:
        wipe("/dev/ram1")
        dm_create("pool", f"0 {sectors('/dev/ram2')} thin-pool /dev/ram1 /dev/ram2 128 0")
        sh("dmsetup", "message", "pool", "0", "create_thin 0")
        dm_create("t", "0 24576 thin /dev/mapper/pool 0")


def down(target):
    sh("dmsetup", "remove", "--retry", "t")
    if target == "thin":
        sh("dmsetup", "remove", "--retry", "pool")


def fio(target):
    """What one request takes, all threads that work for it included: there is one CPU."""
    job = {"verity": "randread", "integrity": "randwrite", "thin": "randrw"}[target]
    out = subprocess.run(
        ["fio", "--name=t", "--filename=/dev/mapper/t", f"--rw={job}", "--bs=4k", "--direct=1", "--ioengine=psync",
         "--thread", "--number_ios=4000", "--io_size=1G", "--norandommap", "--randseed=1", "--output-format=json"],
        check=True, capture_output=True, text=True,
    ).stdout
    found = json.loads(out[out.index("{"):])["jobs"][0]
    total = found["read"]["total_ios"] + found["write"]["total_ios"]
    return found["job_runtime"] * 1e6 / total


def targets(_quick):
    os.environ["DM_DISABLE_UDEV"] = "1"
    sh("modprobe", "brd", "rd_nr=3", f"rd_size={TARGET_MIB << 10}")
    sh("modprobe", "dm-mod")
    # Verity over data whose blocks differ; its hashes are on another device.
    sh("dd", "if=/dev/urandom", "of=/dev/ram0", "bs=1M", f"count={TARGET_MIB}", "status=none")
    wipe("/dev/ram1")
    out = subprocess.run(
        ["veritysetup", "format", "--no-superblock", "--salt=-", "/dev/ram0", "/dev/ram1"],
        check=True, capture_output=True, text=True,
    ).stdout
    root = re.search(r"Root hash:\s+([0-9a-f]+)", out).group(1)
    with open("/dev/ram1", "rb") as f:
        hashes = f.read(4 << 20)
    found = {target: {cache: [] for cache in MODULES} for target in TARGETS}
    for _ in range(TARGET_TURNS):
        for cache in MODULES:
            use(cache)
            for target in TARGETS:
                if target == "verity":
                    with open("/dev/ram1", "wb") as f:
                        f.write(hashes)
                up(target, root)
                found[target][cache].append(fio(target))
                down(target)
    for target in TARGETS:
        emit(f"fio_{target}", *found[target].values(), "ns")


def main():
    mode = sys.argv[1]
    quick = "--quick" in sys.argv
    start = time.monotonic()
    print(json.dumps({"kernel": os.uname().release}), flush=True)
    if mode != "targets":
        set_up(128)
    {"icount": icount, "free": free, "targets": targets}[mode](quick)
    print(f"{mode}: {time.monotonic() - start:.0f} s of guest time", file=sys.stderr)


main()
