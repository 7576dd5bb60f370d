#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The Rust API of the buffer cache, in the kernel: runs the tests of
# bufio_guard.ko one by one. The last one leaks a buffer on purpose, which has
# to be named in the kernel log; nothing else may be there.
#
# selftest: timeout=60 log=own alone=yes load=no

set -euo pipefail

files=/sys/kernel/debug/bufio_guard
bad='WARNING: |BUG: |Oops|INFO: task |KASAN|UBSAN|lockdep|general protection|cut here'
n=0 failed=0
result() { # STATUS NAME [COMMENT]
	n=$((n + 1))
	if [ "$1" != 0 ]; then failed=$((failed + 1)); fi
	if [ "$1" = 0 ]; then echo "ok $n $2"; else echo "not ok $n $2${3:+ # $3}"; fi
}

echo "TAP version 13"
modprobe brd rd_nr=1 rd_size=16384
insmod "$MEMSCOPE_BUILD/ext/bufio_guard/bufio_guard.ko"
dmesg -C
for file in "$files"/*; do
	name=${file##*/}
	said=$(cat "$file") || said="cannot be read: $said"
	log=$(dmesg -c)
	status=0
	if [ "$said" != ok ]; then status=1; fi
	case $name in
	*leaked_buffer)
		grep -q 'leaked buffer 0x4d, hold count 1' <<<"$log" || { status=1; said+=", not named"; }
		[ "$(grep -c 'WARNING: ' <<<"$log")" = 1 ] || { status=1; said+=", no warning"; }
		;;
	*)
		if grep -qE "$bad" <<<"$log"; then status=1; said+=", kernel log"; sed 's/^/# /' <<<"$log"; fi
		;;
	esac
	result $status "$name" "$said"
done
[ "$n" -ge 14 ] || result 1 number_of_tests "$n"
echo "1..$n"
[ "$failed" -eq 0 ]
