// SPDX-License-Identifier: GPL-2.0
/* What the functions do when nothing goes wrong. */

#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/dm-io.h>
#include <linux/interrupt.h>
#include <linux/ioprio.h>
#include <linux/slab.h>

#include "bufio_test.h"

#define ALL	((sector_t)1 << 40)	/* more sectors than any device here has */

/* --- create, accessors --------------------------------------------------- */

static void create_args(struct bt *t)
{
	static const struct { const char *row; unsigned int bs; } v[] = {
		{ "bs_0", 0 }, { "bs_1", 1 }, { "bs_511", 511 }, { "bs_513", 513 },
		{ "bs_1000", 1000 }, { "bs_4097", 4097 },
		{ "bs_512", 512 }, { "bs_1536", 1536 }, { "bs_4096", 4096 },
		{ "bs_12288", 12288 }, { "bs_65536", 65536 }, { "bs_1M", 1 << 20 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(v); i++) {
		struct bufio_client *c;

		c = bufio_client_create(t->bdev, v[i].bs, 1, 0, NULL, NULL, 0);
		bt_row(t, v[i].row, bt_err(c), v[i].bs % 512 || !v[i].bs ? -EINVAL : 0);
		if (!bt_err(c))
			bufio_client_destroy(c);
	}
	bt_row(t, "no_io", gate_total(t->gate, GATE_READ | GATE_WRITE | GATE_DISCARD), 0);
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

/* --- read, get, new ------------------------------------------------------ */

static void read(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b, *b2;
	void *p, *p2;

	if (!c)
		return;
	p = bufio_read(c, 4, &b);
	if (!bt_row(t, "miss", bt_err(p), 0))
		goto out;
	bt_row(t, "contents", bt_is(p, BT_BS, BT_OLD, 4 * BT_SPB), 1);
	bt_row(t, "ios", gate_total(t->gate, GATE_ANY), 1);
	bt_row(t, "whole_block", gate_nth(t->gate, GATE_READ, 0)->sectors, BT_SPB);
	p2 = bufio_read(c, 4, &b2);
	bt_row(t, "hit_same_buffer", p2 == p && b2 == b, 1);
	bufio_release(b2);
	bufio_release(b);
	bt_row(t, "hit_after_release", bt_read_is(c, 4, BT_OLD), 1);
	bt_row(t, "hits_no_io", gate_total(t->gate, GATE_ANY), 1);
out:
	bufio_client_destroy(c);
}

static void read_many_held(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b[200];
	unsigned int i, good = 0;

	if (!c)
		return;
	for (i = 0; i < ARRAY_SIZE(b); i++)
		if (bt_err(bufio_read(c, i, &b[i])))
			b[i] = NULL;
	for (i = 0; i < ARRAY_SIZE(b); i++) {
		if (!b[i])
			continue;
		good += bt_is(bufio_get_block_data(b[i]), BT_BS, BT_OLD, i * BT_SPB) &&
			bufio_get_block_number(b[i]) == i;
		bufio_release(b[i]);
	}
	bt_row(t, "good", good, ARRAY_SIZE(b));
	bufio_client_destroy(c);
}

struct reader {
	struct bufio_client *c;
	sector_t block;
	unsigned int n;
};

static int read_fn(void *arg)
{
	struct reader *r = arg;

	return bt_read_is(r->c, r->block, BT_OLD);
}

/* One read serves all who want the block; get does not wait for it. */
static void read_in_flight(struct bt *t)
{
	struct reader r = { .c = bt_client(t), .block = 9 };
	struct bt_worker w[3];
	struct bufio_buffer *b = (void *)1;
	unsigned int i, good = 0;
	void *p;

	if (!r.c)
		return;
	gate_hold(t->gate, GATE_READ, 0, ALL);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		bt_spawn(&w[i], read_fn, &r);
	bt_row(t, "started", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_row(t, "readers_wait", bt_done(&w[0], BT_STUCK_MS), 0);
	p = bufio_get(r.c, 9, &b);
	bt_row(t, "get_in_flight", bt_err(p), 1);
	bt_row(t, "get_in_flight_bp", !b, 1);
	if (!bt_err(p))
		bufio_release(b);
	bufio_forget(r.c, 9);
	gate_open(t->gate);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		good += bt_join(&w[i]) == 1;
	bt_row(t, "readers_good", good, ARRAY_SIZE(w));
	bt_row(t, "ios", gate_total(t->gate, GATE_READ), 1);
	bt_row(t, "get_after", bt_cached(r.c, 9), 1);
	bufio_client_destroy(r.c);
}

static void read_ioprio(struct bt *t)
{
	unsigned short prio = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 2);
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;

	if (!c)
		return;
	if (bt_row(t, "read", bt_err(bufio_read_with_ioprio(c, 4, &b, prio)), 0))
		bufio_release(b);
	bt_row(t, "ioprio", gate_nth(t->gate, GATE_READ, 0)->ioprio, prio);
	gate_reset(t->gate);
	bufio_prefetch_with_ioprio(c, 8, 1, prio);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "prefetch_reads", gate_total(t->gate, GATE_READ), 1);
	if (gate_total(t->gate, GATE_READ))
		bt_row(t, "prefetch_ioprio", gate_nth(t->gate, GATE_READ, 0)->ioprio, prio);
	bufio_client_destroy(c);
}

static void get(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b = (void *)1;
	void *p;

	if (!c)
		return;
	bt_row(t, "miss", bt_err(bufio_get(c, 6, &b)), 1);
	bt_row(t, "miss_bp", !b, 1);
	bt_row(t, "no_io", gate_total(t->gate, GATE_ANY), 0);
	bt_read_is(c, 6, BT_OLD);
	p = bufio_get(c, 6, &b);
	if (bt_row(t, "hit", bt_err(p), 0)) {
		bt_row(t, "contents", bt_is(p, BT_BS, BT_OLD, 6 * BT_SPB), 1);
		bufio_release(b);
	}
	bt_row(t, "ios", gate_total(t->gate, GATE_ANY), 1);
	bufio_client_destroy(c);
}

static void new(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	void *p;

	if (!c)
		return;
	bt_row(t, "write", bt_write(c, 7, BT_NEW), 0);
	/* It may be written any time now. */
	bt_row(t, "no_read", gate_total(t->gate, GATE_READ), 0);
	p = bufio_new(c, 7, &b);
	if (bt_row(t, "again", bt_err(p), 0)) {
		bt_row(t, "hit_has_contents", bt_is(p, BT_BS, BT_NEW, 7 * BT_SPB), 1);
		bufio_release(b);
	}
	bt_read_is(c, 8, BT_OLD);
	p = bufio_new(c, 8, &b);
	if (bt_row(t, "hit_clean", bt_err(p), 0)) {
		bt_row(t, "hit_clean_contents", bt_is(p, BT_BS, BT_OLD, 8 * BT_SPB), 1);
		bufio_release(b);
	}
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 7 * BT_SPB, BT_SPB), 1);
	/* Not marked dirty: nothing of it reaches the device. */
	p = bufio_new(c, 9, &b);
	if (bt_row(t, "clean", bt_err(p), 0)) {
		memset(p, 0, BT_BS);
		bufio_release(b);
	}
	bufio_client_reset(c);
	bt_row(t, "clean_not_written", bt_disk_is(t, BT_OLD, 9 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

static int new_fn(void *arg)
{
	struct reader *r = arg;
	struct bufio_buffer *b;
	void *p = bufio_new(r->c, r->block, &b);
	int is;

	if (bt_err(p))
		return bt_err(p);
	is = bt_is(p, BT_BS, BT_OLD, r->block * BT_SPB);
	bufio_release(b);
	return is;
}

static void new_in_flight(struct bt *t)
{
	struct reader r = { .c = bt_client(t), .block = 9 };
	struct bt_worker a, b;

	if (!r.c)
		return;
	gate_hold(t->gate, GATE_READ, 0, ALL);
	bt_spawn(&a, read_fn, &r);
	bt_row(t, "started", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_spawn(&b, new_fn, &r);
	bt_row(t, "new_waits", bt_done(&b, BT_STUCK_MS), 0);
	gate_open(t->gate);
	bt_row(t, "new_contents", bt_join(&b), 1);
	bt_row(t, "read_contents", bt_join(&a), 1);
	bufio_client_destroy(r.c);
}

static int hold_fn(void *arg)
{
	struct bufio_buffer *b = arg;

	bufio_release(b);
	return 0;
}

static void release_elsewhere(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	struct bt_worker w;

	if (!c)
		return;
	if (bt_row(t, "read", bt_err(bufio_read(c, 1, &b)), 0)) {
		bt_spawn(&w, hold_fn, b);
		bt_row(t, "released", bt_join(&w), 0);
	}
	bufio_forget(c, 1);
	bt_row(t, "free", bt_cached(c, 1), 0);
	bufio_client_destroy(c);
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

/* --- prefetch ------------------------------------------------------------ */

static int prefetch_fn(void *arg)
{
	struct reader *r = arg;

	bufio_prefetch(r->c, r->block, r->n);
	return 0;
}

static void prefetch_blocks(struct bt *t)
{
	struct reader r = { .c = bt_client(t), .block = 10, .n = 20 };
	unsigned int i, cached = 0, good = 0, covered = 0;
	struct bt_worker w;

	if (!r.c)
		return;
	bufio_prefetch(r.c, 3, 0);
	bt_row(t, "none", gate_total(t->gate, GATE_ANY), 0);
	bt_read_is(r.c, 15, BT_OLD);
	gate_reset(t->gate);
	gate_hold(t->gate, GATE_READ, 0, ALL);
	bt_spawn(&w, prefetch_fn, &r);
	bt_row(t, "returns", bt_done(&w, BT_SOON_MS), 1);
	bt_row(t, "started", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_row(t, "get_in_flight", bt_cached(r.c, 10), 0);
	bt_row(t, "skips_cached", gate_count(t->gate, GATE_READ, 15 * BT_SPB, BT_SPB), 0);
	for (i = 10; i < 30; i++)
		covered += gate_count(t->gate, GATE_READ, i * BT_SPB, BT_SPB);
	bt_row(t, "each_once", covered, 19);
	bt_fig(t, "bios", gate_total(t->gate, GATE_READ));
	gate_open(t->gate);
	bt_join(&w);
	gate_idle(t->gate, BT_SOON_MS);
	for (i = 10; i < 30; i++) {
		cached += bt_cached(r.c, i) == 1;
		good += bt_read_is(r.c, i, BT_OLD) == 1;
	}
	bt_row(t, "cached", cached, 20);
	bt_row(t, "contents", good, 20);
	bt_row(t, "not_more", bt_cached(r.c, 30), 0);
	gate_reset(t->gate);
	bufio_prefetch(r.c, 10, 20);
	bt_row(t, "again", gate_total(t->gate, GATE_ANY), 0);
	/* Nothing is held by a prefetch. */
	bufio_forget_buffers(r.c, 0, 100);
	bt_row(t, "forgotten", bt_cached(r.c, 12), 0);
	bufio_client_destroy(r.c);
}

/* Over the end of the device: what is there is read, the rest leaves nothing. */
static void prefetch_past_end(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	sector_t last;
	struct bufio_buffer *b;

	if (!c)
		return;
	last = bufio_get_device_size(c) - 1;
	bt_disk_fill(t, BT_OLD, last * BT_SPB, BT_SPB);
	bufio_prefetch(c, last, 3);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "last", bt_read_is(c, last, BT_OLD), 1);
	bt_row(t, "read_past", bt_err(bufio_read(c, last + 1, &b)), -EIO);
	bt_row(t, "read_past_bp", !b, 1);
	bufio_client_destroy(c);
}

/* --- dirty, write -------------------------------------------------------- */

static void dirty(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	void *p;

	if (!c)
		return;
	p = bufio_read(c, 2, &b);
	if (!bt_row(t, "read", bt_err(p), 0))
		goto out;
	bt_fill(p, BT_BS, BT_NEW, 2 * BT_SPB);
	bufio_mark_dirty(b);
	bt_row(t, "not_yet", gate_total(t->gate, GATE_WRITE), 0);
	/* Written while it is held. */
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 2 * BT_SPB, BT_SPB), 1);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), 1);
	bt_row(t, "again", bufio_write_dirty(c), 0);
	bt_row(t, "clean_now", gate_total(t->gate, GATE_WRITE), 1);
	bufio_mark_dirty(b);
	bufio_mark_dirty(b);
	bt_row(t, "twice", bufio_write_dirty(c), 0);
	bt_row(t, "twice_one_write", gate_total(t->gate, GATE_WRITE), 2);
	bufio_release(b);
out:
	bufio_client_destroy(c);
}

