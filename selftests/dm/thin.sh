#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-thin with lvm2 and dmsetup, checked with thin_check and thin_dump: file
# systems, snapshots, discards, no more data, no more metadata, errors below.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
. "$(dirname "$0")/lvm"
modules=(dm-thin-pool)

# --- with lvm ---

metadata_good() { # after vgchange -an
	lvm lvchange -qq -y -ay vg/pool_tmeta
	thin_check /dev/vg/pool_tmeta >"$work/check" 2>&1 || { cat "$work/check"; return 1; }
	thin_dump /dev/vg/pool_tmeta >"$work/dump"
	lvm lvchange -qq -an vg/pool_tmeta
	# How many devices.
	grep -c '<device' "$work/dump"
}
pool() {
	volume_group
	lvm lvcreate -qq --type thin-pool -Zy --chunksize 64k --poolmetadatasize 4m -L 64m -n pool vg
}
case_lvm_xfs() {
	pool
	lvm lvcreate -qq -V 64m --thinpool vg/pool -n t
	make_xfs /dev/vg/t
	fill /dev/vg/t
	saw data sum /dev/vg/t
	lvm vgchange -qq -an vg
	saw devices metadata_good
	lvm vgchange -qq -ay vg
	saw fsck check_xfs /dev/vg/t
	saw again sum /dev/vg/t
}
case_lvm_snapshots() {
	pool
	lvm lvcreate -qq -V 32m --thinpool vg/pool -n t
	make_ext4 /dev/vg/t
	fill /dev/vg/t
	lvm lvcreate -qq -s -kn -n s1 vg/t
	mount /dev/vg/t "$mnt"
	cp "$data" "$mnt/more" && rm "$mnt/large"
	umount "$mnt"
	lvm lvcreate -qq -s -kn -n s2 vg/t
	mount /dev/vg/s1 "$mnt"
	cp "$data" "$mnt/in-the-snapshot"
	umount "$mnt"
	for v in t s1 s2; do saw "$v" sum "/dev/vg/$v"; done
	lvm vgchange -qq -an vg
	saw devices metadata_good
	lvm vgchange -qq -ay vg
	lvm lvremove -qq -y vg/t
	for v in s1 s2; do
		saw fsck check_ext4 "/dev/vg/$v"
		saw "$v" sum "/dev/vg/$v"
	done
	lvm vgchange -qq -an vg
	saw devices metadata_good
}

# --- with dmsetup: everything is known to the block ---

up() { # [FEATURE...]
	[ -e /dev/mapper/meta ] || below meta /dev/ram1 "${meta_size:-4M}"
	[ -e /dev/mapper/data ] || below data /dev/ram0 "${data_size:-32M}"
	dmsetup create pool --table "0 $(sectors /dev/mapper/data) thin-pool /dev/mapper/meta /dev/mapper/data 128 0 $# $*"
}
thin() { # ID: as device tID
	dmsetup create "t$1" --table "0 65536 thin /dev/mapper/pool $1"
}
down() {
	local t
	for t in 0 1 2; do [ ! -e "/dev/mapper/t$t" ] || dmsetup remove --retry "t$t"; done
	dmsetup remove --retry pool
}
used() { dmsetup status pool | awk '{ print $6 }'; }
mode() { dmsetup status pool | awk '{ print $8, $9, $10, $11, $12 }'; }
check() { checker thin_check "$@" /dev/mapper/meta; }
dump() { thin_dump /dev/mapper/meta | md5sum | cut -c1-12; }
put() { # DEVICE MIB SEEK_MIB
	dd if="$data" of="/dev/mapper/$1" bs=1M count="$2" seek="$3" oflag=direct conv=notrunc status=none
}

