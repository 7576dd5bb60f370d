/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's harness, without its time limit of 30 seconds for a case: a guest
 * may be slow. selftests/run ends a program that takes too long.
 */
#include_next <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 86400
