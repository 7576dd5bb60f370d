// SPDX-License-Identifier: GPL-2.0
/* What the functions do when the device fails. */

#include <linux/delay.h>
#include <linux/kmsg_dump.h>
#include <linux/printk.h>
#include <linux/slab.h>

#include "bufio_test.h"

static void fail_block(struct bt *t, unsigned int ops, sector_t block, blk_status_t status,
		       int times)
{
	gate_fail(t->gate, ops, block * BT_SPB, BT_SPB, status, times);
}

/* --- reads --------------------------------------------------------------- */

static void read_error(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b = (void *)1;

	if (!c)
		return;
	fail_block(t, GATE_READ, 5, BLK_STS_IOERR, 1);
	bt_row(t, "read", bt_err(bufio_read(c, 5, &b)), -EIO);
	bt_row(t, "bp", !b, 1);
	bt_row(t, "not_cached", bt_cached(c, 5), 0);
	bt_row(t, "read_again", bt_read_is(c, 5, BT_OLD), 1);
	bt_row(t, "reads", gate_total(t->gate, GATE_READ), 2);
	bufio_client_destroy(c);
}

static void read_error_kinds(struct bt *t)
{
	static const struct { const char *row; blk_status_t status; int want; } v[] = {
		{ "ioerr", BLK_STS_IOERR, -EIO },
		{ "medium", BLK_STS_MEDIUM, -ENODATA },
		{ "nospc", BLK_STS_NOSPC, -ENOSPC },
		{ "transport", BLK_STS_TRANSPORT, -ENOLINK },
		{ "target", BLK_STS_TARGET, -EREMOTEIO },
		{ "notsupp", BLK_STS_NOTSUPP, -EOPNOTSUPP },
		{ "timeout", BLK_STS_TIMEOUT, -ETIMEDOUT },
		{ "protection", BLK_STS_PROTECTION, -EILSEQ },
		{ "offline", BLK_STS_OFFLINE, -ENODEV },
	};
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	unsigned int i;

	if (!c)
		return;
	for (i = 0; i < ARRAY_SIZE(v); i++) {
		gate_clear(t->gate);
		fail_block(t, GATE_READ, i, v[i].status, 1);
		bt_row(t, v[i].row, bt_err(bufio_read(c, i, &b)), v[i].want);
	}
	bufio_client_destroy(c);
}

/* All who wait for one read get its error, and it does not stay. */
static void read_error_shared(struct bt *t)
{
	struct bt_reader r = { .c = bt_client(t), .block = 9 };
	struct bt_worker w[3];
	unsigned int i, failed = 0;

	if (!r.c)
		return;
	fail_block(t, GATE_READ, 9, BLK_STS_IOERR, 1);
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		bt_spawn(&w[i], bt_read_fn, &r);
	gate_wait_held(t->gate, 1, BT_SOON_MS);
	msleep(300);		/* time for the others to come and wait */
	gate_open(t->gate);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		failed += bt_join(&w[i]) == -EIO;
	bt_row(t, "failed", failed, ARRAY_SIZE(w));
	bt_row(t, "ios", gate_total(t->gate, GATE_READ), 1);
	bt_row(t, "not_cached", bt_cached(r.c, 9), 0);
	bt_row(t, "read_again", bt_read_is(r.c, 9, BT_OLD), 1);
	bufio_client_destroy(r.c);
}

/* As dm-verity does: read fails, new on the same block works, then forget. */
static void new_after_read_error(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	void *p;

	if (!c)
		return;
	fail_block(t, GATE_READ, 5, BLK_STS_IOERR, -1);
	bt_row(t, "read", bt_err(bufio_read(c, 5, &b)), -EIO);
	p = bufio_new(c, 5, &b);
	if (bt_row(t, "new", bt_err(p), 0)) {
		bt_fill(p, BT_BS, BT_NEW, 5 * BT_SPB);
		bufio_release(b);
		bt_row(t, "contents", bt_read_is(c, 5, BT_NEW), 1);
	}
	bufio_forget(c, 5);
	bt_row(t, "forgotten", bt_cached(c, 5), 0);
	bt_row(t, "read_fails_again", bt_err(bufio_read(c, 5, &b)), -EIO);
	bt_row(t, "rewrite", bt_write(c, 5, BT_NEW), 0);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 5 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

static void read_error_no_sleep(struct bt *t)
{
	struct bufio_client *c;
	struct bufio_buffer *b;

	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, NULL, BUFIO_NO_SLEEP);
	if (!bt_row(t, "create", bt_err(c), 0))
		return;
	fail_block(t, GATE_READ, 5, BLK_STS_IOERR, 1);
	bt_row(t, "read", bt_err(bufio_read(c, 5, &b)), -EIO);
	bt_row(t, "not_cached", bt_cached(c, 5), 0);
	bt_row(t, "read_again", bt_read_is(c, 5, BT_OLD), 1);
	bufio_client_destroy(c);
}

