// SPDX-License-Identifier: GPL-2.0
/* Clients: what creating one takes, what it says of itself, its reserve. */

#include <linux/dm-io.h>
#include <linux/ioprio.h>
#include <linux/kprobes.h>

#include "bufio_test.h"

/* --- create, accessors --------------------------------------------------- */

static void create_args(struct bt *t)
{
	static const struct { const char *row; unsigned int bs; } v[] = {
		{ "bs_0", 0 }, { "bs_1", 1 }, { "bs_511", 511 }, { "bs_513", 513 },
		{ "bs_1000", 1000 }, { "bs_4097", 4097 },
		{ "bs_512", 512 }, { "bs_1536", 1536 }, { "bs_4096", 4096 },
		{ "bs_12288", 12288 }, { "bs_65536", 65536 }, { "bs_1M", 1 << 20 },
	};
	struct bufio_client *c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(v); i++) {
		c = bufio_client_create(t->bdev, v[i].bs, 1, 0, NULL, NULL, 0);
		bt_row(t, v[i].row, bt_err(c), v[i].bs % 512 || !v[i].bs ? -EINVAL : 0);
		if (!bt_err(c))
			bufio_client_destroy(c);
	}
	bt_row(t, "no_io", gate_total(t->gate, GATE_READ | GATE_WRITE | GATE_DISCARD), 0);
	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, NULL, 1U << 31);
	bt_row(t, "unknown_flag", bt_err(c), 0);
	if (!bt_err(c))
		bufio_client_destroy(c);
}

static void create_many(struct bt *t)
{
	struct bufio_client *c[40];
	unsigned int i, good = 0;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = bufio_client_create(t->bdev, i & 1 ? 1536 : 4096, i % 7, i, NULL, NULL,
					   i & 2 ? BUFIO_NO_SLEEP : 0);
		good += !bt_err(c[i]);
	}
	bt_row(t, "created", good, ARRAY_SIZE(c));
	for (i = 0; i < ARRAY_SIZE(c); i++)
		if (!bt_err(c[i]))
			bufio_client_destroy(c[i]);
}

static void create_reserve_0(struct bt *t)
{
	struct bufio_client *c = bufio_client_create(t->bdev, BT_BS, 0, 0, NULL, NULL, 0);

	if (!bt_row(t, "create", bt_err(c), 0))
		return;
	bt_row(t, "read", bt_read_is(c, 3, BT_OLD), 1);
	bufio_client_destroy(c);
}

/* As if no two free pages were adjacent, for this thread. */
static struct task_struct *fragmented;

static int pages_begin(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	unsigned int *order = (unsigned int *)ri->data;

	*order = regs_get_kernel_argument(regs, 1);
	return current != READ_ONCE(fragmented) || !*order;
}

static int pages_end(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	unsigned int *order = (unsigned int *)ri->data;

	free_pages(regs_return_value(regs), *order);
	regs_set_return_value(regs, 0);
	return 0;
}

#define LARGE		(1 << 20)	/* bytes of a block of many pages */

/* A reserve of large blocks is had without adjacent pages, and serves. */
static void create_fragmented(struct bt *t)
{
	struct kretprobe pages = {
		.kp.symbol_name = "get_free_pages_noprof",
		.entry_handler = pages_begin,
		.handler = pages_end,
		.data_size = sizeof(unsigned int),
	};
	unsigned int spb = LARGE >> SECTOR_SHIFT, i;
	struct bufio_client *c;

	if (!bt_row(t, "probe", register_kretprobe(&pages), 0))
		return;
	WRITE_ONCE(fragmented, current);
	c = bufio_client_create(t->bdev, LARGE, 2, 0, NULL, NULL, 0);
	if (bt_row(t, "create", bt_err(c), 0)) {
		for (i = 0; i < 3; i++)
			bt_row(t, "read", bt_read_is(c, i, BT_OLD), 1);
		for (i = 0; i < 3; i++)
			bt_row(t, "write", bt_write(c, i, BT_NEW), 0);
		bt_row(t, "flush", bufio_write_dirty(c), 0);
		for (i = 0; i < 3; i++)
			bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, i * spb, spb), 1);
		bufio_client_destroy(c);
	}
	WRITE_ONCE(fragmented, NULL);
	unregister_kretprobe(&pages);
}

