#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# With systemd: the udev rule and its group, the drop-ins, and what the unit of
# a daemon has to give. systemd is process 1 of a pid namespace.
#
# selftest: timeout=120

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
files=$tools/../../tools
echo "TAP version 13"

quietly() { "$@" >/tmp/log 2>&1 || { sed 's/^/# /' /tmp/log; return 1; }; }

# --- udev ---------------------------------------------------------------------
check "the group is made" eval 'quietly systemd-sysusers "$files/systemd/memscope.sysusers" && getent group memscope >/dev/null'
check "the rule is sound" quietly udevadm verify --no-style "$files/udev/60-memscope.rules"
cp "$files/udev/60-memscope.rules" /etc/udev/rules.d/
udev_node() {
	same "before" "root 600" "$(stat -c '%G %a' /dev/memscope)" || return
	quietly /usr/lib/systemd/systemd-udevd --daemon || return
	quietly udevadm trigger --settle --action=add /sys/class/misc/memscope || return
	same "after" "memscope 660" "$(stat -c '%G %a' /dev/memscope)"
}
check "the rule gives the node to the group" udev_node
# Its workers end with it; the node is what it was for who comes next.
udev=$(pgrep -x systemd-udevd)
# shellcheck disable=SC2086 # words
kill $udev
wait_for 20 eval '! pgrep -x "systemd-udevd|\(udev-worker\)" >/dev/null'
rm /etc/udev/rules.d/60-memscope.rules
chown root:root /dev/memscope
chmod 600 /dev/memscope

# --- the manager -----------------------------------------------------------------
units=/etc/systemd/system
install -m 755 "$memscope" /usr/bin/memscope
cat >$units/check.target <<END
[Unit]
DefaultDependencies=no
END
# A daemon that knows nothing of memscope.
cat >$units/plain.service <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/nbdkit -f -U /tmp/plain.sock memory 1M
END
mkdir -p $units/plain.service.d
sed 's|/usr/sbin/DAEMON --its-options|/usr/bin/nbdkit -f -U /tmp/plain.sock memory 1M|' \
	"$files/systemd/run.conf" >$units/plain.service.d/memscope.conf
# The same under another user.
sed 's/plain/user/' $units/plain.service >$units/user.service
mkdir -p $units/user.service.d
sed 's/plain/user/; s/^#\([A-Z]\)/\1/' $units/plain.service.d/memscope.conf >$units/user.service.d/memscope.conf
echo "User=nobody" >>$units/user.service.d/memscope.conf
# Daemons that mark themselves, by what systemd has opened.
for language in c rs; do
	# Where another user may go.
	install -m 755 "$tools/examples/daemon-$language" /usr/local/bin/
	cat >$units/open-$language.service <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		# Serves as long as its input is open.
		ExecStart=/bin/bash -c 'exec /usr/local/bin/daemon-$language < <(exec sleep infinity)'
		User=nobody
	END
	mkdir -p $units/open-$language.service.d
	cp "$files/systemd/open-file.conf" $units/open-$language.service.d/
done

# Daemons without any capability, with a file that was delegated to them: one that marks
# itself, and one that knows nothing of memscope.
cat >$units/given-c.service <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/bash -c 'exec /usr/local/bin/daemon-c < <(exec sleep infinity)'
User=nobody
CapabilityBoundingSet=
END
cat >$units/given-run.service <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/memscope run --io -- /usr/bin/nbdkit -f -U /tmp/given.sock memory 1M
User=nobody
CapabilityBoundingSet=
END
for unit in given-c given-run; do
	mkdir -p $units/$unit.service.d
	cp "$files/systemd/delegate.conf" $units/$unit.service.d/
done

# Its own cgroup, so that it does not take this test's.
mkdir /sys/fs/cgroup/manager
bash -c 'echo 0 >/sys/fs/cgroup/manager/cgroup.procs
	exec unshare --cgroup --pid --fork --kill-child --mount --mount-proc env container=test \
		bash -c "mount -t cgroup2 cgroup2 /sys/fs/cgroup
			exec /usr/lib/systemd/systemd --system --unit=check.target --show-status=no --log-target=console"' \
	>/tmp/systemd.log 2>&1 &
outer=$! init=
wait_for 30 eval 'init=$(pgrep -P $outer -x systemd)'
ctl() { nsenter -t "$init" -m -p systemctl "$@"; }
check "systemd runs" wait_for 60 eval '[ "$(ctl is-active check.target 2>/dev/null)" = active ]'

# The number in this namespace, by the one in the inner namespace, which some other
# process may have here.
main_pid() { # UNIT
	local inner
	inner=$(ctl show -p MainPID --value "$1") || return
	grep -lP "^NSpid:\t[0-9]+\t$inner$" /proc/[0-9]*/status 2>/dev/null | head -n 1 | tr -cd 0-9
}
served=
unit_is_marked() { # UNIT USER
	local pid
	quietly ctl start "$1" || return
	wait_for 20 eval 'pid=$(main_pid '"$1"'); [ -n "$pid" ] && [ "$(marks $pid)" = '"$IO"' ]' ||
		{ same marks "$IO" "$(marks "$pid")"; ctl status --no-pager "$1" | sed 's/^/# /'; tail -n 5 /tmp/systemd.log | sed 's/^/# /'; return 1; }
	served+=" $pid"
	same user "$2" "$(stat -c %U "/proc/$pid")" || return
	"$memscope" status "$pid" | grep -q "^ *$pid "
}
check "drop-in with memscope run: the daemon is marked" unit_is_marked plain root
check "and under User= with the capability" unit_is_marked user nobody
check "OpenFile=: a daemon in C takes the descriptor" unit_is_marked open-c nobody
check "OpenFile=: a daemon in Rust takes the descriptor" unit_is_marked open-rs nobody
given() { # UNIT
	unit_is_marked "$1" nobody || return
	local pid
	pid=$(main_pid "$1")
	same capabilities 0000000000000000 "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")" &&
		"$memscope" status "$pid" | grep -q ' delegated '
}
check "delegated through the descriptor store: a daemon in C without capabilities" given given-c
check "the same under memscope run: one that knows nothing of it" given given-run
again() { quietly ctl restart given-c && given given-c; }
check "and again after a restart" again
# systemd has a descriptor of it too.
revoke_given() {
	local pid
	pid=$(main_pid given-c)
	"$memscope" revoke "$pid" && wait_for 20 eval '[ "$(marks '"$pid"')" = '"$NONE"' ]' && again
}
check "revoked by the daemon's process; given anew with the next start" revoke_given
nobody_left() {
	# shellcheck disable=SC2086 # words
	quietly ctl stop plain user open-c open-rs given-c given-run && same status "nobody is marked" "$("$memscope" status $served)"
}
check "and none is left when they are stopped" nobody_left
kill -KILL "$init"
wait $outer 2>/dev/null
group_is_gone() {
	find /sys/fs/cgroup/manager -depth -type d -exec rmdir {} + 2>/dev/null
	[ ! -e /sys/fs/cgroup/manager ]
}
check "its control groups are gone" wait_for 20 group_is_gone
rm -r /usr/bin/memscope /usr/local/bin/daemon-* $units/check.target $units/{plain,user,open-c,open-rs,given-c,given-run}.service*
finish