/* W3: what a failed prefetch leaves for the next one who asks. */
static void prefetch_error(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	long r;

	if (!c)
		return;
	/* The errors come when prefetch has returned, as from a real device. */
	gate_fail(t->gate, GATE_READ, 10 * BT_SPB, 3 * BT_SPB, BLK_STS_IOERR, -1);
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	bufio_prefetch(c, 10, 3);
	gate_wait_held(t->gate, 1, BT_SOON_MS);
	gate_open(t->gate);
	gate_idle(t->gate, BT_SOON_MS);
	gate_clear(t->gate);
	bt_row(t, "get", bt_cached(c, 10), -EIO);
	bt_row(t, "read", bt_read_is(c, 11, BT_OLD), -EIO);
	bt_row(t, "reads", gate_count(t->gate, GATE_READ, 11 * BT_SPB, BT_SPB), 1);
	r = bt_err(bufio_new(c, 12, &b));
	bt_row(t, "new", r, -EIO);
	if (!r)
		bufio_release(b);
	bt_row(t, "get_after", bt_cached(c, 10), 0);
	bt_row(t, "read_after", bt_read_is(c, 11, BT_OLD), 1);
	bufio_client_destroy(c);
}

#ifdef BT_MEMSCOPE
static struct {
	struct completion busy, go;
} work;

/* Keeps the client's work, which throws out what a failed read left, from going on. */
static void keep_work_busy(struct bufio_buffer *b)
{
	if (!(current->flags & PF_WQ_WORKER))
		return;
	complete(&work.busy);
	wait_for_completion(&work.go);
}

/*
 * As dm-verity does after a prefetch that failed: new, which finds no better
 * contents, then forget. Nothing of that is there for the next one who reads,
 * even if the end of the prefetch has not been dealt with by then.
 */
static void new_after_prefetch_error(struct bt *t)
{
	struct bufio_client *c;
	struct bufio_buffer *b;
	unsigned int i;
	void *p;

	init_completion(&work.busy);
	init_completion(&work.go);
	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, keep_work_busy, 0);
	if (!bt_row_ours(t, "create", bt_err(c), 0))
		return;
	/* More than the work leaves dirty beside no clean ones. */
	for (i = 0; i < 64; i++)
		bt_write(c, 100 + i, BT_NEW);
	bt_row_ours(t, "work_is_busy",
		    !!wait_for_completion_timeout(&work.busy, msecs_to_jiffies(BT_SOON_MS)), 1);
	fail_block(t, GATE_READ, 5, BLK_STS_IOERR, 1);
	bufio_prefetch(c, 5, 1);
	bt_row_ours(t, "prefetched", gate_idle(t->gate, BT_SOON_MS), 1);
	bt_row_ours(t, "reads", gate_count(t->gate, GATE_READ, 5 * BT_SPB, BT_SPB), 1);
	p = bufio_new(c, 5, &b);
	if (bt_row_ours(t, "new", bt_err(p), 0)) {
		bt_fill(p, BT_BS, BT_NEW, 5 * BT_SPB);
		bufio_release(b);
	}
	bufio_forget(c, 5);
	bt_row_ours(t, "forgotten", bt_cached(c, 5), 0);
	bt_row_ours(t, "read", bt_read_is(c, 5, BT_OLD), 1);
	complete_all(&work.go);
	bufio_client_destroy(c);
}
#else
static void new_after_prefetch_error(struct bt *t)
{
	/* It calls back with its lock held: the case would wait for itself. */
	bt_fig(t, "no_such_state", 1);
}
#endif

/* --- writes -------------------------------------------------------------- */

static struct bufio_client *writer(struct bt *t, unsigned int flags)
{
	struct bufio_client *c;

	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, NULL, flags);
	if (bt_err(c)) {
		bt_fail(t, "create: %ld", bt_err(c));
		return NULL;
	}
	bt_ballast(t, c);
	bt_write(c, 3, BT_NEW);
	return c;
}

