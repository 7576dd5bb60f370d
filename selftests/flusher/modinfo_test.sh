#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What memscope.ko says about itself, in the file and when it is loaded.
#
# selftest: timeout=30

set -u

number=0 bad=0
check() { # NAME COMMAND...: a case that passes when the command succeeds
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		bad=$((bad + 1))
	fi
}
field() { modinfo -F "$1" "$MEMSCOPE_KO"; }

echo "TAP version 13"
echo "1..9"

one_line() { # FIELD: present, once, and not empty
	[ "$(field "$1" | grep -c .)" -eq 1 ] || { echo "# $1: '$(field "$1")'"; return 1; }
}
check name test "$(field name)" = memscope
check license test "$(field license)" = GPL
check description one_line description
check author one_line author
vermagic() { [[ $(field vermagic) == "$(uname -r) "* ]] || { echo "# $(field vermagic)"; return 1; }; }
check vermagic_is_the_running_kernel vermagic
# It must load wherever Debian's own packages are: nothing but the kernel proper.
check depends_on_no_module test -z "$(field depends)"

# Each parameter says what it is for, and is not writable by others.
parameters() {
	local p mode
	for p in $(field parmtype | cut -d: -f1); do
		field parm | grep -q "^$p:." || { echo "# parameter $p is not described"; return 1; }
	done
	for p in /sys/module/memscope/parameters/*; do
		[ -e "$p" ] || continue
		mode=$(stat -c %a "$p")
		case $mode in
		400 | 440 | 444 | 600 | 640 | 644) ;;
		*) echo "# $p: mode $mode"; return 1 ;;
		esac
	done
}
check parameters_are_described parameters

# O: out of tree, E: unsigned. P (proprietary) would be a wrong licence.
taint() {
	local t
	t=$(cat /sys/module/memscope/taint)
	case $t in
	O | OE) ;;
	*) echo "# taint '$t'"; return 1 ;;
	esac
}
check taint_is_out_of_tree_only taint
# No alias: nothing loads it without being asked.
check no_alias test -z "$(field alias)"

[ "$bad" -eq 0 ]
