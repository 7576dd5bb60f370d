#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The examples in C, Rust, Python and Go: each marks every thread of itself for
# as long as it serves.
#
# selftest: timeout=60

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
echo "TAP version 13"

served=
# example COMMAND...: serves until its input ends; the state of its threads is
# in $seen, one of each kind.
example() {
	local tid
	daemon_PID=
	coproc daemon { exec "$@"; }
	local pid=$daemon_PID in=${daemon[1]} out=${daemon[0]} line=
	served+=" $pid"
	read -r -t 300 line <&"$out"
	same "what it says" serving "$line" || return
	for tid in "/proc/$pid/task"/*; do wait_for 20 have_marks "$IO" "$pid" "${tid##*/}"; done
	seen=$(for tid in "/proc/$pid/task"/*; do marks "$pid" "${tid##*/}"; done | grep -v gone | sort -u)
	threads=$(ls "/proc/$pid/task" | wc -l)
	listed=$("$memscope" status "$pid" | grep -c "^ *$pid ")
	eval "exec $in>&-"
	wait "$pid"
}
marked() {
	example "$@" || return
	same "marks of its threads" "$IO" "$seen" && same "rows of the status" 1 "$listed" &&
		{ [ "$threads" -gt 1 ] || { echo "# it has one thread"; return 1; }; }
}
check "C" marked "$tools/examples/daemon-c"
check "Rust" marked "$tools/examples/daemon-rs"
check "Python" marked python3 "$tools/examples/daemon.py"
check "Go" marked "$tools/examples/daemon-go"

# README.md shows lines of them.
readme() { python3 - "$tools/../.." <<'END'
import re, sys
top = sys.argv[1]
examples = {"c": "tools/examples/daemon.c", "rust": "tools/client/examples/daemon.rs",
            "python": "tools/examples/daemon.py"}
with open(f"{top}/README.md", encoding="utf-8") as f:
    text = f.read()
section = text[text.index("## In a daemon"):]
section = section[:section.index("\n## ")]
blocks = re.findall(r"```(\w+)\n(.*?)```", section, re.S)
assert sorted(name for name, _ in blocks) == sorted(examples), blocks
for name, block in blocks:
    with open(f"{top}/{examples[name]}", encoding="utf-8") as f:
        lines = {line.strip() for line in f}
    for line in block.splitlines():
        if line.strip() not in lines:
            sys.exit(f"# README.md, {name}: not in {examples[name]}: {line}")
END
}
check "README.md shows what they do" readme

# Nobody lives on with a mark that ended with its file.
# shellcheck disable=SC2086 # words
check "none is left marked" same status "nobody is marked" "$("$memscope" status $served)"
finish
