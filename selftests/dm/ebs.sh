#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-ebs: sectors of 512 bytes on blocks of 4096, through the cache. Debian's
# kernel leaves the target out; here it is built from the same source.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
built=(dm-ebs)

up() {
	[ -e /dev/mapper/data ] || below data /dev/ram0 16M
	dmsetup create t --table "0 $(sectors /dev/mapper/data) ebs /dev/mapper/data 0 1 8"
}
down() { dmsetup remove --retry t; }
put() { dd if="$data" of=/dev/mapper/t bs=512 count="$1" seek="$2" oflag=direct conv=notrunc status=none; }

case_filesystem() {
	up
	make_ext4 -b 1024 /dev/mapper/t
	fill /dev/mapper/t
	saw data sum /dev/mapper/t
	down
	up
	saw fsck check_ext4 /dev/mapper/t
	saw again sum /dev/mapper/t
	fio_verify /dev/mapper/t --bsrange=512-8k --blockalign=512 --offset=10m --size=1m
	down
	saw below sum /dev/mapper/data
}
case_discard() {
	up
	put 64 0
	blkdiscard -o 4096 -l 8192 /dev/mapper/t
	saw blocks bytes
	down
	up
	saw again bytes
}
bytes() { dd if=/dev/mapper/t bs=512 count=64 iflag=direct status=none | md5sum | cut -c1-12; }
case_errors() {
	up
	put 64 0
	sync /dev/mapper/t
	down
	up
	dust data 8
	saw dust errno dd if=/dev/mapper/t of=/dev/null bs=512 count=64 iflag=direct
	heal data
	saw healed bytes
	inject data error_writes
	saw write errno put 1 3
	saw flush errno dd if="$data" of=/dev/mapper/t bs=512 count=1 seek=3 oflag=direct conv=notrunc,fsync
	heal data
	saw again errno put 64 0
	saw data bytes
	down
	up
	saw data bytes
}

both ebs "$@"
