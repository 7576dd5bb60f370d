// SPDX-License-Identifier: GPL-2.0
/* Blocks come into the cache and leave it: read, get, new, prefetch, forget. */

#include <linux/delay.h>
#include <linux/ioprio.h>
#include <linux/kprobes.h>

#include "bufio_test.h"

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

/* One read serves all who want the block; get does not wait for it. */
static void read_in_flight(struct bt *t)
{
	struct bt_reader r = { .c = bt_client(t), .block = 9 };
	struct bt_worker w[3];
	struct bufio_buffer *b = (void *)1;
	unsigned int i, good = 0;
	void *p;

	if (!r.c)
		return;
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		bt_spawn(&w[i], bt_read_fn, &r);
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
	struct bt_reader *r = arg;
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
	struct bt_reader r = { .c = bt_client(t), .block = 9 };
	struct bt_worker a, b;

	if (!r.c)
		return;
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
	bt_spawn(&a, bt_read_fn, &r);
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

/* --- prefetch ------------------------------------------------------------ */

struct ahead {
	struct bufio_client *c;
	sector_t block;
	unsigned int n;
};

static int prefetch_fn(void *arg)
{
	struct ahead *r = arg;

	bufio_prefetch(r->c, r->block, r->n);
	return 0;
}

static void prefetch_blocks(struct bt *t)
{
	struct ahead r = { .c = bt_client(t), .block = 10, .n = 20 };
	unsigned int i, cached = 0, good = 0, covered = 0;
	struct bt_worker w;

	if (!r.c)
		return;
	bufio_prefetch(r.c, 3, 0);
	bt_row(t, "none", gate_total(t->gate, GATE_ANY), 0);
	bt_read_is(r.c, 15, BT_OLD);
	gate_reset(t->gate);
	gate_hold(t->gate, GATE_READ, 0, GATE_ALL);
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

/* --- bios ---------------------------------------------------------------- */

static struct {
	struct task_struct *task;
	unsigned int made;
} bios;

/* All that a bio can be allocated by. */
static int bio_is_made(struct kprobe *p, struct pt_regs *regs)
{
	if (in_task() && current == READ_ONCE(bios.task))
		bios.made++;
	return 0;
}

/*
 * A read that is waited for has its bio in the stack frame of who waits, where
 * the block is in one piece. On a device that makes no bios.
 */
static void read_without_bio(struct bt *t)
{
	static const unsigned int sizes[] = { 512, 4096, 65536, 12288 };
	struct kprobe from_set = {
		.symbol_name = "bio_alloc_bioset", .pre_handler = bio_is_made,
	};
	struct kprobe from_slab = {
		.symbol_name = "bio_kmalloc", .pre_handler = bio_is_made,
	};
	struct kprobe *probes[] = { &from_set, &from_slab };
	unsigned int i, k, failed;
	struct bufio_client *c;
	struct bufio_buffer *b;
	char row[24];

	if (!bt_row(t, "probes", register_kprobes(probes, ARRAY_SIZE(probes)), 0))
		return;
	WRITE_ONCE(bios.task, current);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		c = bt_client_bs(t, sizes[i]);
		if (!c)
			continue;
		bios.made = 0;
		for (k = 0, failed = 0; k < 10; k++) {
			if (bt_err(bufio_read(c, k, &b)))
				failed++;
			else
				bufio_release(b);
		}
		snprintf(row, sizeof(row), "failed_%u", sizes[i]);
		bt_row(t, row, failed, 0);
		snprintf(row, sizeof(row), "bios_%u", sizes[i]);
		if (sizes[i] == 12288)
			bt_fig(t, row, bios.made);
		else
			bt_row_ours(t, row, bios.made, 0);
		/*
		 * That the probes see one: nobody waits for a prefetch. On 7.3 the first of
		 * all goes unseen, on either cache.
		 */
		bios.made = 0;
		for (k = 0; k < 500 && !bios.made; k++) {
			if (k)
				msleep(20);
			bufio_prefetch(c, 20 + k, 1);
		}
		snprintf(row, sizeof(row), "prefetch_%u", sizes[i]);
		bt_row(t, row, bios.made, 1);
		bufio_client_destroy(c);
	}
	WRITE_ONCE(bios.task, NULL);
	unregister_kprobes(probes, ARRAY_SIZE(probes));
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
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bufio_forget(c, 3);
	bufio_forget_buffers(c, 0, 10);
	bt_row(t, "stays", bt_cached(c, 3), 1);
	gate_open(t->gate);
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bufio_client_destroy(c);
}

/* Written and clean again, though nobody has asked for them since. */
static void forget_after_write(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	unsigned int i;

	if (!c)
		return;
	bt_ballast(t, c);
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	for (i = 0; i < 200; i++)
		bt_write(c, 2 * i, BT_NEW);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	gate_open(t->gate);
	bt_row(t, "ended", gate_idle(t->gate, BT_SOON_MS), 1);
	/* More blocks than there are buffers. */
	bufio_forget_buffers(c, 0, 100000);
	bt_row(t, "left", bt_cached_in(c, 0, 400), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 398 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

/* The same behind many writes that are under way. */
static void forget_behind_writes(struct bt *t)
{
	enum { SLOW = 150, FAST = 8, FAST_AT = 600 };
	struct bufio_client *c = bt_client(t);
	unsigned int i;

	if (!c)
		return;
	bt_ballast(t, c);
	gate_hold(t->gate, GATE_WRITE, 0, FAST_AT * BT_SPB);
	/* Every other block: a write each. */
	for (i = 0; i < SLOW; i++)
		bt_write(c, 2 * i, BT_NEW);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, SLOW, BT_SOON_MS), 1);
	for (i = 0; i < FAST; i++)
		bt_write(c, FAST_AT + 2 * i, BT_NEW);
	bufio_write_dirty_async(c);
	bt_row(t, "ended", gate_idle(t->gate, BT_SOON_MS), 1);
	bt_row(t, "fast_writes", gate_count(t->gate, GATE_WRITE, FAST_AT * BT_SPB, GATE_ALL), FAST);
	/* One; a range of fewer blocks than there are buffers; one of more. */
	bufio_forget(c, FAST_AT);
	bt_row(t, "one", bt_cached_in(c, FAST_AT, FAST_AT + 1), 0);
	bufio_forget_buffers(c, FAST_AT, 4);
	bt_row(t, "some", bt_cached_in(c, FAST_AT, FAST_AT + 4), 0);
	bufio_forget_buffers(c, FAST_AT, 100000);
	bt_row(t, "all", bt_cached_in(c, FAST_AT, FAST_AT + 2 * FAST), 0);
	bt_row(t, "slow_stay", bt_cached_in(c, 0, 2 * SLOW), SLOW);
	gate_open(t->gate);
	bt_row(t, "write", bufio_write_dirty(c), 0);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), SLOW + FAST);
	bufio_client_destroy(c);
}

