#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Storage daemons of Debian, unmodified, under `memscope run`: each serves a
# device with ext4 on it, whose data is written, verified, and verified again
# after a new mount, while the daemon's control group is at its limit.
# /proc/PID/stat shows the flags on every thread, `memscope status` lists it.
#
# Sockets are not counted to the groups: at their limit TCP would drop packets, which
# no mark is about.
#
# selftest: timeout=600 memory=768M disk=1G append=cgroup.memory=nosocket

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
back=/mnt/back
mnt=/mnt/served
cg=/sys/fs/cgroup
mkdir -p $back $mnt
echo "TAP version 13"

quietly() { "$@" >/tmp/log 2>&1 || { sed 's/^/# /' /tmp/log; return 1; }; }

# in_group NAME COMMAND...
in_group() { bash -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$cg/$1" "${@:2}"; }

# serve SCOPES COMMAND...: as an administrator would, in a group with a limit.
serve() {
	mkdir $cg/daemon
	echo "$limit" >"$cg/daemon/memory.max"
	quietly in_group daemon "$memscope" run "$@"
}

# The daemon is what is in its group, less what waits there for the kernel.
daemon_pids() { grep . $cg/daemon/cgroup.procs; }

flags_on_every_thread() { # FLAGS
	local pid tid n=0
	for pid in $(daemon_pids); do
		for tid in "/proc/$pid/task"/*; do
			tid=${tid##*/}
			wait_for 20 have_marks "$1" "$pid" "$tid" ||
				{ same "marks of $pid/$tid ($(<"/proc/$pid/comm"))" "$1" "$(marks "$pid" "$tid")"; return; }
			[ "$(marks "$pid" "$tid")" = gone ] || n=$((n + 1))
		done
	done
	[ $n -gt 0 ] || { echo "# no daemon runs"; return 1; }
}

# Every process of the daemon, with all its threads.
status_lists_it() {
	# shellcheck disable=SC2046 # words
	"$memscope" status --json | python3 -c '
import json, os, sys
listed = {}
for m in json.load(sys.stdin)["marks"]:
    listed.setdefault(m["pid"], set()).add(m["tid"])
for pid in map(int, sys.argv[1:]):
    threads = set(map(int, os.listdir(f"/proc/{pid}/task")))
    if not threads & listed.get(pid, set()):
        sys.exit(f"# process {pid} is not listed: {listed}")' $(daemon_pids)
}

# Times that the group was at its limit.
at_limit() { sed -n 's/^max //p' $cg/daemon/memory.events; }

job=(--name=data --filename="$mnt/data" --rw=randwrite --bs=64k --size=32m --ioengine=psync
	--randseed=5 --verify=crc32c --verify_fatal=1 --output=/tmp/fio.log)
verified() {
	fio "${job[@]}" "$@" >/tmp/log 2>&1 || { sed 's/^/# /' /tmp/log /tmp/fio.log; return 1; }
}
write_and_verify() { # DEVICE
	quietly mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1" || return
	mount "$1" $mnt || return
	verified --end_fsync=1 || return
	umount $mnt && mount "$1" $mnt || return
	echo 3 >/proc/sys/vm/drop_caches
	verified --verify_only || return
	umount $mnt
}

# exercise NAME DEVICE FLAGS
exercise() {
	local before
	check "$1: its threads are marked" flags_on_every_thread "$3"
	check "$1: memscope status lists it" status_lists_it
	before=$(at_limit)
	check "$1: what is written is what is read" write_and_verify "$2"
	check "$1: and it was short of memory meanwhile" test "$(at_limit)" -gt "$before"
	check "$1: its threads are still marked" flags_on_every_thread "$3"
}

# end_daemon: whatever is left in the group.
end_daemon() {
	if [ -e $cg/daemon/cgroup.kill ]; then echo 1 >$cg/daemon/cgroup.kill; fi
	wait_for 30 eval '! grep -q . $cg/daemon/cgroup.procs'
	wait_for 30 rmdir $cg/daemon 2>/dev/null
}

image() { rm -f $back/image; truncate -s 128M $back/image; }

nbd_ready() { [ "$(blockdev --getsize64 /dev/nbd0 2>/dev/null)" = $((128 << 20)) ]; }

# Goes to the background by itself.
serve_nbdkit() {
	image
	check "nbdkit: starts" serve --io -- nbdkit -U /run/nbdkit.sock -P /run/nbdkit.pid file $back/image
	wait_for 20 test -s /run/nbdkit.pid
	check "nbdkit: connects" quietly nbd-client -unix /run/nbdkit.sock /dev/nbd0
	wait_for 20 nbd_ready
	exercise nbdkit /dev/nbd0 "$IO"
	quietly nbd-client -d /dev/nbd0
	end_daemon
}

# A process for each connection, as another user.
serve_nbd_server() {
	image
	chown nbd:nbd $back/image
	cat >/run/nbd.conf <<END
[generic]
	user = nbd
	group = nbd
	unixsock = /run/nbd-server.sock
[image]
	exportname = $back/image
END
	check "nbd-server: starts" serve --io -- nbd-server -C /run/nbd.conf -p /run/nbd-server.pid
	wait_for 20 test -S /run/nbd-server.sock
	check "nbd-server: connects" quietly nbd-client -unix /run/nbd-server.sock /dev/nbd0 -N image
	wait_for 20 nbd_ready
	exercise nbd-server /dev/nbd0 "$IO"
	quietly nbd-client -d /dev/nbd0
	end_daemon
}

