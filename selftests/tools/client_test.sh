#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The client crate against the module, and the examples of its documentation.
#
# selftest: timeout=60

# shellcheck source=selftests/tools/lib.sh
. "$(dirname "$0")/lib"
echo "TAP version 13"
cargo_tests "$tools/test/device" --test-threads=1
doc_examples
prefix="32 bit: "
cargo_tests "$tools/test/device.32" --test-threads=1
finish
