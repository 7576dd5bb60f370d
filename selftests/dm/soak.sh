#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftest-helper: scripts/soak-dm runs it in the guest.
#
# soak MINUTES: thin, integrity and verity on memscope-dm-bufio at once, each on a
# disk of its own, under fio with verification, in little memory. Every round
# ends with all devices taken down, checked and set up again.

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
modules=(dm-thin-pool dm-integrity dm-verity)
minutes=$1
end=$((SECONDS + minutes * 60))

say() { echo "$((SECONDS / 60)) min: $*"; }
sectors_of() { blockdev --getsz "$1"; }
# verify NAME DEVICE: writes at random and reads all of it back, again and again.
verify() {
	local until=$((SECONDS + slice))
	while [ "$SECONDS" -lt "$until" ]; do
		fio --name="$1" --filename="$2" --ioengine=libaio --iodepth=4 --direct=1 --rw=randwrite --bsrange=4k-64k \
			--blockalign=4k --size=64m --io_size=12m --verify=crc32c --do_verify=1 --verify_fatal=1 \
			--randseed="$RANDOM" --output="$work/fio-$1" || { cat "$work/fio-$1"; return 1; }
	done
}

thin_up() {
	dmsetup create meta --table "0 32768 linear /dev/vda 0" &&
		dmsetup create data --table "0 $(($(sectors_of /dev/vda) - 32768)) linear /dev/vda 32768" &&
		dmsetup create pool --table "0 $(sectors_of /dev/mapper/data) thin-pool /dev/mapper/meta /dev/mapper/data 128 0" &&
		{ dmsetup message pool 0 "create_thin 0" 2>/dev/null || :; } &&
		dmsetup create thin --table "0 1048576 thin /dev/mapper/pool 0"
}
thin_down() {
	dmsetup remove --retry thin && dmsetup remove --retry pool && thin_check -q /dev/mapper/meta &&
		dmsetup remove --retry meta && dmsetup remove --retry data
}
# Snapshots come and go while the device is written.
thin_round() {
	local n
	for n in $(seq 1 $((slice / 3))); do
		dmsetup suspend thin && dmsetup message pool 0 "create_snap $n 0" && dmsetup resume thin || return
		sleep 2
		dmsetup message pool 0 "delete $n" || return
	done &
	verify thin /dev/mapper/thin && wait $! && blkdiscard -o 32M -l 16M /dev/mapper/thin
}
integrity_up() { integritysetup open /dev/vdb integrity; }
integrity_round() { verify integrity /dev/mapper/integrity; }
verity_up() { veritysetup open /dev/vdc verity /dev/vdd "$root"; }
verity_round() {
	fio --name=verity --filename=/dev/mapper/verity --readonly --rw=randread --bsrange=4k-128k --blockalign=4k \
		--ioengine=libaio --iodepth=8 --direct=1 --time_based --runtime="$slice" --output="$work/fio-verity" || return
	echo 3 >/proc/sys/vm/drop_caches
	[ "$(md5sum </dev/mapper/verity)" = "$sum" ]
}
# Memory that comes and goes, so that reclaim has something to do.
press() {
	python3 -c "
import time
while True:
    a = bytearray(40 << 20)
    for i in range(0, len(a), 4096): a[i] = 1
    time.sleep(1)
    del a
    time.sleep(1)"
}

unload
load_ours || exit 1
dmesg -C
thin_up && thin_down || exit 1
integritysetup --batch-mode format --sector-size 4096 /dev/vdb || exit 1
dd if=/dev/urandom of=/dev/vdc bs=1M oflag=direct 2>/dev/null # to its end
sum=$(md5sum </dev/vdc)
root=$(veritysetup format /dev/vdc /dev/vdd | awk '/^Root hash:/ { print $3 }')
press &
presser=$!
rounds=0 failed=0
slice=${SLICE:-20}
while [ "$SECONDS" -lt "$end" ] && [ "$failed" -eq 0 ]; do
	left=$((end - SECONDS))
	if [ "$left" -lt "$slice" ]; then slice=$((left > 5 ? left : 5)); fi
	thin_up && integrity_up && verity_up || { failed=1; break; }
	pids=()
	for t in thin integrity verity; do
		"${t}_round" &
		pids+=($!)
	done
	for p in "${pids[@]}"; do wait "$p" || failed=1; done
	thin_down && integritysetup close integrity && veritysetup close verity || failed=1
	rounds=$((rounds + 1))
	say "round $rounds: $([ "$failed" -eq 0 ] && echo good || echo BAD), $(awk '/MemAvailable/ { print $2 }' /proc/meminfo) kB available, $(cat /sys/module/memscope_dm_bufio/parameters/peak_allocated_bytes) bytes of buffers at most"
done
kill "$presser"
unload || failed=1
splat=$(dmesg | grep -E 'WARNING:|BUG[: ]|Oops|KASAN|INFO: |deadlock|Call Trace|suspicious RCU|general protection|unreferenced object|mismatch|is corrupted' || :)
if [ -n "$splat" ]; then
	echo "$splat" | head -n 40
	failed=1
fi
say "$rounds rounds of thin, integrity and verity"
[ "$rounds" -gt 0 ] || failed=1
echo "$((rounds > failed ? rounds - failed : 0)) passed, $failed failed"
[ "$failed" -eq 0 ]
