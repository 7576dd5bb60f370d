#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Nothing of a client is left when it is destroyed, on the good path and after
# errors: the bytes that bufio says it has allocated are back at zero.
#
# selftest: timeout=120 memory=1G

set -euo pipefail

ctl=/sys/kernel/debug/bufio_test_memscope
allocated=/sys/module/memscope/parameters/current_allocated_bytes
cases="read read_async new dirty destroy_writes forget forget_buffers reset aux_per_buffer
create_many reserve_progress prefetch read_error prefetch_error write_error write_error_drop
write_error_held write_error_reset"
# shellcheck disable=SC2086 # words
set -- $cases

modprobe -a dm-mod dm-bufio
modprobe brd rd_nr=1 rd_size=98304
insmod "$MEMSCOPE_BUILD/ext/bufio/memscope_bufio_test.ko"
trap 'rmmod memscope_bufio_test brd || :' EXIT

echo "KTAP version 1"
echo "1..$#"
n=0
for name; do
	n=$((n + 1))
	echo "$name dev=/dev/ram0 timeout=60" >$ctl/run
	# What was taken apart is freed after a grace period.
	for _ in $(seq 100); do
		left=$(cat $allocated)
		if [ "$left" = 0 ]; then break; fi
		sleep 0.1
	done
	if [ "$left" = 0 ] && grep -q "^end $name " $ctl/result; then
		echo "ok $n $name"
	else
		grep -v '^fig' $ctl/result | sed 's/^/# /'
		echo "# $left bytes are left"
		echo "not ok $n $name"
	fi
done
