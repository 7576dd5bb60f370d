/* SPDX-License-Identifier: GPL-2.0 */
/* The 27 functions under one set of names, whichever cache is under test. */

#ifndef BUFIO_TEST_API_H
#define BUFIO_TEST_API_H

#ifdef BT_MEMSCOPE

#include <linux/memscope-bufio.h>

#define BT_IMPL			"memscope"
#define BT_MODULE		"memscope"
#define BT_OURS			true
#define BUFIO_NO_SLEEP		MEMSCOPE_BUFIO_CLIENT_NO_SLEEP
#define bufio_client		memscope_bufio_client
#define bufio_buffer		memscope_buffer
#define BUFIO_NAME(name)	memscope_bufio_##name

#else

#include <linux/dm-bufio.h>

#define BT_IMPL			"dm"
#define BT_MODULE		"dm_bufio"
#define BT_OURS			false
#define BUFIO_NO_SLEEP		DM_BUFIO_CLIENT_NO_SLEEP
#define bufio_client		dm_bufio_client
#define bufio_buffer		dm_buffer
#define BUFIO_NAME(name)	dm_bufio_##name

#endif

#define bufio_client_create		BUFIO_NAME(client_create)
#define bufio_client_destroy		BUFIO_NAME(client_destroy)
#define bufio_client_reset		BUFIO_NAME(client_reset)
#define bufio_set_sector_offset		BUFIO_NAME(set_sector_offset)
#define bufio_read			BUFIO_NAME(read)
#define bufio_read_with_ioprio		BUFIO_NAME(read_with_ioprio)
#define bufio_get			BUFIO_NAME(get)
#define bufio_new			BUFIO_NAME(new)
#define bufio_prefetch			BUFIO_NAME(prefetch)
#define bufio_prefetch_with_ioprio	BUFIO_NAME(prefetch_with_ioprio)
#define bufio_release			BUFIO_NAME(release)
#define bufio_mark_dirty		BUFIO_NAME(mark_buffer_dirty)
#define bufio_mark_partial_dirty	BUFIO_NAME(mark_partial_buffer_dirty)
#define bufio_write_dirty_async		BUFIO_NAME(write_dirty_buffers_async)
#define bufio_write_dirty		BUFIO_NAME(write_dirty_buffers)
#define bufio_issue_flush		BUFIO_NAME(issue_flush)
#define bufio_issue_discard		BUFIO_NAME(issue_discard)
#define bufio_forget			BUFIO_NAME(forget)
#define bufio_forget_buffers		BUFIO_NAME(forget_buffers)
#define bufio_set_minimum_buffers	BUFIO_NAME(set_minimum_buffers)
#define bufio_get_block_size		BUFIO_NAME(get_block_size)
#define bufio_get_device_size		BUFIO_NAME(get_device_size)
#define bufio_get_dm_io_client		BUFIO_NAME(get_dm_io_client)
#define bufio_get_block_number		BUFIO_NAME(get_block_number)
#define bufio_get_block_data		BUFIO_NAME(get_block_data)
#define bufio_get_aux_data		BUFIO_NAME(get_aux_data)
#define bufio_get_client		BUFIO_NAME(get_client)

#endif
