#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The command memscope with the module loaded: marks, what is shown of them, and
# every exit status that memscope(1) lists.
#
# selftest: timeout=120

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
lib=$(dirname "$0")/lib
echo "TAP version 13"

# exits STATUS COMMAND...: its output is in $out.
exits() {
	local want=$1 status=0
	shift
	out=$("$@" 2>&1) || status=$?
	same "status of $*" "$want" $status || { echo "# $out"; return 1; }
}
# json EXPRESSION: of the status, as "s".
json() {
	"$memscope" status --json |
		python3 -c 'import json, sys; s = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}
# asleep CHECK COMMAND...: CHECK PID, while that runs which COMMAND has become, "sleep 600".
asleep() {
	local judge=$1 pid status=0
	shift
	"$@" sleep 600 &
	pid=$!
	{ wait_for 20 eval '[ "$(cat /proc/'$pid'/comm)" = sleep ]' && "$judge" $pid; } || status=1
	kill $pid
	wait $pid 2>/dev/null
	return $status
}
has_marks() { [ "$(marks "$1")" = "$2" ]; }

run_marks() { # OPTION FLAGS
	local seen
	# The option may be none.
	# shellcheck disable=SC2086
	seen=$("$memscope" run $1 -- bash -c '. "$0"; marks $$; bash -c ". \"\$0\"; marks \$\$" "$0"; :' "$lib")
	same "marks of the command and of its child" "$2 $2" "${seen//$'\n'/ }"
}
check "run marks with IO_FLUSHER" run_marks "" "$IO"
check "run --io: the command and its children are marked" run_marks --io "$IO"
check "run --fs" run_marks --fs "$FS"
check "run --scopes nofs" run_marks "--scopes nofs" 0x40000
check "run --scopes none marks nothing" run_marks "--scopes none" "$NONE"

run_adds() {
	local seen
	seen=$("$memscope" run --fs -- "$memscope" run --io -- bash -c '. "$0"; marks $$' "$lib")
	same marks 0x1c0000 "$seen"
}
check "run adds to what is inherited" run_adds
check "run: the exit status is the command's" exits 7 "$memscope" run -- sh -c 'exit 7'
check "run: 127 where there is no such command" exits 127 "$memscope" run -- /no/such/command
check "run: 126 where it cannot be executed" exits 126 "$memscope" run -- /etc/passwd
check "run: no own process stays between" eval \
	'[ "$("$memscope" run -- sh -c "echo \$PPID")" = $$ ]'
without_capability() {
	exits 125 setpriv --bounding-set -sys_resource --inh-caps -sys_resource \
		"$memscope" run -- true && [[ $out == *CAP_SYS_RESOURCE* ]]
}
check "run: 125 without the capability, and says what to do" without_capability
check "wrong usage: 2" exits 2 "$memscope" run --io --fs -- true
check "no arguments: 2" exits 2 "$memscope"

remembered() {
	same status "[('mark', {'comm': 'memscope', 'pid': $1, 'uid': 0}, True, False, ['noio', 'local-throttle'])]" \
		"$(json "[(m['how'], m['by'], m['age_ns'] > 0, m['counters'] is None, m['mark']) for m in s['marks'] if m['pid'] == $1]")"
}
check "run: the status has by whom, for how long, and counters" asleep remembered "$memscope" run --io --

# Where another user may go.
install -m 755 "$memscope" /tmp/memscope
install -m 644 "$lib" /tmp/lib
nobody=(setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all)
delegated() {
	local seen
	# shellcheck disable=SC2016 # for the inner shell
	seen=$("$memscope" delegate --io -- "${nobody[@]}" /tmp/memscope run --io -- bash -c '
		. /tmp/lib
		marks $$
		id -un
		sed -n "s/^CapEff:\t//p" /proc/self/status
		compgen -e | grep -c ^LISTEN_
		bash -c ". /tmp/lib; marks \$\$"; :')
	same "marks, user, capabilities, LISTEN_*, marks of its child" "$IO nobody 0000000000000000 0 $NONE" \
		"${seen//$'\n'/ }"
}
check "delegate: who has no capability marks itself, not its children" delegated
delegated_status() {
	same status "[('delegated', ['nofs', 'local-throttle'])]" \
		"$(json "[(m['how'], m['scopes']) for m in s['marks'] if m['pid'] == $1]")"
}
check "delegate: the status says so" asleep delegated_status \
	"$memscope" delegate --fs -- "${nobody[@]}" /tmp/memscope run --fs --
check "delegate: no other scopes" exits 125 "$memscope" delegate --fs -- "${nobody[@]}" /tmp/memscope run --io -- true
check "delegate --uid: that user" exits 0 "$memscope" delegate --uid 65534 -- "${nobody[@]}" /tmp/memscope run -- true
check "delegate --uid: no other" exits 125 "$memscope" delegate --uid 1 -- "${nobody[@]}" /tmp/memscope run -- true
check "delegate --first" exits 0 "$memscope" delegate --first -- "${nobody[@]}" /tmp/memscope run -- true
check "without it: 125" exits 125 "${nobody[@]}" /tmp/memscope run -- true
check "delegate: 125 without the capability" exits 125 "${nobody[@]}" /tmp/memscope delegate --io -- true
descriptor_in_use() { exits 125 "$memscope" delegate --io -- true 3</dev/null && [[ $out == *"descriptor 3"* ]]; }
check "delegate: 125 where the descriptor is in use" descriptor_in_use
cat >/tmp/passed <<'END'
# What was passed to this process, and as long as there are steps left, the next.
echo "$LISTEN_FDS $LISTEN_FDNAMES $(readlink /proc/$$/fd/3) $(readlink /proc/$$/fd/4)"
[ $# -eq 0 ] || exec "$@"
END
beside_another() {
	local seen
	# shellcheck disable=SC2016 # for the inner shell
	seen=$(LISTEN_FDS=1 LISTEN_FDNAMES=sock bash -c 'export LISTEN_PID=$$; exec "$@"' bash \
		"$memscope" delegate --io -- bash /tmp/passed \
		"$memscope" run -- bash /tmp/passed 3</dev/null)
	same "what is passed" "2 sock:memscope /dev/null /dev/memscope" "$(sort -u <<<"$seen")"
}
check "delegate: beside what was passed before" beside_another
revoked() {
	wait_for 20 has_marks "$1" "$IO" && "$memscope" revoke "$1" && wait_for 20 has_marks "$1" "$NONE" &&
		exits 0 "$memscope" revoke "$1"
}
check "revoke: what it has marked ends; again is no error" asleep revoked \
	"$memscope" delegate --io --first -- "${nobody[@]}" /tmp/memscope run --io --
revoked_before() {
	local pid status=0
	mkfifo /tmp/go
	# Marks itself when it is told to.
	"$memscope" delegate --io -- "${nobody[@]}" bash -c 'read -r <"$1"; exec /tmp/memscope run --io -- true' \
		bash /tmp/go 2>/tmp/error &
	pid=$!
	exec {go}<>/tmp/go
	wait_for 20 "$memscope" revoke $pid
	echo >&$go
	wait $pid || status=$?
	exec {go}>&-
	rm /tmp/go
	same status 125 $status && grep -q "Key has been revoked" /tmp/error
}
check "revoke: then it can mark itself no more" revoked_before
not_delegated() { exits 1 "$memscope" revoke $$ && [[ $out == *"nothing open"* ]]; }
check "revoke: 1 where nothing was delegated" not_delegated
without_right() { exits 1 "${nobody[@]}" /tmp/memscope revoke "$1" && [[ $out == *"denied"* ]]; }
check "revoke: 1 without the right to take the descriptor" asleep without_right "$memscope" delegate --
own_user() { wait_for 20 has_marks "$1" "$IO" && exits 1 "${nobody[@]}" /tmp/memscope revoke "$1" && has_marks "$1" "$IO"; }
check "revoke: 1 for who has it and no capability" asleep own_user \
	"$memscope" delegate -- "${nobody[@]}" /tmp/memscope run --
check "delegate: the exit status is the command's" exits 7 "$memscope" delegate -- sh -c 'exit 7'
check "delegate: 127 where there is no such command" exits 127 "$memscope" delegate -- /no/such/command

# A process with threads that sleep, run, and come and go.
python3 - <<'END' &
import threading, time
def come_and_go():
    while True:
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()
for _ in range(4):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
threading.Thread(target=come_and_go, daemon=True).start()
time.sleep(600)
END
pid=$!
wait_for 20 eval '[ "$(ls /proc/$pid/task | wc -l)" -ge 6 ]'

all_have() { # FLAGS
	local tid seen
	for tid in "/proc/$pid/task"/*; do
		tid=${tid##*/}
		seen=$(marks $pid "$tid")
		[ "$seen" = gone ] || same "marks of thread $tid" "$1" "$seen" || return
	done
}
mark_all() { "$memscope" mark --fs $pid && all_have "$FS"; }
check "mark: every thread of the process" mark_all
mark_again() { "$memscope" mark $pid && all_have "$IO"; }
check "mark replaces the marks" mark_again
status_lists() {
	local seen
	seen=$(json "sum(m['pid'] == $pid and m['scopes'] == ['noio', 'local-throttle'] for m in s['marks']) >= 6")
	same "listed threads" True "$seen" && "$memscope" status | grep -qE "^ *$pid .*noio,local-throttle.*python3$"
}
check "status lists them" status_lists
other_pid() { same marks "nobody is marked" "$("$memscope" status $$)"; }
check "status PID lists only that process" other_pid
threads_row() { [ "$("$memscope" status --threads $pid | wc -l)" -gt "$("$memscope" status $pid | wc -l)" ]; }
check "status --threads has a row for each" threads_row
top_once() { "$memscope" top -d 0.2 | grep -qE "^ *$pid .*noio,local-throttle"; }
check "top shows them" top_once
top_terminal() {
	local seen
	# A terminal: it ends at q, and leaves its screen.
	seen=$(sleep 1 | { sleep 1; printf q; } | script -qec "$memscope top -d 0.2" /dev/null)
	[[ $seen == *$'\e[?1049h'*"$pid"*$'\e[?1049l'* ]] || { printf '# %q\n' "$seen"; return 1; }
}
check "top in a terminal ends at q" top_terminal
clear_all() { "$memscope" clear $pid && all_have "$NONE"; }
check "clear: every thread" clear_all
one_thread() {
	"$memscope" mark --thread $pid || return
	same "first thread" "$IO" "$(marks $pid)"
	local tid n=0
	for tid in "/proc/$pid/task"/*; do
		tid=${tid##*/}
		if [ "$(marks $pid "$tid")" = "$IO" ] && [ "$tid" != $pid ]; then n=$((n + 1)); fi
	done
	same "others that are marked" 0 $n
}
check "mark --thread: its first only" one_thread
"$memscope" clear $pid

kill -STOP $pid
wait_for 10 eval 'grep -q "^State:.T" /proc/$pid/status'
stopped() { exits 3 "$memscope" mark --timeout 200 $pid && [[ $out == *stopped* ]]; }
check "mark: 3 where threads have still to change" stopped
kill -CONT $pid
check "and they do when they go on" wait_for 20 has_marks $pid "$IO"
kill $pid
wait $pid 2>/dev/null
gone() { exits 1 "$memscope" mark $pid && [[ $out == *"no process"* ]]; }
check "mark: 1 where there is no such process" gone
check "mark: 1 for a kernel thread" exits 1 "$memscope" mark 2

doctor_good() { exits 0 "$memscope" doctor && [[ $out == *"memscope is loaded"* ]]; }
check "doctor: 0 where all is well" doctor_good
doctor_daemon() {
	local server status=0
	# Its program has the name of a storage daemon.
	(exec -a nbdkit sleep 600) &
	server=$!
	wait_for 10 eval '[ "$(tr "\0" " " </proc/$server/cmdline)" = "nbdkit 600 " ]'
	exits 1 "$memscope" doctor && [[ $out == *"nbdkit ($server)"*"memscope mark --io $server"* ]] || status=1
	"$memscope" mark --io $server
	exits 0 "$memscope" doctor || status=1
	exits 0 "$memscope" doctor --json || status=1
	python3 -c 'import json, sys
d = [d for d in json.loads(sys.argv[1])["daemons"] if d["pid"] == int(sys.argv[2])][0]
assert (d["threads"], d["marked"]) == (1, 1), d' "$out" $server || status=1
	kill $server
	wait $server 2>/dev/null
	return $status
}
check "doctor: 1 where a storage daemon is not marked" doctor_daemon

# Of the script for a shell: what it offers as a command, and as a long option of one. bash
# is asked; the others are not here, so what their scripts say is read.
complete_bash() { # WORD...
	bash -c '. /tmp/script.bash
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_memscope memscope "${@: -1}" "${@: -2:1}"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}
bash_commands() { complete_bash memscope "" | grep -v ^-; }
bash_options() { complete_bash memscope "$1" --; }
zsh_commands() { sed -n "/^_memscope_commands() {/,/^}/s/^'\([a-z]*\):.*/\1/p" /tmp/script.zsh; }
zsh_options() { sed -n "/^ *($1)\$/,/^;;/s/^'\(--[a-z-]*\)[=[].*/\1/p" /tmp/script.zsh; }
fish() { grep "^complete -c memscope -n \"__fish_memscope_$1\" " /tmp/script.fish; }
fish_commands() { fish needs_command | sed -n 's/.*" -f -a "\([a-z]*\)".*/\1/p'; }
fish_options() { fish "using_subcommand $1" | sed -E 's/.*" (-s . )?-l ([a-z-]*) .*/--\2/'; }
sorted() { sort | tr '\n' ' '; }
declare -A offered
for c in $(commands); do offered[$c]=$(options "$c" | sorted); done
completes() { # SHELL
	local c
	"$memscope" completions "$1" >"/tmp/script.$1" || return
	same commands "$(printf '%s\n' "${!offered[@]}" help | sorted)" "$("$1_commands" | sorted)" || return
	for c in "${!offered[@]}"; do
		same "options of $c" "${offered[$c]}" "$("$1_options" "$c" | sorted)" || return
	done
}
for shell in bash zsh fish; do
	check "completions $shell: every command with every option" completes $shell
done
broken_pipe() { (set -o pipefail; "$memscope" completions bash | head -n 1 >/dev/null); }
check "a reader that leaves is no failure" broken_pipe
finish
