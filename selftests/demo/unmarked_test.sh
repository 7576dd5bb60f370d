#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Rule: without a mark the same daemon deadlocks, so that the two above show something.
#
# Its requests fail when it is killed at the end, which the kernel logs.
#
# selftest: timeout=120 memory=512M disk=128M alone=yes log=own

# shellcheck source=selftests/demo/lib.sh
. "$(dirname "$0")/lib"
case $(uname -v) in
# There it goes on at five requests a second, and may not get to where it hangs in time.
*PREEMPT_RT*) scenario dirty none "@(hung|undecided*)" ;;
*) scenario dirty none hung ;;
esac
