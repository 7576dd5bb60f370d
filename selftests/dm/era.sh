#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-era, checked with era_check, era_dump and era_invalidate.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
modules=(dm-era)

up() {
	[ -e /dev/mapper/meta ] || below meta /dev/ram1 4M
	[ -e /dev/mapper/data ] || below data /dev/ram0 16M
	dmsetup create t --table "0 $(sectors /dev/mapper/data) era /dev/mapper/meta /dev/mapper/data 128"
}
down() { dmsetup remove --retry t; }
check() { checker era_check "$@" /dev/mapper/meta; }
put() { dd if="$data" of=/dev/mapper/t bs=64K count=1 seek="$1" oflag=direct conv=notrunc status=none; }
era() { dmsetup status t | awk '{ print $6 }'; }

case_filesystem() {
	up
	make_ext4 /dev/mapper/t
	fill /dev/mapper/t
	saw data sum /dev/mapper/t
	down
	saw check check
	up
	saw fsck check_ext4 /dev/mapper/t
	saw again sum /dev/mapper/t
	fio_verify /dev/mapper/t --offset=10m --size=4m
	down
	saw check check
}
case_eras() {
	up
	for n in 1 2 3; do
		put $n
		put $((n * 20))
		dmsetup message t 0 checkpoint
	done
	saw era era
	dmsetup message t 0 take_metadata_snap
	dmsetup message t 0 drop_metadata_snap
	down
	saw written written 2
	saw check check
	saw dump era_blocks
	up
	put 100
	down
	saw dump era_blocks
	saw check check
}
written() { era_invalidate --written-since "$1" /dev/mapper/meta | md5sum | cut -c1-12; }
era_blocks() { era_dump --logical /dev/mapper/meta | grep -v '<superblock' | md5sum | cut -c1-12; }
case_metadata_write_error() {
	up
	put 1
	inject meta error_writes
	saw errno errno dd if="$data" of=/dev/mapper/t bs=64K count=1 seek=9 oflag=direct conv=notrunc,fsync
	saw message errno dmsetup message t 0 checkpoint
	heal meta
	down
	saw check check
	saw again errno up
}
case_metadata_read_error() {
	up
	put 1
	down
	unreadable_meta up
	up
	down
	saw check check
	spoilt_meta up
	saw verdict check
}

both era "$@"
