#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# memscope-dm-bufio as an installed module: off by default, on with the
# modprobe.d file, refused beside dm-bufio, counted by its users, with dm-bufio's
# parameters.
#
# selftest: timeout=300 load=no

set -u
export LC_ALL=C DM_DISABLE_UDEV=1
top=$(cd "$MEMSCOPE_BUILD/../.." && pwd)
release=$(uname -r)
conf=/etc/modprobe.d/memscope-dm-bufio.conf
number=0 bad=0
is() { # NAME COMMAND...
	local name=$1 result=ok
	shift
	number=$((number + 1))
	"$@" >/tmp/log 2>&1 || { result="not ok" bad=$((bad + 1)); }
	echo "$result $number $name"
	if [ "$result" != ok ]; then
		sed 's/^/# /' /tmp/log
		lsmod | sed 's/^/# /'
		dmesg | tail -n 5 | sed 's/^/# /'
	fi
}
loaded() { grep -q "^$1 " /proc/modules; }
not() { ! "$@"; }
# uses USER MODULE: as lsmod says.
uses() { lsmod | awk -v m="$2" '$1 == m { print "," $4 "," }' | grep -q ",$1,"; }
references() { cat "/sys/module/$1/refcnt"; }
unload() {
	modprobe -r dm-verity dm-integrity 2>/dev/null
	rmmod memscope_dm_bufio 2>/dev/null
	modprobe -r dm-bufio 2>/dev/null
	rmmod memscope 2>/dev/null
	! loaded dm_bufio && ! loaded memscope_dm_bufio
}
kernel_said() { dmesg | tail -n 8 | grep -q "$1"; }

