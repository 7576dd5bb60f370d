#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-vdo through lvm2 (which calls vdoformat), checked with vdoaudit, with errors
# below. The sanitizer kernel is built without dm-vdo.
#
# selftest: timeout=900 disk=6G kernel=stock

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
# The index opens in the background; until it has, nothing is found in it.
index_online() { [ "$(dmsetup status vg-pool-vpool | awk '{ print $7 }')" = online ]; }
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
	# The same once more, found by the index: it takes no more blocks of data.
	poll index_online
	dd if="$data" of=/dev/vg/t bs=1M seek=512 oflag=direct conv=notrunc,fsync status=none
	before=$(used)
	dd if="$data" of=/dev/vg/t bs=1M seek=600 oflag=direct conv=notrunc,fsync status=none
	fact "blocks for a copy=$(($(used) - before))"
	cmp -n 1048576 -i 0:629145600 "$data" /dev/vg/t
	fio_verify /dev/vg/t --offset=700m
	lvm vgchange -qq -an vg
	saw check audit
}
put() { # SEEK_MIB
	dd if="$data" of=/dev/vg/t bs=1M seek="$1" oflag=direct conv=notrunc,fsync status=none
}
same() { dd if=/dev/vg/t bs=1M count=1 iflag=direct status=none | cmp -n 1048576 "$data" -; }
case_errors() {
	create
	put 0
	inject data error_reads
	saw read errno dd if=/dev/vg/t of=/dev/null bs=4K count=1 iflag=direct
	heal data
	same
	saw mode mode
	# What cannot be written ends in the read-only mode, also when it is set up
	# again.
	inject data error_writes
	saw write errno put 9
	saw mode mode
	same
	heal data
	lvm vgchange -qq -an vg
	lvm vgchange -qq -ay vg
	saw mode mode
	saw write errno put 9
	same
}

both vdo "$@"
