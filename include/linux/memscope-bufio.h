/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Block buffer cache whose allocations are scoped.
 *
 * The functions have the arguments and return conventions of their namesakes
 * in <linux/dm-bufio.h>. docs/bufio.md lists each difference in behaviour.
 *
 * Implementation: rust/bufio.rs, rust/capi/bufio.rs.
 */
#ifndef _LINUX_MEMSCOPE_BUFIO_H
#define _LINUX_MEMSCOPE_BUFIO_H

#include <linux/blkdev.h>
#include <linux/types.h>

struct dm_io_client;
struct memscope_bufio_client;
struct memscope_buffer;

/*
 * WARNING: rules for callers.
 *
 * - At most one thread holds up to @reserved_buffers buffers of a client at a
 *   time; every other thread holds at most one. Threads that only call
 *   memscope_bufio_get() may hold any number.
 * - Only memscope_bufio_get(), memscope_bufio_release(), the forget functions,
 *   the dirty marks and the accessors may be called from a bio submission
 *   (current->bio_list set). The others warn once and fail.
 * - memscope_bufio_get(), memscope_bufio_release() and the accessors may be
 *   called from softirq. None of the functions may be called from hard
 *   interrupts.
 * - The memory of a buffer may be changed only by a holder, and only between
 *   getting the buffer and marking the changed range dirty. A write that is in
 *   flight meanwhile may carry old or new bytes; the range is written again.
 */

/**
 * define MEMSCOPE_BUFIO_CLIENT_NO_SLEEP - lookups come from softirq
 *
 * Accepted for compatibility: every client may be looked up and released from
 * softirq, because no lock of the cache sleeps.
 */
#define MEMSCOPE_BUFIO_CLIENT_NO_SLEEP		0x1

/**
 * define MEMSCOPE_BUFIO_CLIENT_DROP_FAILED - drop data that could not be written
 *
 * Without it, a buffer whose write failed stays dirty and is written again, a
 * bounded number of times in the background and once by each
 * memscope_bufio_write_dirty_buffers(). With it, the buffer leaves the cache
 * after the first failure, as with dm-bufio; a later read returns what is on
 * the device.
 */
#define MEMSCOPE_BUFIO_CLIENT_DROP_FAILED	0x2

/**
 * define MEMSCOPE_BUFIO_CLIENT_DM_BUFFER - the callbacks are dm-bufio's
 *
 * They are declared with a struct dm_buffer *, which is what they are called
 * as: a kernel with CFI tells the types of functions apart by that name. For
 * memscope-dm-bufio.
 */
#define MEMSCOPE_BUFIO_CLIENT_DM_BUFFER		0x4

/**
 * define MEMSCOPE_BUFIO_CLIENT_FLAGS - all flags that are known
 */
#define MEMSCOPE_BUFIO_CLIENT_FLAGS	(MEMSCOPE_BUFIO_CLIENT_NO_SLEEP | \
					 MEMSCOPE_BUFIO_CLIENT_DROP_FAILED | \
					 MEMSCOPE_BUFIO_CLIENT_DM_BUFFER)

/**
 * memscope_bufio_client_create() - create a cache on a block device
 * @bdev: the device; the caller keeps it open until the client is destroyed
 * @block_size: bytes per block, a non-zero multiple of 512
 * @reserved_buffers: buffers allocated now and kept for when memory is short
 * @aux_size: bytes of caller's data beside each buffer, not zeroed
 * @alloc_callback: called for each buffer that is about to stand for a new
 *	block, before the buffer can be found; may be NULL; must not sleep
 * @write_callback: called before each write of a buffer, in the thread that
 *	submits the write, with no lock held; may be NULL; must not call the
 *	cache except for the accessors
 * @flags: MEMSCOPE_BUFIO_CLIENT_*
 *
 * Context: Process context, may sleep.
 * Return: the client, or ERR_PTR: -EINVAL for a bad @block_size or unknown
 * @flags, -ENOMEM.
 */
struct memscope_bufio_client *
memscope_bufio_client_create(struct block_device *bdev, unsigned int block_size,
			     unsigned int reserved_buffers,
			     unsigned int aux_size,
			     void (*alloc_callback)(struct memscope_buffer *),
			     void (*write_callback)(struct memscope_buffer *),
			     unsigned int flags);

/**
 * memscope_bufio_client_destroy() - write what is dirty and free the cache
 * @c: the client; no other call on it is running or follows
 *
 * Waits for writes, and for what memscope_bufio_prefetch() reads. Write errors
 * that no memscope_bufio_write_dirty_buffers() has reported are logged with the
 * number of blocks whose data was lost. Buffers that are still held are logged
 * one by one with a warning; they and what they belong to are not freed.
 *
 * Context: Process context, may sleep.
 */
