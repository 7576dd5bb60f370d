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
commands=$(commands)
all_commands() {
	local c missing=
	for c in $commands; do grep -qE "^ +$c( |\$)" <<<"$page" || missing+=" $c"; done
	same "missing commands" "" "$missing" && [ "$(wc -w <<<"$commands")" -ge 7 ]
}
check "memscope(1) has every command" all_commands
all_options() {
	local c o missing=
	for c in $commands; do
		for o in $(options "$c"); do
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

# --- the examples -----------------------------------------------------------------
# block PAGE WORD: the example that has this word.
block() {
	awk -v word="$2" '/^```/ { if (inside && index(text, word)) printf "%s", text; inside = !inside; text = ""; next }
		inside { text = text $0 "\n" }' "$tools/../../tools/man/$1.scd"
}
c_example() {
	{
		printf '#include <%s>\n' err.h fcntl.h sys/ioctl.h linux/memscope.h
		echo 'int main(void) {'
		block ioctl_memscope.2 MEMSCOPE_IOC_MARK
		echo '}'
	} >/tmp/example.c
	grep -q MEMSCOPE_MARK_HOLD /tmp/example.c &&
		gcc -D_GNU_SOURCE -Wall -Werror -I "$tools/../../include/uapi" -o /tmp/example /tmp/example.c && /tmp/example
}
check "ioctl_memscope(2): the example" c_example
install -m 755 "$memscope" /usr/local/bin/
# shell_example WORD PROGRAM MARKS: of which the program has the marks.
shell_example() {
	local status=0
	block memscope.1 "$1" >/tmp/example.sh
	grep -q memscope /tmp/example.sh || return
	bash /tmp/example.sh >/tmp/log 2>&1 &
	wait_for 20 eval '[ "$(marks "$(pgrep -n -x '"$2"')" 2>/dev/null)" = '"$3"' ]' ||
		{ sed 's/^/# /' /tmp/log; status=1; }
	# Again and again: it may still be on its way into the background.
	wait_for 20 eval '! pkill -x '"$2"'' || status=1
	return $status
}
truncate -s 1M /srv/image
check "memscope(1): run" shell_example "run --io -- nbdkit file" nbdkit "$IO"
check "memscope(1): delegate" shell_example "memscope delegate" nbdkit "$IO"
mkdir /srv/mounted
modprobe fuse
bindfs /srv /srv/mounted
check "memscope(1): mark" shell_example "memscope mark" bindfs "$FS"
umount -l /srv/mounted 2>/dev/null
rm /usr/local/bin/memscope
finish
