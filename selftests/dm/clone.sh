#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-clone: used while it copies, taken down in between, compared with the
# source, errors below. Its format has no checker in user space.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
modules=(dm-clone)

up() { # [FEATURE...]
	[ -e /dev/mapper/meta ] || below meta /dev/ram2 4M
	[ -e /dev/mapper/to ] || below to /dev/ram1 16M
	[ -e /dev/mapper/from ] || below from /dev/ram0 16M
	dmsetup create t --table "0 $(sectors /dev/mapper/from) clone /dev/mapper/meta /dev/mapper/to /dev/mapper/from 8 $# $*"
}
down() { dmsetup remove --retry t; }
copied() { dmsetup status t | awk '{ print $7 }'; }
mode() { dmsetup status t | awk '{ print $NF }'; }
copy_all() {
	dmsetup message t 0 enable_hydration && poll all_copied
}
all_copied() { [ "$(copied | cut -d/ -f1)" = "$(copied | cut -d/ -f2)" ]; }
case_filesystem() {
	below from /dev/ram0 16M
	make_ext4 /dev/mapper/from
	fill /dev/mapper/from
	saw source sum /dev/mapper/from
	up no_hydration
	saw data sum /dev/mapper/t
	mount /dev/mapper/t "$mnt"
	rm "$mnt/large" && cp "$data" "$mnt/after"
	umount "$mnt"
	saw changed sum /dev/mapper/t
	down
	up no_hydration
	saw fsck check_ext4 /dev/mapper/t
	saw again sum /dev/mapper/t
	copy_all
	down
	up
	saw copied copied
	down
	saw fsck check_ext4 /dev/mapper/to
	saw alone sum /dev/mapper/to
}
case_discard() {
	up no_hydration
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=notrunc status=none
	blkdiscard -o 4M -l 4M /dev/mapper/t
	saw copied copied
	down
	up no_hydration
	saw copied copied
	cmp -n 1048576 "$data" /dev/mapper/t
	fio_verify /dev/mapper/t --offset=8m
}
case_source_error() {
	up no_hydration
	inject from error_reads
	saw errno errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	saw write errno dd if="$data" of=/dev/mapper/t bs=4K count=1 oflag=direct conv=notrunc
	heal from
	copy_all
	saw copied copied
	cmp -n 4096 "$data" /dev/mapper/to
}
case_metadata_write_error() {
	up no_hydration
	dd if="$data" of=/dev/mapper/t bs=4K count=1 oflag=direct conv=notrunc,fsync status=none
	inject meta error_writes
	# Written and committed in one: a commit comes every second, and after one that
	# failed a flush alone has nothing to commit.
	saw errno errno dd if="$data" of=/dev/mapper/t bs=4K count=1 seek=99 oflag=direct,dsync conv=notrunc
	saw mode mode
	cmp -n 4096 "$data" /dev/mapper/t
	heal meta
	down
	up no_hydration
	saw copied copied
}
case_metadata_read_error() {
	up no_hydration
	down
	unreadable_meta up
	up
	down
	spoilt_meta up
}

both clone "$@"
