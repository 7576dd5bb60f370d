// SPDX-License-Identifier: GPL-2.0
/*
 * The in-kernel C API, whose bodies are in rust/capi.rs.
 */

#include <linux/export.h>

#include <linux/memscope-bufio.h>
#include <linux/memscope.h>

EXPORT_SYMBOL_GPL(memscope_gfp);
EXPORT_SYMBOL_GPL(memscope_capture);
EXPORT_SYMBOL_GPL(memscope_work_run);
EXPORT_SYMBOL_GPL(memscope_queue_work);

EXPORT_SYMBOL_GPL(memscope_bufio_client_create);
EXPORT_SYMBOL_GPL(memscope_bufio_client_destroy);
EXPORT_SYMBOL_GPL(memscope_bufio_client_reset);
EXPORT_SYMBOL_GPL(memscope_bufio_set_sector_offset);
EXPORT_SYMBOL_GPL(memscope_bufio_read);
EXPORT_SYMBOL_GPL(memscope_bufio_read_with_ioprio);
EXPORT_SYMBOL_GPL(memscope_bufio_get);
EXPORT_SYMBOL_GPL(memscope_bufio_new);
EXPORT_SYMBOL_GPL(memscope_bufio_prefetch);
EXPORT_SYMBOL_GPL(memscope_bufio_prefetch_with_ioprio);
EXPORT_SYMBOL_GPL(memscope_bufio_release);
EXPORT_SYMBOL_GPL(memscope_bufio_mark_buffer_dirty);
EXPORT_SYMBOL_GPL(memscope_bufio_mark_partial_buffer_dirty);
EXPORT_SYMBOL_GPL(memscope_bufio_write_dirty_buffers_async);
EXPORT_SYMBOL_GPL(memscope_bufio_write_dirty_buffers);
EXPORT_SYMBOL_GPL(memscope_bufio_issue_flush);
EXPORT_SYMBOL_GPL(memscope_bufio_issue_discard);
EXPORT_SYMBOL_GPL(memscope_bufio_forget);
EXPORT_SYMBOL_GPL(memscope_bufio_forget_buffers);
EXPORT_SYMBOL_GPL(memscope_bufio_set_minimum_buffers);
EXPORT_SYMBOL_GPL(memscope_bufio_get_block_size);
EXPORT_SYMBOL_GPL(memscope_bufio_get_device_size);
EXPORT_SYMBOL_GPL(memscope_bufio_get_dm_io_client);
EXPORT_SYMBOL_GPL(memscope_bufio_get_block_number);
EXPORT_SYMBOL_GPL(memscope_bufio_get_block_data);
EXPORT_SYMBOL_GPL(memscope_bufio_get_aux_data);
EXPORT_SYMBOL_GPL(memscope_bufio_get_client);
EXPORT_SYMBOL_GPL(memscope_bufio_read_async);
EXPORT_SYMBOL_GPL(memscope_bufio_set_maximum_bytes);
EXPORT_SYMBOL_GPL(memscope_bufio_get_allocated_bytes);
EXPORT_SYMBOL_GPL(memscope_bufio_set_dm_io);
EXPORT_SYMBOL_GPL(memscope_bufio_get_usage);
EXPORT_SYMBOL_GPL(memscope_bufio_set_peak_bytes);
