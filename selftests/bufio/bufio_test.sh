#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every case of the bufio test modules on dm-bufio and on memscope, compared. On
# the sanitizer kernel on memscope alone: what dm-bufio does, the stock kernel
# shows, and its code is not what is looked at there.
#
# selftest: timeout=1200 memory=1G alone=yes log=own

# The runner has a copy of this file; the rest is where it was.
impl=$([ -e /proc/lockdep_stats ] && echo memscope || echo both)
exec "$MEMSCOPE_BUILD/../../selftests/bufio/run" --modules "$MEMSCOPE_BUILD/ext/bufio" --impl "$impl"