# A SCSI disk by the loopback fabric, on a qcow2 image. Its LUN is mapped for the initiator by hand:
# where the kernel does that, removing the LUN reads the mapping after it was freed
# (core_clear_lun_from_tpg(), in 7.3 too; KASAN has seen it).
tcm=/sys/kernel/config/target
tpg=$tcm/loopback/naa.5001405000000005/tpgt_1
initiator=naa.5001405000000006
acl=$tpg/acls/$initiator
tcmu_device() {
	mkdir -p $tcm/core/user_0/disk || return
	# The daemon answers when it has opened the image.
	wait_for 20 eval 'echo "dev_config=qcow/$back/image.qcow2,dev_size=$((128 << 20)),hw_block_size=512" \
		>$tcm/core/user_0/disk/control' &&
		wait_for 30 eval 'echo 1 >$tcm/core/user_0/disk/enable' || return
	mkdir -p $acl && echo $initiator >$tpg/nexus && mkdir $tpg/lun/lun_0 $acl/lun_0 &&
		ln -s $tcm/core/user_0/disk $tpg/lun/lun_0/disk && ln -s $tpg/lun/lun_0 $acl/lun_0/lun || return
	local host
	host=$(grep -l tcm_loopback /sys/class/scsi_host/host*/proc_name) && echo '0 1 -' >"${host%/*}/scan" &&
		wait_for 20 eval 'grep -l TCMU /sys/block/sd*/device/model >/dev/null 2>&1'
}
remove_tcmu_device() {
	rm $acl/lun_0/lun $tpg/lun/lun_0/disk && echo NULL >$tpg/nexus &&
		rmdir $acl/lun_0 $acl $tpg/lun/lun_0 $tpg ${tpg%/*} $tcm/core/user_0/disk
}
scsi_disk() { # MODEL
	local model
	model=$(grep -l "$1" /sys/block/sd*/device/model) || return
	model=${model#/sys/block/}
	echo "/dev/${model%%/*}"
}
serve_tcmu_runner() {
	modprobe target_core_user
	modprobe tcm_loop
	quietly qemu-img create -f qcow2 $back/image.qcow2 128M
	check "tcmu-runner: starts" eval 'serve --io -- tcmu-runner & sleep 0.1'
	wait_for 20 eval 'daemon_pids | grep -q . && [ "$(cat /proc/$(daemon_pids | head -n 1)/comm)" = tcmu-runner ]'
	check "tcmu-runner: has a disk" tcmu_device
	exercise tcmu-runner "$(scsi_disk TCMU)" "$IO"
	check "tcmu-runner: its disk is removed" remove_tcmu_device
	end_daemon
}

# iSCSI over the loopback interface, both ends.
tgt() { tgtadm --lld iscsi "$@"; }
tgt_target() {
	wait_for 20 quietly tgt --mode system --op show &&
		tgt --mode target --op new --tid 1 --targetname iqn.2000-01.memscope:t &&
		tgt --mode logicalunit --op new --tid 1 --lun 1 --backing-store $back/image &&
		tgt --mode target --op bind --tid 1 --initiator-address ALL
}
iscsi_login() {
	quietly wait_for 20 iscsiadm -m discovery -t st -p 127.0.0.1 &&
		quietly iscsiadm -m node -T iqn.2000-01.memscope:t -p 127.0.0.1 --login &&
		wait_for 20 eval 'grep -l VIRTUAL-DISK /sys/block/sd*/device/model >/dev/null 2>&1'
}
serve_tgtd() {
	# 17 threads with their buffers.
	local limit=28M
	image
	check "tgtd: starts" serve --io -- tgtd
	check "tgtd: has a target" tgt_target
	echo InitiatorName=iqn.2000-01.memscope:i >/etc/iscsi/initiatorname.iscsi
	modprobe iscsi_tcp
	check "iscsid: starts" quietly "$memscope" run --io -- iscsid -p /run/iscsid.pid
	wait_for 20 test -s /run/iscsid.pid
	check "iscsid: logs in" iscsi_login
	check "iscsid: is marked" wait_for 20 eval '[ "$(marks "$(</run/iscsid.pid)")" = "$IO" ]'
	exercise tgtd "$(scsi_disk VIRTUAL-DISK)" "$IO"
	quietly iscsiadm -m node -T iqn.2000-01.memscope:t -p 127.0.0.1 --logout
	kill "$(</run/iscsid.pid)"
	quietly tgt --mode target --op delete --force --tid 1
	quietly tgt --mode system --op delete
	end_daemon
}

# A FUSE filesystem, with a loop device on a file in it.
serve_bindfs() {
	image
	mkdir /mnt/bind
	check "bindfs: starts" serve --fs -- bindfs $back /mnt/bind
	wait_for 20 mountpoint -q /mnt/bind
	loop=$(losetup --show --find /mnt/bind/image)
	exercise bindfs "$loop" "$FS"
	losetup -d "$loop"
	umount /mnt/bind
	end_daemon
}

quietly mkfs.ext4 -q -F /dev/vda && mount /dev/vda $back || exit 1
echo +memory >$cg/cgroup.subtree_control
# The daemon reclaims what it allocates beyond that. Dirty pages of its backing file
# it must not write itself, so there is to be no more of them than it can spare.
limit=16M
echo $((1 << 20)) >/proc/sys/vm/dirty_background_bytes
echo $((4 << 20)) >/proc/sys/vm/dirty_bytes
modprobe sd_mod
modprobe nbd nbds_max=2
modprobe loop
modprobe fuse
daemons=("$@")
[ $# -gt 0 ] || daemons=(nbdkit nbd_server tcmu_runner tgtd bindfs)
for daemon in "${daemons[@]}"; do
	start=$SECONDS
	"serve_$daemon"
	echo "# $daemon: $((SECONDS - start)) s"
done
umount $back
finish
