// SPDX-License-Identifier: GPL-2.0
/*
 * The names of dm-bufio, on memscope's bufio: a device-mapper target that was
 * linked against dm-bufio.ko loads on this module in its place.
 *
 * Both caches keep their clients and buffers opaque, so a pointer of the one is
 * handed on as a pointer of the other.
 */

#include <linux/dm-bufio.h>
#include <linux/dm-io.h>
#include <linux/module.h>

#include <linux/memscope-bufio.h>

static struct memscope_bufio_client *to_client(struct dm_bufio_client *c)
{
	return (struct memscope_bufio_client *)c;
}

static struct memscope_buffer *to_buffer(struct dm_buffer *b)
{
	return (struct memscope_buffer *)b;
}

static struct memscope_buffer **to_buffer_ptr(struct dm_buffer **bp)
{
	return (struct memscope_buffer **)bp;
}

struct dm_bufio_client *
dm_bufio_client_create(struct block_device *bdev, unsigned int block_size,
		       unsigned int reserved_buffers, unsigned int aux_size,
		       void (*alloc_callback)(struct dm_buffer *),
		       void (*write_callback)(struct dm_buffer *),
		       unsigned int flags)
{
	unsigned int ours = 0;

	if (flags & DM_BUFIO_CLIENT_NO_SLEEP)
		ours |= MEMSCOPE_BUFIO_CLIENT_NO_SLEEP;
	/* The callers rely on a failed write leaving the cache. */
	ours |= MEMSCOPE_BUFIO_CLIENT_DROP_FAILED;
	return (struct dm_bufio_client *)
		memscope_bufio_client_create(bdev, block_size, reserved_buffers, aux_size,
					     (void (*)(struct memscope_buffer *))alloc_callback,
					     (void (*)(struct memscope_buffer *))write_callback,
					     ours);
}
EXPORT_SYMBOL_GPL(dm_bufio_client_create);

