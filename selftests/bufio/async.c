// SPDX-License-Identifier: GPL-2.0
/*
 * The read that calls back, which dm-bufio does not have: nothing to compare.
 */

#include "bufio_test.h"

#ifdef BT_MEMSCOPE
struct called {
	struct completion done;
	struct bufio_buffer *b;
	int error;
};

static void called(struct bufio_buffer *b, int error, void *context)
{
	struct called *d = context;

	d->b = b;
	d->error = error;
	complete(&d->done);
}

static void read_async(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct called d = { };
	unsigned int round;

	if (!c)
		return;
	init_completion(&d.done);
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	bt_row_ours(t, "starts", memscope_bufio_read_async(c, 9, 0, called, &d), 0);
	bt_row_ours(t, "submitted", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_row_ours(t, "not_yet", completion_done(&d.done), 0);
	gate_open(t->gate);
	/* Once read, then found. */
	for (round = 0; round < 2; round++) {
		if (!wait_for_completion_timeout(&d.done, msecs_to_jiffies(BT_SOON_MS))) {
			bt_fail(t, "no call");
			return;
		}
		bt_row_ours(t, round ? "hit_error" : "error", d.error, 0);
		if (d.b) {
			bt_row_ours(t, round ? "hit_contents" : "contents",
				    bt_is(bufio_get_block_data(d.b), BT_BS, BT_OLD, 9 * BT_SPB), 1);
			bufio_release(d.b);
		}
		if (!round)
			memscope_bufio_read_async(c, 9, 0, called, &d);
	}
	bt_row_ours(t, "ios", gate_total(t->gate, GATE_READ), 1);
	gate_fail(t->gate, GATE_READ, 20 * BT_SPB, BT_SPB, BLK_STS_IOERR, 1);
	bt_row_ours(t, "fails_later", memscope_bufio_read_async(c, 20, 0, called, &d), 0);
	if (!wait_for_completion_timeout(&d.done, msecs_to_jiffies(BT_SOON_MS))) {
		bt_fail(t, "no call");
		return;
	}
	bt_row_ours(t, "failed", d.error, -EIO);
	bt_row_ours(t, "failed_buffer", !d.b, 1);
	bufio_client_destroy(c);
}

struct sync {
	struct bufio_client *c;
	sector_t block;
	long error;
};

static int sync_fn(void *arg)
{
	struct sync *r = arg;
	struct bufio_buffer *b;
	void *p = bufio_read(r->c, r->block, &b);
	int good;

	r->error = bt_err(p);
	if (r->error)
		return 0;
	good = bt_is(p, BT_BS, BT_OLD, r->block * BT_SPB);
	bufio_release(b);
	return good;
}

static bool called_good(struct called *d, sector_t block)
{
	bool good;

	if (!wait_for_completion_timeout(&d->done, msecs_to_jiffies(BT_SOON_MS)) || d->error)
		return false;
	good = bt_is(bufio_get_block_data(d->b), BT_BS, BT_OLD, block * BT_SPB);
	bufio_release(d->b);
	return good;
}

/* One read serves all who want the block, whoever started it. */
static void read_async_shared(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct sync r = { .c = c, .block = 9 };
	struct called d[2] = { };
	struct bt_worker w;
	unsigned int i;

	if (!c)
		return;
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	for (i = 0; i < 2; i++) {
		init_completion(&d[i].done);
		bt_row_ours(t, i ? "joins" : "starts",
			    memscope_bufio_read_async(c, 9, 0, called, &d[i]), 0);
		if (!i) {
			bt_spawn(&w, sync_fn, &r);
			bt_row_ours(t, "reader_waits", bt_done(&w, 200), 0);
		}
	}
	gate_open(t->gate);
	bt_row_ours(t, "reader_contents", bt_join(&w), 1);
	bt_row_ours(t, "first_contents", called_good(&d[0], 9), 1);
	bt_row_ours(t, "second_contents", called_good(&d[1], 9), 1);
	bt_row_ours(t, "ios", gate_total(t->gate, GATE_READ), 1);
	/* Both holds are gone. */
	bufio_forget(c, 9);
	bt_row_ours(t, "forgotten", bt_cached(c, 9), 0);
	bufio_client_destroy(c);
}

/* An error is everybody's who waited for that read; the next one reads again. */
static void read_async_error(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct sync r = { .c = c, .block = 20 };
	struct called d = { };
	struct bt_worker w;

	if (!c)
		return;
	init_completion(&d.done);
	gate_fail(t->gate, GATE_READ, 20 * BT_SPB, BT_SPB, BLK_STS_MEDIUM, 1);
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	bt_row_ours(t, "starts", memscope_bufio_read_async(c, 20, 0, called, &d), 0);
	bt_row_ours(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_spawn(&w, sync_fn, &r);
	bt_row_ours(t, "reader_waits", bt_done(&w, 200), 0);
	gate_open(t->gate);
	if (!wait_for_completion_timeout(&d.done, msecs_to_jiffies(BT_SOON_MS)))
		bt_fail(t, "no call");
	bt_row_ours(t, "error", d.error, -ENODATA);
	bt_row_ours(t, "buffer", !d.b, 1);
	bt_join(&w);
	bt_row_ours(t, "reader_error", r.error, -ENODATA);
	bt_row_ours(t, "ios", gate_total(t->gate, GATE_READ), 1);
	reinit_completion(&d.done);
	bt_row_ours(t, "again", memscope_bufio_read_async(c, 20, 0, called, &d), 0);
	bt_row_ours(t, "good_now", called_good(&d, 20), 1);
	bufio_client_destroy(c);
}

static void called_release(struct bufio_buffer *b, int error, void *context)
{
	if (b)
		bufio_release(b);
	called(b, error, context);
}

static int destroy_fn(void *arg)
{
	bufio_client_destroy(arg);
	return 0;
}

/* Destroying the client waits for what was started. */
static void read_async_destroy(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct called d[3] = { };
	unsigned int i, ended = 0, good = 0;
	struct bt_worker w;

	if (!c)
		return;
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	for (i = 0; i < ARRAY_SIZE(d); i++) {
		init_completion(&d[i].done);
		if (memscope_bufio_read_async(c, 30 + 2 * i, 0, called_release, &d[i]))
			bt_fail(t, "start %u", i);
	}
	bt_spawn(&w, destroy_fn, c);
	bt_row_ours(t, "destroy_waits", bt_done(&w, BT_STUCK_MS), 0);
	gate_open(t->gate);
	bt_row_ours(t, "destroyed", bt_done(&w, BT_SOON_MS), 1);
	for (i = 0; i < ARRAY_SIZE(d); i++) {
		ended += completion_done(&d[i].done);
		good += d[i].b && !d[i].error;
	}
	bt_row_ours(t, "called_before_the_end", ended, ARRAY_SIZE(d));
	bt_row_ours(t, "good", good, ARRAY_SIZE(d));
	bt_join(&w);
}
#else
static void read_async(struct bt *t)
{
	bt_fig(t, "no_such_function", 1);
}

#define read_async_shared	read_async
#define read_async_error	read_async
#define read_async_destroy	read_async
#endif

const struct bt_case bt_async[] = {
	{ "read_async", "submits, returns, calls back once", read_async },
	{ "read_async_shared", "one read for all who want the block", read_async_shared },
	{ "read_async_error", "an error is told to all who waited", read_async_error },
	{ "read_async_destroy", "destroy waits for reads that were started", read_async_destroy },
	{ }
};
