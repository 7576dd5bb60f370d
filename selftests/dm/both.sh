#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftest-helper: sourced by the tests of this folder.
#
# Runs the cases of a target family first on the stock dm-bufio.ko, then on
# memscope-dm-bufio.ko, in one boot, with Debian's own target modules. A case is
# a function case_NAME; it fails with the first command that fails, and says with
# "fact" what it saw. It passes if it did not fail on either cache and the facts
# of both are the same. In its row "FAILED" comes before what was said by then.
#
# On the sanitizer kernel, which is for what goes wrong inside of ours, only there; what
# is seen has to be what expected/FAMILY says, where that is there: the facts of the stock
# dm-bufio.ko, as `scripts/check-dm --expect FAMILY` wrote them.

set -u
export LC_ALL=C
# No udev here: libdevmapper makes the nodes itself.
export DM_DISABLE_UDEV=1

ko=$MEMSCOPE_BUILD/memscope-dm-bufio.ko
conf=$MEMSCOPE_BUILD/../../dm/memscope-dm-bufio.conf
expected=$MEMSCOPE_BUILD/../../selftests/dm/expected
extra=$MEMSCOPE_BUILD/ext/targets
mnt=/tmp/dm-mnt
work=/tmp/dm-work
data=/tmp/dm-data
mkdir -p "$mnt" "$work"
# What a test needs: modules of Debian's, and of those built in targets/.
modules=() built=()

# fact WORD...: what the other cache has to say as well.
fact() { echo "$*" >>"$work/facts"; }
# saw WORD COMMAND...: what the command prints, as a fact; fails if it does.
saw() {
	local word=$1 out
	shift
	out=$("$@") || return
	fact "$word=$out"
}

# The same bytes in every boot.
[ -e "$data" ] || python3 -c "import random; open('$data', 'wb').write(random.Random(1).randbytes(1 << 20))"

# poll COMMAND...: until it succeeds, for at most five minutes or more. For what a
# target does in the background: how far it is must not be compared.
poll() {
	local _
	for _ in $(seq 3000); do
		"$@" && return
		sleep 0.1
	done
	return 1
}

# --- devices ----------------------------------------------------------------

# /dev/ram0 to /dev/ram3 hold 512 MiB each, of which only what was written uses
# memory; what was discarded reads as zeros.
ram() {
	local n
	for n in 0 1 2 3; do
		blkdiscard -q -f "/dev/ram$n" 2>/dev/null || return
		# The page cache too.
		blockdev --flushbufs "/dev/ram$n" || return
	done
}

# below NAME DEVICE SIZE: /dev/mapper/NAME, the first SIZE (as 4M) of a device,
# below which errors can be injected.
below() {
	echo "0 $(($(numfmt --from=iec "$3") / 512)) linear $2 0" >"$work/linear-$1"
	dmsetup create "$1" <"$work/linear-$1"
}
reload() { # NAME TABLE
	dmsetup load "$1" --table "$2" && dmsetup suspend --noflush --nolockfs "$1" && dmsetup resume "$1"
}
# Dirty buffers that have some age are written by memscope and not by dm-bufio, and
# a write that fails loses them: not while that depends on how fast the machine is.
age=/sys/module/memscope/parameters/writeback_age_ms
default_age=$(cat "$age")
# inject NAME FEATURE [ARGUMENT...]: from now on by dm-flakey; heal takes it back.
inject() {
	local size device offset name=$1
	shift
	echo 0 >"$age" || return
	read -r _ size _ device offset <"$work/linear-$name"
	reload "$name" "0 $size flakey $device $offset 0 3600 $# $*"
}
# dust NAME BLOCK...: reads of these 512-byte blocks fail, by dm-dust.
dust() {
	local size device offset block name=$1
	shift
	read -r _ size _ device offset <"$work/linear-$name"
	reload "$name" "0 $size dust $device $offset 512" || return
	for block; do dmsetup message "$name" 0 addbadblock "$block" || return; done
	dmsetup message "$name" 0 enable
}
heal() { reload "$1" "$(cat "$work/linear-$1")" && echo "$default_age" >"$age"; }
# unreadable_meta COMMAND...: how it fails where the first block of meta cannot be read, and where none can.
unreadable_meta() {
	dust meta 0
	saw superblock errno "$@"
	heal meta
	inject meta error_reads
	saw all errno "$@"
	heal meta
}

sectors() { blockdev --getsz "$1"; }