/*
 * The same while another thread looks through the writes, wherever it is at it:
 * it is stopped before the second and the third time that it takes the lock, when
 * it has seen those that are under way.
 */
struct looker {
	struct bufio_client *c;
	unsigned int nth;
};

static int look_fn(void *arg)
{
	struct looker *l = arg;

	set_cpus_allowed_ptr(current, cpumask_of(1));
	bt_stop_me(l->nth);
	/* More blocks than there are buffers, and none of them. */
	bufio_forget_buffers(l->c, 100000, 100000);
	return 0;
}

static void forget_beside_look(struct bt *t)
{
	enum { SLOW = 64, FAST = 8, FAST_AT = 600 };
	struct looker l;
	struct bt_worker w;
	unsigned int i;
	char row[24];

	set_cpus_allowed_ptr(current, cpumask_of(0));
	for (l.nth = 2; l.nth <= 3; l.nth++) {
		l.c = bt_client(t);
		if (!l.c)
			break;
		bt_ballast(t, l.c);
		gate_hold(t->gate, GATE_WRITE, 0, FAST_AT * BT_SPB);
		for (i = 0; i < SLOW; i++)
			bt_write(l.c, 2 * i, BT_NEW);
		bufio_write_dirty_async(l.c);
		snprintf(row, sizeof(row), "held_%u", l.nth);
		bt_row(t, row, gate_wait_held(t->gate, SLOW, BT_SOON_MS), 1);
		for (i = 0; i < FAST; i++)
			bt_write(l.c, FAST_AT + 2 * i, BT_NEW);
		bufio_write_dirty_async(l.c);
		gate_idle(t->gate, BT_SOON_MS);
		if (bt_row(t, "probe", bt_stops(true), 0)) {
			bt_spawn(&w, look_fn, &l);
			snprintf(row, sizeof(row), "stopped_%u", l.nth);
			bt_row_ours(t, row, bt_stopped(BT_OURS ? BT_SOON_MS : 0), 1);
			bufio_forget(l.c, FAST_AT);
			snprintf(row, sizeof(row), "cached_%u", l.nth);
			bt_row(t, row, bt_cached(l.c, FAST_AT), 0);
			bt_stops(false);
			bt_join(&w);
		}
		gate_open(t->gate);
		bufio_client_destroy(l.c);
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);
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

const struct bt_case bt_reads[] = {
	{ "read", "one read of the whole block, then hits", read },
	{ "read_many_held", "holds beyond the reserve while there is memory", read_many_held },
	{ "read_in_flight", "one read for all; get does not wait", read_in_flight },
	{ "read_ioprio", "reaches the bio", read_ioprio },
	{ "get", "cache only, NULL if absent", get },
	{ "new", "no read; a hit keeps its contents", new },
	{ "new_in_flight", "new waits for a read in flight", new_in_flight },
	{ "release_elsewhere", "a hold may be dropped by another thread", release_elsewhere },
	{ "prefetch", "starts reads, waits for none, holds nothing", prefetch_blocks },
	{ "prefetch_past_end", "reads what the device has", prefetch_past_end },
	{ "read_without_bio", "a read that is waited for allocates no bio", read_without_bio, BT_RAW },
	{ "forget", "drops clean blocks that nobody holds", forget },
	{ "forget_in_write", "a block being written stays", forget_in_write },
	{ "forget_after_write", "drops blocks whose write has ended", forget_after_write },
	{ "forget_behind_writes", "also behind writes that have not", forget_behind_writes },
	{ "forget_beside_look", "and while another thread looks at those", forget_beside_look },
	{ "forget_buffers", "the same for a range", forget_buffers },
	{ }
};
