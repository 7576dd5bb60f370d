#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Rule: a daemon that marks nothing itself does not deadlock once "memscope mark"
# has marked its process.
#
# selftest: timeout=120 memory=512M disk=128M alone=yes

# shellcheck source=selftests/demo/lib.sh
. "$(dirname "$0")/lib"
scenario swap outside