# errno COMMAND...: prints how it failed, or "none". The command runs in the C locale.
errno() {
	local text
	if text=$("$@" 2>&1 >/dev/null); then
		echo none
	else
		sed -nE 's/.*: (Input\/output error|Remote I\/O error|Invalid or incomplete multibyte.*|No space left on device|Structure needs cleaning|Read-only file system|No data available|Cannot allocate memory|[A-Z][a-z ]+)$/\1/p' <<<"$text" |
			head -n 1
	fi
}
# Reads without the page cache, to the end or to the first error.
read_all() { dd if="$1" of=/dev/null bs=64K iflag=direct status=none; }
# bad_blocks DEVICE: how many blocks of 4096 bytes cannot be read, and why.
bad_blocks() {
	python3 - "$1" <<'END'
import collections, errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
size = os.lseek(fd, 0, os.SEEK_END)
step, bad, memory = 1 << 20, collections.Counter(), mmap.mmap(-1, 1 << 20)
for start in range(0, size, step):
    try:
        os.preadv(fd, [memory], start)
        continue
    except OSError:
        pass
    for offset in range(start, min(start + step, size), 4096):
        try:
            os.preadv(fd, [memoryview(memory)[:4096]], offset)
        except OSError as e:
            bad[errno.errorcode[e.errno]] += 1
print(*(f"{n} {name}" for name, n in sorted(bad.items())) if bad else ["none"])
END
}
# spoil DEVICE OFFSET_KIB KIB: overwrites, past any cache.
spoil() {
	head -c "$(($3 * 1024))" /dev/zero | tr '\0' '\377' |
		dd of="$1" bs=1K seek="$2" iflag=fullblock oflag=direct conv=notrunc status=none
}
# spoilt_meta COMMAND...: how it fails with all of meta overwritten but the superblock. Removes what it left.
spoilt_meta() {
	spoil /dev/mapper/meta 4 4092
	saw corrupt errno "$@"
	dmsetup remove --retry t 2>/dev/null || :
}

# --- file systems -----------------------------------------------------------

make_ext4() { mke2fs -q -t ext4 -b 4096 -F "$@"; }
# Smaller than mkfs.xfs makes for anybody but its own tests, which tell it so.
make_xfs() { TEST_DIR=x TEST_DEV=x QA_CHECK_FS=1 mkfs.xfs -q -f "$@"; }
# fill DEVICE: files of all sizes, some of them deleted again, on a new file
# system; sum DEVICE: one checksum over the files.
fill() {
	mount "$1" "$mnt" || return
	mkdir "$mnt/small" && split -b 29191 -a 3 "$data" "$mnt/small/" &&
		cp "$data" "$mnt/large" && rm "$mnt"/small/?a? && cp "$data" "$mnt/other" &&
		truncate -s 654321 "$mnt/other" && sync -f "$mnt"
	local status=$?
	umount "$mnt" && return "$status"
}
sum() {
	mount -o ro "$1" "$mnt" || return
	(cd "$mnt" && find . -type f | sort | xargs md5sum) >"$work/sums"
	local status=$?
	umount "$mnt" || return
	[ "$status" -eq 0 ] || { echo unreadable; return "$status"; }
	md5sum <"$work/sums" | cut -c1-12
}
check_ext4() { e2fsck -fn "$1" >"$work/fsck" 2>&1 || { cat "$work/fsck"; return 1; }; }
check_xfs() { xfs_repair -n "$1" >"$work/fsck" 2>&1 || { cat "$work/fsck"; return 1; }; }
# fio with verification: random writes, then all of them read and compared.
fio_verify() { # DEVICE [OPTION...]
	local device=$1
	shift
	fio --name=verify --filename="$device" --direct=1 --ioengine=psync --rw=randwrite --bsrange=4k-64k \
		--blockalign=4k --size=4m --verify=crc32c --do_verify=1 --verify_fatal=1 --randseed=7 --output="$work/fio" "$@" ||
		{ cat "$work/fio"; return 1; }
}

# checker COMMAND...: what a format's checker says, in a word or two.
checker() {
	if "$@" >"$work/check" 2>&1; then
		echo good
	else
		echo "bad: $(grep -oiE 'needs[_ ]check|checksum error|bad checksum|superblock|contains errors' "$work/check" | sort -u | paste -sd, -)"
	fi
}

# --- running ----------------------------------------------------------------