static void partial(struct bt *t, struct bufio_client *c, const char *name,
		    unsigned int start, unsigned int end, unsigned int start2,
		    unsigned int end2, unsigned int want_first, unsigned int want_sectors)
{
	struct bufio_buffer *b;
	struct gate_rec *r;
	char row[48];
	void *p;

	gate_reset(t->gate);
	p = bufio_read(c, 1, &b);
	if (bt_err(p)) {
		bt_fail(t, "%s: read %ld", name, bt_err(p));
		return;
	}
	bufio_mark_partial_dirty(b, start, end);
	if (end2)
		bufio_mark_partial_dirty(b, start2, end2);
	bufio_release(b);
	bufio_write_dirty(c);
	r = gate_nth(t->gate, GATE_WRITE, 0);
	snprintf(row, sizeof(row), "%s_first", name);
	bt_row(t, row, r ? (long long)(r->sector - (bufio_get_block_size(c) >> 9)) : -1,
	       want_first);
	snprintf(row, sizeof(row), "%s_sectors", name);
	bt_row(t, row, r ? r->sectors : -1, want_sectors);
}

/* The written range: what was marked, joined, rounded to pbs= (4096 at least). */
static void dirty_partial(struct bt *t)
{
	struct bufio_client *c = bt_client_bs(t, 65536);
	struct bufio_buffer *b;
	void *p;

	if (!c)
		return;
	partial(t, c, "one_byte", 0, 1, 0, 0, 0, 8);
	partial(t, c, "inside", 5000, 5001, 0, 0, 8, 8);
	partial(t, c, "across", 4095, 4097, 0, 0, 0, 16);
	partial(t, c, "exact", 8192, 12288, 0, 0, 16, 8);
	partial(t, c, "end", 65535, 65536, 0, 0, 120, 8);
	partial(t, c, "joined", 5000, 5001, 20000, 20001, 8, 32);
	partial(t, c, "joined_back", 20000, 20001, 5000, 5001, 8, 32);
	partial(t, c, "whole", 0, 65536, 0, 0, 0, 128);
	/* A range starts anew after a write. */
	partial(t, c, "anew", 40960, 40961, 0, 0, 80, 8);

	/* Only the marked part of changed data has to get there. */
	p = bufio_read(c, 2, &b);
	if (bt_row(t, "read", bt_err(p), 0)) {
		bt_fill(p + 8192, 4096, BT_NEW, 2 * 128 + 16);
		bufio_mark_partial_dirty(b, 8192, 12288);
		bufio_release(b);
		bt_row(t, "write", bufio_write_dirty(c), 0);
		bt_row(t, "new_part", bt_disk_is(t, BT_NEW, 2 * 128 + 16, 8), 1);
		bt_row(t, "old_before", bt_disk_is(t, BT_OLD, 2 * 128, 16), 1);
		bt_row(t, "old_after", bt_disk_is(t, BT_OLD, 2 * 128 + 24, 104), 1);
	}
	bufio_client_destroy(c);

	/* A block that the rounding would exceed is cut at its end. */
	c = bt_client_bs(t, 6144);
	if (!c)
		return;
	partial(t, c, "cut", 5000, 5001, 0, 0, 8, 4);
	bufio_client_destroy(c);
}

