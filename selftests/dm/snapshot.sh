#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-snapshot, persistent: read back, merged, full, with errors below.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
. "$(dirname "$0")/lvm"
modules=(dm-snapshot)

below_both() {
	[ -e /dev/mapper/origin ] || below origin /dev/ram0 16M
	[ -e /dev/mapper/cow ] || below cow /dev/ram1 "${cow_size:-12M}"
}
up() { # TARGET [TYPE]
	below_both
	dmsetup create t --table "0 $(sectors /dev/mapper/origin) ${1:-snapshot} /dev/mapper/origin /dev/mapper/cow ${2:-P} 16"
}
down() { dmsetup remove --retry t; }
usage() { dmsetup status t | cut -d' ' -f4-; }
put() { # SEEK_MIB
	dd if="$data" of=/dev/mapper/t bs=1M count=1 seek="$1" oflag=direct conv=notrunc status=none
}
origin_sum() { md5sum </dev/mapper/origin | cut -c1-12; }

case_persistent() {
	below_both
	make_ext4 /dev/mapper/origin
	up
	fill /dev/mapper/t
	saw data sum /dev/mapper/t
	down
	up
	saw fsck check_ext4 /dev/mapper/t
	saw again sum /dev/mapper/t
	fio_verify /dev/mapper/t --offset=12m --size=2m
	down
	# The origin is as it was: empty.
	saw origin sum /dev/mapper/origin
	saw fsck check_ext4 /dev/mapper/origin
}
# Only the metadata is left in use.
merged() { usage | awk -F'[/ ]' '{ exit $1 != $3 }'; }
case_merge() {
	below_both
	make_ext4 /dev/mapper/origin
	up
	fill /dev/mapper/t
	saw data sum /dev/mapper/t
	down
	up snapshot-merge
	poll merged
	down
	saw fsck check_ext4 /dev/mapper/origin
	saw merged sum /dev/mapper/origin
}
case_lvm() {
	volume_group
	lvm lvcreate -qq -L 16m -n origin vg
	make_ext4 /dev/vg/origin
	fill /dev/vg/origin
	saw data sum /dev/vg/origin
	lvm lvcreate -qq -s -L 12m -n s vg/origin
	mount /dev/vg/origin "$mnt"
	rm "$mnt/large" && cp "$data" "$mnt/after"
	umount "$mnt"
	lvm vgchange -qq -an vg
	lvm vgchange -qq -ay vg
	for v in origin s; do
		saw fsck check_ext4 "/dev/vg/$v"
		saw "$v" sum "/dev/vg/$v"
	done
}
overflow() { # TYPE
	cow_size=3M
	below_both
	saw before origin_sum
	up snapshot "$1"
	put 0
	put 4
	saw errno errno put 8
	saw usage usage
	saw read errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	down
	up snapshot "$1"
	saw usage usage
	saw read errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	saw after origin_sum
}
case_overflow() { overflow P; }
case_overflow_told() { overflow PO; }
case_many_exceptions() { # more than one area of them is read back
	cow_size=40M
	below origin /dev/ram0 32M
	up
	put 0
	dd if=/dev/urandom of=/dev/mapper/t bs=1M count=30 seek=1 oflag=direct conv=notrunc status=none
	saw usage usage
	md5sum </dev/mapper/t >"$work/before"
	down
	up
	saw usage usage
	md5sum </dev/mapper/t | cmp - "$work/before"
	saw same true
}
case_write_error() {
	up
	put 0
	inject cow error_writes
	saw errno errno put 4
	saw usage usage
	saw read errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	heal cow
	down
	up
	saw again usage
}
case_read_error() {
	up
	put 0
	down
	# The header; then the first area of exceptions.
	dust cow 0
	saw header errno up
	heal cow
	dust cow 16
	saw exceptions errno up
	dmsetup remove --retry t 2>/dev/null || :
	heal cow
	up
	saw usage usage
	cmp -n 1048576 "$data" /dev/mapper/t
	inject cow error_reads
	saw errno errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	heal cow
}

both snapshot "$@"