case_fio() {
	up
	dmsetup message pool 0 "create_thin 0"
	thin 0
	fio_verify /dev/mapper/t0 --size=16m --io_size=4m
	down
	saw check check
	up
	thin 0
	fio_verify /dev/mapper/t0 --size=16m --io_size=4m
	down
	saw check check
}
case_discard() {
	up
	dmsetup message pool 0 "create_thin 0"
	thin 0
	for n in 0 2 4 6; do put t0 1 $n; done
	dmsetup message pool 0 "create_snap 1 0" 
	put t0 1 2
	saw used used
	blkdiscard -o 4M -l 4M /dev/mapper/t0
	# What a snapshot shares stays, what nothing maps any more is given back.
	saw shared used
	blkdiscard -o 2M -l 1M /dev/mapper/t0
	saw private used
	thin 1
	cmp -n 1048576 "$data" /dev/mapper/t1
	cmp -n 1048576 /dev/zero <(dd if=/dev/mapper/t0 bs=1M skip=4 count=1 status=none)
	dmsetup remove --retry t1
	dmsetup message pool 0 "delete 1"
	saw deleted used
	dmsetup message pool 0 reserve_metadata_snap
	dmsetup message pool 0 release_metadata_snap
	down
	saw check check
	saw dump dump
}
case_no_space() {
	data_size=4M
	up error_if_no_space
	dmsetup message pool 0 "create_thin 0"
	thin 0
	for n in 0 1 2 3; do put t0 1 $n; done
	saw errno errno put t0 1 9
	saw mode mode
	cmp -n 1048576 "$data" /dev/mapper/t0
	blkdiscard -o 1M -l 2M /dev/mapper/t0
	saw used used
	saw again errno put t0 1 9
	down
	saw check check
}
# Snapshots whose sharing is broken again and again use up a small metadata device.
# Of 512 KiB dm-thin keeps 12 blocks back, which is more than one commit takes: so it
# sees the end after a commit, and when those come, every second at least, is all the same.
case_no_metadata() {
	meta_size=512K
	up error_if_no_space
	dmsetup message pool 0 "create_thin 0"
	thin 0
	put t0 1 0
	n=1
	while dmsetup message pool 0 "create_snap $n 0" &&
		dd if="$data" of=/dev/mapper/t0 bs=64K count=1 oflag=direct conv=notrunc status=none; do n=$((n + 1)); done
	[ "$n" -gt 4 ]
	saw message errno dmsetup message pool 0 "create_snap $((n + 1)) 0"
	saw write errno put t0 1 8
	saw mode mode
	cmp -n 1048576 "$data" /dev/mapper/t0
	down
	saw check check
	# More of it.
	dmsetup remove --retry meta
	meta_size=2M
	up
	thin 0
	cmp -n 1048576 "$data" /dev/mapper/t0
	saw again errno dmsetup message pool 0 "create_snap $((n + 1)) 0"
	saw write errno put t0 1 8
	saw mode mode
	down
	saw check check
}
case_metadata_write_error() {
	up
	dmsetup message pool 0 "create_thin 0"
	thin 0
	put t0 1 0
	sync /dev/mapper/t0
	inject meta error_writes
	saw errno errno dd if="$data" of=/dev/mapper/t0 bs=64K count=1 seek=100 oflag=direct conv=notrunc,fsync
	saw mode mode
	saw message errno dmsetup message pool 0 "create_thin 1"
	cmp -n 1048576 "$data" /dev/mapper/t0
	heal meta
	down
	saw check check
	up
	thin 0
	saw mode mode
	cmp -n 1048576 "$data" /dev/mapper/t0
}
case_metadata_read_error() {
	up
	dmsetup message pool 0 "create_thin 0"
	thin 0
	put t0 1 0
	down
	# The superblock; then all but it.
	dust meta 0
	saw superblock errno up
	dmsetup remove --retry pool 2>/dev/null || :
	heal meta
	up
	thin 0
	inject meta error_reads
	saw errno errno dd if=/dev/mapper/t0 of=/dev/null bs=4K count=1 iflag=direct
	saw mode mode
	heal meta
	down
	saw check check
	up
	thin 0
	cmp -n 1048576 "$data" /dev/mapper/t0
}
case_metadata_corrupt() {
	up
	dmsetup message pool 0 "create_thin 0"
	thin 0
	for n in 0 5 9; do put t0 1 $n; done
	down
	# Every block but the superblock has a checksum, which write_callback made.
	spoil /dev/mapper/meta 4 4092
	saw errno errno up
	dmsetup remove --retry pool 2>/dev/null || :
	saw check check
}
case_data_errors() {
	up
	dmsetup message pool 0 "create_thin 0"
	thin 0
	put t0 1 0
	dust data 512
	saw dust bad_blocks_of 1
	heal data
	inject data error_writes
	saw write errno dd if="$data" of=/dev/mapper/t0 bs=64K count=1 oflag=direct conv=notrunc
	heal data
	cmp -n 1048576 "$data" /dev/mapper/t0
	saw mode mode
	down
	saw check check
}
bad_blocks_of() { # MIB of t0
	dmsetup create part --table "0 $(($1 * 2048)) linear /dev/mapper/t0 0" && bad_blocks /dev/mapper/part &&
		dmsetup remove --retry part
}

both thin "$@"