static void dirty_partial_8k(struct bt *t)
{
	struct gate *mine = t->gate;
	struct bufio_client *c;

	/* The same on a device with physical blocks of 8 KiB. */
	gate_destroy(mine);
	t->gate = gate_create(t->back, 8192, false);
	if (IS_ERR(t->gate)) {
		bt_fail(t, "gate: %ld", PTR_ERR(t->gate));
		t->gate = NULL;
		return;
	}
	t->bdev = gate_bdev(t->gate);
	c = bt_client_bs(t, 65536);
	if (!c)
		return;
	partial(t, c, "inside", 5000, 5001, 0, 0, 0, 16);
	partial(t, c, "across", 8191, 8193, 0, 0, 0, 32);
	bufio_client_destroy(c);
}

static int write_fn(void *arg)
{
	return bufio_write_dirty(arg);
}

static int async_fn(void *arg)
{
	bufio_write_dirty_async(arg);
	return 0;
}

static void write_async(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bt_worker w;
	unsigned int i;

	if (!c)
		return;
	bt_ballast(t, c);
	for (i = 0; i < 10; i++)
		bt_write(c, 2 * i, BT_NEW);
	gate_hold(t->gate, GATE_WRITE, 0, ALL);
	bt_spawn(&w, async_fn, c);
	bt_row(t, "returns", bt_done(&w, BT_SOON_MS), 1);
	bt_row(t, "started", gate_wait_held(t->gate, 10, BT_SOON_MS), 1);
	bt_row(t, "no_flush", gate_total(t->gate, GATE_FLUSH), 0);
	gate_open(t->gate);
	bt_join(&w);
	bt_row(t, "settles", gate_idle(t->gate, BT_SOON_MS), 1);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 18 * BT_SPB, BT_SPB), 1);
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), 10);
	bt_row(t, "flushes", gate_total(t->gate, GATE_FLUSH), 1);
	bufio_client_destroy(c);
}

