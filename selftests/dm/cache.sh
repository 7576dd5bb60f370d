#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-cache, checked with cache_check: write-back, write-through, lvm2, errors.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
. "$(dirname "$0")/lvm"
modules=(dm-cache dm-cache-smq)

up() { # MODE
	[ -e /dev/mapper/meta ] || below meta /dev/ram2 4M
	[ -e /dev/mapper/fast ] || below fast /dev/ram1 4M
	[ -e /dev/mapper/slow ] || below slow /dev/ram0 16M
	dmsetup create t --table "0 $(sectors /dev/mapper/slow) cache /dev/mapper/meta /dev/mapper/fast /dev/mapper/slow 128 1 $1 smq 0"
}
down() { dmsetup remove --retry t; }
check() { checker cache_check "$@" /dev/mapper/meta; }
# All that is dirty in the cache goes to the slow device.
clean() {
	dmsetup suspend t && dmsetup load t --table "$(dmsetup table t | sed -E 's/(writeback|writethrough) smq/\1 cleaner/')" &&
		dmsetup resume t && poll is_clean
}
is_clean() { [ "$(dmsetup status t | awk '{ print $14 }')" = 0 ]; }
mode() { dmsetup status t | grep -oE ' (rw|ro|Fail)\b.*| Fail' | tr -s ' '; }
whole() { # MODE
	up "$1"
	make_ext4 /dev/mapper/t
	fill /dev/mapper/t
	saw data sum /dev/mapper/t
	# Read again and again: promoted.
	for _ in 1 2 3; do read_all /dev/mapper/t; done
	fio_verify /dev/mapper/t --offset=12m --size=2m
	down
	saw check check
	up "$1"
	saw fsck check_ext4 /dev/mapper/t
	saw again sum /dev/mapper/t
	clean
	down
	saw check check
	saw fsck check_ext4 /dev/mapper/slow
	saw slow sum /dev/mapper/slow
}
case_writeback() { whole writeback; }
case_writethrough() { whole writethrough; }
case_lvm() {
	volume_group
	lvm lvcreate -qq -L 24m -n t vg /dev/ram0
	make_ext4 /dev/vg/t
	lvm lvcreate -qq --type cache-pool --chunksize 64k --poolmetadatasize 8m -L 8m -n fast vg /dev/ram1
	lvm lvconvert -qq -y --type cache --cachemode writeback --cachepool vg/fast vg/t
	fill /dev/vg/t
	saw data sum /dev/vg/t
	lvm vgchange -qq -an vg
	lvm vgchange -qq -ay vg
	saw fsck check_ext4 /dev/vg/t
	saw again sum /dev/vg/t
	lvm lvconvert -qq -y --uncache vg/t
	saw uncached sum /dev/vg/t
}
case_metadata_write_error() {
	up writeback
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=notrunc,fsync status=none
	inject meta error_writes
	# A suspend commits, which fails: the cache is read-only from then on. Data
	# goes to where it is, but a flush is a commit, and to that dm-cache itself
	# says EINVAL once it is read-only (commit() in dm-cache-target.c), whatever
	# the error was.
	dmsetup suspend t
	saw resume errno dmsetup resume t
	saw mode mode
	saw write errno dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=notrunc
	saw flush errno sync /dev/mapper/t
	cmp -n 1048576 "$data" /dev/mapper/t
	heal meta
	down
	saw check check
}
case_metadata_read_error() {
	up writeback
	dd if="$data" of=/dev/mapper/t bs=1M oflag=direct conv=notrunc,fsync status=none
	down
	saw check check
	unreadable_meta up writeback
	up writeback
	cmp -n 1048576 "$data" /dev/mapper/t
	down
	spoilt_meta up writeback
	saw verdict check
}

both cache "$@"
