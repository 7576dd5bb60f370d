#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-integrity with integritysetup: journal, bitmap and direct mode, separate
# metadata, keyed tags, a crash, corruption, errors below.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
modules=(dm-integrity)

setup() { integritysetup --batch-mode "$@"; }
prepare() { # [FORMAT_OPTION...]
	below data /dev/ram0 16M
	setup format --sector-size 4096 "$@" /dev/mapper/data
}
open() { setup open "$@" "${device:-/dev/mapper/data}" t; }
# How many sectors did not match their tags, by the kernel.
mismatches() { dmsetup status t | awk '{ print $4 }'; }
size() { sectors /dev/mapper/t; }

# The whole of a test in one mode: OPTION... for open.
whole() {
	open "$@"
	saw size size
	make_ext4 /dev/mapper/t
	fill /dev/mapper/t
	saw data sum /dev/mapper/t
	setup close t
	open "$@"
	saw fsck check_ext4 /dev/mapper/t
	saw again sum /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
	saw mismatches mismatches
	fio_verify /dev/mapper/t
	setup close t
	saw superblock superblock
}
superblock() { setup dump "${device:-/dev/mapper/data}" | awk '/superblock_version|provided_data_sectors|^flags/ { printf "%s ", $NF }'; }

case_journal() {
	prepare
	whole
}
case_bitmap() {
	prepare --integrity-bitmap-mode
	whole --integrity-bitmap-mode
}
case_direct() {
	prepare
	whole --integrity-no-journal
}
case_separate_metadata() {
	below meta /dev/ram1 8M
	below data /dev/ram0 12M
	device=/dev/mapper/meta
	setup format --sector-size 4096 --data-device /dev/mapper/data "$device"
	whole --data-device /dev/mapper/data
}
case_keyed() {
	printf '%032d' 7 >"$work/key"
	local key=(--integrity hmac-sha256 --integrity-key-file "$work/key" --integrity-key-size 32
		--journal-integrity hmac-sha256 --journal-integrity-key-file "$work/key" --journal-integrity-key-size 32)
	prepare --tag-size 32 "${key[@]}"
	open "${key[@]}"
	fio_verify /dev/mapper/t
	setup close t
	# Another key: the tags are wrong.
	printf '%032d' 8 >"$work/key"
	saw wrong errno open "${key[@]}"
}
# What was flushed is there after the machine stops: of the copy, nothing was closed.
crash() {
	prepare "$@"
	open "$@"
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=fsync,notrunc status=none
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=notrunc seek=8 status=none
	# What is on the device at one moment: until the copy is made nothing more gets there.
	dmsetup suspend --noflush --nolockfs data
	dd if=/dev/ram0 of=/dev/ram1 bs=1M count=16 iflag=direct oflag=direct status=none
	dmsetup resume data
	setup close t
	below copy /dev/ram1 16M
	device=/dev/mapper/copy
	open "$@"
	cmp -n "$(stat -c %s "$data")" "$data" /dev/mapper/t
	# The bitmap's regions are calculated again.
	poll calculated
	saw bad bad_blocks /dev/mapper/t
	saw mismatches mismatches
}
calculated() { dmsetup status t | awk '{ exit !($6 == "-" || $6 == $5) }'; }
case_crash_journal() { crash; }
case_crash_bitmap() { crash --integrity-bitmap-mode; }
case_recalculate() {
	below data /dev/ram0 16M
	setup format --sector-size 4096 --no-wipe /dev/mapper/data
	open --integrity-recalculate
	poll calculated
	saw bad bad_blocks /dev/mapper/t
	saw mismatches mismatches
}
case_corrupt() {
	prepare
	open
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=fsync,notrunc status=none
	setup close t
	spoil /dev/mapper/data 3072 64
	open
	saw errno errno read_all /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
	saw status mismatches
	# A new write makes a block good again.
	dd if=/dev/zero of=/dev/mapper/t bs=1M oflag=direct status=none || :
	saw rewritten bad_blocks /dev/mapper/t
}
case_read_error() {
	prepare
	open
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=fsync,notrunc status=none
	setup close t
	# A sector of data, and all that lies where the tags are.
	open --integrity-no-journal
	dust data 10240
	saw dust bad_blocks /dev/mapper/t
	heal data
	saw healed bad_blocks /dev/mapper/t
	setup close t
	open --integrity-no-journal
	inject data error_reads
	saw errno errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	saw write errno dd if=/dev/zero of=/dev/mapper/t bs=4K count=1 oflag=direct
	heal data
	saw again bad_blocks /dev/mapper/t
}
write_error() { # OPTION...
	prepare "$@"
	open "$@"
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=fsync,notrunc status=none
	inject data error_writes
	saw errno errno dd if=/dev/zero of=/dev/mapper/t bs=4K count=1 seek=2000 oflag=direct conv=fsync,notrunc
	saw flush errno dd if=/dev/zero of=/dev/mapper/t bs=4K count=1 seek=2000 oflag=direct conv=fsync,notrunc
	saw read errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	heal data
	setup close t
	open "$@"
	cmp -n "$(stat -c %s "$data")" "$data" /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
}
case_write_error_journal() { write_error; }
case_write_error_bitmap() { write_error --integrity-bitmap-mode; }
case_write_error_direct() { write_error --integrity-no-journal; }

both integrity "$@"