/* Waits for writes, also those begun before, and flushes after them. */
static void write_dirty(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct gate_rec *f, *r;
	struct bt_worker w;
	unsigned int i, early = 0;

	if (!c)
		return;
	bt_row(t, "nothing", bufio_write_dirty(c), 0);
	bt_row(t, "nothing_flushes", gate_total(t->gate, GATE_FLUSH), 1);
	bt_ballast(t, c);
	for (i = 0; i < 20; i++)
		bt_write(c, 2 * i, BT_NEW);
	gate_hold(t->gate, GATE_WRITE, 0, ALL);
	bufio_write_dirty_async(c);
	for (i = 20; i < 40; i++)
		bt_write(c, 2 * i, BT_NEW);
	bt_spawn(&w, write_fn, c);
	bt_row(t, "waits", bt_done(&w, BT_STUCK_MS), 0);
	bt_row(t, "no_flush_yet", gate_total(t->gate, GATE_FLUSH), 0);
	gate_open(t->gate);
	bt_row(t, "returns", bt_join(&w), 0);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), 40);
	bt_row(t, "flushes", gate_total(t->gate, GATE_FLUSH), 1);
	f = gate_nth(t->gate, GATE_FLUSH, 0);
	for (i = 0; f && (r = gate_nth(t->gate, GATE_WRITE, i)); i++)
		early += !r->end || r->end > f->begin;
	bt_row(t, "flush_after_writes", f ? early : -1, 0);
	for (i = 0, early = 0; i < 40; i++)
		early += bt_disk_is(t, BT_NEW, 2 * i * BT_SPB, BT_SPB);
	bt_row(t, "on_disk", early, 40);
	bufio_client_destroy(c);
}

/* Changed while it is being written: written again, one after the other. */
static void dirty_in_write(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	struct gate_rec *r0, *r1;
	struct bt_worker w;
	void *p;

	if (!c)
		return;
	bt_ballast(t, c);
	bt_write(c, 5, 7);
	gate_hold(t->gate, GATE_WRITE, 0, ALL);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	p = bufio_get(c, 5, &b);
	if (bt_row(t, "get", bt_err(p), 0)) {
		bt_fill(p, BT_BS, BT_NEW, 5 * BT_SPB);
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	bt_spawn(&w, write_fn, c);
	bt_row(t, "waits", bt_done(&w, BT_STUCK_MS), 0);
	bt_row(t, "one_at_a_time", gate_total(t->gate, GATE_WRITE), 1);
	gate_open(t->gate);
	bt_row(t, "returns", bt_join(&w), 0);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), 2);
	r0 = gate_nth(t->gate, GATE_WRITE, 0);
	r1 = gate_nth(t->gate, GATE_WRITE, 1);
	bt_row(t, "in_order", r0 && r1 && r0->end < r1->begin, 1);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 5 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

