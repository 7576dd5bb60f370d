// SPDX-License-Identifier: GPL-2.0
/*
 * The weak points of dm-bufio (numbered as in docs/bufio.md), each as a case
 * that shows it: what is wanted of memscope is in the table of intended
 * differences.
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "bufio_test.h"

/* --- W1: the limit with an idle client ------------------------------------ */

static s64 w1_peak(struct bt *t, u64 blocks)
{
	struct bufio_client *c = bt_client(t);
	u64 i, bad = 0;
	s64 peak;

	if (!c)
		return -1;
	bt_param_set("peak_allocated_bytes", 0);
	for (i = 0; i < blocks; i++) {
		struct bufio_buffer *b;

		if (bt_err(bufio_read(c, i, &b)))
			bad++;
		else
			bufio_release(b);
	}
	peak = bt_param_get("peak_allocated_bytes");
	if (bad || peak <= 0)
		bt_fail(t, "%llu of %llu reads failed, peak %lld", bad, blocks, peak);
	bufio_client_destroy(c);
	return peak;
}

static void w1_limit(struct bt *t)
{
	u64 limit = bt_arg(t, "limit", 4 << 20), blocks = bt_arg(t, "blocks", 20000);
	s64 old = bt_param_get("max_cache_size_bytes"), alone, beside;
	struct bufio_client *idle;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", limit), 0))
		return;
	alone = w1_peak(t, blocks);
	bt_fig(t, "limit_bytes", limit);
	bt_fig(t, "peak_alone_bytes", alone);
	bt_row_ours(t, "alone_over_limit", alone > (s64)limit, 0);
	idle = bt_client(t);
	if (idle) {
		beside = w1_peak(t, blocks);
		bt_fig(t, "peak_with_idle_bytes", beside);
		bt_row(t, "idle_over_limit", beside > (s64)limit, 1);
		bufio_client_destroy(idle);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/* --- W4, W5: what waits while a write is waited for ------------------------ */

struct job {
	struct bufio_client *c;
	struct bufio_buffer *b;
	sector_t block;
};

static int mark_fn(void *arg)
{
	struct job *j = arg;

	bufio_mark_dirty(j->b);
	return 0;
}

static int forget_fn(void *arg)
{
	struct job *j = arg;

	bufio_forget(j->c, j->block);
	return 0;
}

static int async_fn(void *arg)
{
	struct job *j = arg;

	bufio_write_dirty_async(j->c);
	return 0;
}

/*
 * Block 3 is being written, has been changed meanwhile, and somebody asks for
 * a write of all. Who wants to do something else in the client then?
 */
static void w4_wait(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct job ask = { .c = c }, mark = { .c = c, .block = 5 };
	struct job gone = { .c = c, .block = BT_BALLAST_AT };
	struct bt_reader miss = { .c = c, .block = 700 };
	struct bt_worker asker, w[3];
	bool done[3];
	unsigned int i;

	if (!c)
		return;
	bt_ballast(t, c);
	bt_write(c, 3, BT_NEW);
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	bufio_write_dirty_async(c);
	bt_row(t, "held", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	bt_write(c, 3, BT_NEW);
	if (!bt_row(t, "hold", bt_err(bufio_read(c, 5, &mark.b)), 0))
		goto out;
	bufio_mark_dirty(mark.b);
	bt_spawn(&asker, async_fn, &ask);
	msleep(200);		/* it is where it will stay */
	bt_spawn(&w[0], bt_read_fn, &miss);
	bt_spawn(&w[1], mark_fn, &mark);
	bt_spawn(&w[2], forget_fn, &gone);
	for (i = 0; i < 3; i++)
		done[i] = bt_done(&w[i], BT_OURS ? BT_SOON_MS : BT_STUCK_MS);
	bt_row(t, "read_miss_goes_on", done[0], 0);
	bt_row(t, "mark_of_dirty_goes_on", done[1], 0);
	bt_row(t, "forget_goes_on", done[2], 0);
	gate_open(t->gate);
	bt_row(t, "read_miss", bt_join(&w[0]), 1);
	bt_join(&w[1]);
	bt_join(&w[2]);
	bt_join(&asker);
	bufio_release(mark.b);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 1);
out:
	gate_open(t->gate);
	bufio_client_destroy(c);
}

/* Blocks that were written, behind many that are being written; and one that is released. */
enum { SLOW = 150, FAST = 8, FAST_AT = 600, NEW_AT = 800 };

struct taker {
	struct bufio_client *c;
	struct bufio_buffer *b[FAST];
	unsigned int n;
};

static int taker_fn(void *arg)
{
	struct taker *k = arg;

	for (k->n = 0; k->n < FAST; k->n++)
		if (bt_err(bufio_read(k->c, NEW_AT + k->n, &k->b[k->n])))
			break;
	return 0;
}

/*
 * No more memory. There are blocks to be had that were written, but behind
 * many writes in flight; when these are used up, one that is released. Who needs
 * a buffer waits for no write.
 */
static void w4_room(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bt_reader last = { .block = 900 };
	struct taker taker = { };
	struct bt_worker w, w_last;
	bool done, waits;
	unsigned int i;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	taker.c = bufio_client_create(t->bdev, BT_BS, SLOW + FAST, 0, NULL, NULL, 0);
	last.c = taker.c;
	if (!bt_row(t, "create", bt_err(taker.c), 0))
		goto out;
	gate_hold(t->gate, GATE_WRITE, 0, FAST_AT * BT_SPB);
	/* Every other block: a write each. */
	for (i = 0; i < SLOW; i++)
		bt_write(taker.c, 2 * i, BT_NEW);
	bufio_write_dirty_async(taker.c);
	bt_row(t, "held", gate_wait_held(t->gate, SLOW, BT_SOON_MS), 1);
	for (i = 0; i < FAST; i++)
		bt_write(taker.c, FAST_AT + 2 * i, BT_NEW);
	bufio_write_dirty_async(taker.c);
	bt_row(t, "ended", gate_idle(t->gate, BT_SOON_MS), 1);
	bt_row(t, "fast_writes", gate_count(t->gate, GATE_WRITE, FAST_AT * BT_SPB, GATE_ALL), FAST);
	bt_spawn(&w, taker_fn, &taker);
	done = bt_done(&w, BT_OURS ? BT_SOON_MS : BT_STUCK_MS);
	/* dm-bufio takes what its hand is at: mostly one of the slow ones. */
	bt_row_ours(t, "reads_go_on", done, 1);
	waits = BT_OURS && done;
	if (waits) {
		bt_spawn(&w_last, bt_read_fn, &last);
		bt_row_ours(t, "all_is_used", bt_done(&w_last, BT_STUCK_MS), 0);
		bufio_release(taker.b[0]);
		bt_row_ours(t, "released_is_used", bt_done(&w_last, BT_SOON_MS), 1);
	}
	bt_row(t, "in_flight", gate_held(t->gate), SLOW);
	gate_open(t->gate);
	if (waits)
		bt_row_ours(t, "last_read", bt_join(&w_last), 1);
	bt_join(&w);
	bt_row(t, "reads", taker.n, FAST);
	for (i = waits; i < taker.n; i++)
		bufio_release(taker.b[i]);
	bt_row(t, "flush", bufio_write_dirty(taker.c), 0);
	bt_row(t, "writes", gate_total(t->gate, GATE_WRITE), SLOW + FAST);
	bufio_client_destroy(taker.c);
out:
	bt_param_set("max_cache_size_bytes", old);
}

/* --- W8: limits of one client ---------------------------------------------- */

/* A client that asked for a minimum keeps it when another one fills the limit. */
static void w8_minimum(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_client *a, *b;
	unsigned int i, kept;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 2 << 20), 0))
		return;
	a = bt_client(t);
	b = bt_client(t);
	if (a && b) {
		bufio_set_minimum_buffers(a, 200);
		for (i = 0; i < 200; i++)
			bt_read_is(a, i, BT_OLD);
		for (i = 0; i < 5000; i++)
			bt_read_is(b, i % 1000, BT_OLD);
		msleep(500);	/* dm-bufio evicts in a work item */
		kept = bt_cached_in(a, 0, 200);
		bt_fig(t, "kept_of_200", kept);
		bt_row(t, "kept", kept == 200, 0);
	}
	if (a)
		bufio_client_destroy(a);
	if (b)
		bufio_client_destroy(b);
	bt_param_set("max_cache_size_bytes", old);
}

