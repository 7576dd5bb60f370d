// SPDX-License-Identifier: GPL-2.0
/* What is dirty is written: marks, writes, flushes; and discards. */

#include <linux/delay.h>
#include <linux/sched.h>

#include "bufio_test.h"

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

/* A device with other physical blocks, and without discards. */
static bool new_device(struct bt *t, unsigned int pbs)
{
	gate_destroy(t->gate);
	t->gate = gate_create(t->back, pbs, false);
	if (IS_ERR(t->gate)) {
		bt_fail(t, "gate: %ld", PTR_ERR(t->gate));
		t->gate = NULL;
		return false;
	}
	t->bdev = gate_bdev(t->gate);
	return true;
}

/* The same on a device with physical blocks of 8 KiB. */
static void dirty_partial_8k(struct bt *t)
{
	struct bufio_client *c;

	if (!new_device(t, 8192))
		return;
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
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
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
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
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

/*
 * A client whose block 5 is being written, until gate_open(), and was changed
 * meanwhile: when the device had the bytes already.
 */
static struct bufio_client *changed_in_write(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	void *p;

	if (!c)
		return NULL;
	bt_ballast(t, c);
	bt_write(c, 5, 7);
	gate_hold_end(t->gate, GATE_WRITE, 0, GATE_ALL);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_row(t, "is_there", bt_disk_is(t, 7, 5 * BT_SPB, BT_SPB), 1);
	p = bufio_get(c, 5, &b);
	if (bt_row(t, "get", bt_err(p), 0)) {
		bt_fill(p, BT_BS, BT_NEW, 5 * BT_SPB);
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	return c;
}

/* Written again, one after the other. */
static void dirty_in_write(struct bt *t)
{
	struct bufio_client *c = changed_in_write(t);
	struct gate_rec *r0, *r1;
	struct bt_worker w;

	if (!c)
		return;
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

/* The flush comes when the first write has ended. */
static void dirty_after_write(struct bt *t)
{
	struct bufio_client *c = changed_in_write(t);

	if (!c)
		return;
	gate_open(t->gate);
	bt_row(t, "ended", gate_idle(t->gate, BT_SOON_MS), 1);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), 2);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 5 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

/* Wait until a worker sleeps on I/O: what begins then is later than its call. */
static void sleeps(struct bt_worker *w)
{
	unsigned int ms;

	for (ms = 0; ms < BT_SOON_MS && w->task &&
	     !(READ_ONCE(w->task->__state) & TASK_UNINTERRUPTIBLE); ms++)
		usleep_range(1000, 1100);
}

/* A flush waits for what was dirty when it was called, and not for what comes after. */
static void write_dirty_others(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bt_worker w;

	if (!c)
		return;
	bt_ballast(t, c);
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	bt_write(c, 1, BT_NEW);
	bt_spawn(&w, write_fn, c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	sleeps(&w);
	bt_write(c, 3, BT_NEW);
	bufio_write_dirty_async(c);
	bt_row(t, "both_held", gate_wait_held(t->gate, 2, BT_SOON_MS), 1);
	gate_let(t->gate, BT_SPB, BT_SPB);
	bt_row_ours(t, "returns", bt_done(&w, BT_OURS ? BT_SOON_MS : BT_STUCK_MS), 1);
	bt_row(t, "one_is_held", gate_held(t->gate), 1);
	gate_open(t->gate);
	bt_row(t, "result", bt_join(&w), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

/*
 * A merged write fails while a flush waits for it, and one of its blocks was
 * changed meanwhile: its older bytes are the flush's as well.
 */
static void write_dirty_split(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bt_worker w;

	if (!c)
		return;
	if (!BT_OURS) {
		bt_fig(t, "not_merged", 1);
		goto out;
	}
	bt_ballast(t, c);
	bt_write(c, 5, 7);
	bt_write(c, 6, 7);
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	gate_fail(t->gate, GATE_WRITE, 0, GATE_ALL, BLK_STS_IOERR, 1);
	bt_spawn(&w, write_fn, c);
	bt_row_ours(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	sleeps(&w);
	bt_row_ours(t, "merged", gate_total(t->gate, GATE_WRITE), 1);
	bt_write(c, 5, BT_NEW);
	gate_let(t->gate, 5 * BT_SPB, BT_SPB);
	bt_row_ours(t, "each_alone", gate_wait_held(t->gate, 2, BT_SOON_MS), 1);
	gate_let(t->gate, 6 * BT_SPB, BT_SPB);
	bt_row_ours(t, "waits", bt_done(&w, BT_STUCK_MS), 0);
	gate_open(t->gate);
	bt_row_ours(t, "returns", bt_join(&w), 0);
	bt_row_ours(t, "on_disk", bt_disk_is(t, BT_NEW, 5 * BT_SPB, BT_SPB) &&
		    bt_disk_is(t, 7, 6 * BT_SPB, BT_SPB), 1);
out:
	bufio_client_destroy(c);
}

/*
 * Two threads mark one block, and the second one calls a flush while the first
 * is still in its mark, where that takes a lock.
 */
struct marker {
	struct bufio_buffer *b;
};

static int mark_fn(void *arg)
{
	struct marker *m = arg;

	set_cpus_allowed_ptr(current, cpumask_of(1));
	bt_stop_me(1);
	bufio_mark_dirty(m->b);
	return 0;
}

static void dirty_by_two(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;
	struct marker m;
	struct bt_worker w;
	void *p;

	if (!c)
		return;
	set_cpus_allowed_ptr(current, cpumask_of(0));
	p = bufio_read(c, 5, &b);
	if (!bt_row(t, "hold", bt_err(p) || bt_err(bufio_read(c, 5, &m.b)), 0))
		goto out;
	if (bt_row(t, "probe", bt_stops(true), 0)) {
		bt_spawn(&w, mark_fn, &m);
		bt_row_ours(t, "stopped", bt_stopped(BT_OURS ? BT_SOON_MS : 0), 1);
		bt_fill(p, BT_BS, BT_NEW, 5 * BT_SPB);
		bufio_mark_dirty(b);
		bt_row(t, "flush", bufio_write_dirty(c), 0);
		bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 5 * BT_SPB, BT_SPB), 1);
		bt_stops(false);
		bt_join(&w);
	}
	bufio_release(m.b);
	bufio_release(b);
out:
	set_cpus_allowed_ptr(current, cpu_possible_mask);
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

/* --- in-flight prefetches --- */

static int reset_fn(void *arg)
{
	bufio_client_reset(arg);
	return 0;
}

static int destroy_fn(void *arg)
{
	bufio_client_destroy(arg);
	return 0;
}

/* Reads that nobody waits for are waited for, and their blocks go. */
static void reset_prefetch(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bt_worker w;

	if (!c)
		return;
	bt_ballast(t, c);
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	bufio_prefetch(c, 10, 20);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_spawn(&w, reset_fn, c);
	bt_row(t, "waits", bt_done(&w, BT_STUCK_MS), 0);
	gate_open(t->gate);
	bt_row(t, "returns", bt_done(&w, BT_SOON_MS), 1);
	bt_join(&w);
	bt_row(t, "cached", bt_cached_in(c, 0, BT_BALLAST_AT + BT_BALLAST), 0);
	bufio_client_destroy(c);
}

static void destroy_prefetch(struct bt *t)
{
	unsigned int fails;

	/* Good ones, and ones that fail. */
	for (fails = 0; fails < 2; fails++) {
		struct bufio_client *c = bt_client(t);
		struct bt_worker w;

		if (!c)
			return;
		gate_clear(t->gate);
		gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
		if (fails)
			gate_fail(t->gate, GATE_READ, 0, GATE_ALL, BLK_STS_IOERR, -1);
		bufio_prefetch(c, 10, 20);
		bt_row(t, fails ? "failing_held" : "held",
		       gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
		bt_spawn(&w, destroy_fn, c);
		bt_row(t, fails ? "failing_waits" : "waits", bt_done(&w, BT_STUCK_MS), 0);
		gate_open(t->gate);
		bt_row(t, fails ? "failing_returns" : "returns", bt_done(&w, BT_SOON_MS), 1);
		bt_join(&w);
	}
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
	gate_fail(t->gate, GATE_FLUSH, 0, GATE_ALL, BLK_STS_IOERR, 1);
	bt_row(t, "error", bufio_issue_flush(c), -EIO);
	bt_row(t, "once", bufio_issue_flush(c), 0);
	gate_clear(t->gate);
	gate_fail(t->gate, GATE_FLUSH, 0, GATE_ALL, BLK_STS_NOSPC, 1);
	bt_row(t, "other_error", bufio_issue_flush(c), -EIO);
	gate_clear(t->gate);
	gate_fail(t->gate, GATE_FLUSH, 0, GATE_ALL, BLK_STS_NOTSUPP, 1);
	bt_row(t, "refused", bufio_issue_flush(c), -EOPNOTSUPP);
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
	gate_fail(t->gate, GATE_DISCARD, 0, GATE_ALL, BLK_STS_IOERR, 1);
	bt_row(t, "error", bufio_issue_discard(c, 4, 1), -EIO);
	gate_clear(t->gate);
	gate_fail(t->gate, GATE_DISCARD, 0, GATE_ALL, BLK_STS_NOSPC, 1);
	bt_row(t, "other_error", bufio_issue_discard(c, 4, 1), -EIO);
	gate_clear(t->gate);
	gate_fail(t->gate, GATE_DISCARD, 0, GATE_ALL, BLK_STS_NOTSUPP, 1);
	bt_row(t, "refused", bufio_issue_discard(c, 4, 1), -EOPNOTSUPP);
	gate_clear(t->gate);
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

	if (!new_device(t, 4096))
		return;
	c = bt_client(t);
	if (!c)
		return;
	bt_row(t, "error", bufio_issue_discard(c, 0, 1), -EOPNOTSUPP);
	bt_row(t, "ios", gate_total(t->gate, GATE_ANY), 0);
	bufio_client_destroy(c);
}

const struct bt_case bt_writes[] = {
	{ "dirty", "written later, once, also while held", dirty },
	{ "dirty_partial", "joined range, rounded to device blocks", dirty_partial },
	{ "dirty_partial_8k", "rounded to physical blocks over 4096", dirty_partial_8k },
	{ "write_async", "starts writes, waits for none", write_async },
	{ "write_dirty", "waits for all writes, then flushes", write_dirty },
	{ "dirty_in_write", "a block has one write at a time", dirty_in_write },
	{ "dirty_after_write", "a flush writes what was changed during a write", dirty_after_write },
	{ "write_dirty_others", "and for no write that begins later", write_dirty_others },
	{ "write_dirty_split", "older bytes of a block that was changed while they failed",
	  write_dirty_split },
	{ "dirty_by_two", "a mark counts, though another of the block is under way", dirty_by_two },
	{ "destroy_writes", "destroy writes what is dirty", destroy_writes },
	{ "destroy_prefetch", "destroy waits for reads in flight", destroy_prefetch },
	{ "reset", "writes what is dirty, empties the cache", reset },
	{ "reset_prefetch", "of what is being read ahead too", reset_prefetch },
	{ "issue_flush", "one empty flush, its error returned", issue_flush },
	{ "issue_discard", "one discard, cache untouched", issue_discard },
	{ "discard_unsupported", "-EOPNOTSUPP", discard_unsupported },
	{ }
};