static void destroy_writes(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	unsigned int i, good = 0;

	if (!c)
		return;
	for (i = 0; i < 50; i++)
		bt_write(c, i, BT_NEW);
	bufio_client_destroy(c);
	for (i = 0; i < 50; i++)
		good += bt_disk_is(t, BT_NEW, i * BT_SPB, BT_SPB);
	bt_row(t, "on_disk", good, 50);
	bt_row(t, "idle", gate_idle(t->gate, 0), 1);
}

static void reset(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	unsigned int i, cached = 0;

	if (!c)
		return;
	bufio_client_reset(c);
	bt_row(t, "empty", gate_total(t->gate, GATE_WRITE | GATE_READ), 0);
	for (i = 0; i < 20; i++)
		bt_read_is(c, i, BT_OLD);
	for (i = 20; i < 30; i++)
		bt_write(c, i, BT_NEW);
	bufio_client_reset(c);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 20 * BT_SPB, 10 * BT_SPB), 1);
	for (i = 0; i < 30; i++)
		cached += bt_cached(c, i) != 0;
	bt_row(t, "cached", cached, 0);
	bt_row(t, "usable", bt_read_is(c, 25, BT_NEW), 1);
	bufio_client_destroy(c);
}

/* --- flush, discard ------------------------------------------------------ */

static void issue_flush(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct gate_rec *r;

	if (!c)
		return;
	bt_row(t, "returns", bufio_issue_flush(c), 0);
	bt_row(t, "ios", gate_total(t->gate, GATE_ANY), 1);
	r = gate_nth(t->gate, GATE_FLUSH, 0);
	bt_row(t, "preflush", r && (r->opf & REQ_PREFLUSH) && r->end, 1);
	bt_row(t, "empty", r ? r->sectors : -1, 0);
	gate_fail(t->gate, GATE_FLUSH, 0, ALL, BLK_STS_IOERR, 1);
	bt_row(t, "error", bufio_issue_flush(c), -EIO);
	bt_row(t, "once", bufio_issue_flush(c), 0);
	bufio_client_destroy(c);
}

/* The discards of one call may be split: first sector, sectors, all ended. */
static void discarded(struct bt *t, const char *name, sector_t first, sector_t sectors)
{
	struct gate_rec *r;
	sector_t next = 0, sum = 0;
	unsigned int i, bad = 0;
	char row[32];

	for (i = 0; (r = gate_nth(t->gate, GATE_DISCARD, i)); i++) {
		bad += !r->end || r->sector != (i ? next : first);
		next = r->sector + r->sectors;
		sum += r->sectors;
	}
	snprintf(row, sizeof(row), "%s_sectors", name);
	bt_row(t, row, sum, sectors);
	snprintf(row, sizeof(row), "%s_out_of_place", name);
	bt_row(t, row, bad, 0);
}

static void issue_discard(struct bt *t)
{
	struct bufio_client *c = bt_client(t);

	if (!c)
		return;
	bt_read_is(c, 5, BT_OLD);
	bt_row(t, "returns", bufio_issue_discard(c, 4, 3), 0);
	discarded(t, "bs_4096", 4 * BT_SPB, 3 * BT_SPB);
	bt_row(t, "cache_untouched", bt_read_is(c, 5, BT_OLD), 1);
	gate_fail(t->gate, GATE_DISCARD, 0, ALL, BLK_STS_IOERR, 1);
	bt_row(t, "error", bufio_issue_discard(c, 4, 1), -EIO);
	bufio_client_destroy(c);

	c = bt_client_bs(t, 1536);
	if (!c)
		return;
	gate_reset(t->gate);
	bufio_set_sector_offset(c, 5);
	bt_row(t, "bs_1536", bufio_issue_discard(c, 2, 2), 0);
	discarded(t, "bs_1536", 11, 6);
	bufio_client_destroy(c);
}

static void discard_unsupported(struct bt *t)
{
	struct bufio_client *c;

	gate_destroy(t->gate);
	t->gate = gate_create(t->back, 4096, false);
	if (IS_ERR(t->gate)) {
		bt_fail(t, "gate: %ld", PTR_ERR(t->gate));
		t->gate = NULL;
		return;
	}
	t->bdev = gate_bdev(t->gate);
	c = bt_client(t);
	if (!c)
		return;
	bt_row(t, "error", bufio_issue_discard(c, 0, 1), -EOPNOTSUPP);
	bt_row(t, "ios", gate_total(t->gate, GATE_ANY), 0);
	bufio_client_destroy(c);
}

/* --- forget -------------------------------------------------------------- */