static void write_error(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);

	if (!c)
		return;
	bt_write(c, 40, BT_NEW);
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, 1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row(t, "other_written", bt_disk_is(t, BT_NEW, 40 * BT_SPB, BT_SPB), 1);
	bt_row(t, "flushed", gate_total(t->gate, GATE_FLUSH), 1);
	bt_row(t, "once", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 0);
	bt_row(t, "first_read", bt_read_is(c, 3, BT_NEW), 1);
	bt_row(t, "second_read", bt_read_is(c, 3, BT_NEW), 0);
	bufio_client_destroy(c);
}

/* The device fails for a while. */
static void write_error_lasting(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);
	int r = 0, i;

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, -1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row(t, "again", bufio_write_dirty(c), 0);
	gate_idle(t->gate, BT_SOON_MS);
	gate_clear(t->gate);
	for (i = 0; i < 3; i++) {
		r = bufio_write_dirty(c);
		if (!r)
			break;
	}
	bt_row(t, "works_again", r, 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 0);
	bufio_client_destroy(c);
}

#ifdef BT_MEMSCOPE
/* Written again in the background, so many times and no more; then when somebody asks. */
static void write_retries(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);
	unsigned int ms, i;
	int r;

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, -1);
	bufio_write_dirty_async(c);
	for (ms = 0; ms < BT_SOON_MS && gate_total(t->gate, GATE_WRITE) < 4; ms += 50)
		msleep(50);
	bt_row_ours(t, "writes", gate_total(t->gate, GATE_WRITE), 4);
	/* The pauses are 250, 500 and 1000 ms. */
	msleep(3000);
	bt_row_ours(t, "no_more", gate_total(t->gate, GATE_WRITE), 4);
	bt_row_ours(t, "kept", bt_read_is(c, 3, BT_NEW), 1);
	bt_row_ours(t, "reported", bufio_write_dirty(c), -EIO);
	gate_clear(t->gate);
	/* What that one left may have been repeated once more before. */
	for (i = 0, r = -1; i < 3 && r; i++)
		r = bufio_write_dirty(c);
	bt_row_ours(t, "works_again", r, 0);
	bt_row_ours(t, "on_disk", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

/* A flush that returns 0 has written all, also of many that are just being repeated. */
static void write_retries_many(struct bt *t)
{
	enum { BLOCKS = 400, ROUNDS = 8 };
	struct bufio_client *c = writer(t, 0);
	unsigned int round, i, tries, reported = 0, good = 0, written = 0;
	int r;

	if (!c)
		return;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BLOCKS; i++)
			bt_write(c, 4 + 2 * i, BT_NEW + round);
		gate_fail(t->gate, GATE_WRITE, 0, GATE_ALL, BLK_STS_IOERR, -1);
		reported += bufio_write_dirty(c) == -EIO;
		gate_clear(t->gate);
		/* Those that failed are due again after 250 ms. */
		msleep(35 * round);
		/* Some may have been repeated, and failed, just before the device was good again. */
		for (tries = 0, r = -1; tries < 3 && r; tries++)
			r = bufio_write_dirty(c);
		good += !r;
		for (i = 0; i < BLOCKS; i++)
			written += bt_disk_is(t, BT_NEW + round, (4 + 2 * i) * BT_SPB, BT_SPB);
	}
	bt_row_ours(t, "reported", reported, ROUNDS);
	bt_row_ours(t, "flushed", good, ROUNDS);
	bt_row_ours(t, "on_disk", written, ROUNDS * BLOCKS);
	bufio_client_destroy(c);
}

static int destroy_fn(void *c)
{
	bufio_client_destroy(c);
	return 0;
}

/* The end of a client repeats nothing that nobody would wait for, however long its flush takes. */
static void write_retries_destroy(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);
	struct bt_worker w;

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, 1);
	gate_hold(t->gate, GATE_FLUSH, 0, GATE_ALL);
	bt_spawn(&w, destroy_fn, c);
	bt_row_ours(t, "flushes", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	/* It would be repeated after 250 ms. */
	bt_row_ours(t, "waits", bt_done(&w, BT_STUCK_MS), 0);
	bt_row_ours(t, "not_repeated", gate_total(t->gate, GATE_WRITE), 1);
	gate_open(t->gate);
	bt_join(&w);
	bt_row_ours(t, "idle", gate_idle(t->gate, 0), 1);
}
#else
static void write_retries(struct bt *t)
{
	bt_fig(t, "no_such_thing", 1);
}

static void write_retries_many(struct bt *t)
{
	write_retries(t);
}

static void write_retries_destroy(struct bt *t)
{
	write_retries(t);
}
#endif