static void accessors(struct bt *t)
{
	sector_t size = bdev_nr_sectors(t->bdev);
	struct bufio_client *c;
	struct bufio_buffer *b;
	void *p, *q;

	c = bufio_client_create(t->bdev, BT_BS, 1, 16, NULL, NULL, 0);
	if (bt_err(c)) {
		bt_fail(t, "create: %ld", bt_err(c));
		return;
	}
	p = bufio_read(c, 5, &b);
	if (!bt_row(t, "read", bt_err(p), 0))
		goto out;
	bt_row(t, "block_size", bufio_get_block_size(c), BT_BS);
	bt_row(t, "device_size", bufio_get_device_size(c) == size / BT_SPB, 1);
	bt_row(t, "block_number", bufio_get_block_number(b), 5);
	bt_row(t, "block_data", bufio_get_block_data(b) == p, 1);
	bt_row(t, "client", bufio_get_client(b) == c, 1);
	q = bufio_get_aux_data(b);
	bt_row(t, "aux_aligned", (unsigned long)q % sizeof(long), 0);
	bt_row(t, "aux_outside_data", q + 16 <= p || q >= p + BT_BS, 1);
	memset(q, 0x5a, 16);
	bt_row(t, "aux_not_in_data", bt_is(p, BT_BS, BT_OLD, 5 * BT_SPB), 1);
	bufio_release(b);
out:
	bufio_client_destroy(c);
}

static void device_size(struct bt *t)
{
	sector_t size = bdev_nr_sectors(t->bdev);
	struct bufio_client *c = bt_client_bs(t, 1536);

	if (!c)
		return;
	bt_row(t, "not_a_power_of_two", bufio_get_device_size(c) == size / 3, 1);
	bufio_set_sector_offset(c, 7);
	bt_row(t, "with_offset", bufio_get_device_size(c) == (size - 7) / 3, 1);
	bufio_set_sector_offset(c, size);
	bt_row(t, "offset_at_end", bufio_get_device_size(c), 0);
	bufio_set_sector_offset(c, size + 1);
	bt_row(t, "offset_past_end", bufio_get_device_size(c), 0);
	bufio_client_destroy(c);
}

