#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Host side of scripts/bench: judges the rows, and writes the report.

Usage: bench/report.py show FILE...            the table
       bench/report.py write FILE...           the table, results.json, docs/performance
       bench/report.py same FILE FILE          do two runs agree within 1 %?
       bench/report.py guard FILE              against baseline.json, within 5 %?
       bench/report.py update-baseline FILE
FILE has what guest.py printed.
"""

import json
import math
import os
import sys
from statistics import median

import svg
from rows import CHARTS, ROWS

HERE = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(os.path.dirname(HERE), "docs", "performance")
BASELINE = os.path.join(HERE, "baseline.json")
SAME, GUARD = 0.01, 0.05
# What is short beside the rest, or waits for a device or a tick: not held to SAME.
LOOSE = ("pressure_", "mark_")
# From here on a loop that shares nothing had two whole CPUs.
WHOLE = 1.95
# With less, even a share of it says nothing.
HALF = 1.5


def load(files):
    """The judged rows, and the kernel that they are of."""
    found, kernel = [], None
    for name in files:
        rows = {}
        with open(name, encoding="ascii") as f:
            for row in map(json.loads, f):
                if "kernel" in row:
                    kernel = row["kernel"]
                else:
                    rows.setdefault(row["id"], []).append(row)
        found += [judged(least(boots), os.path.basename(name).split(".")[0]) for boots in rows.values()]
    return found, kernel


def least(boots):
    """One row of those of several boots."""
    if len(boots) == 1:
        return boots[0]
    return boots[0] | {side: [min(boot[side][0] for boot in boots)] for side in ("theirs", "ours")}


def judged(raw, mode):
    row = ROWS[raw["id"]]
    theirs, ours = median(raw["theirs"]), median(raw["ours"])
    ratios = [o / t for o, t in zip(raw["ours"], raw["theirs"]) if t]
    ratio = median(ratios) if ratios else float(ours > 0)
    value = {"ratio": ratio, "extra": ours - theirs, "ours": ours, "second": ours}[row.value]
    machine = share = met = None
    by_share = False
    if "machine" in raw:
        machine = median(raw["machine"])
        share = median(2 * o / m for o, m in zip(raw["ours"], raw["machine"]))
    if row.goal:
        met = meets(value, row.goal)
        if not met and row.value == "second" and machine < WHOLE:
            by_share = machine >= HALF and meets(share, row.goal)
            met = by_share or (None if machine < HALF else False)
    return {
        "id": raw["id"],
        "name": row.name,
        "against": row.against,
        "unit": raw["unit"],
        "theirs": theirs,
        "ours": ours,
        "ratio": round(ratio, 4),
        "spread": [round(min(ratios), 4), round(max(ratios), 4)] if len(ratios) > 1 else None,
        "judged": row.value,
        "value": round(value, 4),
        "goal": row.goal[1] if row.goal else None,
        "goal_is": row.goal[0] if row.goal else None,
        "met": met,
        "met_by_share": by_share,
        "machine": machine and round(machine, 4),
        "share": share and round(share, 4),
        "better": row.better,
        "mode": mode,
    }


def meets(value, goal):
    return value <= goal[1] if goal[0] == "at most" else value >= goal[1]


def number(n):
    return f"{n:,.0f}" if abs(n) >= 100 else f"{n:.3g}"


def figure(row):
    """What the goal is about, as text."""
    if row["judged"] == "extra":
        return f"{row['value']:+.0f}"
    if row["judged"] == "ours":
        return number(row["value"])
    if row["judged"] == "second":
        return f"{row['ours']:.2f} ({row['share']:.2f} of 2)"
    return f"{row['ratio']:.3f}x"


def spread(row):
    return "" if not row["spread"] else f"{row['spread'][0]:.2f} to {row['spread'][1]:.2f}"


def goal(row):
    if row["goal"] is None:
        return ""
    return ("<= " if row["goal_is"] == "at most" else ">= ") + f"{row['goal']:g}"


def verdict(row):
    if row["met_by_share"]:
        return f"met, of the {row['machine']:.2f} that this machine has"
    if row["met"] is None and row["goal"] is not None:
        return f"UNDECIDED: this machine has {row['machine']:.2f} CPUs for it"
    return {None: "", True: "met", False: "SHORT"}[row["met"]]


def table(rows):
    lines = [("what", "against", "theirs", "ours", "unit", "measured", "spread", "goal", "verdict")]
    for row in rows:
        lines.append((row["name"], row["against"], number(row["theirs"]), number(row["ours"]), row["unit"],
                      figure(row), spread(row), goal(row), verdict(row)))
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    right = {2, 3, 5}
    for line in lines:
        print("  ".join(c.rjust(w) if i in right else c.ljust(w)
                        for i, (c, w) in enumerate(zip(line, width))).rstrip())


def show(files):
    """Prints the table. Returns the rows, the kernel, and whether a goal was missed."""
    rows, kernel = load(files)
    goals = [row for row in rows if row["goal"] is not None]
    table([row for row in rows if row["goal"] is None])
    if goals:
        print()
        table(goals)
        short = [row for row in goals if not row["met"]]
        print(f"\n{len(goals) - len(short)} goals met, {len(short)} not")
    return rows, kernel, any(not row["met"] for row in goals)


def not_measured(rows):
    """Goals that nothing was measured for."""
    missing = [row.name for row_id, row in ROWS.items() if row.goal and row_id not in {got["id"] for got in rows}]
    for name in missing:
        print(f"NOT MEASURED: {name}")
    return missing


# --- the report page -----------------------------------------------------------------


def exponent(points):
    """The k of y = a * x ** k, by least squares over the logarithms."""
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) for _, y in points]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)


def series(rows, prefix):
    """The points (n, value) of the rows PREFIX_n, of both."""
    found = [(int(row["id"].rsplit("_", 1)[1]), row) for row in rows
             if row["id"].startswith(prefix + "_") and row["id"].rsplit("_", 1)[1].isdigit()]
    found.sort(key=lambda pair: pair[0])
    return [(n, row["theirs"]) for n, row in found], [(n, row["ours"]) for n, row in found]


def model(rows):
    """How costs grow, and what that says of sizes that were not measured."""
    by_id = {row["id"]: row for row in rows}
    lines = ["| cost of | over | dm-bufio | memscope |", "|---|---|---|---|"]
    found, nothing_shared = {}, []
    for prefix, what, over in (("buffers", "a hit", "1,000 to 1,000,000 cached blocks"),
                               ("clients_hit", "a hit", "1 to 1,000 clients"),
                               ("clients_miss", "a miss", "1 to 1,000 clients"),
                               ("clients_create", "creating a client", "1 to 1,000 clients")):
        theirs, ours = series(rows, prefix)
        if len(ours) < 2:
            continue
        found[prefix] = exponent(theirs), exponent(ours), ours
        lines.append(f"| {what} | {over} | n^{found[prefix][0]:.3f} | n^{found[prefix][1]:.3f} |")
    for row_id, what in (("scaling_1", "one hot block"), ("scaling_512", "512 blocks")):
        if row_id in by_id:
            row = by_id[row_id]
            lines.append(f"| hits a second, {what} | 1 to 2 CPUs | n^{math.log2(row['theirs']):.2f} |"
                         f" n^{math.log2(row['ours']):.2f} |")
            nothing_shared.append(f"n^{math.log2(row['machine']):.2f}")
    text = ["## How costs grow", "",
            "A cost is modelled as a * n^k; the table has the k that was measured. k = 0: the cost does not grow.",
            "For hits a second over CPUs, k = 1 is perfect, and 0 says that a second CPU gives nothing.", "", *lines, ""]
    if "buffers" in found and "memory" in by_id:
        _, k, ours = found["buffers"]
        blocks = (1 << 40) // 4096
        last, cost = ours[-1]
        each = by_id["memory"]["ours"]
        text += [f"At 1 TiB of cached 4 KiB blocks ({blocks:,}) a hit would take {cost * (blocks / last) ** k:.0f}"
                 f" instructions by this model, {cost:.0f} at {last:,} blocks, and the memory beside the blocks would"
                 f" be {each * blocks / 2**30:.1f} GiB ({each:.0f} bytes for each). Instructions are not all: at that"
                 " size each hit also misses the processor's caches, once for the chain and once for the buffer.", ""]
    if "scaling_1" in by_id and "scaling_512" in by_id:
        text += [f"A loop that shares nothing grew by {' and '.join(nothing_shared)} in these two rows: what is missing to 1"
                 " there is the machine's.", ""]
        (one, many), (their_one, their_many) = (
            [max(0.0, min(1.0, math.log2(by_id[i][side]))) for i in ("scaling_1", "scaling_512")]
            for side in ("ours", "theirs"))
        text += ["For 256 CPUs this machine says little: it has two, and one step from 1 to 2 is no law. If it were one,"
                 f" 256 CPUs would do {256 ** one:.0f} times the hits of one on a single hot block (dm-bufio"
                 f" {256 ** their_one:.0f}), and {256 ** many:.0f} times over 512 blocks (dm-bufio {256 ** their_many:.0f})."
                 " What the code says: a hit of a block that several CPUs use at once writes what is the CPU's own and"
                 " nothing else: counters, and the slot where the hold is parked. Other hits write the word of their block,"
                 " whose line of memory comes from the CPU that wrote it last, so blocks that many CPUs use by turns and"
                 " never at once do not scale; chains are read under RCU.", ""]
    return text


def page(rows, kernel):
    text = ["# Performance", "",
            "Written by `make bench`; not edited by hand. What was tried, and what it gave: [tried.md](tried.md).", "",
            f"Measured on Debian's kernel {kernel}, unmodified, in QEMU. Every row sets memscope beside what the kernel has, side",
            "by side in one guest. *instructions*: `-icount`, one CPU; each side by itself the least of three boots, which agree",
            "within 1 % where nothing else ran meanwhile; the processor is one without fast string instructions, as each step of",
            "one would count as an instruction. *1/s*, *x*: two CPUs running freely under TCG, both sides in turns, medians, and",
            "the least and the greatest ratio (or factor) of a turn.", "",
            "What a second CPU gives is measured between turns of a loop that shares nothing. *1.70 (1.89 of 2)*: 1.7 times as",
            "many on two CPUs as on one; and as that loop did 1.8 times as much in the same turns, 1.89 of the 2 that two whole",
            f"CPUs would be. A goal for the factor is met by the factor, or, where the loop itself does not reach {WHOLE}, by that",
            f"share, which the verdict then says: nothing could show the plain factor on such a machine. Below {HALF} it is open.", "",
            "The RAM disk is brd, which copies each block; where that copy would be most of what is measured, the",
            "device is null_blk without memory, and the row with the copy stands beside it.", "",
            "## Goals", "", "| what | against | theirs | ours | unit | measured | spread | goal | |",
            "|---|---|--:|--:|---|--:|---|---|---|"]
    for row in rows:
        if row["goal"] is not None:
            mark = verdict(row) if row["met"] else f"**{verdict(row)}**"
            text.append(f"| {row['name']} | {row['against']} | {number(row['theirs'])} | {number(row['ours'])} |"
                        f" {row['unit']} | {figure(row)} | {spread(row)} | {goal(row)} | {mark} |")
    text += ["", "![goals](goals.svg)", ""]
    for chart, title in CHARTS.items():
        some = [row for row in rows if ROWS[row["id"]].chart == chart]
        if not some:
            continue
        text += [f"## {title}", "", f"![{title}]({chart}.svg)", "",
                 "| what | against | theirs | ours | unit | ours / theirs | spread | goal | |", "|---|---|--:|--:|---|--:|---|---|---|"]
        text += [f"| {row['name']} | {row['against']} | {number(row['theirs'])} | {number(row['ours'])} | {row['unit']} |"
                 f" {row['ratio']:.3f} | {spread(row)} | {goal(row)} | {verdict(row)} |" for row in some]
        text.append("")
    text += model(rows)
    return "\n".join(text).rstrip() + "\n"


def charts(rows):
    """File name and text of each chart."""
    goals = [row for row in rows if row["goal"] is not None]
    yield "goals", svg.bars("Measured / goal (shorter is better; past the line is short of the goal)",
                            [(row["name"], value_of_goal(row), 1.0, row["met"]) for row in goals])
    for chart, title in CHARTS.items():
        some = [row for row in rows if ROWS[row["id"]].chart == chart]
        if chart in ("buffers", "marks"):
            theirs, ours = series(rows, "buffers" if chart == "buffers" else "mark")
            if len(ours) > 1:
                unit = some[0]["unit"]
                other = "dm-bufio" if chart == "buffers" else "prctl in each"
                yield chart, svg.lines(f"{title}: {unit}", [(other, theirs), ("memscope", ours)])
        elif some:
            bars = [(row["name"], row["ratio"], row["goal"] if row["judged"] == "ratio" else None,
                     row["met"] if row["judged"] == "ratio" else None) for row in some]
            more = all(row["better"] == "more" for row in some)
            yield chart, svg.bars(f"{title}: ours / theirs ({'longer' if more else 'shorter'} is better)", bars)


def value_of_goal(row):
    """1 at the goal, less where it is met with room."""
    value = row["share"] if row["met_by_share"] else row["value"]
    if not row["goal"]:
        return 0.0 if value <= 0 else 9.0
    return max(0.0, value / row["goal"]) if row["goal_is"] == "at most" else row["goal"] / value if value else 9.0


def save(rows, kernel):
    with open(os.path.join(HERE, "results.json"), "w", encoding="ascii") as f:
        json.dump({"kernel": kernel, "rows": rows}, f, indent=1)
        f.write("\n")
    os.makedirs(DOCS, exist_ok=True)
    for name in os.listdir(DOCS):
        if name.endswith(".svg"):
            os.remove(os.path.join(DOCS, name))
    for name, text in charts(rows):
        with open(os.path.join(DOCS, name + ".svg"), "w", encoding="utf-8") as f:
            f.write(text)
    with open(os.path.join(DOCS, "README.md"), "w", encoding="utf-8") as f:
        f.write(page(rows, kernel))
    print("bench/results.json, docs/performance/README.md")


# --- comparisons -----------------------------------------------------------------------


def same(files):
    one, two = ({row["id"]: row for row in load([name])[0] if not row["id"].startswith(LOOSE)} for name in files)
    worst, bad = 0.0, 0
    if set(one) != set(two):
        print("not the same rows:", *sorted(set(one) ^ set(two)))
        return 1
    for row_id, row in one.items():
        for side in ("theirs", "ours"):
            a, b = row[side], two[row_id][side]
            apart = abs(a - b) / max(a, b) if max(a, b) else 0.0
            worst = max(worst, apart)
            if apart > SAME:
                bad += 1
                print(f"{row['name']}, {side}: {a:.2f} and {b:.2f}: {100 * apart:.2f} % apart")
    print(f"{len(one)} rows twice: at most {100 * worst:.2f} % apart, {bad} figures more than {100 * SAME:.0f} %")
    return int(bad > 0)


def guarded(files):
    """What the guard looks at: ratios of instructions."""
    return {row["id"]: row["ratio"] for row in load(files)[0] if row["unit"] == "instructions"}


def guard(files):
    with open(BASELINE, encoding="ascii") as f:
        base = json.load(f)
    now, status = guarded(files), 0
    short = {row["id"]: goal(row) for row in load(files)[0] if row["met"] is False}
    for number_, (row_id, ratio) in enumerate(sorted(base.items()), 1):
        got = now.get(row_id)
        ok = got is not None and got <= ratio * (1 + GUARD) and row_id not in short
        status |= not ok
        print(f"{'ok' if ok else 'not ok'} {number_} {row_id} # {got} against {ratio} in baseline.json"
              + (f"; the goal is {short[row_id]}" if row_id in short else ""))
    for row_id in sorted(set(now) - set(base)):
        print(f"not ok {len(base) + 1} {row_id} # not in baseline.json: scripts/bench --update-baseline")
        status = 1
    return int(status)


def main():
    what, files = sys.argv[1], sys.argv[2:]
    if what == "show":
        return int(show(files)[2])
    elif what == "write":
        rows, kernel, short = show(files)
        missing = not_measured(rows)
        save(rows, kernel)
        return int(short or bool(missing))
    elif what == "same":
        return same(files)
    elif what == "guard":
        return guard(files)
    elif what == "update-baseline":
        with open(BASELINE, "w", encoding="ascii") as f:
            json.dump(guarded(files), f, indent=1, sort_keys=True)
            f.write("\n")
    else:
        sys.exit(__doc__)
    return 0


sys.exit(main())
