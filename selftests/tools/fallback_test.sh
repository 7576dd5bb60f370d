#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The client crate and the command where the module is not loaded: what prctl
# can do they do, the rest they refuse and say why.
#
# selftest: timeout=60 load=no

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
echo "TAP version 13"
cargo_tests "$tools/test/fallback" --test-threads=1
prefix="32 bit: "
cargo_tests "$tools/test/fallback.32" --test-threads=1
doc_examples

# The examples with a fallback: the thread that serves is marked, and what it starts.
falls_back() { # PROGRAM
	local pid in status=0
	mkfifo /tmp/in
	"$1" </tmp/in >/tmp/out 2>/tmp/error &
	pid=$!
	exec {in}>/tmp/in
	rm /tmp/in
	wait_for 20 grep -qx serving /tmp/out && same marks "$IO" "$(marks $pid)" &&
		grep -q "modprobe memscope" /tmp/error || status=1
	exec {in}>&-
	wait $pid || status=1
	return $status
}
check "a daemon in C is marked by prctl" falls_back "$tools/examples/daemon-c"
check "a daemon in Rust is marked by prctl" falls_back "$tools/examples/daemon-rs"

run_io() { same marks "$IO" "$("$memscope" run --io -- bash -c '. "$0"; marks $$' "$(dirname "$0")/lib")"; }
check "run --io marks by prctl" run_io

run_fs() {
	local status=0 error
	error=$("$memscope" run --fs -- true 2>&1) || status=$?
	same status 125 $status && [[ $error == *"modprobe memscope"* ]]
}
check "run --fs is refused, and says what to do" run_fs

if_possible() {
	local seen error
	seen=$("$memscope" run --fs --if-possible -- bash -c '. "$0"; marks $$' "$(dirname "$0")/lib" 2>/tmp/error)
	error=$(</tmp/error)
	same marks "$NONE" "$seen" && [[ $error == *"going on unmarked"* ]]
}
check "run --fs --if-possible starts it unmarked, with a warning" if_possible

mark_other() {
	local status=0 error
	error=$("$memscope" mark $$ 2>&1) || status=$?
	same status 1 $status && [[ $error == *"modprobe memscope"* ]]
}
check "mark is refused" mark_other

status_proc() {
	local pid out
	"$memscope" run --io -- sleep 60 &
	pid=$!
	wait_for 10 test "$(marks $pid)" = "$IO" -o -e /proc/$pid || return
	wait_for 10 eval '[ "$(marks '$pid')" = '$IO' ]' || return
	out=$("$memscope" status --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
mine = [m for m in status["marks"] if m["pid"] == int(sys.argv[1])]
print(status["source"], len(mine), *mine[0]["scopes"])' $pid)
	kill $pid
	wait $pid 2>/dev/null
	same status "proc 1 noio local-throttle" "$out"
}
check "status finds the marked in /proc" status_proc

doctor() {
	local status=0 out
	out=$("$memscope" doctor) || status=$?
	same status 1 $status && grep -q '^PROBLEM *module *memscope is not loaded' <<<"$out"
}
check "doctor misses the module" doctor
finish
