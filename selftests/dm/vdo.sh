#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-vdo through lvm2 (which calls vdoformat), checked with vdoaudit, with errors below.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
. "$(dirname "$0")/lvm"
modules=(dm-vdo)

create() {
	# What lvm2 finds of a run before is not asked about.
	dd if=/dev/zero of=/dev/vda bs=1M count=8 oflag=direct status=none
	below data /dev/vda 6G
	volume_group /dev/mapper/data
	lvm lvcreate -qq -y --type vdo -L 5g -V 1g -n t --config 'allocation { vdo_slab_size_mb=128 }' vg/pool
}
used() { vdostats --verbose vg-pool-vpool 2>/dev/null | awk '/data blocks used/ { print $NF }'; }
mode() { dmsetup status vg-pool-vpool | awk '{ print $5, $6 }'; }
mode_is() { [ "$(mode)" = "$*" ]; }
# The index opens in the background; until it has, nothing is found in it.
index_online() { [ "$(dmsetup status vg-pool-vpool | awk '{ print $7 }')" = online ]; }
# copied SEEK_MIB: puts what is there already, after it and again: a block is looked up in the index for five
# seconds only, but one of the copies takes no more blocks of data.
copied() {
	local at before
	for at in $(seq $(($1 + 1)) $(($1 + 20))); do
		before=$(used) && [ -n "$before" ] && put "$at" && [ "$(used)" = "$before" ] && same "$at" && return
	done
	return 1
}
audit() { # after vgchange -an
	lvm lvchange -qq -y -ay vg/pool_vdata || return
	if vdoaudit /dev/vg/pool_vdata >"$work/check" 2>&1; then echo good; else tr '\n' ' ' <"$work/check"; fi
	lvm lvchange -qq -an vg/pool_vdata
}

case_filesystem() {
	create
	make_xfs -K -d size=64m /dev/vg/t
	fill /dev/vg/t
	saw data sum /dev/vg/t
	saw mode mode
	lvm vgchange -qq -an vg
	saw check audit
	lvm vgchange -qq -ay vg
	saw fsck check_xfs /dev/vg/t
	saw again sum /dev/vg/t
	saw mode mode
	poll index_online
	put 600
	saw copy copied 600
	fio_verify /dev/vg/t --offset=700m
	lvm vgchange -qq -an vg
	saw check audit
}
put() { # SEEK_MIB
	dd if="$data" of=/dev/vg/t bs=1M seek="$1" oflag=direct conv=notrunc,fsync status=none
}
# same [MIB]: there is what put() puts.
same() { dd if=/dev/vg/t bs=1M count=1 skip="${1:-0}" iflag=direct status=none | cmp -n 1048576 "$data" - && echo same; }
# Where the first block of t is on the device below, in 512-byte blocks.
place() {
	local first block start
	# lvm2 leaves room before it.
	first=$(dmsetup table vg-t) && lvm vgchange -qq -an vg && lvm lvchange -qq -y -ay vg/pool_vdata &&
		block=$(vdodumpblockmap --lba=$((${first##* } / 8)) /dev/vg/pool_vdata) &&
		start=$(dmsetup table vg-pool_vdata) &&
		lvm lvchange -qq -an vg/pool_vdata && lvm vgchange -qq -ay vg &&
		echo $((${start##* } + 8 * ${block##*[!0-9]}))
}
case_read_error() {
	create
	put 0
	at=$(place)
	dust data "$at"
	saw dust errno dd if=/dev/vg/t of=/dev/null bs=4K count=1 iflag=direct
	saw next errno dd if=/dev/vg/t of=/dev/null bs=4K count=1 skip=1 iflag=direct
	heal data
	saw healed same
	saw mode mode
}
case_errors() {
	create
	put 0
	inject data error_reads
	saw read errno dd if=/dev/vg/t of=/dev/null bs=4K count=1 iflag=direct
	heal data
	saw healed same
	saw mode mode
	# What cannot be written ends in the read-only mode, which is entered in the
	# background. It cannot be written down either, as long as it is taken down before
	# the device is healed: set up again, the volume recovers, in the background too.
	inject data error_writes
	saw write errno put 9
	poll mode_is read-only -
	saw mode mode
	saw data same
	lvm vgchange -qq -an vg
	heal data
	lvm vgchange -qq -ay vg
	poll mode_is normal -
	saw mode mode
	saw write errno put 9
	saw data same
}

both vdo "$@"
