// SPDX-License-Identifier: GPL-2.0
/*
 * In place of rust/helpers/bufio_params.c, whose parameters are memscope.ko's.
 */

#include "rust/helpers/bufio.h"

unsigned long memscope_helper_max_cache_size_bytes(void)
{
	return 0;
}

unsigned long memscope_helper_retain_bytes(void)
{
	return 256 * 1024;
}

unsigned int memscope_helper_writeback_age_ms(void)
{
	return 5000;
}