void dm_bufio_client_destroy(struct dm_bufio_client *c)
{
	memscope_bufio_client_destroy(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_client_destroy);

void dm_bufio_client_reset(struct dm_bufio_client *c)
{
	memscope_bufio_client_reset(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_client_reset);

void dm_bufio_set_sector_offset(struct dm_bufio_client *c, sector_t start)
{
	memscope_bufio_set_sector_offset(to_client(c), start);
}
EXPORT_SYMBOL_GPL(dm_bufio_set_sector_offset);

void *dm_bufio_read(struct dm_bufio_client *c, sector_t block, struct dm_buffer **bp)
{
	return memscope_bufio_read(to_client(c), block, to_buffer_ptr(bp));
}
EXPORT_SYMBOL_GPL(dm_bufio_read);

void *dm_bufio_read_with_ioprio(struct dm_bufio_client *c, sector_t block,
				struct dm_buffer **bp, unsigned short ioprio)
{
	return memscope_bufio_read_with_ioprio(to_client(c), block, to_buffer_ptr(bp), ioprio);
}
EXPORT_SYMBOL_GPL(dm_bufio_read_with_ioprio);

void *dm_bufio_get(struct dm_bufio_client *c, sector_t block, struct dm_buffer **bp)
{
	return memscope_bufio_get(to_client(c), block, to_buffer_ptr(bp));
}
EXPORT_SYMBOL_GPL(dm_bufio_get);

void *dm_bufio_new(struct dm_bufio_client *c, sector_t block, struct dm_buffer **bp)
{
	return memscope_bufio_new(to_client(c), block, to_buffer_ptr(bp));
}
EXPORT_SYMBOL_GPL(dm_bufio_new);

void dm_bufio_prefetch(struct dm_bufio_client *c, sector_t block, unsigned int n_blocks)
{
	memscope_bufio_prefetch(to_client(c), block, n_blocks);
}
EXPORT_SYMBOL_GPL(dm_bufio_prefetch);

void dm_bufio_prefetch_with_ioprio(struct dm_bufio_client *c, sector_t block,
				   unsigned int n_blocks, unsigned short ioprio)
{
	memscope_bufio_prefetch_with_ioprio(to_client(c), block, n_blocks, ioprio);
}
EXPORT_SYMBOL_GPL(dm_bufio_prefetch_with_ioprio);

void dm_bufio_release(struct dm_buffer *b)
{
	memscope_bufio_release(to_buffer(b));
}
EXPORT_SYMBOL_GPL(dm_bufio_release);

void dm_bufio_mark_buffer_dirty(struct dm_buffer *b)
{
	memscope_bufio_mark_buffer_dirty(to_buffer(b));
}
EXPORT_SYMBOL_GPL(dm_bufio_mark_buffer_dirty);

void dm_bufio_mark_partial_buffer_dirty(struct dm_buffer *b, unsigned int start,
					unsigned int end)
{
	memscope_bufio_mark_partial_buffer_dirty(to_buffer(b), start, end);
}
EXPORT_SYMBOL_GPL(dm_bufio_mark_partial_buffer_dirty);

void dm_bufio_write_dirty_buffers_async(struct dm_bufio_client *c)
{
	memscope_bufio_write_dirty_buffers_async(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_write_dirty_buffers_async);

int dm_bufio_write_dirty_buffers(struct dm_bufio_client *c)
{
	return memscope_bufio_write_dirty_buffers(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_write_dirty_buffers);

int dm_bufio_issue_flush(struct dm_bufio_client *c)
{
	return memscope_bufio_issue_flush(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_issue_flush);

int dm_bufio_issue_discard(struct dm_bufio_client *c, sector_t block, sector_t count)
{
	return memscope_bufio_issue_discard(to_client(c), block, count);
}
EXPORT_SYMBOL_GPL(dm_bufio_issue_discard);

void dm_bufio_forget(struct dm_bufio_client *c, sector_t block)
{
	memscope_bufio_forget(to_client(c), block);
}
EXPORT_SYMBOL_GPL(dm_bufio_forget);

void dm_bufio_forget_buffers(struct dm_bufio_client *c, sector_t block, sector_t n_blocks)
{
	memscope_bufio_forget_buffers(to_client(c), block, n_blocks);
}
EXPORT_SYMBOL_GPL(dm_bufio_forget_buffers);

void dm_bufio_set_minimum_buffers(struct dm_bufio_client *c, unsigned int n)
{
	memscope_bufio_set_minimum_buffers(to_client(c), n);
}
EXPORT_SYMBOL_GPL(dm_bufio_set_minimum_buffers);

unsigned int dm_bufio_get_block_size(struct dm_bufio_client *c)
{
	return memscope_bufio_get_block_size(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_block_size);

sector_t dm_bufio_get_device_size(struct dm_bufio_client *c)
{
	return memscope_bufio_get_device_size(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_device_size);

sector_t dm_bufio_get_block_number(struct dm_buffer *b)
{
	return memscope_bufio_get_block_number(to_buffer(b));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_block_number);

void *dm_bufio_get_block_data(struct dm_buffer *b)
{
	return memscope_bufio_get_block_data(to_buffer(b));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_block_data);

void *dm_bufio_get_aux_data(struct dm_buffer *b)
{
	return memscope_bufio_get_aux_data(to_buffer(b));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_aux_data);

struct dm_io_client *dm_bufio_get_dm_io_client(struct dm_bufio_client *c)
{
	return memscope_bufio_get_dm_io_client(to_client(c));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_dm_io_client);

struct dm_bufio_client *dm_bufio_get_client(struct dm_buffer *b)
{
	return (struct dm_bufio_client *)memscope_bufio_get_client(to_buffer(b));
}
EXPORT_SYMBOL_GPL(dm_bufio_get_client);

/* memscope.ko does not link to dm-mod; this module does. */
static const struct memscope_bufio_dm_io_ops dm_io_ops = {
	.create = dm_io_client_create,
	.destroy = dm_io_client_destroy,
};

static int __init memscope_dm_bufio_init(void)
{
	memscope_bufio_set_dm_io(&dm_io_ops);
	return 0;
}

static void __exit memscope_dm_bufio_exit(void)
{
	memscope_bufio_set_dm_io(NULL);
}

module_init(memscope_dm_bufio_init);
module_exit(memscope_dm_bufio_exit);

MODULE_AUTHOR("The memscope authors");
MODULE_DESCRIPTION("dm-bufio's interface on memscope's buffer cache");
MODULE_LICENSE("GPL");