/* With the flag that asks for it, a failed write drops the data on both. */
static void write_error_drop(struct bt *t)
{
	struct bufio_client *c = writer(t, DROP_FAILED);

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, 1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row(t, "once", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 0);
	bt_read_is(c, 3, BT_NEW);
	bt_row(t, "read", bt_read_is(c, 3, BT_OLD), 1);
	bufio_client_destroy(c);
}

static void write_error_first(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_NOSPC, 1);
	bt_row(t, "first", bufio_write_dirty(c), -ENOSPC);
	bt_write(c, 3, BT_NEW);
	bt_row(t, "next", bufio_write_dirty(c), 0);
	/* One error of an asynchronous write, another of the flush. */
	bt_write(c, 3, BT_NEW);
	fail_block(t, GATE_WRITE, 3, BLK_STS_NOSPC, 1);
	gate_fail(t->gate, GATE_FLUSH, 0, GATE_ALL, BLK_STS_IOERR, 1);
	bt_row(t, "write_before_flush", bufio_write_dirty(c), -ENOSPC);
	bt_row(t, "flush_not_kept", bufio_write_dirty(c), 0);
	bufio_client_destroy(c);
}

static void write_error_async(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, 1);
	bufio_write_dirty_async(c);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row(t, "once", bufio_write_dirty(c), 0);
	bufio_client_destroy(c);
}

static void flush_error(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);

	if (!c)
		return;
	gate_fail(t->gate, GATE_FLUSH, 0, GATE_ALL, BLK_STS_IOERR, 1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row(t, "written", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 1);
	bt_row(t, "once", bufio_write_dirty(c), 0);
	bufio_client_destroy(c);
}

/* A good write after a failed one: nothing is left of the failure. */
static void write_error_healed(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, 1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row(t, "write", bt_write(c, 3, 9), 0);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, 9, 3 * BT_SPB, BT_SPB), 1);
	bt_row(t, "read", bt_read_is(c, 3, 9), 1);
	bt_row(t, "stays_cached", bt_cached(c, 3), 1);
	bufio_client_destroy(c);
}

/* Held by two when the write fails: it stays until the last one lets go. */
static void write_error_held(struct bt *t)
{
	struct bufio_client *c = writer(t, DROP_FAILED);
	struct bufio_buffer *a, *b;

	if (!c)
		return;
	if (!bt_row(t, "hold", bt_err(bufio_read(c, 3, &a)), 0))
		goto out;
	if (!bt_row(t, "hold_2", bt_err(bufio_read(c, 3, &b)), 0)) {
		bufio_release(a);
		goto out;
	}
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, 1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bufio_release(a);
	bt_row(t, "data_of_holder", bt_is(bufio_get_block_data(b), BT_BS, BT_NEW, 3 * BT_SPB), 1);
	bufio_release(b);
	bt_row(t, "gone", bt_cached(c, 3), 0);
	bt_row(t, "read", bt_read_is(c, 3, BT_OLD), 1);
out:
	bufio_client_destroy(c);
}

/* Whose write has failed for good goes like any other, from the moment that the write has ended. */
static void write_error_forget(struct bt *t)
{
	enum { ROUNDS = 200 };
	struct bufio_client *c = writer(t, DROP_FAILED);
	unsigned int i, gone = 0, old = 0, reported = 0;

	if (!c)
		return;
	/* Then each write is of one block. */
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	for (i = 0; i < ROUNDS; i++) {
		bt_write(c, 4 + i, BT_NEW);
		fail_block(t, GATE_WRITE, 4 + i, BLK_STS_IOERR, 1);
		bufio_write_dirty_async(c);
		gate_idle(t->gate, BT_SOON_MS);
		bufio_forget(c, 4 + i);
		gone += bt_cached(c, 4 + i) == 0;
		gate_clear(t->gate);
		old += bt_read_is(c, 4 + i, BT_OLD) == 1;
		reported += bufio_write_dirty(c) == -EIO;
	}
	bt_row(t, "gone", gone, ROUNDS);
	bt_row(t, "old", old, ROUNDS);
	bt_row(t, "reported", reported, ROUNDS);
	bufio_client_destroy(c);
}

/* --- reset and destroy --------------------------------------------------- */

static void write_error_reset(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);

	if (!c)
		return;
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, -1);
	bufio_client_reset(c);
	gate_idle(t->gate, BT_SOON_MS);
	gate_clear(t->gate);
	bt_row(t, "dropped", bt_cached(c, 3), 0);
	bt_row(t, "pending", bufio_write_dirty(c), -EIO);
	bt_row(t, "once", bufio_write_dirty(c), 0);
	bufio_client_destroy(c);
}

