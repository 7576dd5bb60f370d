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
# There the kernel lets the daemon dirty a page now and then: five requests a second.
*PREEMPT_RT*) scenario dirty none "undecided*" ;;
*) scenario dirty none hung ;;
esac