void memscope_bufio_client_destroy(struct memscope_bufio_client *c);

/**
 * memscope_bufio_client_reset() - write what is dirty and empty the cache
 * @c: the client
 *
 * What is being read ahead is waited for and goes as well. Buffers that are held
 * stay. A write error is logged, and stays pending for the next
 * memscope_bufio_write_dirty_buffers().
 *
 * Context: Process context, may sleep.
 */
void memscope_bufio_client_reset(struct memscope_bufio_client *c);

/**
 * memscope_bufio_set_sector_offset() - set where block 0 is on the device
 * @c: the client
 * @start: in sectors of 512 bytes
 *
 * No I/O of the client may be in progress.
 */
void memscope_bufio_set_sector_offset(struct memscope_bufio_client *c,
				      sector_t start);

/**
 * memscope_bufio_read() - get a block, reading it if it is not cached
 * @c: the client
 * @block: block number
 * @bp: set to the held buffer, or to NULL on error
 *
 * Context: Process context, may sleep until the read is done and until memory
 * or a buffer is free. Not from a bio submission.
 * Return: the data, or ERR_PTR of the read's error; -EINVAL from a bio
 * submission. Never NULL, never -ENOMEM.
 */
void *memscope_bufio_read(struct memscope_bufio_client *c, sector_t block,
			  struct memscope_buffer **bp);

/**
 * memscope_bufio_read_with_ioprio() - memscope_bufio_read() with an I/O priority
 * @c: the client
 * @block: block number
 * @bp: set to the held buffer, or to NULL on error
 * @ioprio: priority of the read, if one is submitted
 *
 * Context: as memscope_bufio_read().
 * Return: as memscope_bufio_read().
 */
void *memscope_bufio_read_with_ioprio(struct memscope_bufio_client *c,
				      sector_t block,
				      struct memscope_buffer **bp,
				      unsigned short ioprio);

/**
 * memscope_bufio_get() - get a block if it is cached
 * @c: the client
 * @block: block number
 * @bp: set to the held buffer, or to NULL
 *
 * Starts no I/O, waits for none, allocates nothing.
 *
 * Context: Process context or softirq; also from a bio submission.
 * Return: the data, or NULL if the block is not cached or still being read.
 */
void *memscope_bufio_get(struct memscope_bufio_client *c, sector_t block,
			 struct memscope_buffer **bp);

/**
 * memscope_bufio_new() - get a block without reading it
 * @c: the client
 * @block: block number
 * @bp: set to the held buffer, or to NULL on error
 *
 * If the block is cached its contents are returned (after a read in flight has
 * finished). Otherwise the contents are undefined: the caller writes all of
 * them and marks the buffer dirty.
 *
 * Context: as memscope_bufio_read().
 * Return: the data; ERR_PTR(-EINVAL) from a bio submission.
 */
void *memscope_bufio_new(struct memscope_bufio_client *c, sector_t block,
			 struct memscope_buffer **bp);

/**
 * memscope_bufio_prefetch() - start reading blocks
 * @c: the client
 * @block: first block
 * @n_blocks: number of blocks
 *
 * The reads have been handed to the device when the function returns. Blocks
 * for which there is no memory at once are skipped. A read that fails leaves
 * nothing in the cache.
 *
 * Context: Process context, may sleep. Not from a bio submission.
 */
void memscope_bufio_prefetch(struct memscope_bufio_client *c, sector_t block,
			     unsigned int n_blocks);

/**
 * memscope_bufio_prefetch_with_ioprio() - prefetch with an I/O priority
 * @c: the client
 * @block: first block
 * @n_blocks: number of blocks
 * @ioprio: priority of the reads
 *
 * Context: as memscope_bufio_prefetch().
 */
void memscope_bufio_prefetch_with_ioprio(struct memscope_bufio_client *c,
					 sector_t block, unsigned int n_blocks,
					 unsigned short ioprio);

/**
 * memscope_bufio_release() - drop a hold
 * @b: buffer from read, get or new; not valid afterwards
 *
 * Context: Process context or softirq.
 */
void memscope_bufio_release(struct memscope_buffer *b);

/**
 * memscope_bufio_mark_buffer_dirty() - say that a buffer was changed
 * @b: held buffer
 *
 * The buffer is written when the client asks for it, when the share of dirty
 * buffers is high, and when it has been dirty for writeback_age_ms.
 *
 * Context: Process context or softirq.
 */
void memscope_bufio_mark_buffer_dirty(struct memscope_buffer *b);