modprobe brd rd_nr=2 rd_size=65536
# The modules that matter, where they belong, and ours installed beside: depmod
# over all of Debian's takes a minute here.
tree=/tmp/modules
mkdir -p "$tree/updates"
for m in dm-verity dm-integrity crypto-sha256; do modprobe --show-depends --ignore-install $m; done | awk '/^insmod/ { print $2 }' | sort -u |
	while read -r f; do
		mkdir -p "$tree/$(dirname "${f#/lib/modules/"$release"/}")"
		cp "$f" "$tree/${f#/lib/modules/"$release"/}"
	done
cp /usr/lib/modules/"$release"/modules.{order,builtin,builtin.modinfo} "$tree/"
cp "$MEMSCOPE_BUILD/memscope.ko" "$MEMSCOPE_BUILD/memscope-dm-bufio.ko" "$tree/updates/"
mount --bind "$tree" "/usr/lib/modules/$release"
depmod -a
mkdir -p /etc/modprobe.d

# --- off ---

off() { modprobe dm-verity && loaded dm_bufio && uses dm_verity dm_bufio && ! loaded memscope_dm_bufio; }
is "installed, and off: modprobe dm-verity loads the stock dm-bufio" off
exported() { awk '$2 == "T" && $3 ~ /^dm_bufio_/ && $4 == "['"$1"']" { print $3 }' /proc/kallsyms | sort; }
exported dm_bufio >/tmp/stock-names
parameters() { (cd "/sys/module/$1/parameters" && stat -c '%n %A' -- *); }
parameters dm_bufio >/tmp/stock-parameters
refused() {
	local out
	out=$(modprobe memscope-dm-bufio 2>&1) && return 1
	echo "$out"
	! loaded memscope_dm_bufio && loaded dm_bufio && kernel_said "memscope_dm_bufio: dm_bufio is loaded" &&
		! kernel_said "duplicate symbol"
}
is "beside dm-bufio it is refused, with a message that says why" refused
kept() {
	cp "$top/dm/memscope-dm-bufio.conf" "$conf" && modprobe dm-integrity && uses dm_integrity dm_bufio && ! loaded memscope_dm_bufio
	local status=$?
	rm "$conf" && modprobe -r dm-integrity && return $status
}
is "turned on beside dm-bufio: what is loaded stays, and serves the next target too" kept
is "and can be loaded when dm-bufio has gone" eval "modprobe -r dm-verity && ! loaded dm_bufio && modprobe memscope-dm-bufio && loaded memscope_dm_bufio"
other_way() {
	modprobe dm-bufio && return 1
	! loaded dm_bufio && kernel_said "(owned by memscope_dm_bufio)" && kernel_said "memscope_dm_bufio: in the place of dm_bufio"
}
is "dm-bufio is refused beside it" other_way
is "it goes again" unload
is "memscope's own count cannot be given when it is loaded" eval "! modprobe memscope current_allocated_bytes=1 && ! loaded memscope"

# --- on ---

cp "$top/dm/memscope-dm-bufio.conf" "$conf"
on() { modprobe dm-verity && uses dm_verity memscope_dm_bufio && uses memscope_dm_bufio memscope && ! loaded dm_bufio; }
is "on: modprobe dm-verity pulls in memscope_dm_bufio, and no dm_bufio" on
in_words() {
	local out
	out=$(modprobe dm-verity 2>&1) && return 1
	echo "$out"
	[[ $out == *"memscope-dm-bufio cannot take the place of dm-bufio"* ]] && ! loaded dm_bufio && ! loaded dm_verity
}
by_hand() { modprobe -a memscope dm-mod && insmod /tmp/memscope-dm-bufio.ko && on; }
absent() {
	local status=0
	modprobe -r dm-verity && ! loaded memscope_dm_bufio && mv "$tree/updates/memscope-dm-bufio.ko" /tmp/ && depmod -a || return
	in_words && by_hand || status=1
	unload || status=1
	mv /tmp/memscope-dm-bufio.ko "$tree/updates/" && depmod -a && modprobe dm-verity && return $status
}
is "on, and not installed: refused in words; inserted by hand it is used" absent
is "dm-bufio by name is ours" eval "modprobe dm-bufio && ! loaded dm_bufio"
same_names() { exported memscope_dm_bufio | diff /tmp/stock-names - && [ -s /tmp/stock-names ]; }
is "every name that dm-bufio exports is exported" same_names
same_parameters() { parameters memscope_dm_bufio | diff /tmp/stock-parameters - && [ -s /tmp/stock-parameters ]; }
is "every parameter of dm-bufio is there, with the same access" same_parameters
types() { modinfo -F parm "$1" | sed -E 's/:.*\((.*)\)$/ \1/' | sort; }
same_types() { diff <(types dm-bufio) <(types memscope-dm-bufio) && types dm-bufio | grep -q "max_cache_size_bytes ulong"; }
is "and of the same type" same_types
is "it cannot be removed while dm-verity uses it" eval "! rmmod memscope_dm_bufio && loaded memscope_dm_bufio"
is "memscope cannot be removed while it is used" eval "! rmmod memscope && loaded memscope"
counted() {
	local before after
	before=$(references memscope_dm_bufio)
	modprobe dm-integrity && after=$(references memscope_dm_bufio) && [ "$after" -gt "$before" ] &&
		rmmod dm_integrity && [ "$(references memscope_dm_bufio)" = "$before" ]
}
is "each user counts as one reference" counted
is "modprobe -r dm-verity takes it along, as it does dm-bufio" eval "modprobe -r dm-verity && ! loaded memscope_dm_bufio"

# --- parameters ---

p=/sys/module/memscope_dm_bufio/parameters
value() { cat "$p/$1"; }
modprobe memscope-dm-bufio max_cache_size_bytes=200000 current_allocated_bytes=7 allocated_vmalloc_bytes=7
is "a parameter can be given when it is loaded" [ "$(value max_cache_size_bytes)" = 200000 ]
is "a count given so is taken and cleared, as by dm-bufio" [ "$(value current_allocated_bytes) $(value allocated_vmalloc_bytes)" = "0 0" ]
is "the limit is memscope's" [ "$(cat /sys/module/memscope/parameters/max_cache_size_bytes)" = 200000 ]
# 8192 blocks, with 65 of hashes.
root=$(veritysetup format --data-blocks 8192 /dev/ram0 /dev/ram1 | awk '/^Root hash:/ { print $3 }')
veritysetup open /dev/ram0 t /dev/ram1 "$root"
read_all() { dd if=/dev/mapper/t of=/dev/null bs=1M iflag=direct status=none; }
read_all
sums() {
	local all=0 name
	for name in kmem_cache kmalloc get_free_pages vmalloc; do all=$((all + $(value "allocated_${name}_bytes"))); done
	[ "$all" = "$(value current_allocated_bytes)" ] && [ "$all" -gt 0 ] && [ "$(value allocated_get_free_pages_bytes)" -gt 0 ]
}
is "the kinds of memory add up to current_allocated_bytes" sums
is "peak_allocated_bytes is at least that" [ "$(value peak_allocated_bytes)" -ge "$(value current_allocated_bytes)" ]
is "the limit was kept" [ "$(value peak_allocated_bytes)" -le 200000 ]
echo 0 >$p/peak_allocated_bytes
is "peak_allocated_bytes can be set" [ "$(value peak_allocated_bytes)" = 0 ]
echo 0 >$p/max_cache_size_bytes
is "0 is dm-bufio's default: some share of the memory" [ "$(value max_cache_size_bytes)" -gt 2000000 ]
echo 3 >/proc/sys/vm/drop_caches
read_all
is "the cache then holds all" [ "$(value current_allocated_bytes)" -gt $((65 * 4096)) ]
echo 100000 >$p/retain_bytes
is "retain_bytes is memscope's" [ "$(cat /sys/module/memscope/parameters/retain_bytes)" = 100000 ]
is "nonsense is refused" not eval "echo x >$p/max_cache_size_bytes"
before=$(value current_allocated_bytes)
echo 2 >/proc/sys/vm/drop_caches
shrunk() {
	local _
	for _ in $(seq 100); do
		[ "$(value current_allocated_bytes)" -lt "$before" ] && return
		echo 2 >/proc/sys/vm/drop_caches
		sleep 0.05
	done
	return 1
}
is "the shrinker takes what is above retain_bytes" shrunk
is "and leaves that" [ "$(value current_allocated_bytes)" -ge 95000 ]
echo 7 >$p/max_age_seconds
is "max_age_seconds can be set" [ "$(value max_age_seconds)" = 7 ]
veritysetup close t
is "a client that goes gives all of it back" [ "$(value current_allocated_bytes)" = 0 ]

# As docs/dm.md says.
back() {
	modprobe dm-verity && loaded memscope_dm_bufio && rm "$conf" && modprobe -r dm-verity memscope-dm-bufio &&
		! loaded memscope_dm_bufio && modprobe dm-verity && uses dm_verity dm_bufio && ! loaded memscope
}
is "the way back: without the file, dm-bufio serves again" back
is "all of it goes" unload
umount "/usr/lib/modules/$release"
modprobe -r brd
echo "1..$number"
exit $((bad > 0))
