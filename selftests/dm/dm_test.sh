#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian's own device-mapper targets, unmodified, first on the stock dm-bufio.ko,
# then on memscope-dm-bufio.ko: each is made, filled through ext4, taken down,
# set up again and checked. The results of both have to be the same.
#
# selftest: timeout=600 memory=1G alone=yes

set -u

# No udev here: dmsetup makes the nodes itself.
export DM_DISABLE_UDEV=1
ko=$MEMSCOPE_BUILD/memscope-dm-bufio.ko
mnt=/tmp/dm-mnt
mkdir -p "$mnt"
number=0 bad=0
report() { # RESULT NAME [COMMENT]
	number=$((number + 1))
	if [ "$1" != ok ]; then bad=$((bad + 1)); fi
	echo "$1 $number $2${3:+ # $3}"
}
sectors() { blockdev --getsz "$1"; }

# The tables. /dev/ram0 to ram2 are 64 MiB each, zeroed before.
up_integrity() {
	local n=8
	# The first activation formats; the superblock then says how much there is.
	if [ "$(head -c 7 /dev/ram0 | tr -d '\0')" != integrt ]; then
		dmsetup create t --table "0 8 integrity /dev/ram0 0 - J 1 internal_hash:crc32c" || return
		dmsetup remove t || return
	fi
	n=$(od -An -t u8 -j 16 -N 8 /dev/ram0 | tr -d ' ')
	dmsetup create t --table "0 $n integrity /dev/ram0 0 - J 1 internal_hash:crc32c"
}
up_thin() {
	dmsetup create pool --table "0 $(sectors /dev/ram0) thin-pool /dev/ram1 /dev/ram0 128 0" || return
	# The second time it is there.
	dmsetup message pool 0 "create_thin 0" 2>/dev/null
	dmsetup create t --table "0 98304 thin /dev/mapper/pool 0"
}
up_snapshot() {
	dmsetup create t --table "0 $(sectors /dev/ram0) snapshot /dev/ram0 /dev/ram1 P 16"
}
up_cache() {
	dmsetup create t --table "0 $(sectors /dev/ram0) cache /dev/ram2 /dev/ram1 /dev/ram0 128 1 writeback smq 0"
}
up_era() { dmsetup create t --table "0 $(sectors /dev/ram0) era /dev/ram2 /dev/ram0 128"; }
up_clone() { dmsetup create t --table "0 $(sectors /dev/ram0) clone /dev/ram2 /dev/ram0 /dev/ram1 8"; }
down() {
	dmsetup remove --retry t || return
	if [ -e /dev/mapper/pool ]; then dmsetup remove --retry pool; fi
}

fill() {
	# Integrity has no checksums of what was never written.
	if [ "$current" = integrity ]; then
		dd if=/dev/zero of=/dev/mapper/t bs=1M status=none oflag=direct 2>/dev/null
	fi
	mke2fs -q -t ext4 -F -O ^has_journal /dev/mapper/t || return
	mount /dev/mapper/t "$mnt" || return
	local i
	for i in $(seq 40); do
		head -c $((i * 16384)) /dev/urandom >"$mnt/$i" || return
	done
	for i in 3 9 27; do rm "$mnt/$i" || return; done
	sync
	(cd "$mnt" && sha256sum -- *) >/tmp/dm-sums
	umount "$mnt"
}
verify() {
	e2fsck -fn /dev/mapper/t >/tmp/dm-fsck 2>&1 || { cat /tmp/dm-fsck; return 1; }
	mount -o ro /dev/mapper/t "$mnt" || return
	(cd "$mnt" && sha256sum --quiet -c /tmp/dm-sums)
	local status=$?
	umount "$mnt"
	return "$status"
}
# What one target did, step by step: the same words on both caches.
target() {
	local d step current=$1
	for d in /dev/ram0 /dev/ram1 /dev/ram2; do dd if=/dev/zero of=$d bs=1M count=64 status=none; done
	for step in "up_$1" fill down "up_$1" verify down; do
		if "$step" >/tmp/dm-step 2>&1; then
			echo -n "$step "
		else
			echo "$step: FAILED"
			cat /tmp/dm-step >&2
			[ ! -e /dev/mapper/t ] || { umount "$mnt" 2>/dev/null; down; }
			return
		fi
	done
	echo all
}

targets=(integrity thin snapshot cache era clone)
modules=(dm-integrity dm-thin-pool dm-snapshot dm-cache-smq dm-cache dm-era dm-clone)
unload() {
	local m
	for m in dm-cache-smq "${modules[@]}" dm-persistent-data; do modprobe -r "$m" 2>/dev/null; done
}

modprobe brd rd_nr=3 rd_size=65536
modprobe dm-mod
declare -A stock
modprobe -a "${modules[@]}"
for t in "${targets[@]}"; do stock[$t]=$(target "$t"); done
unload
modprobe -r dm-bufio
modprobe dm-mod
if [ -d /sys/module/dm_bufio ]; then report "not ok" "the stock dm-bufio can be unloaded"; fi

insmod "$ko"
mkdir -p /run/modprobe.d
echo "install dm_bufio /bin/true" >/run/modprobe.d/memscope-dm-bufio.conf
modprobe -a "${modules[@]}"
if [ ! -d /sys/module/dm_bufio ] && [ -e /sys/module/memscope_dm_bufio/holders/dm_integrity ] &&
	[ -e /sys/module/memscope_dm_bufio/holders/dm_persistent_data ]; then
	report ok "the targets are loaded on memscope_dm_bufio, the stock module is not"
else
	report "not ok" "the targets are loaded on memscope_dm_bufio, the stock module is not"
	lsmod
fi
for t in "${targets[@]}"; do
	ours=$(target "$t")
	if [ "${stock[$t]}" = "$ours" ] && [[ $ours == *all ]]; then
		report ok "$t" "dm-bufio: ${stock[$t]}; memscope: $ours"
	else
		report "not ok" "$t" "dm-bufio: ${stock[$t]}; memscope: $ours"
	fi
done
if rmmod memscope_dm_bufio 2>/dev/null; then
	report "not ok" "memscope_dm_bufio stays while targets use it"
else
	report ok "memscope_dm_bufio stays while targets use it"
fi
unload
if rmmod memscope_dm_bufio; then
	report ok "memscope_dm_bufio can be unloaded after them"
else
	report "not ok" "memscope_dm_bufio can be unloaded after them"
fi
echo "1..$number"
[ "$bad" -eq 0 ]