/*
 * Three clients share the limit. One only finds what it has, one is idle, and
 * the third reads more and more: the idle one has to give way first.
 */
static void w8_idle_gives_way(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_client *busy, *idle, *greedy;
	unsigned int i, kept_busy, kept_idle;
	struct bufio_buffer *hot;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 2 << 20), 0))
		return;
	busy = bt_client(t);
	idle = bt_client(t);
	greedy = bt_client(t);
	if (busy && idle && greedy) {
		for (i = 0; i < 200; i++) {
			bt_read_is(busy, i, BT_OLD);
			bt_read_is(idle, i, BT_OLD);
		}
		/* Held, so that the busy client never misses. */
		bt_row(t, "hold", bt_err(bufio_read(busy, 0, &hot)), 0);
		msleep(4000);	/* the idle time that counts is in seconds */
		for (i = 0; i < 5000; i++) {
			bt_read_is(greedy, i % 1000, BT_OLD);
			bt_cached(busy, 0);
		}
		bufio_release(hot);
		kept_busy = bt_cached_in(busy, 0, 200);
		kept_idle = bt_cached_in(idle, 0, 200);
		bt_fig(t, "kept_of_the_busy", kept_busy);
		bt_fig(t, "kept_of_the_idle", kept_idle);
		bt_row_ours(t, "the_idle_gave_way", kept_busy >= 2 * kept_idle, 1);
	}
	if (busy)
		bufio_client_destroy(busy);
	if (idle)
		bufio_client_destroy(idle);
	if (greedy)
		bufio_client_destroy(greedy);
	bt_param_set("max_cache_size_bytes", old);
}