static void forget(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;

	if (!c)
		return;
	bufio_forget(c, 1);
	bt_row(t, "absent_no_io", gate_total(t->gate, GATE_ANY), 0);
	bt_read_is(c, 1, BT_OLD);
	bufio_forget(c, 1);
	bt_row(t, "clean_goes", bt_cached(c, 1), 0);
	bt_row(t, "read_again", bt_read_is(c, 1, BT_OLD), 1);
	bt_row(t, "reads", gate_total(t->gate, GATE_READ), 2);

	if (bt_row(t, "hold", bt_err(bufio_read(c, 2, &b)), 0)) {
		bufio_forget(c, 2);
		bt_row(t, "held_stays", bt_cached(c, 2), 1);
		bufio_release(b);
	}
	bt_row(t, "held_stays_after", bt_cached(c, 2), 1);

	bt_write(c, 3, BT_NEW);
	bufio_forget(c, 3);
	bt_row(t, "dirty_stays", bt_read_is(c, 3, BT_NEW), 1);
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bt_row(t, "dirty_written", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

static void forget_in_write(struct bt *t)
{
	struct bufio_client *c = bt_client(t);

	if (!c)
		return;
	bt_write(c, 3, BT_NEW);
	gate_hold(t->gate, GATE_WRITE, 0, ALL);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bufio_forget(c, 3);
	bufio_forget_buffers(c, 0, 10);
	bt_row(t, "stays", bt_cached(c, 3), 1);
	gate_open(t->gate);
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bufio_client_destroy(c);
}

static void forget_buffers(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	unsigned int i;
	void *p;

	if (!c)
		return;
	for (i = 0; i < 100; i++)
		bt_read_is(c, i, BT_OLD);
	bufio_forget_buffers(c, 50, 0);
	bt_row(t, "none", bt_cached_in(c, 0, 100), 100);
	bufio_forget_buffers(c, 20, 30);
	bt_row(t, "before", bt_cached_in(c, 0, 20), 20);
	bt_row(t, "inside", bt_cached_in(c, 20, 50), 0);
	bt_row(t, "after", bt_cached_in(c, 50, 100), 50);
	bt_write(c, 60, BT_NEW);
	p = bufio_get(c, 61, &b);
	bufio_forget_buffers(c, 0, 1000);
	bt_row(t, "dirty_stays", bt_read_is(c, 60, BT_NEW), 1);
	if (bt_row(t, "hold", bt_err(p), 0)) {
		bt_row(t, "held_stays", bt_cached(c, 61), 1);
		bufio_release(b);
	}
	bt_row(t, "rest", bt_cached_in(c, 0, 100), 2);
	bufio_client_destroy(c);
}

/* --- callbacks, aux ------------------------------------------------------ */

static struct {
	atomic_t allocs, writes, early, bad;
	struct bufio_client *c;
	struct gate *gate;
	sector_t last;
} cb;

static void cb_alloc(struct bufio_buffer *b)
{
	u64 *aux = bufio_get_aux_data(b);

	atomic_inc(&cb.allocs);
	*aux = 0x1122334455667788ULL;
}

static void cb_write(struct bufio_buffer *b)
{
	atomic_inc(&cb.writes);
	if (bufio_get_client(b) != cb.c)
		atomic_inc(&cb.bad);
	cb.last = bufio_get_block_number(b);
	/* Its own write is not on the way yet, and what it does here is written. */
	if (!gate_count(cb.gate, GATE_WRITE, cb.last * BT_SPB, BT_SPB))
		atomic_inc(&cb.early);
	bt_fill(bufio_get_block_data(b), BT_BS, 77, cb.last * BT_SPB);
}

static struct bufio_client *cb_client(struct bt *t, unsigned int flags)
{
	memset(&cb, 0, sizeof(cb));
	cb.gate = t->gate;
	cb.c = bufio_client_create(t->bdev, BT_BS, 2, sizeof(u64), cb_alloc, cb_write, flags);
	if (bt_err(cb.c)) {
		bt_fail(t, "create: %ld", bt_err(cb.c));
		return NULL;
	}
	return cb.c;
}

static void callbacks(struct bt *t)
{
	struct bufio_client *c = cb_client(t, 0);
	struct bufio_buffer *b;
	unsigned int i;
	u64 *aux;

	if (!c)
		return;
	bt_row(t, "alloc_at_create", atomic_read(&cb.allocs), 0);
	bt_read_is(c, 1, BT_OLD);
	bt_row(t, "alloc_read_miss", atomic_read(&cb.allocs), 1);
	bt_read_is(c, 1, BT_OLD);
	bt_row(t, "alloc_hit", atomic_read(&cb.allocs), 1);
	if (!bt_err(bufio_new(c, 2, &b))) {
		aux = bufio_get_aux_data(b);
		bt_row(t, "alloc_new", atomic_read(&cb.allocs), 2);
		bt_row(t, "aux_set", *aux == 0x1122334455667788ULL, 1);
		*aux = 5;
		bufio_release(b);
	}
	if (!bt_err(bufio_get(c, 2, &b))) {
		aux = bufio_get_aux_data(b);
		bt_row(t, "aux_kept", *aux, 5);
		bufio_release(b);
	}
	bufio_prefetch(c, 10, 5);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "alloc_prefetch", atomic_read(&cb.allocs), 7);
	/* Dropped and handed out again. */
	bufio_forget(c, 2);
	if (!bt_err(bufio_new(c, 2, &b))) {
		aux = bufio_get_aux_data(b);
		bt_row(t, "alloc_again", atomic_read(&cb.allocs), 8);
		bt_row(t, "aux_set_again", *aux == 0x1122334455667788ULL, 1);
		bufio_release(b);
	}
	bt_row(t, "write_none", atomic_read(&cb.writes), 0);
	bt_ballast(t, c);
	for (i = 20; i < 25; i++)
		bt_write(c, i, BT_NEW);
	bt_row(t, "write_not_at_mark", atomic_read(&cb.writes), 0);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "writes", atomic_read(&cb.writes), 5);
	bt_row(t, "write_before_io", atomic_read(&cb.early), 5);
	bt_row(t, "write_client", atomic_read(&cb.bad), 0);
	bt_row(t, "write_changes_data", bt_disk_is(t, 77, 20 * BT_SPB, 5 * BT_SPB), 1);
	bt_row(t, "write_clean", bufio_write_dirty(c), 0);
	bt_row(t, "write_clean_none", atomic_read(&cb.writes), 5);
	bt_write(c, 30, BT_NEW);
	bufio_client_destroy(c);
	bt_row(t, "write_at_destroy", atomic_read(&cb.writes), 6);
}