/**
 * memscope_bufio_mark_partial_buffer_dirty() - say that bytes were changed
 * @b: held buffer
 * @start: first byte
 * @end: byte after the last one
 *
 * Ranges of a buffer are joined to the smallest range that covers them; the
 * write is rounded to the device's physical block size, at least 4096 bytes.
 * A range that is empty or goes beyond the block warns and does nothing.
 *
 * Context: Process context or softirq.
 */
void memscope_bufio_mark_partial_buffer_dirty(struct memscope_buffer *b,
					      unsigned int start,
					      unsigned int end);

/**
 * memscope_bufio_write_dirty_buffers_async() - start writing all dirty buffers
 * @c: the client
 *
 * Context: Process context, may sleep. Not from a bio submission.
 */
void memscope_bufio_write_dirty_buffers_async(struct memscope_bufio_client *c);

/**
 * memscope_bufio_write_dirty_buffers() - put all dirty buffers on stable storage
 * @c: the client
 *
 * Writes what was dirty before the call, waits for it, and flushes the
 * device's write cache.
 *
 * Context: Process context, may sleep. Not from a bio submission.
 * Return: 0 if all of it is on stable storage; else the first write error
 * since the last report (each is reported once), or the flush's.
 */
int memscope_bufio_write_dirty_buffers(struct memscope_bufio_client *c);

/**
 * memscope_bufio_issue_flush() - flush the device's write cache
 * @c: the client
 *
 * Context: Process context, may sleep. Not from a bio submission.
 * Return: 0; -EIO or -EOPNOTSUPP from the device; -EINVAL from a bio submission.
 */
int memscope_bufio_issue_flush(struct memscope_bufio_client *c);

/**
 * memscope_bufio_issue_discard() - discard blocks on the device
 * @c: the client
 * @block: first block
 * @count: number of blocks
 *
 * The cache is not touched: the caller forgets the blocks.
 *
 * Context: Process context, may sleep. Not from a bio submission.
 * Return: 0; -EIO; -EOPNOTSUPP if the device cannot; -EINVAL from a bio
 * submission.
 */
int memscope_bufio_issue_discard(struct memscope_bufio_client *c,
				 sector_t block, sector_t count);

/**
 * memscope_bufio_forget() - drop a block from the cache
 * @c: the client
 * @block: block number
 *
 * A hint: a buffer that is held, dirty or in I/O stays.
 *
 * Context: Process context or softirq; also from a bio submission.
 */
void memscope_bufio_forget(struct memscope_bufio_client *c, sector_t block);

/**
 * memscope_bufio_forget_buffers() - drop a range of blocks from the cache
 * @c: the client
 * @block: first block
 * @n_blocks: number of blocks
 *
 * A hint: buffers that are held, dirty or in I/O stay.
 *
 * Context: Process context or softirq; also from a bio submission.
 */
void memscope_bufio_forget_buffers(struct memscope_bufio_client *c,
				   sector_t block, sector_t n_blocks);

/**
 * memscope_bufio_set_minimum_buffers() - set what eviction leaves to the client
 * @c: the client
 * @n: number of buffers; 8 at creation
 *
 * Neither the global limit nor the shrinker takes the client below @n buffers.
 */
void memscope_bufio_set_minimum_buffers(struct memscope_bufio_client *c,
					unsigned int n);

/**
 * memscope_bufio_get_block_size() - bytes per block
 * @c: the client
 */
unsigned int memscope_bufio_get_block_size(struct memscope_bufio_client *c);

/**
 * memscope_bufio_get_device_size() - whole blocks after the sector offset
 * @c: the client
 */
sector_t memscope_bufio_get_device_size(struct memscope_bufio_client *c);

/**
 * memscope_bufio_get_dm_io_client() - a dm_io_client of the caller's own
 * @c: the client
 *
 * Made by dm-mod at the first call and destroyed with @c. The cache itself
 * does not use it. Needs a module that called memscope_bufio_set_dm_io(), such
 * as memscope-dm-bufio.
 *
 * Context: Process context, may sleep at the first call.
 * Return: the dm_io_client, or ERR_PTR: -EOPNOTSUPP if there is no such module,
 * -ENOMEM.
 */
struct dm_io_client *
memscope_bufio_get_dm_io_client(struct memscope_bufio_client *c);

/**
 * memscope_bufio_get_block_number() - the block a buffer stands for
 * @b: held buffer, or the argument of a callback
 */
sector_t memscope_bufio_get_block_number(struct memscope_buffer *b);

/**
 * memscope_bufio_get_block_data() - a buffer's data
 * @b: held buffer, or the argument of a callback
 */
void *memscope_bufio_get_block_data(struct memscope_buffer *b);

/**
 * memscope_bufio_get_aux_data() - the caller's data beside a buffer
 * @b: held buffer, or the argument of a callback
 */
