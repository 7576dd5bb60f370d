#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Devices that fail below the targets: unplugged with data to write, not
# answering, without a flush, on a full file system, too short. Rule: what a
# flush has acknowledged is there once the device is, an error arrives, and
# taking the target down ends.
#
# selftest: timeout=180 memory=1G

# shellcheck disable=SC2034,SC2154 # variables shared with both.sh
. "$(dirname "$0")/both"
modules=(loop sd-mod dm-thin-pool dm-integrity dm-verity dm-era dm-clone dm-cache dm-cache-smq dm-snapshot)
built=(dm-ebs)

# --- the device that fails: $faulty, of 16 MiB ---

small=/tmp/dm-small
debug=/sys/kernel/debug

# A disk of scsi_debug, which has a write cache.
find_disk() {
	local paths=(/sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*)
	disk=${paths[0]##*/}
	faulty=/dev/$disk
	[ -b "$faulty" ]
}
scsi() {
	modprobe scsi_debug dev_size_mb=16 delay=0
	poll find_disk
}
# command_error LINE: one for each command, see sdebug_error_write() in scsi_debug.c.
command_error() {
	local lun
	lun=$(readlink "/sys/block/$disk/device")
	echo "$1" >"$debug/scsi_debug/${lun##*/}/error"
}
# A sparse file on a small file system.
loop() {
	mkdir -p "$small"
	mount -t tmpfs -o size=1M none "$small"
	truncate -s 16M "$small/image"
	faulty=$(losetup --show -f "$small/image")
}

device_removed() { scsi; }
fault_removed() { echo 1 >"/sys/block/$disk/device/delete"; }
# Another disk with the same contents, for who opens it from now on.
repair_removed() {
	local scan
	for scan in /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/scsi_host/host*/scan; do echo '- - -' >"$scan"; done
	poll find_disk
}

# READ, WRITE and SYNCHRONIZE CACHE.
device_timeout() { scsi; }
fault_timeout() {
	local limits=(/sys/block/"$disk"/device/scsi_disk/*) c
	# Each command is tried once, and the disk stays online.
	echo 0 >"${limits[0]}/max_retries"
	echo 1000 >"${limits[0]}/max_medium_access_timeouts"
	echo 200 >"/sys/block/$disk/queue/io_timeout"
	for c in 28 2a 35 91; do command_error "0 1 $c"; done
}
repair_timeout() {
	local c
	for c in 28 2a 35 91; do command_error "- 0 $c"; done
	echo 30000 >"/sys/block/$disk/queue/io_timeout"
	# Its first answers may tell of a reset.
	poll dd if="$faulty" of=/dev/null bs=4K count=1 iflag=direct status=none
}

device_flush() { scsi; }
fault_flush() {
	local c
	# CHECK CONDITION: HARDWARE ERROR, which is not tried again.
	for c in 35 91; do command_error "2 1 $c 0 0 2 4 44 0"; done
}
repair_flush() {
	local c
	for c in 35 91; do command_error "- 2 $c"; done
}

device_full() { loop; }
# To the last page: of a write that fits in part the loop device reports success.
fault_full() { ! cat /dev/zero >"$small/other" 2>/dev/null; }
repair_full() { rm "$small/other"; }

# How much of it stays: the superblock. The rest comes back as it was.
cut=8192
device_short() { loop; }
fault_short() {
	cp --sparse=always "$small/image" "$small/whole"
	truncate -s "$cut" "$small/image"
	losetup -c "$faulty"
}
repair_short() {
	truncate -s 16M "$small/image"
	dd if="$small/whole" of="$small/image" bs=4K skip=$((cut / 4096)) seek=$((cut / 4096)) conv=notrunc,sparse status=none
	losetup -c "$faulty"
}

# Whatever a case left: called when no device of device-mapper is there any more.
tidy_last() {
	echo "$default_age" >"$age"
	[ -z "$(losetup -a)" ] || losetup -D
	poll no_loop
	! mountpoint -q "$small" || umount "$small" || return
	[ ! -d /sys/module/scsi_debug ] || rmmod scsi_debug
}
no_loop() { [ -z "$(losetup -a)" ]; }

# --- the targets: /dev/mapper/t of 16 MiB, with $faulty below it ---

good() { # DEVICE NAME: one that does not fail
	[ -e "/dev/mapper/$2" ] || below "$2" "$1" 16M
}
table() { dmsetup create t --table "0 32768 $*"; }
down() { dmsetup remove --retry t; }

up_thin() {
	good /dev/ram0 data
	dmsetup create pool --table "0 32768 thin-pool $faulty /dev/mapper/data 128 0 1 error_if_no_space"
	[ -n "${made:-}" ] || dmsetup message pool 0 "create_thin 0"
	table thin /dev/mapper/pool 0
}
down_thin() { down && dmsetup remove --retry pool; }
mode_thin() { dmsetup status pool | awk '{ print ($4 == "Fail") ? $4 : $8 " " $11 }'; }
failed_thin() { dmsetup status --noflush pool | awk '{ exit $8 == "rw" }'; }
check_thin() { checker thin_check --clear-needs-check-flag "$faulty"; }

# Tags on $faulty; each of its 4096-byte blocks has those of 4 MiB.
up_tags() {
	good /dev/ram0 data
	[ -n "${made:-}" ] || integritysetup --batch-mode format --no-wipe --sector-size 4096 --journal-size 262144 \
		--data-device /dev/mapper/data "$faulty"
	integritysetup open "$@" --data-device /dev/mapper/data "$faulty" t
}
up_direct() { up_tags --integrity-no-journal; }
up_journal() { up_tags; }

up_era() {
	good /dev/ram0 data
	table era "$faulty" /dev/mapper/data 128
}
mode_era() { dmsetup status t | cut -d' ' -f4; }
check_era() { checker era_check "$faulty"; }

up_clone() {
	good /dev/ram0 from
	good /dev/ram1 to
	table clone "$faulty" /dev/mapper/to /dev/mapper/from 128 1 no_hydration
}
mode_clone() { dmsetup status t | awk '{ print $NF }'; }

up_cache() {
	good /dev/ram0 slow
	[ -e /dev/mapper/fast ] || below fast /dev/ram1 4M
	table cache "$faulty" /dev/mapper/fast /dev/mapper/slow 128 1 writeback smq 0
}
mode_cache() { dmsetup status t | grep -oE '(rw|ro|Fail)\b.*|Fail' | sed 's/ *$//'; }
check_cache() { checker cache_check --clear-needs-check-flag "$faulty"; }

# What was written is on $faulty too.
up_snapshot() {
	good /dev/ram0 origin
	table snapshot /dev/mapper/origin "$faulty" P 8
}
mode_snapshot() { dmsetup status t | awk '{ print ($4 ~ /^[0-9]/) ? "valid" : $4 }'; }

up_ebs() { table ebs "$faulty" 0 1 8; }

# What makes the metadata grow; data that is written again and again does not.
more_thin() { for n in $(seq 100); do dmsetup message pool 0 "create_thin $n" || return; done; }

# --- what is asked of them ---

# put BLOCK [FLAG]: 64 KiB, with a flush.
put() {
	dd if="$data" of=/dev/mapper/t bs=64K count=1 skip=$(($1 % 16)) seek="$1" oflag=direct,"${2:-dsync}" conv=notrunc status=none
}
same() { # BLOCK [COUNT]
	cmp <(dd if="$data" bs=64K count="${2:-1}" skip=$(($1 % 16)) status=none) \
		<(dd if=/dev/mapper/t bs=64K count="${2:-1}" skip="$1" iflag=direct status=none)
}
# try WORD BLOCK: what comes of a write, as a fact; what was acknowledged has to be there.
try() {
	local out
	out=$(errno put "$2")
	# A flush of dm-cache is one for each of its two devices, after a commit: the commit that
	# fails has the errno of the device, one after it EINVAL, and what ends last is what is seen.
	if [ "$target" = cache ] && [ "$out" != none ]; then out=refused; fi
	fact "$1=$out"
	[ "$out" != none ] || acknowledged+=("$2")
}
state() { if declare -F "mode_$target" >/dev/null; then saw mode "mode_$target"; fi; }
down_target() { if declare -F "down_$target" >/dev/null; then "down_$target"; else down; fi; }

faults() { # TARGET FAULT
	local n start=$SECONDS
	target=$1 fault=$2 acknowledged=() made=''
	"device_$fault"
	"up_$target"
	made=yes
	dd if="$data" of=/dev/mapper/t bs=64K count=4 oflag=direct,dsync conv=notrunc status=none
	# Nothing is written by its age meanwhile.
	echo 0 >"$age"
	put 100 direct
	"fault_$fault"
	# Until its own commit, of each second, has failed: dm-thin then answers 0 to the next flush, though
	# what was written before it is lost (docs/dm.md).
	if [ "$target" = thin ]; then
		errno put 101 direct >/dev/null
		poll failed_thin
	fi
	if [ "$fault" = full ] && declare -F "more_$target" >/dev/null; then saw more errno "more_$target"; fi
	try first 200
	# Each takes as long as the disk's limit.
	[ "$fault" = timeout ] || try next 201
	saw flush errno sync /dev/mapper/t
	# The error has arrived.
	grep -qE '^(more|first|next|flush)=[^n]' "$work/facts"
	state
	[ "$fault" = removed ] || "repair_$fault"
	try again 202
	down_target
	[ "$fault" != removed ] || repair_removed
	if declare -F "check_$target" >/dev/null; then saw check "check_$target"; fi
	"up_$target"
	state
	same 0 4
	for n in ${acknowledged[@]+"${acknowledged[@]}"}; do same "$n"; done
	try after 203
	down_target
	[ $((SECONDS - start)) -lt 100 ]
}

# The same for one that only reads.
read_faults() { # FAULT
	local start=$SECONDS
	fault=$1
	below data /dev/ram0 4M
	dd if="$data" of=/dev/mapper/data bs=1M count=1 oflag=direct status=none
	"device_$fault"
	root=$(veritysetup format --salt 00112233 /dev/mapper/data "$faulty" | awk '/^Root hash:/ { print $3 }')
	[ -n "$root" ]
	verity
	"fault_$fault"
	saw errno errno read_all /dev/mapper/t
	[ "$fault" = removed ] || "repair_$fault"
	saw repaired errno read_all /dev/mapper/t
	saw status verdict
	down
	[ "$fault" != removed ] || repair_removed
	verity
	cmp /dev/mapper/data /dev/mapper/t
	saw status verdict
	down
	[ $((SECONDS - start)) -lt 100 ]
}
verity() { veritysetup open /dev/mapper/data t "$faulty" "$root"; }
verdict() { dmsetup status t | cut -d' ' -f4; }

case_thin_removed() { faults thin removed; }
case_thin_timeout() { faults thin timeout; }
case_thin_flush() { faults thin flush; }
case_thin_full() { faults thin full; }
case_thin_short() { faults thin short; }
# What is written goes by way of the cache at once, by the journal later.
case_integrity_removed() { faults direct removed; }
case_integrity_timeout() { faults direct timeout; }
case_integrity_flush() { faults direct flush; }
case_integrity_full() { faults direct full; }
case_integrity_short() { faults direct short; }
case_journal_removed() { faults journal removed; }
case_verity_removed() { read_faults removed; }
case_verity_timeout() { read_faults timeout; }
case_verity_short() { read_faults short; }
# Not where the superblock alone can be written (full, short): dm-era goes on after a commit that failed, and its
# next one, with nothing left to write, points the superblock to blocks that are not there, on either cache.
case_era_flush() { faults era flush; }
case_clone_short() { faults clone short; }
case_cache_removed() { faults cache removed; }
case_cache_timeout() { faults cache timeout; }
case_cache_flush() { faults cache flush; }
case_cache_full() { faults cache full; }
case_cache_short() { faults cache short; }
# Not where something can still be written: dm-snapshot then makes the snapshot invalid for good.
case_snapshot_removed() { faults snapshot removed; }
case_snapshot_timeout() { faults snapshot timeout; }
case_ebs_removed() { faults ebs removed; }
case_ebs_flush() { faults ebs flush; }

both faults "$@"
