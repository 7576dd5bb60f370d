#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What every script here shares: where things are, what is supported, and how
# long steps are shown. Sourced, not run.
# shellcheck disable=SC2034 # variables are for the scripts that source this

set -euo pipefail

# --- the only place that names releases and architectures -------------------

# The Debian release of the build root.
SUITE=trixie
# Kernel series that memscope is built and tested against, newest last.
KERNEL_SERIES=(7.2)

ARCH=$(uname -m)
case $ARCH in
x86_64)
	DEB_ARCH=amd64
	KERNEL_IMAGE=arch/x86/boot/bzImage
	CROSS_COMPILE=x86_64-linux-gnu-
	QEMU=qemu-system-x86_64
	QEMU_PACKAGE=qemu-system-x86
	QEMU_MACHINE=q35
	CONSOLE=ttyS0
	KVM_CPU_FLAGS='vmx|svm'
	;;
*)
	echo "memscope: $ARCH is not supported yet (only x86_64 is)" >&2
	exit 1
	;;
esac
FLAVOUR=${FLAVOUR:-$DEB_ARCH}
# One release instead of the newest, as uname -r prints it.
RELEASE=${RELEASE:-}
if [ -n "$RELEASE" ]; then
	FLAVOUR=$(sed -E 's/^[^-]*-//' <<<"$RELEASE")
fi

# What the build root holds: the kernel's tool chain, the guest's tools, and
# QEMU, so that the host needs only mmdebstrap.
PACKAGES=(make gcc libc6-dev gcc-multilib flex bison bc libelf-dev libssl-dev
clang lld llvm rustc rust-src rustfmt rust-clippy bindgen pahole cargo
xz-utils cpio kmod rsync python3 ca-certificates
"$QEMU_PACKAGE" qemu-utils busybox-static erofs-utils e2fsprogs xfsprogs
libcap-dev libcap2-bin liburing-dev libkeyutils-dev pkgconf
iproute2 procps psmisc util-linux util-linux-extra fdisk dmsetup strace
shellcheck sparse coccinelle libpython3.13 perl
cryptsetup-bin lvm2 thin-provisioning-tools vdo fio
nbdkit nbd-client nbd-server libnbd-bin tcmu-runner targetcli-fb tgt open-iscsi fuse3 bindfs
systemd udev golang-go dpkg-dev debhelper dkms scdoc)

# --- paths ------------------------------------------------------------------

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${MEMSCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memscope}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd -P)
LOGS=$CACHE/log
mkdir -p "$LOGS"

# A list's key: the set-up is redone where its own description has changed.
key() { printf '%s ' "$@" | sha256sum | cut -c1-12; }

ROOT_KEY=$(key "$SUITE" "$DEB_ARCH" "${PACKAGES[@]}")
ROOT=$CACHE/root-$ROOT_KEY
ROOT_IMAGE=$CACHE/root-$ROOT_KEY.erofs

# The cache name of a kernel as the user names it: "stock" depends on FLAVOUR, or
# RELEASE.
kernel_name() {
	if [ "$1" = stock ]; then echo "stock-${RELEASE:-$FLAVOUR}"; else echo "$1"; fi
}
# kernel_dir NAME: holds build/ (KDIR), vmlinuz, modules.erofs, initramfs,
# release, source (link), append (kernel parameters, where it needs any); made
# by scripts/setup or scripts/kernel-NAME.
kernel_dir() { echo "$CACHE/kernel/$(kernel_name "$1")"; }

# --- messages ---------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE [NEXT STEP...]
die() {
	printf 'memscope: %s\n' "$1" >&2
	shift
	local line
	for line; do printf '  %s\n' "$line" >&2; done
	exit "${die_status:-1}"
}

# step LABEL LOG COMMAND...: runs a long command with its output in a log,
# shows that it goes on and how long it took; on failure shows the log's end.
step() {
	local label=$1 log=$LOGS/$2.log start=$SECONDS pid status=0 shown=0
	shift 2
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	trap 'kill '"$pid"' 2>/dev/null; wait '"$pid"' 2>/dev/null; trap - INT TERM; exit 130' INT TERM
	if [ -t 2 ]; then
		while kill -0 "$pid" 2>/dev/null; do
			printf '\r  %-58s %4d s ' "$label" $((SECONDS - start)) >&2
			sleep 0.5
		done
		printf '\r' >&2
	else
		while kill -0 "$pid" 2>/dev/null; do
			if ((SECONDS - start >= shown + 30)); then
				shown=$((SECONDS - start))
				say "  $label: $shown s, going on ($(tail -n 1 "$log" 2>/dev/null | cut -c1-60))"
			fi
			sleep 0.2
		done
	fi
	wait "$pid" || status=$?
	trap - INT TERM
	if [ "$status" -ne 0 ]; then
		say "  $label: FAILED after $((SECONDS - start)) s; the end of $log:"
		tail -n 25 "$log" | sed 's/^/    | /' >&2
		return "$status"
	fi
	printf '  %-58s %4d s \n' "$label" $((SECONDS - start)) >&2
}

# awk that reads lines as they come; mawk waits for a whole buffer.
awk_at_once() {
	if [[ $(awk -W version 2>/dev/null </dev/null) == mawk* ]]; then
		awk -W interactive "$@"
	else
		awk "$@"
	fi
}

# locked NAME COMMAND...: one at a time over all checkouts that use this cache.
locked() {
	local name=$1
	shift
	(
		exec 9>"$CACHE/$name.lock"
		if ! flock -n 9; then
			say "  waiting for another set-up of $name in this cache"
			flock 9
		fi
		# Children (QEMU, make) must not hold the lock any longer.
		"$@" 9>&-
	)
}
