#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Rule: a daemon without any mark does not deadlock where the calls on its
# backing disk are made by MEMSCOPE_IOC_CALL.
#
# selftest: timeout=120 memory=512M disk=128M alone=yes

# shellcheck source=selftests/demo/lib.sh
. "$(dirname "$0")/lib"
scenario dirty per-call