static void sector_offset(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	void *p;

	if (!c)
		return;
	bufio_set_sector_offset(c, 3);
	p = bufio_read(c, 2, &b);
	if (bt_row(t, "read", bt_err(p), 0)) {
		bt_row(t, "read_sector", bt_is(p, BT_BS, BT_OLD, 2 * BT_SPB + 3), 1);
		bt_fill(p, BT_BS, BT_NEW, 2 * BT_SPB + 3);
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bt_row(t, "written_sector", bt_disk_is(t, BT_NEW, 2 * BT_SPB + 3, BT_SPB), 1);
	bt_row(t, "before", bt_disk_is(t, BT_OLD, 0, 2 * BT_SPB + 3), 1);
	bt_row(t, "after", bt_disk_is(t, BT_OLD, 3 * BT_SPB + 3, 8), 1);
	bufio_client_destroy(c);
}

#ifdef BT_MEMSCOPE
static const struct memscope_bufio_dm_io_ops dm_io_ops = {
	.create = dm_io_client_create,
	.destroy = dm_io_client_destroy,
};
#endif

static void dm_io_client(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct dm_io_client *io;
	struct dm_io_region where = { .bdev = t->bdev, .sector = 16, .count = 8 };
	struct dm_io_request req = {
		.bi_opf = REQ_OP_READ,
		.mem.type = DM_IO_KMEM,
		.mem.ptr.addr = t->buf,
	};

	if (!c)
		return;
#ifdef BT_MEMSCOPE
	bt_row_ours(t, "without_dm_mod", bt_err(bufio_get_dm_io_client(c)), -EOPNOTSUPP);
	memscope_bufio_set_dm_io(&dm_io_ops);
#endif
	io = bufio_get_dm_io_client(c);
	if (bt_row(t, "get", bt_err(io), 0)) {
		req.client = io;
		bt_row(t, "dm_io", dm_io(&req, 1, &where, NULL, NULL, IOPRIO_DEFAULT), 0);
		bt_row(t, "data", bt_is(t->buf, 4096, BT_OLD, 16), 1);
		bt_row(t, "same_again", bufio_get_dm_io_client(c) == io, 1);
	}
	bufio_client_destroy(c);
#ifdef BT_MEMSCOPE
	memscope_bufio_set_dm_io(NULL);
#endif
}

static void minimum_buffers(struct bt *t)
{
	struct bufio_client *c = bt_client(t);

	if (!c)
		return;
	bufio_set_minimum_buffers(c, 13);
	bt_row(t, "read", bt_read_is(c, 1, BT_OLD), 1);
	bufio_set_minimum_buffers(c, 0);
	bt_row(t, "read_with_0", bt_read_is(c, 2, BT_OLD), 1);
	bufio_set_minimum_buffers(c, UINT_MAX);
	bt_row(t, "read_with_max", bt_read_is(c, 3, BT_OLD), 1);
	bufio_client_destroy(c);
}

/* Each size: read what is there, write, read back past the cache. */
static void block_sizes(struct bt *t)
{
	static const unsigned int sizes[] = {
		512, 1024, 1536, 2048, 2560, 3584, 4096, 4608, 6144, 8192, 12288, 16384,
		20480, 65536, 66048, 131072, 196608, 262144, 1 << 20, (1 << 20) + 512,
	};
	unsigned int i;
	char row[32];

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int bs = sizes[i], spb = bs >> SECTOR_SHIFT;
		struct bufio_client *c = bt_client_bs(t, bs);
		unsigned int good = 0;

		if (!c)
			continue;
		bt_disk_fill(t, BT_OLD, 0, 4 * spb);
		good |= bt_read_is(c, 1, BT_OLD) == 1;
		good |= (bt_read_is(c, 2, BT_OLD) == 1) << 1;
		good |= !bt_write(c, 2, BT_NEW) << 2;
		good |= !bufio_write_dirty(c) << 3;
		good |= bt_disk_is(t, BT_NEW, 2 * spb, spb) << 4;
		good |= bt_disk_is(t, BT_OLD, spb, spb) << 5;
		good |= bt_disk_is(t, BT_OLD, 3 * spb, spb) << 6;
		bufio_forget(c, 2);
		good |= !bt_cached(c, 2) << 7;
		good |= (bt_read_is(c, 2, BT_NEW) == 1) << 8;
		snprintf(row, sizeof(row), "bs_%u", bs);
		bt_row(t, row, good, 0x1ff);
		bufio_client_destroy(c);
	}
}

static void two_clients(struct bt *t)
{
	struct bufio_client *a = bt_client(t), *b = bt_client(t);

	if (a && b) {
		bt_row(t, "a", bt_read_is(a, 1, BT_OLD), 1);
		bt_row(t, "b_not_cached", bt_cached(b, 1), 0);
		bt_row(t, "b", bt_read_is(b, 1, BT_OLD), 1);
		bt_row(t, "ios", gate_total(t->gate, GATE_READ), 2);
		bufio_forget(a, 1);
		bt_row(t, "b_keeps", bt_cached(b, 1), 1);
	}
	if (a)
		bufio_client_destroy(a);
	if (b)
		bufio_client_destroy(b);
}

/* --- reserve ------------------------------------------------------------- */

struct many {
	struct bufio_client *c;
	unsigned int id;
	atomic_t *good;
};

static int many_fn(void *arg)
{
	struct many *m = arg;
	unsigned int i;

	for (i = 0; i < 200; i++)
		if (bt_read_is(m->c, (m->id * 37 + i * 11) % 256, BT_OLD) == 1)
			atomic_inc(m->good);
	return 0;
}