/* A client that wrote all it has, and was not used since, gives way as well. */
static void w8_written_gives_way(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_client *a, *b;
	unsigned int i, kept;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 2 << 20), 0))
		return;
	a = bt_client(t);
	b = bt_client(t);
	if (a && b) {
		gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
		for (i = 0; i < 300; i++)
			bt_write(a, 2 * i, BT_NEW);
		bufio_write_dirty_async(a);
		bt_row(t, "held", gate_wait_held(t->gate, 300, BT_SOON_MS), 1);
		gate_open(t->gate);
		bt_row(t, "ended", gate_idle(t->gate, BT_SOON_MS), 1);
		for (i = 0; i < 1000; i++)
			bt_read_is(b, i, BT_OLD);
		msleep(500);	/* dm-bufio evicts in a work item */
		kept = bt_cached_in(a, 0, 600);
		bt_fig(t, "kept_of_300", kept);
		bt_row_ours(t, "gave_way", kept < 300, 1);
	}
	if (a)
		bufio_client_destroy(a);
	if (b)
		bufio_client_destroy(b);
	bt_param_set("max_cache_size_bytes", old);
}

#ifdef BT_MEMSCOPE
static void w8_maximum(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	unsigned long bytes, peak = 0;
	unsigned int i, good = 0;

	if (!c)
		return;
	memscope_bufio_set_maximum_bytes(c, 1 << 20);
	for (i = 0; i < 1000; i++) {
		good += bt_read_is(c, i, BT_OLD) == 1;
		bytes = memscope_bufio_get_allocated_bytes(c);
		peak = max(peak, bytes);
	}
	bt_fig(t, "peak_bytes", peak);
	bt_row_ours(t, "good", good, 1000);
	bt_row_ours(t, "over", peak > 1 << 20, 0);
	bt_row_ours(t, "used", peak > 1 << 19, 1);
	bufio_client_destroy(c);
}
#else
static void w8_maximum(struct bt *t)
{
	bt_fig(t, "no_such_function", 1);
}
#endif

/* --- W2: blocks beyond what the page allocator has ---------------------------- */

/* dm-bufio gives vmalloc a flag that it does not know, and gets a warning. */
static void w2_large_blocks(struct bt *t)
{
	struct bufio_client *c = bt_client_bs(t, 8 << 20);
	struct bufio_buffer *b;
	unsigned int i;

	if (!c)
		return;
	for (i = 0; i < 2; i++)
		if (bt_row(t, i ? "second" : "first", bt_err(bufio_read(c, i, &b)), 0))
			bufio_release(b);
	bufio_client_destroy(c);
}

/* --- write-back ------------------------------------------------------------ */

/* Dirty data that nobody asks to write. */
static void write_back_age(struct bt *t)
{
	s64 old = bt_param_get("writeback_age_ms");
	struct bufio_client *c = bt_client(t);
	unsigned int ms;

	if (!c)
		return;
	bt_row_ours(t, "set", bt_param_set("writeback_age_ms", 500), 0);
	bt_ballast(t, c);
	bt_write(c, 3, BT_NEW);
	for (ms = 0; ms < (BT_OURS ? BT_SOON_MS : 3000); ms += 50) {
		if (gate_total(t->gate, GATE_WRITE))
			break;
		msleep(50);
	}
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "written", bt_disk_is(t, BT_NEW, 3 * BT_SPB, BT_SPB), 0);
	bufio_client_destroy(c);
	if (BT_OURS)
		bt_param_set("writeback_age_ms", old);
}