static void aux_per_buffer(struct bt *t)
{
	struct bufio_client *c = cb_client(t, 0);
	struct bufio_buffer *b;
	unsigned int i, good = 0;

	if (!c)
		return;
	for (i = 0; i < 64; i++) {
		if (bt_err(bufio_read(c, i, &b)))
			continue;
		*(u64 *)bufio_get_aux_data(b) = i + 100;
		bufio_release(b);
	}
	for (i = 0; i < 64; i++) {
		if (bt_err(bufio_get(c, i, &b)))
			continue;
		good += *(u64 *)bufio_get_aux_data(b) == i + 100;
		bufio_release(b);
	}
	bt_row(t, "kept", good, 64);
	bufio_client_destroy(c);
}

/* --- inside a submission ------------------------------------------------- */

struct in_request {
	struct bt *t;
	struct bufio_client *c;
	bool ran;
};

static void in_request_hook(void *arg)
{
	struct in_request *q = arg;
	struct bufio_client *c = q->c;
	struct bt *t = q->t;
	struct bufio_buffer *b = (void *)1;

	q->ran = true;
	bt_row(t, "in_submission", !!current->bio_list, 1);
	bt_row(t, "read", bt_err(bufio_read(c, 50, &b)), -EINVAL);
	bt_row(t, "read_hit", bt_err(bufio_read(c, 1, &b)), -EINVAL);
	bt_row(t, "read_with_ioprio", bt_err(bufio_read_with_ioprio(c, 50, &b, 0)), -EINVAL);
	bt_row(t, "new", bt_err(bufio_new(c, 50, &b)), -EINVAL);
	bufio_prefetch(c, 50, 2);
	bufio_prefetch_with_ioprio(c, 52, 2, 0);
	bufio_write_dirty_async(c);
	bt_row(t, "issue_flush", bufio_issue_flush(c), -EINVAL);
	bt_row(t, "issue_discard", bufio_issue_discard(c, 50, 1), -EINVAL);
	/* The hook's own read is all that has been submitted. */
	bt_row(t, "no_io", gate_total(t->gate, GATE_ANY), 1);

	bt_row(t, "get_miss", bt_err(bufio_get(c, 51, &b)), 1);
	if (bt_row(t, "get_hit", bt_err(bufio_get(c, 1, &b)), 0)) {
		bufio_mark_dirty(b);
		bufio_mark_partial_dirty(b, 0, 8);
		bufio_release(b);
	}
	bufio_forget(c, 2);
	bt_row(t, "forget", bt_cached(c, 2), 0);
	bufio_forget_buffers(c, 3, 2);
	bt_row(t, "forget_buffers", bt_cached(c, 3) + bt_cached(c, 4), 0);
	bt_row(t, "block_size", bufio_get_block_size(c), BT_BS);
}

static void in_request(struct bt *t)
{
	struct in_request q = { .t = t, .c = bt_client(t) };
	unsigned int i;

	if (!q.c)
		return;
	for (i = 1; i < 6; i++)
		bt_read_is(q.c, i, BT_OLD);
	gate_reset(t->gate);
	gate_hook(t->gate, in_request_hook, &q);
	bdev_rw_virt(t->bdev, 0, t->buf, 512, REQ_OP_READ);
	bt_row(t, "ran", q.ran, 1);
	bt_row(t, "prefetched_none", bt_cached_in(q.c, 50, 54), 0);
	gate_reset(t->gate);
	bt_row(t, "mark_kept", bufio_write_dirty(q.c), 0);
	bt_row(t, "mark_written", gate_total(t->gate, GATE_WRITE), 1);
	bufio_client_destroy(q.c);
}

/* --- NO_SLEEP ------------------------------------------------------------ */

struct soft {
	struct tasklet_struct tasklet;
	struct bufio_client *c;
	struct completion done;
	int miss, hit, contents, released, in_softirq;
};

static void soft_fn(struct tasklet_struct *tasklet)
{
	struct soft *s = container_of(tasklet, struct soft, tasklet);
	struct bufio_buffer *b;
	void *p;

	s->in_softirq = !!in_serving_softirq();
	p = bufio_get(s->c, 60, &b);
	s->miss = bt_err(p);
	p = bufio_get(s->c, 6, &b);
	s->hit = bt_err(p);
	if (!bt_err(p)) {
		s->contents = bt_is(p, BT_BS, BT_OLD, 6 * BT_SPB);
		bufio_release(b);
		s->released = 1;
	}
	complete(&s->done);
}

