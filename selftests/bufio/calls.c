// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong calls: last of all, dm-bufio oopses.
 */

#include <linux/slab.h>

#include "bufio_test.h"

struct job {
	struct bufio_client *c;
	struct bufio_buffer *b;
};

static int bad_range_fn(void *arg)
{
	struct job *j = arg;

	bufio_mark_partial_dirty(j->b, 8, 8);
	return 0;
}

static int bad_end_fn(void *arg)
{
	struct job *j = arg;

	bufio_mark_partial_dirty(j->b, 0, BT_BS + 1);
	return 0;
}

static int bad_order_fn(void *arg)
{
	struct job *j = arg;

	bufio_mark_partial_dirty(j->b, 9, 8);
	return 0;
}

/* The oops ends the thread, not the machine: it holds nothing at that point. */
static int dies(int (*fn)(void *arg), struct job *j)
{
	struct bt_worker *w = kzalloc_obj(*w);	/* leaked if the thread dies */

	if (!w)
		return -ENOMEM;
	bt_spawn(w, fn, j);
	if (!bt_done(w, 3000))
		return 1;
	bt_join(w);
	kfree(w);
	return 0;
}

static void wrong_range(struct bt *t)
{
	struct job j = { .c = bt_client(t) };

	if (!j.c)
		return;
	if (bt_row(t, "read", bt_err(bufio_read(j.c, 1, &j.b)), 0)) {
		bt_row(t, "empty_kills", dies(bad_range_fn, &j), 1);
		bt_row(t, "end_kills", dies(bad_end_fn, &j), 1);
		bt_row(t, "order_kills", dies(bad_order_fn, &j), 1);
		bufio_release(j.b);
		bt_row(t, "not_dirty", bufio_write_dirty(j.c), 0);
		bt_row(t, "no_write", gate_total(t->gate, GATE_WRITE), 0);
	}
	bufio_client_destroy(j.c);
}

/*
 * A mark after the release, when the buffer stands for another block that is
 * being read. dm-bufio has a BUG_ON there, with its mutex held, so it is not
 * called on it.
 */
static void dirty_in_read(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_buffer *b;
	struct bufio_client *c;
	struct bt_reader r;
	struct bt_worker w;

	/* One buffer in all. */
	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bt_client(t);
	if (c && bt_row(t, "read", bt_err(bufio_read(c, 1, &b)), 0)) {
		bufio_release(b);
		gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
		r = (struct bt_reader) { .c = c, .block = 2 };
		bt_spawn(&w, bt_read_fn, &r);
		bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
		bt_row(t, "same_buffer", bufio_get_block_number(b), 2);
		if (BT_OURS)
			bufio_mark_dirty(b);
		gate_open(t->gate);
		bt_row(t, "contents", bt_join(&w), 1);
		bt_row(t, "not_dirty", bufio_write_dirty(c), 0);
		bt_row(t, "no_write", gate_total(t->gate, GATE_WRITE), 0);
	}
	if (c)
		bufio_client_destroy(c);
	bt_param_set("max_cache_size_bytes", old);
}

/*
 * W9. dm-bufio has a BUG_ON there, with its spin lock held: the machine panics
 * (drivers/md/dm-bufio.c, cache_remove_range), so it is not called on it.
 */
static void w9_forget_no_sleep(struct bt *t)
{
	struct bufio_client *c;

	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, NULL, BUFIO_NO_SLEEP);
	if (!bt_row(t, "create", bt_err(c), 0))
		return;
	bt_read_is(c, 1, BT_OLD);
	if (BT_OURS)
		bufio_forget_buffers(c, 0, 10);
	bt_row_ours(t, "cached", bt_cached(c, 1), 0);
	bufio_client_destroy(c);
}

static int release_fn(void *arg)
{
	struct job *j = arg;

	bufio_release(j->b);
	return 0;
}

/*
 * One hold, released twice. dm-bufio's thread dies with a lock held, so that
 * client is left alone from then on.
 */
static void double_release(struct bt *t)
{
	struct job j = { .c = bt_client(t) };
	struct bufio_buffer *other;

	if (!j.c)
		return;
	if (!bt_row(t, "read", bt_err(bufio_read(j.c, 1, &j.b)), 0))
		return;
	bufio_release(j.b);
	bt_row(t, "kills", dies(release_fn, &j), 1);
	if (!BT_OURS)
		return;
	/* Nothing has changed: no hold too few, the next one counts. */
	bt_row_ours(t, "cached", bt_cached(j.c, 1), 1);
	bt_row_ours(t, "hold", bt_err(bufio_read(j.c, 1, &other)), 0);
	bufio_forget(j.c, 1);
	bt_row_ours(t, "is_held", bt_cached(j.c, 1), 1);
	bufio_release(other);
	bufio_forget(j.c, 1);
	bt_row_ours(t, "is_not_held", bt_cached(j.c, 1), 0);
	bufio_client_destroy(j.c);
}

const struct bt_case bt_calls[] = {
	{ "wrong_range", "a bad range does no harm", wrong_range,
	  BT_FATAL | BT_WARNS | BT_WARNS_OURS },
	{ "dirty_in_read", "a mark of a buffer being read does no harm", dirty_in_read,
	  BT_WARNS_OURS },
	{ "w9_forget_no_sleep", "W9: forget_buffers on a NO_SLEEP client", w9_forget_no_sleep },
	{ "double_release", "a second release of one hold does no harm", double_release,
	  BT_FATAL | BT_WARNS | BT_WARNS_OURS },
	{ }
};