tidy() {
	local m _
	for _ in 1 2 3; do
		while umount "$mnt" 2>/dev/null; do :; done
		if [ -d /etc/lvm ] && command -v tidy_lvm >/dev/null; then tidy_lvm >/dev/null 2>&1; fi
		for m in $(dmsetup ls 2>/dev/null | awk '/^No devices/ { next } { print $1 }' | sort -r); do
			dmsetup remove --retry "$m" >/dev/null 2>&1
		done
		if ! dmsetup ls 2>/dev/null | grep -qv '^No devices'; then
			# What a test made below them.
			if command -v tidy_last >/dev/null; then tidy_last || return; fi
			return 0
		fi
		sleep 0.3
	done
	echo "devices that cannot be removed:"
	dmsetup ls --tree
	dmsetup status
	return 1
}
unload() {
	local _
	rm -f /run/modprobe.d/memscope-dm-bufio.conf
	# All targets: lvm2 loads some that nobody named. Those that others use go later.
	for _ in $(seq 100); do
		awk '$1 ~ /^dm_|^memscope_dm_/ && $1 != "dm_mod" && $3 == 0 { print $1 }' /proc/modules | xargs -r rmmod
		[ ! -d /sys/module/dm_bufio ] && [ ! -d /sys/module/memscope_dm_bufio ] && return
		sleep 0.1
	done
	return 1
}
insert() {
	local m
	for m in dm-dust "${built[@]}"; do insmod "$extra/$m.ko" || return; done
}
load_stock() {
	modprobe -a dm-mod dm-flakey dm-bufio "${modules[@]}" && insert &&
		[ -d /sys/module/dm_bufio ] && [ ! -d /sys/module/memscope_dm_bufio ]
}
load_ours() {
	mkdir -p /run/modprobe.d && modprobe -a dm-mod dm-flakey && insmod "$ko" &&
		cp "$conf" /run/modprobe.d/ && modprobe -a dm-bufio "${modules[@]}" && insert &&
		[ ! -d /sys/module/dm_bufio ] && [ -n "$(ls /sys/module/memscope_dm_bufio/holders)" ]
}

declare -A status facts
# Runs one case in a shell of its own.
attempt() { # CACHE NAME
	local start=${EPOCHREALTIME/./}
	: >"$work/facts"
	ram || return
	(
		set -eo pipefail
		if [ -n "${TRACE:-}" ]; then set -x; fi
		"case_$2"
	) >"$work/log" 2>&1
	local result=$?
	tidy >>"$work/log" 2>&1 || result=1
	status[$1.$2]=$result
	local took=$((${EPOCHREALTIME/./} - start))
	echo "# $2 on $1: $((took / 1000)) ms"
	facts[$1.$2]=$(tr '\n' ';' <"$work/facts" | sed 's/;$//; s/;/; /g')
	if [ "$result" -ne 0 ]; then
		facts[$1.$2]="FAILED ${facts[$1.$2]}"
		echo "# $2 on $1 failed with status $result"
		sed 's/^/#   /' "$work/log"
		dmesg | tail -n 12 | sed 's/^/#   | /'
	fi
}

# both FAMILY [CASE...]: prints one row for each case, by default for all of the file.
both() {
	local family=$1 name number=0 bad=0
	shift
	if [ -z "${1:-}" ]; then
		# In the order of the file.
		mapfile -t names < <(sed -nE 's/^case_([a-z0-9_]+)\(\).*/\1/p' "$0")
		set -- "${names[@]}"
	fi
	modprobe -r brd 2>/dev/null
	modprobe brd rd_nr=4 rd_size=524288
	local caches=(stock ours)
	if [ "$MEMSCOPE_KERNEL" = sanitize ]; then caches=(ours); fi
	for cache in "${caches[@]}"; do
		unload
		"load_$cache" || { echo "Bail out! the modules cannot be loaded for $cache"; lsmod; exit 1; }
		for name; do attempt "$cache" "$name"; done
		unload || { echo "Bail out! the modules cannot be unloaded after $cache"; lsmod; exit 1; }
	done
	for name; do
		number=$((number + 1))
		result=ok
		if [ ${#caches[@]} -eq 1 ]; then
			facts[stock.$name]="not run"
			if [ "${status[ours.$name]:-}" != 0 ] || [ -z "${facts[ours.$name]:-}" ]; then
				result="not ok" bad=$((bad + 1))
			elif [ -e "$expected/$family" ] && ! grep -qxF "$name: ${facts[ours.$name]}" "$expected/$family"; then
				result="not ok" bad=$((bad + 1))
				facts[stock.$name]+=", expected $(grep "^$name: " "$expected/$family")"
			fi
		elif [ "${status[stock.$name]:-}" != 0 ] || [ "${status[ours.$name]:-}" != 0 ] || [ -z "${facts[stock.$name]:-}" ] ||
			[ "${facts[stock.$name]:-}" != "${facts[ours.$name]:-}" ]; then
			result="not ok" bad=$((bad + 1))
		fi
		echo "$result $number $family $name | dm-bufio: ${facts[stock.$name]:-} | memscope: ${facts[ours.$name]:-}"
	done
	echo "1..$number"
	exit $((bad > 0))
}
