// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters of the buffer cache: those that can be changed while the module is
 * loaded, which module! in Rust does not offer.
 */

#include <linux/errno.h>
#include <linux/export.h>
#include <linux/moduleparam.h>

#include <linux/memscope-bufio.h>

#include "bufio.h"

static unsigned long max_cache_size_bytes;
module_param(max_cache_size_bytes, ulong, 0644);
MODULE_PARM_DESC(max_cache_size_bytes, "Limit of all block buffers, 0 for the default (1 to allocate none beyond the reserves)");

static unsigned long retain_bytes = 256 * 1024;
module_param(retain_bytes, ulong, 0644);
MODULE_PARM_DESC(retain_bytes, "Bytes that the shrinker leaves to each client");

static unsigned int writeback_age_ms = 5000;
module_param(writeback_age_ms, uint, 0644);
MODULE_PARM_DESC(writeback_age_ms, "Age at which dirty buffers are written, 0 for never");

unsigned long memscope_helper_max_cache_size_bytes(void)
{
	return READ_ONCE(max_cache_size_bytes);
}

unsigned long memscope_helper_retain_bytes(void)
{
	return READ_ONCE(retain_bytes);
}

unsigned int memscope_helper_writeback_age_ms(void)
{
	return READ_ONCE(writeback_age_ms);
}

void memscope_bufio_set_limit_bytes(unsigned long bytes)
{
	WRITE_ONCE(max_cache_size_bytes, bytes);
}
EXPORT_SYMBOL_GPL(memscope_bufio_set_limit_bytes);

unsigned long memscope_bufio_get_retain_bytes(void)
{
	return READ_ONCE(retain_bytes);
}
EXPORT_SYMBOL_GPL(memscope_bufio_get_retain_bytes);

void memscope_bufio_set_retain_bytes(unsigned long bytes)
{
	WRITE_ONCE(retain_bytes, bytes);
}
EXPORT_SYMBOL_GPL(memscope_bufio_set_retain_bytes);

static int current_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", memscope_bufio_current_allocated());
}

/* The kernel calls it for a value given when the module is loaded. */
static int current_set(const char *value, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops current_ops = { .set = current_set, .get = current_get };
module_param_cb(current_allocated_bytes, &current_ops, NULL, 0444);
MODULE_PARM_DESC(current_allocated_bytes, "Bytes of block buffers, headers included");

static int peak_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", memscope_bufio_peak_allocated());
}

static int peak_set(const char *value, const struct kernel_param *kp)
{
	memscope_bufio_reset_peak();
	return 0;
}

static const struct kernel_param_ops peak_ops = { .set = peak_set, .get = peak_get };
module_param_cb(peak_allocated_bytes, &peak_ops, NULL, 0644);
MODULE_PARM_DESC(peak_allocated_bytes, "Most bytes of block buffers at once; writing starts again from the current ones");