/* 1 if a line of the kernel log after the marker has both words. */
static int log_has(struct bt *t, const char *marker, const char *a, const char *b)
{
	struct kmsg_dump_iter iter;
	char *line = t->buf;
	bool after = false;
	int found = 0;
	size_t n;

	kmsg_dump_rewind(&iter);
	while (kmsg_dump_get_line(&iter, false, line, 1024, &n)) {
		line[n] = 0;
		if (strstr(line, marker))
			after = true;
		else if (after && strstr(line, a) && strstr(line, b))
			found = 1;
	}
	return after ? found : -ENOENT;
}

/* W10: the last chance to say that data was lost. */
static void write_error_destroy(struct bt *t)
{
	struct bufio_client *c = writer(t, 0);
	char marker[64];

	if (!c)
		return;
	snprintf(marker, sizeof(marker), "bufio_test: %llx", ktime_get_ns());
	pr_info("%s\n", marker);
	fail_block(t, GATE_WRITE, 3, BLK_STS_IOERR, -1);
	bufio_client_destroy(c);
	bt_row(t, "idle", gate_idle(t->gate, 0), 1);
	bt_row(t, "logged", log_has(t, marker, "bufio: ", "lost"), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 0);
}

/* --- whole devices: the case gets a device that fails in its own way ------ */

/* dev= fails reads (rw=1), writes (rw=2) of sectors bad= to bad= + 7. */
static void device_error(struct bt *t)
{
	sector_t block = bt_arg(t, "bad", 0) / BT_SPB;
	u64 rw = bt_arg(t, "rw", 1);
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	long r;

	if (!c)
		return;
	if (rw & 1) {
		r = bt_err(bufio_read(c, block, &b));
		bt_row(t, "read_fails", r < 0, 1);
		bt_row(t, "read_bp", !b, 1);
		bt_fig(t, "read_errno", r);
		bufio_prefetch(c, block, 1);
		bt_row(t, "read_fails_still", bt_err(bufio_read(c, block, &b)) < 0, 1);
	}
	if (rw & 2) {
		bt_row(t, "write", bt_write(c, block, BT_NEW), 0);
		r = bufio_write_dirty(c);
		bt_row(t, "write_fails", r < 0, 1);
		bt_fig(t, "write_errno", r);
	}
	if (!bt_row(t, "other_block_write", bt_write(c, block + 64, BT_NEW), 0) ||
	    bt_arg(t, "alone", 0))
		goto out;
	bufio_write_dirty(c);
	bufio_forget(c, block + 64);
	bt_row(t, "other_block_read", bt_read_is(c, block + 64, BT_NEW), 1);
out:
	bufio_client_destroy(c);
}

const struct bt_case bt_errors[] = {
	{ "read_error", "ERR_PTR, no buffer, nothing stays", read_error },
	{ "read_error_kinds", "the errno of the block status", read_error_kinds },
	{ "read_error_shared", "all waiters get the error of one read", read_error_shared },
	{ "new_after_read_error", "new works where read failed", new_after_read_error },
	{ "read_error_no_sleep", "the same for a NO_SLEEP client", read_error_no_sleep },
	{ "new_after_prefetch_error", "new, then forget, leaves nothing of a failed prefetch",
	  new_after_prefetch_error },
	{ "prefetch_error", "W3: what a failed prefetch leaves", prefetch_error },
	{ "write_error", "reported once; the fate of the data", write_error },
	{ "write_error_lasting", "the device fails for a while", write_error_lasting },
	{ "write_retries", "a failed write is repeated with a bound", write_retries },
	{ "write_retries_many", "a flush skips none that is being repeated", write_retries_many },
	{ "write_retries_destroy", "the end of a client leaves no write behind",
	  write_retries_destroy },
	{ "write_error_drop", "data of a failed write is dropped on request",
	  write_error_drop },
	{ "write_error_first", "which error is reported", write_error_first },
	{ "write_error_async", "an asynchronous error is kept", write_error_async },
	{ "flush_error", "the flush's error is returned", flush_error },
	{ "write_error_healed", "a good write follows", write_error_healed },
	{ "write_error_held", "a failed buffer that is held", write_error_held },
	{ "write_error_forget", "a failed buffer is forgotten", write_error_forget },
	{ "write_error_reset", "reset keeps the error pending", write_error_reset },
	{ "write_error_destroy", "W10: destroy loses the error silently",
	  write_error_destroy },
	{ "device_error", "a device that fails in its own way", device_error,
	  BT_RAW | BT_PARAMS },
	{ }
};
