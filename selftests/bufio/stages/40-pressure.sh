# shellcheck shell=bash disable=SC2154,SC2034
# Direct reclaim with a lock of the cache held: none on memscope.

# Something to reclaim: page cache of the root image, refilled all the time, in
# the cgroup $1 if there is one.
read_all() {
	local child=
	trap 'kill $child; wait; exit' TERM
	if [ -n "${1:-}" ]; then echo "$BASHPID" >"$1/cgroup.procs"; fi
	echo 0 >/proc/self/oom_score_adj
	while :; do
		cat /usr/lib/x86_64-linux-gnu/*.so* >/dev/null 2>&1 &
		child=$!
		wait $child || :
	done
}

read_all &
reader=$!
both pressure_global 120 "pressure_global dev=/dev/ram4 dev=/dev/ram5 seconds=${BUFIO_PRESSURE_SECONDS:-10}"
kill $reader 2>/dev/null
wait $reader 2>/dev/null || :

both emergency_pages 120 "emergency_pages dev=/dev/ram4"

# The same from a task in a cgroup whose memory is full of page cache: its
# file is read in the group while the case runs in it.
modprobe loop
cg=/sys/fs/cgroup/bufio_test
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p $cg
echo 32M >$cg/memory.max
truncate -s 64M "$work/big"
# What the reader reads must be charged to the group, not to who read it before.
echo 1 >/proc/sys/vm/drop_caches
lo=$(losetup -f --show "$work/big")
read_all $cg &
reader=$!
cgroup=$cg
both pressure_memcg 120 "pressure_memcg dev=$lo dev=/dev/ram5 seconds=${BUFIO_PRESSURE_SECONDS:-10}"
cgroup=
kill $reader 2>/dev/null
wait $reader 2>/dev/null || :
losetup -d "$lo"
