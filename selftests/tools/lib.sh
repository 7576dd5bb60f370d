# SPDX-License-Identifier: GPL-2.0
#
# What the tests of tools/ share: KTAP, and how a thread's flags are read.
#
# selftest-helper: sourced by the others
# shellcheck shell=bash disable=SC2034 # variables are for who sources this

set -u

tools=$MEMSCOPE_BUILD/../tools
memscope=$tools/bin/memscope
number=0 bad=0

# report STATUS NAME: a case.
report() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		bad=$((bad + 1))
	fi
}

# check NAME COMMAND...: a case that passes when the command succeeds.
check() {
	local name=$1 status=0
	shift
	"$@" || status=$?
	report "$status" "$name"
}

# same WHAT EXPECTED SEEN
same() {
	[ "$2" = "$3" ] || { echo "# $1: '$3', not '$2'"; return 1; }
}

# marks PID [TID]: of its flags, those that memscope sets; "gone" also for what is ending
# (PF_EXITING), which no mark waits for.
marks() {
	local line
	{ read -r line <"/proc/$1/task/${2:-$1}/stat"; } 2>/dev/null || { echo gone; return; }
	# shellcheck disable=SC2086 # fields
	set -- ${line##*) }
	if (($7 & 4)); then echo gone; return; fi
	printf '0x%x\n' $(($7 & 0x1c0000))
}
# have_marks MARKS PID [TID]: it has them, or has ended. To be waited for: while it reads its
# program from the disk the kernel sets NOFS itself, for readahead.
have_marks() {
	local seen
	seen=$(marks "${@:2}")
	[ "$seen" = gone ] || [ "$seen" = "$1" ]
}
# include/linux/sched.h: PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE, and with NOFS.
IO=0x180000 FS=0x140000 NONE=0x0

# What the command's own help lists: its commands, and the long options of one.
commands() { "$memscope" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\).*/\1/p' | grep -vx help; }
options() { # COMMAND
	"$memscope" "$1" --help | sed -nE 's/^ +(-[a-zA-Z], )?(--[a-z-]+).*/\2/p'
}

# wait_for SECONDS COMMAND...: until it succeeds; five times as long where the machine is busy.
wait_for() {
	local end=$((SECONDS + 5 * $1))
	shift
	until "$@"; do
		if ((SECONDS >= end)); then
			echo "# waited for: $*"
			return 1
		fi
		sleep 0.1
	done
}

# cargo_tests PROGRAM ARGUMENT...: each test of it is a case; $prefix goes before its name.
prefix=
cargo_tests() {
	local line rest status
	local -a lines
	mapfile -t lines < <("$@" 2>&1; echo "status $?")
	for line in "${lines[@]}"; do
		case $line in
		"test result:"*) ;;
		"test "*" ... "*)
			rest=${line#test }
			status=0
			[[ $rest == *" ... ok" ]] || status=1
			report $status "$prefix${rest%% *}"
			;;
		"status 0") ;;
		*) echo "# $line" ;;
		esac
	done
	[ "${lines[-1]}" = "status 0" ] || [ "$bad" -gt 0 ] || report 1 "${1##*/} exits with 0"
}

# doc_examples: those of the crate's documentation, which scripts/tools compiled; each is a case.
doc_examples() {
	local example name
	for example in "$tools"/test/doc/*/rust_out; do
		name=${example%/rust_out}
		check "example of ${name##*/}" "$example"
	done
}

# finish: the plan, and the exit status.
finish() {
	echo "1..$number"
	[ "$bad" -eq 0 ] && [ "$number" -gt 0 ]
}
