#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The client crate against the module, and the examples of its documentation; and the
# header of the C client as a compiler sees it. (client_c is what it does.)
#
# selftest: timeout=60

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
echo "TAP version 13"
cargo_tests "$tools/test/device" --test-threads=1
doc_examples
prefix="32 bit: "
cargo_tests "$tools/test/device.32" --test-threads=1

# The header of the C client says what compiles it, before or after that of the module.
compiles() { # COMPILER OPTION... -- HEADER...
	local -a compiler=()
	while [ "$1" != -- ]; do compiler+=("$1"); shift; done
	shift
	{
		printf '#include <%s>\n' "$@"
		echo 'int main(void) { struct memscope_client ms; return memscope_open(&ms); }'
	} | "${compiler[@]}" -D_GNU_SOURCE -Wall -Wextra -pedantic -Werror -fsyntax-only \
		-I "$tools/../../tools/include" -I "$tools/../../include/uapi" -
}
prefix=
for order in "memscope-client.h linux/memscope.h" "linux/memscope.h memscope-client.h"; do
	# shellcheck disable=SC2086 # words
	check "as C99: $order" compiles gcc -std=c99 -x c -- $order
	# shellcheck disable=SC2086 # words
	check "as C++11: $order" compiles c++ -std=c++11 -x c++ -- $order
done
finish
