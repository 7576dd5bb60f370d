#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Misuse of guards that must not compile: each file in compile_fail/ of the
# areas that have that is compiled with the project's sources and the flags of
# the area's guard test module, and must fail with the errors that its second
# line names, and no others. control.rs must compile, or the rest would prove
# nothing. The sources are those that the test module's main.rs has.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

usage() {
	cat <<EOT
Usage: selftests/compile_fail.sh AREA [NAME...]

Prints KTAP; exit status 1 if a case is not as it must be.
EOT
}
case ${1:-} in
-h | --help) usage; exit 0 ;;
'' | -*) usage >&2; exit 2 ;;
esac
area=$1
shift

KERNEL=${KERNEL:-stock}
here=$TOP/selftests/$area
module=${area}_guard
build=$TOP/build/$(kernel_name "$KERNEL")/ext/$module
mkdir -p "$build"
if [ "${MEMSCOPE_IN_ROOT:-}" != 1 ] && [ "${MEMSCOPE_ROOT:-}" != / ]; then
	"$TOP/scripts/setup" kernel
	exec "$TOP/scripts/root" -- "$TOP/selftests/compile_fail.sh" "$area" "$@"
fi
"$TOP/scripts/kbuild" "$here/$module" "$build" modules \
	KCFLAGS="-I$TOP/include -I$TOP/include/uapi" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }

# The compiler call of the module's crate, up to its outputs.
call=$(sed -n 's/^savedcmd_main\.o := //p' "$build/.main.o.cmd" 2>/dev/null) ||
	die "$build/.main.o.cmd is missing"
call=${call%% --out-dir *}
[[ $call == *--extern\ kernel* ]] || die "no compiler call in $build/.main.o.cmd"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cases=("$@")
if [ $# -eq 0 ]; then
	for f in "$here"/compile_fail/*.rs; do
		f=${f##*/}
		cases+=("${f%.rs}")
	done
fi

# The project's part of the module's crate root, but for its path.
project=$(sed -n '/^mod project {/,/^}/p' "$here/$module/main.rs")
uses=$(grep '^use project::' "$here/$module/main.rs")

# compile NAME: errors to $work/log.
compile() {
	cat >"$work/$1.rs" <<EOT
//! Generated.
#![deny(unused_must_use)]
#![allow(dead_code)]
#[path = "$TOP/rust"]
$project
#[allow(unused_imports)]
$uses
#[path = "$here/compile_fail/$1.rs"]
mod case;
const __LOG_PREFIX: &[u8] = b"compile_fail\0";
EOT
	(cd "$work" && export RUSTC_BOOTSTRAP=1 "MEMSCOPE_OBJ=$build" &&
		eval "$call --error-format=short --out-dir $work --emit=metadata $work/$1.rs") >"$work/log" 2>&1
}

# judge NAME STATUS: whether the log is what the case's second line says.
judge() {
	local want errors
	want=$(sed -n '2{s,^// ,,;p}' "$here/compile_fail/$1.rs")
	errors=$(grep -E ' error(\[E[0-9]+\])?: ' "$work/log" | grep -v 'aborting due to' || :)
	case $want in
	compiles:*) [ "$2" -eq 0 ] ;;
	'fails: E'*)
		[ "$2" -ne 0 ] &&
			[ "$(grep -oE '\[E[0-9]+\]' <<<"$errors" | sort -u | tr -d '[]' | xargs)" = "${want#fails: }" ] &&
			! grep -qvE 'error\[' <<<"$errors"
		;;
	'fails: "'*)
		want=${want#fails: \"}
		[ "$2" -ne 0 ] && [ -n "$errors" ] && ! grep -qvF "${want%\"}" <<<"$errors"
		;;
	*) return 1 ;;
	esac
}

echo "TAP version 13"
echo "1..${#cases[@]}"
n=0 failed=0
for name in "${cases[@]}"; do
	n=$((n + 1)) status=0
	compile "$name" || status=$?
	if judge "$name" "$status"; then
		echo "ok $n $name"
	else
		echo "not ok $n $name"
		{
			sed -n '2{s,^// ,must be ,;p}' "$here/compile_fail/$name.rs"
			echo "status $status"
			head -n 20 "$work/log"
		} | sed 's/^/# /'
		failed=$((failed + 1))
	fi
done
[ "$failed" -eq 0 ]