/* With one buffer in all, each thread gets its turn. */
static void reserve_progress(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	atomic_t good = ATOMIC_INIT(0);
	struct bufio_client *c;
	struct bt_worker w[4];
	struct many m[4];
	unsigned int i;

	/* 1 means for both: no new buffers, live off the reserve. */
	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bt_client(t);
	if (c) {
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			m[i] = (struct many) { .c = c, .id = i, .good = &good };
			bt_spawn(&w[i], many_fn, &m[i]);
		}
		for (i = 0; i < ARRAY_SIZE(w); i++)
			bt_join(&w[i]);
		bt_row(t, "good", atomic_read(&good), 4 * 200);
		/* A dirty one is written to make room. */
		bt_row(t, "write", bt_write(c, 1, BT_NEW), 0);
		bt_row(t, "next", bt_read_is(c, 2, BT_OLD), 1);
		bt_row(t, "written", bt_disk_is(t, BT_NEW, BT_SPB, BT_SPB), 1);
		bufio_client_destroy(c);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/* All buffers held: the next waits until one is released. */
static void reserve_wait(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_buffer *b[3];
	struct bufio_client *c;
	struct bt_reader r;
	struct bt_worker w;
	unsigned int i;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bufio_client_create(t->bdev, BT_BS, 3, 0, NULL, NULL, 0);
	if (bt_row(t, "create", bt_err(c), 0)) {
		for (i = 0; i < 3; i++)
			if (bt_err(bufio_read(c, i, &b[i])))
				bt_fail(t, "read %u", i);
		r = (struct bt_reader) { .c = c, .block = 10 };
		bt_spawn(&w, bt_read_fn, &r);
		bt_row(t, "waits", bt_done(&w, BT_STUCK_MS), 0);
		bufio_release(b[1]);
		bt_row(t, "gets_it", bt_done(&w, BT_SOON_MS), 1);
		bt_row(t, "contents", bt_join(&w), 1);
		bufio_release(b[0]);
		bufio_release(b[2]);
		bufio_client_destroy(c);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/* The one buffer there is, whichever way it leaves the cache, is had by the next block. */
static void reserve_comes_back(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	unsigned int i, good = 0, failed = 0;
	struct bufio_client *c;
	struct bufio_buffer *b;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bt_client(t);
	if (c) {
		for (i = 0; i < 400; i++) {
			/* The odd ones fail. */
			if (i & 1)
				gate_fail(t->gate, GATE_READ, i * BT_SPB, BT_SPB, BLK_STS_IOERR, 1);
			if (i & 1)
				failed += bt_err(bufio_read(c, i, &b)) == -EIO;
			else
				good += bt_read_is(c, i, BT_OLD) == 1;
			gate_clear(t->gate);
			if (i % 8 == 0)
				bufio_forget(c, i);
			else if (i % 8 == 2)
				bufio_forget_buffers(c, 0, 1000);
			else if (i % 8 == 4)
				bufio_client_reset(c);
		}
		bt_row(t, "good", good, 200);
		bt_row(t, "failed", failed, 200);
		bufio_client_destroy(c);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/* --- leaks --------------------------------------------------------------- */

static void destroy_leak(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;

	if (!c)
		return;
	bt_row(t, "hold", bt_err(bufio_read(c, 1234 % 100, &b)), 0);
	bufio_client_destroy(c);
	bt_row(t, "survived", 1, 1);
}

const struct bt_case bt_clients[] = {
	{ "create_args", "block size: a non-zero multiple of 512, else -EINVAL", create_args },
	{ "create_many", "clients do not disturb each other", create_many },
	{ "create_reserve_0", "a client without reserve works", create_reserve_0 },
	{ "create_fragmented", "a reserve of large blocks without adjacent pages", create_fragmented },
	{ "accessors", "each says what its name says", accessors },
	{ "device_size", "in whole blocks, less the offset", device_size },
	{ "sector_offset", "shifts block 0 for reads and writes", sector_offset },
	{ "dm_io_client", "can be used with dm_io", dm_io_client },
	{ "minimum_buffers", "any number is taken", minimum_buffers },
	{ "block_sizes", "read and write at each size", block_sizes },
	{ "two_clients", "two clients of one device share nothing", two_clients },
	{ "reserve_progress", "the reserve is enough to make progress", reserve_progress },
	{ "reserve_comes_back", "what leaves the cache fills the reserve first", reserve_comes_back },
	{ "reserve_wait", "waits for a release when all is held", reserve_wait },
	{ "destroy_leak", "warns and lives", destroy_leak,
	  BT_WARNS | BT_WARNS_OURS | BT_FATAL },
	{ }
};
