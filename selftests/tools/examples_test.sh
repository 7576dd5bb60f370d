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

# example COMMAND...: serves until its input ends; the state of its threads is
# in $seen, one of each kind.
example() {
	local tid
	daemon_PID=
	coproc daemon { exec "$@"; }
	local pid=$daemon_PID in=${daemon[1]} out=${daemon[0]} line=
	read -r -t 30 line <&"$out"
	same "what it says" serving "$line" || return
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

# Nobody lives on with a mark that ended with its file.
check "none is left marked" same status "nobody is marked" "$("$memscope" status)"
finish
