# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# selftest-helper: sourced; for tests that run a scenario of the demo (tools/demo), with its programs as
# scripts/check has built them.

# MEMSCOPE_BUILD is build/NAME of the project.
top=$(cd "$MEMSCOPE_BUILD/../.." && pwd)

# end NAME: kills the scenario's processes of that name, and waits for them.
end() {
	local i
	for ((i = 0; i < 600; i++)); do
		pkill -KILL -s 0 -x "$1" || return 0
		sleep 0.1
	done
}

# scenario NAME SCOPES [OUTCOME]: the result must be OUTCOME, a pattern, or "completed".
scenario() {
	local seen want=${3:-completed} log=/tmp/demo-test.log
	echo "TAP version 13"
	echo "1..1"
	# A file: the daemon keeps it open, and stays.
	"$top/tools/demo/run" "$1" "$2" >"$log" 2>&1 </dev/null
	# Who waits for a daemon that hangs ends after it; swap is on one that serves.
	if [ "$want" = completed ]; then
		end load
		swapoff -a
	fi
	end blkd
	end load
	seen=$(sed -n "s/^RESULT $1 $2 //p" "$log")
	# shellcheck disable=SC2053 # a pattern
	[[ $seen == $want ]] || { sed 's/^/# /' "$log"; printf 'not '; }
	echo "ok 1 $1 with $2: $want"
}
