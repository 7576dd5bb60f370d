#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The manual pages: formatted without complaint, and nothing that exists is
# missing in them: no command, no option, no exit status, no ioctl.
#
# selftest: timeout=60

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
man=$tools/man
echo "TAP version 13"

text() { MANWIDTH=10000 man -l "$man/$1" 2>/dev/null | col -b; }
for page in memscope.1 memscope.4 ioctl_memscope.2; do
	clean() { local out; out=$(groff -man -ww -z -Tutf8 "$man/$page" 2>&1) && same complaints "" "$out"; }
	check "$page is formatted" clean
done
page=$(text memscope.1)
commands=$("$memscope" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\).*/\1/p' | grep -v help)
all_commands() {
	local c missing=
	for c in $commands; do grep -qE "^ +$c( |\$)" <<<"$page" || missing+=" $c"; done
	same "missing commands" "" "$missing" && [ "$(wc -w <<<"$commands")" -ge 7 ]
}
check "memscope(1) has every command" all_commands
all_options() {
	local c o missing=
	for c in $commands; do
		for o in $("$memscope" "$c" --help | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+|^ +-[a-z], --[a-z-]+' | grep -oE -- '--[a-z-]+'); do
			# Two have a short name in the page.
			case $o in --delay) o=-d ;; --iterations) o=-n ;; esac
			grep -qE -- "(^|[^a-z-])$o([^a-z-]|\$)" <<<"$page" || missing+=" $c:$o"
		done
	done
	same "missing options" "" "$missing"
}
check "memscope(1) has every option" all_options
all_exits() {
	local e missing=
	for e in 0 1 2 3 125 126 127; do grep -qE "^ +$e( |\$)" <<<"$page" || missing+=" $e"; done
	same "missing exit statuses" "" "$missing"
}
check "memscope(1) has every exit status" all_exits
ioctls=$(text ioctl_memscope.2)
all_ioctls() {
	local i missing=
	for i in $(sed -n 's/^#define \(MEMSCOPE_IOC_[A-Z_]*\)[[:space:]].*_IO.*/\1/p' \
		"$tools/../../include/uapi/linux/memscope.h"); do
		grep -q "$i" <<<"$ioctls" || missing+=" $i"
	done
	same "missing commands" "" "$missing"
}
check "ioctl_memscope(2) has every command of the header" all_ioctls
all_errnos() {
	local e missing=
	for e in $(grep -oE '^ \* \* %E[A-Z0-9]+' "$tools/../../include/uapi/linux/memscope.h" | grep -oE 'E[A-Z0-9]+$' | sort -u); do
		grep -qE "^ +$e( |\$)" <<<"$ioctls" || missing+=" $e"
	done
	same "missing errors" "" "$missing"
}
check "ioctl_memscope(2) has every error of the header" all_errnos
finish
