#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dm-verity with veritysetup: plain, FEC, and lookups from softirq.
#
# selftest: timeout=900 disk=6G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
modules=(dm-verity)

# A full ext4 of 6 MiB under /dev/mapper/data, hashes in hash, parity in fec.
prepare() { # [FORMAT_OPTION...]
	below data "${data_device:-/dev/ram0}" 6M
	below hash /dev/ram1 2M
	below fec /dev/ram2 2M
	make_ext4 -O ^has_journal /dev/mapper/data
	fill /dev/mapper/data
	root=$(veritysetup format --salt 00112233 --uuid 6b9a0f7c-9f5e-4b3b-8d1e-0123456789ab "$@" \
		/dev/mapper/data /dev/mapper/hash | awk '/^Root hash:/ { print $3 }')
	[ -n "$root" ]
}
open() { veritysetup open "$@" /dev/mapper/data t /dev/mapper/hash "$root"; }
verdict() { veritysetup status t | awk '/status:/ { print $2 }'; }
user_space() { # [OPTION...]
	local out
	if out=$(veritysetup verify "$@" /dev/mapper/data /dev/mapper/hash "$root" 2>&1); then
		echo "good${out:+ ($(grep -oiE 'errors fixed.*|repairable|found [0-9]+ repairable errors.*' <<<"$out" | head -n 1))}"
	else
		echo "bad"
	fi
}
# The 4096-byte block of a byte of the large file, which is where the data begins.
large_block() {
	debugfs -R "bmap /large 70" /dev/mapper/data 2>/dev/null
}

case_plain() {
	prepare
	open
	saw data sum /dev/mapper/t
	saw fsck check_ext4 /dev/mapper/t
	veritysetup close t
	open
	saw again sum /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
	saw status verdict
	saw checker user_space
}
case_small_blocks() { # 1024-byte blocks, digests of 28 bytes, version 1
	prepare --data-block-size 1024 --hash-block-size 1024 --hash sha224 --format 1
	open
	saw data sum /dev/mapper/t
	saw checker user_space
}
case_corrupt_data() {
	prepare
	block=$(large_block)
	spoil /dev/mapper/data $((block * 4)) 8
	open
	saw errno errno read_all /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
	saw status verdict
	saw checker user_space
}
case_corrupt_hash() {
	prepare
	# Of the last level.
	spoil /dev/mapper/hash 40 4
	open
	saw errno errno read_all /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
	saw status verdict
}
case_fec() {
	fec=(--fec-device /dev/mapper/fec --fec-roots 4)
	prepare "${fec[@]}"
	block=$(large_block)
	spoil /dev/mapper/data $((block * 4)) 16
	spoil /dev/mapper/hash 40 4
	open "${fec[@]}"
	saw data sum /dev/mapper/t
	saw errno errno read_all /dev/mapper/t
	saw status verdict
	veritysetup close t
	saw checker user_space "${fec[@]}"
}
case_fec_hopeless() {
	fec=(--fec-device /dev/mapper/fec --fec-roots 2)
	prepare "${fec[@]}"
	spoil /dev/mapper/data 2048 1024
	open "${fec[@]}"
	saw errno errno dd if=/dev/mapper/t of=/dev/null bs=4K skip=600 count=1 iflag=direct
	saw status verdict
	saw checker user_space "${fec[@]}"
}
case_fec_read_error() { # a device that cannot read, instead of one that reads wrongly
	fec=(--fec-device /dev/mapper/fec --fec-roots 4)
	prepare "${fec[@]}"
	block=$(large_block)
	dust data $((block * 8)) $((block * 8 + 8))
	dust hash 80
	open "${fec[@]}"
	saw data sum /dev/mapper/t
	saw errno errno read_all /dev/mapper/t
	saw status verdict
}
# On a disk that ends its requests in interrupts: the hash blocks are looked up
# in softirq context (DM_BUFIO_CLIENT_NO_SLEEP).
case_tasklet() {
	data_device=/dev/vda
	prepare
	open --use-tasklets
	dmsetup table t | grep -q try_verify_in_tasklet
	saw data sum /dev/mapper/t
	# From the device, with the hashes in the cache.
	for _ in 1 2 3; do read_all /dev/mapper/t; done
	fio --name=r --filename=/dev/mapper/t --readonly --rw=randread --bs=4k --size=4m --iodepth=8 \
		--ioengine=libaio --direct=1 --output="$work/fio"
	saw bad bad_blocks /dev/mapper/t
	saw status verdict
	veritysetup close t
	block=$(large_block)
	spoil /dev/mapper/data $((block * 4)) 8
	open --use-tasklets
	saw spoiled bad_blocks /dev/mapper/t
	saw status verdict
}
case_tasklet_fec() {
	data_device=/dev/vda
	fec=(--fec-device /dev/mapper/fec --fec-roots 4)
	prepare "${fec[@]}"
	block=$(large_block)
	spoil /dev/mapper/data $((block * 4)) 16
	open --use-tasklets "${fec[@]}"
	saw data sum /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
}
case_read_error() {
	prepare
	block=$(large_block)
	dust data $((block * 8))
	dust hash 80
	open
	saw errno errno read_all /dev/mapper/t
	saw bad bad_blocks /dev/mapper/t
	heal data
	heal hash
	saw healed bad_blocks /dev/mapper/t
	saw data sum /dev/mapper/t
	inject data error_reads
	saw flakey errno dd if=/dev/mapper/t of=/dev/null bs=4K count=1 iflag=direct
	heal data
}

both verity "$@"