static void no_sleep(struct bt *t)
{
	struct bufio_client *c;
	struct soft s = { };
	unsigned int i, good = 0;

	c = cb_client(t, BUFIO_NO_SLEEP);
	if (!c)
		return;
	for (i = 0; i < 20; i++)
		good += bt_read_is(c, i, BT_OLD);
	bt_row(t, "read", good, 20);
	bufio_prefetch(c, 20, 10);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "prefetch", bt_cached_in(c, 20, 30), 10);

	s.c = c;
	init_completion(&s.done);
	tasklet_setup(&s.tasklet, soft_fn);
	tasklet_schedule(&s.tasklet);
	wait_for_completion(&s.done);
	tasklet_kill(&s.tasklet);
	bt_row(t, "in_softirq", s.in_softirq, 1);
	bt_row(t, "get_miss", s.miss, 1);
	bt_row(t, "get_hit", s.hit, 0);
	bt_row(t, "contents", s.contents, 1);
	bt_row(t, "released", s.released, 1);
	bufio_forget(c, 6);
	bt_row(t, "hold_dropped", bt_cached(c, 6), 0);

	local_bh_disable();
	good = bt_cached(c, 7);
	local_bh_enable();
	bt_row(t, "get_bh_disabled", good, 1);

	bt_row(t, "write", bt_write(c, 8, BT_NEW), 0);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, 77, 8 * BT_SPB, BT_SPB), 1);
	bufio_client_reset(c);
	bt_row(t, "reset", bt_cached_in(c, 0, 30), 0);
	bufio_client_destroy(c);
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

struct waiter {
	struct bufio_client *c;
	sector_t block;
};

/* All buffers held: the next waits until one is released. */
static void reserve_wait(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_buffer *b[3];
	struct bufio_client *c;
	struct reader r;
	struct bt_worker w;
	unsigned int i;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bufio_client_create(t->bdev, BT_BS, 3, 0, NULL, NULL, 0);
	if (bt_row(t, "create", bt_err(c), 0)) {
		for (i = 0; i < 3; i++)
			if (bt_err(bufio_read(c, i, &b[i])))
				bt_fail(t, "read %u", i);
		r = (struct reader) { .c = c, .block = 10 };
		bt_spawn(&w, read_fn, &r);
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

const struct bt_case bt_semantics[] = {
	{ "create_args", "block size: a non-zero multiple of 512, else -EINVAL", create_args },
	{ "create_many", "clients do not disturb each other", create_many },
	{ "create_reserve_0", "a client without reserve works", create_reserve_0 },
	{ "accessors", "each says what its name says", accessors },
	{ "device_size", "in whole blocks, less the offset", device_size },
	{ "sector_offset", "shifts block 0 for reads and writes", sector_offset },
	{ "dm_io_client", "can be used with dm_io", dm_io_client },
	{ "minimum_buffers", "any number is taken", minimum_buffers },
	{ "block_sizes", "read and write at each size", block_sizes },
	{ "read", "one read of the whole block, then hits", read },
	{ "read_many_held", "holds beyond the reserve while there is memory", read_many_held },
	{ "read_in_flight", "one read for all; get does not wait", read_in_flight },
	{ "read_ioprio", "reaches the bio", read_ioprio },
	{ "get", "cache only, NULL if absent", get },
	{ "new", "no read; a hit keeps its contents", new },
	{ "new_in_flight", "new waits for a read in flight", new_in_flight },
	{ "release_elsewhere", "a hold may be dropped by another thread", release_elsewhere },
	{ "two_clients", "two clients of one device share nothing", two_clients },
	{ "prefetch", "starts reads, waits for none, holds nothing", prefetch_blocks },
	{ "prefetch_past_end", "reads what the device has", prefetch_past_end },
	{ "dirty", "written later, once, also while held", dirty },
	{ "dirty_partial", "joined range, rounded to device blocks", dirty_partial },
	{ "dirty_partial_8k", "rounded to physical blocks over 4096", dirty_partial_8k },
	{ "write_async", "starts writes, waits for none", write_async },
	{ "write_dirty", "waits for all writes, then flushes", write_dirty },
	{ "dirty_in_write", "a block has one write at a time", dirty_in_write },
	{ "destroy_writes", "destroy writes what is dirty", destroy_writes },
	{ "reset", "writes what is dirty, empties the cache", reset },
	{ "issue_flush", "one empty flush, its error returned", issue_flush },
	{ "issue_discard", "one discard, cache untouched", issue_discard },
	{ "discard_unsupported", "-EOPNOTSUPP", discard_unsupported },
	{ "forget", "drops clean blocks that nobody holds", forget },
	{ "forget_in_write", "a block being written stays", forget_in_write },
	{ "forget_buffers", "the same for a range", forget_buffers },
	{ "callbacks", "alloc at each hand-out, write before each write", callbacks },
	{ "aux_per_buffer", "survives as long as the block is cached", aux_per_buffer },
	{ "in_request", "what works and what fails inside submit_bio", in_request,
	  BT_WARNS | BT_WARNS_OURS },
	{ "no_sleep", "get and release from softirq", no_sleep },
	{ "reserve_progress", "the reserve is enough to make progress", reserve_progress },
	{ "reserve_wait", "waits for a release when all is held", reserve_wait },
	{ "destroy_leak", "warns and lives", destroy_leak,
	  BT_WARNS | BT_WARNS_OURS | BT_FATAL },
	{ }
};