void *memscope_bufio_get_aux_data(struct memscope_buffer *b);

/**
 * memscope_bufio_get_client() - the client of a buffer
 * @b: held buffer, or the argument of a callback
 */
struct memscope_bufio_client *
memscope_bufio_get_client(struct memscope_buffer *b);

/*
 * What dm-bufio does not have.
 */

/**
 * typedef memscope_bufio_read_fn - end of an asynchronous read
 * @b: the held buffer, which the callee releases; NULL on error
 * @error: 0 or -errno
 * @context: from memscope_bufio_read_async()
 *
 * Context: Process context, in a thread of a workqueue; may sleep. Not to
 * destroy the client, which waits for the function to return.
 */
typedef void (*memscope_bufio_read_fn)(struct memscope_buffer *b, int error,
				       void *context);

/**
 * memscope_bufio_read_async() - read a block without waiting for it
 * @c: the client
 * @block: block number
 * @ioprio: priority of the read, if one is submitted
 * @done: called once, possibly before this function returns, unless an error
 *	is returned; memscope_bufio_client_destroy() waits for that
 * @context: passed to @done
 *
 * The read is submitted when the function returns.
 *
 * Context: Process context; may sleep for a buffer, not for the read. Not from
 * a bio submission.
 * Return: 0, -ENOMEM, or -EINVAL from a bio submission.
 */
int memscope_bufio_read_async(struct memscope_bufio_client *c, sector_t block,
			      unsigned short ioprio,
			      memscope_bufio_read_fn done, void *context);

/**
 * memscope_bufio_set_maximum_bytes() - limit one client
 * @c: the client
 * @bytes: bytes of buffers, their headers included; 0 for no limit of its own
 *
 * The reserved buffers are granted even if they alone are more.
 */
void memscope_bufio_set_maximum_bytes(struct memscope_bufio_client *c,
				      unsigned long bytes);

/**
 * memscope_bufio_get_allocated_bytes() - memory that a client uses
 * @c: the client
 *
 * Return: bytes of data, headers, reserve and lookup table.
 */
unsigned long
memscope_bufio_get_allocated_bytes(struct memscope_bufio_client *c);

/**
 * struct memscope_bufio_dm_io_ops - how to make a dm_io_client
 * @create: dm_io_client_create()
 * @destroy: dm_io_client_destroy()
 */
struct memscope_bufio_dm_io_ops {
	struct dm_io_client *(*create)(void);
	void (*destroy)(struct dm_io_client *client);
};

/**
 * memscope_bufio_set_dm_io() - lend dm-mod's functions to the cache
 * @ops: the functions, or NULL to take them back
 *
 * memscope does not link to dm-mod. A module that does calls this when it is
 * loaded, and with NULL when it goes, after every client whose
 * memscope_bufio_get_dm_io_client() was called is destroyed.
 */
void memscope_bufio_set_dm_io(const struct memscope_bufio_dm_io_ops *ops);

/**
 * struct memscope_bufio_usage - memory of all clients together
 * @limit_bytes: what they may use: the module parameter max_cache_size_bytes,
 *	or its default
 * @current_bytes: what they use: data, headers, reserves and lookup tables
 * @peak_bytes: the most that they used
 * @page_bytes: data from the page allocator, part of @current_bytes
 * @vmalloc_bytes: data from vmalloc, part of @current_bytes
 */
struct memscope_bufio_usage {
	unsigned long limit_bytes;
	unsigned long current_bytes;
	unsigned long peak_bytes;
	unsigned long page_bytes;
	unsigned long vmalloc_bytes;
};

/**
 * memscope_bufio_get_usage() - memory of all clients together
 * @usage: set to it; the members are not of one moment
 *
 * Context: Process context, may sleep.
 */
void memscope_bufio_get_usage(struct memscope_bufio_usage *usage);

/**
 * memscope_bufio_set_peak_bytes() - count the most bytes from a value on
 * @bytes: the value
 *
 * Context: Process context, may sleep.
 */
void memscope_bufio_set_peak_bytes(unsigned long bytes);

/**
 * memscope_bufio_set_limit_bytes() - set memscope's max_cache_size_bytes
 * @bytes: limit of all clients together, 0 for the default
 */
void memscope_bufio_set_limit_bytes(unsigned long bytes);

/**
 * memscope_bufio_get_retain_bytes() - memscope's parameter retain_bytes
 */
unsigned long memscope_bufio_get_retain_bytes(void);

/**
 * memscope_bufio_set_retain_bytes() - set memscope's parameter retain_bytes
 * @bytes: what the shrinker leaves to each client
 */
void memscope_bufio_set_retain_bytes(unsigned long bytes);

#endif /* _LINUX_MEMSCOPE_BUFIO_H */