/* Dirty data is written ahead of need, but not by a client that lives off its reserve. */
static void write_ahead(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	unsigned int i, ms, round, writes;
	struct bufio_client *c;

	for (round = 0; round < 2; round++) {
		gate_reset(t->gate);
		bt_row(t, round ? "set" : "as_it_was",
		       bt_param_set("max_cache_size_bytes", round ? 1 : old), 0);
		c = bufio_client_create(t->bdev, BT_BS, round ? 100 : 1, 0, NULL, NULL, 0);
		if (!bt_row(t, round ? "create_short" : "create", bt_err(c), 0))
			break;
		for (i = 0; i < 100; i++)
			bt_write(c, i, BT_NEW);
		for (ms = 0; ms < (round ? BT_STUCK_MS : BT_SOON_MS); ms += 20) {
			writes = gate_total(t->gate, GATE_WRITE);
			if (writes)
				break;
			msleep(20);
		}
		bt_row_ours(t, round ? "ahead_short" : "ahead", writes > 0, !round);
		bt_row(t, round ? "flush_short" : "flush", bufio_write_dirty(c), 0);
		bt_row(t, round ? "on_disk_short" : "on_disk",
		       bt_disk_is(t, BT_NEW, 0, 100 * BT_SPB), 1);
		bufio_client_destroy(c);
		bt_disk_fill(t, BT_OLD, 0, 100 * BT_SPB);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/* 512 dirty blocks side by side, then 512 prefetched ones. */
static void merging(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	unsigned int i, writes, reads, good = 0;

	if (!c)
		return;
	for (i = 512; i < 1024; i++)
		bt_read_is(c, i, BT_OLD);
	for (i = 0; i < 512; i++)
		bt_write(c, i, BT_NEW);
	gate_reset(t->gate);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	writes = gate_total(t->gate, GATE_WRITE);
	bt_fig(t, "write_bios", writes);
	bt_row(t, "a_bio_a_block", writes >= 512, 1);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, 0, 512 * BT_SPB), 1);
	bufio_client_reset(c);
	gate_reset(t->gate);
	bufio_prefetch(c, 0, 512);
	gate_idle(t->gate, BT_SOON_MS);
	reads = gate_total(t->gate, GATE_READ);
	bt_fig(t, "read_bios", reads);
	bt_row(t, "a_bio_a_prefetch", reads >= 512, 1);
	for (i = 0; i < 512; i++)
		good += bt_read_is(c, i, BT_NEW) == 1;
	bt_row(t, "contents", good, 512);
	bufio_client_destroy(c);
}

/* --- a transfer of many bios ---------------------------------------------- */

#define LARGE		(8U << 20)	/* from vmalloc: at most 1 MiB a bio */
#define LARGE_PARTS	8
#define LARGE_WRITERS	3
#define LARGE_ROUNDS	10
#define LARGE_SECTORS	(LARGE >> SECTOR_SHIFT)
#define LONE_PAGES	16384	/* every other one is given back: more than the blocks need */

/* Whether @task has neither bios nor more than a page at a time, as the stage has set it. */
static void without_memory(struct task_struct *task, bool on)
{
#ifdef CONFIG_FAULT_INJECTION
	task->make_it_fail = on;
#endif
}

static int write_without_memory(void *c)
{
	without_memory(current, true);
	return bufio_write_dirty(c);
}

/* Blocks of pages that are not beside each other, so that each takes a segment. */
static void cache_scattered(struct bt *t, struct bufio_client *c)
{
	struct page **pages = kvcalloc(LONE_PAGES, sizeof(*pages), GFP_KERNEL);
	unsigned int i;

	if (!bt_row_ours(t, "pages", !pages, 0))
		return;
	for (i = 0; i < LONE_PAGES; i++)
		pages[i] = alloc_page(GFP_KERNEL);
	for (i = 0; i < LONE_PAGES; i += 2)
		if (pages[i])
			__free_page(pages[i]);
	without_memory(current, true);
	for (i = 0; i < LARGE_WRITERS; i++)
		bt_write(c, i, BT_OLD);
	without_memory(current, false);
	for (i = 1; i < LONE_PAGES; i += 2)
		if (pages[i])
			__free_page(pages[i]);
	kvfree(pages);
}

/* Returns how many of the writers were told of an error; -1: they wait for each other. */
static int write_large(struct bt *t, struct bufio_client *c)
{
	struct bt_worker w[LARGE_WRITERS];
	unsigned int i, ms, ended, stuck = 0;
	int told = 0;

	for (i = 0; i < LARGE_WRITERS; i++)
		bt_spawn(&w[i], write_without_memory, c);
	/* Each time all of them wait for a bio, of which the gate has some. */
	for (ms = 0; ms < BT_SOON_MS; ms += 20) {
		msleep(20);
		gate_let(t->gate, 0, GATE_ALL);
		for (i = 0, ended = 0; i < LARGE_WRITERS; i++)
			ended += bt_done(&w[i], 0);
		if (ended == LARGE_WRITERS)
			break;
	}
	gate_open(t->gate);
	for (i = 0; i < LARGE_WRITERS; i++) {
		if (!bt_done(&w[i], 0)) {
			stuck++;
			without_memory(w[i].task, false);
		}
	}
	for (i = 0; i < LARGE_WRITERS; i++)
		told += bt_join(&w[i]) == -EIO;
	return stuck ? -1 : told;
}

/* A part of a block that fails, and the names of what is to be seen then. */
static const struct part {
	unsigned int sector;
	const char *told, *again, *there;
} parts[] = {
	{ 0, "first_told", "first_again", "first_there" },
	{ LARGE_SECTORS * 2 / 5, "middle_told", "middle_again", "middle_there" },
	{ LARGE_SECTORS * 4 / 5, "last_told", "last_again", "last_there" },
};

/* It is the block's failure: told once, and written at the next flush. */
static void fail_part(struct bt *t, struct bufio_client *c, const struct part *part, u64 seed)
{
	bt_write(c, 1, seed);
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	gate_fail(t->gate, GATE_WRITE, LARGE_SECTORS + part->sector, 1, BLK_STS_IOERR, 1);
	bt_row_ours(t, part->told, write_large(t, c), 1);
	gate_clear(t->gate);
	bt_row_ours(t, part->again, bufio_write_dirty(c), 0);
	bt_row_ours(t, part->there, bt_disk_is(t, seed, LARGE_SECTORS, LARGE_SECTORS), 1);
}

/* Several writers, each with more bios to send than there are. */
static void large_without_memory(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_client *c = bt_client_bs(t, LARGE);
	unsigned int i, round, good = 0;
	int told = 0;

	if (!c)
		return;
	bt_row_ours(t, "set", bt_param_set("max_cache_size_bytes", 2 * LARGE_WRITERS * LARGE), 0);
	gate_reset(t->gate);
	cache_scattered(t, c);
	/* What is below allocates as well, the first time. */
	bt_row_ours(t, "flush", bufio_write_dirty(c), 0);
	bt_row_ours(t, "parts", gate_total(t->gate, GATE_WRITE) >= LARGE_WRITERS * LARGE_PARTS, 1);
	for (round = 0; round < LARGE_ROUNDS && !told; round++) {
		for (i = 0; i < LARGE_WRITERS; i++)
			bt_write(c, i, BT_NEW + round);
		gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
		told = write_large(t, c);
		for (i = 0; i < LARGE_WRITERS; i++)
			good += bt_disk_is(t, BT_NEW + round, i * LARGE_SECTORS, LARGE_SECTORS);
	}
	bt_row_ours(t, "wait_for_each_other", told, 0);
	bt_row_ours(t, "on_disk", good, LARGE_ROUNDS * LARGE_WRITERS);
	if (told >= 0)
		for (i = 0; i < ARRAY_SIZE(parts); i++)
			fail_part(t, c, &parts[i], BT_NEW + round + i);
	bufio_client_destroy(c);
	bt_param_set("max_cache_size_bytes", old);
}

const struct bt_case bt_weak[] = {
	{ "w1_limit", "the global limit beside an idle client", w1_limit, BT_RAW | BT_PARAMS },
	{ "large_without_memory", "blocks of many bios, and no memory for these",
	  large_without_memory, BT_PARAMS },
	{ "w2_large_blocks", "W2: blocks of 8 MiB, no warning", w2_large_blocks, BT_WARNS },
	{ "w4_wait", "W4, W5: nobody waits for a write of another block", w4_wait },
	{ "w4_room", "W4: nobody waits for one write while there is another buffer", w4_room },
	{ "w8_minimum", "W8: a client's minimum", w8_minimum },
	{ "w8_idle_gives_way", "W8: an idle client gives way to a busy one", w8_idle_gives_way },
	{ "w8_written_gives_way", "W8: so does one that has only written", w8_written_gives_way },
	{ "w8_maximum", "W8: a client's maximum", w8_maximum },
	{ "write_back_age", "dirty data is written at some age", write_back_age },
	{ "write_ahead", "who lives off the reserve does not write ahead", write_ahead },
	{ "merging", "adjacent blocks in one bio", merging },
	{ }
};
