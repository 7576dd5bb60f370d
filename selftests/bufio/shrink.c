// SPDX-License-Identifier: GPL-2.0
/*
 * What the shrinker takes, and what it says that it took.
 */

#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/shrinker.h>
#include <linux/tracepoint.h>

#include "bufio_test.h"

/* Calls every shrinker. */
static bool call_shrinkers(struct bt *t)
{
	struct file *f = bt_file_open("/proc/sys/vm/drop_caches", O_WRONLY);
	loff_t pos = 0;

	if (IS_ERR(f)) {
		bt_fail(t, "drop_caches: %ld", PTR_ERR(f));
		return false;
	}
	kernel_write(f, "2\n", 2, &pos);
	filp_close(f, NULL);
	return true;
}

static void shrinker(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	unsigned int i, ms, left;
	struct bufio_buffer *b;

	if (!c)
		return;
	for (i = 0; i < 1000; i++)
		bt_read_is(c, i, BT_OLD);
	if (!bt_row(t, "hold", bt_err(bufio_get(c, 500, &b)), 0))
		goto out;
	bt_write(c, 10, BT_NEW);
	for (ms = 0, left = 1000; ms < 20000 && left > 200; ms += 100) {
		if (!call_shrinkers(t))
			break;
		msleep(100);
		left = bt_cached_in(c, 0, 1000);
	}
	bt_fig(t, "left_of_1000", left);
	bt_row(t, "gave_back", left <= 200, 1);
	bt_row(t, "held_stays", bt_cached(c, 500), 1);
	bufio_release(b);
	bt_row(t, "dirty_safe", bt_read_is(c, 10, BT_NEW), 1);
	bt_row(t, "works", bt_read_is(c, 800, BT_OLD), 1);
out:
	bufio_client_destroy(c);
}

static struct tracepoint *shrink_end;
static atomic_long_t reported, scans;

static void find_shrink_end(struct tracepoint *tp, void *priv)
{
	if (!strcmp(tp->name, "mm_shrink_slab_end"))
		shrink_end = tp;
}

/* Of the cache's shrinkers; there is one client. */
static void shrunk(void *data, struct shrinker *shr, int nid, int freed, long unused, long new,
		   long total, struct mem_cgroup *memcg)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, (unsigned long)shr->scan_objects);
	if (!strstr(name, "[" BT_MODULE "]"))
		return;
	atomic_long_add(freed, &reported);
	atomic_long_inc(&scans);
}

/*
 * All blocks are held, so the shrinker cannot free any. What does it say?
 * Reclaim goes on elsewhere the less, the more it is told was freed here.
 */
static void w6_shrink(struct bt *t)
{
	enum { BLOCKS = 400 };
	struct bufio_buffer **b = kcalloc(BLOCKS, sizeof(*b), GFP_KERNEL);
	struct bufio_client *c = bt_client(t);
	unsigned int i, n, left;

	if (!b || !c)
		goto out;
	for (n = 0; n < BLOCKS; n++)
		if (bt_err(bufio_read(c, n, &b[n])))
			break;
	bt_row(t, "held", n, BLOCKS);
	for_each_kernel_tracepoint(find_shrink_end, NULL);
	atomic_long_set(&reported, 0);
	atomic_long_set(&scans, 0);
	if (!bt_row(t, "tracepoint", shrink_end &&
		    !tracepoint_probe_register(shrink_end, shrunk, NULL), 1))
		goto release;
	call_shrinkers(t);
	tracepoint_probe_unregister(shrink_end, shrunk, NULL);
	tracepoint_synchronize_unregister();
	msleep(300);	/* dm-bufio frees in a work item */
	left = bt_cached_in(c, 0, BLOCKS);
	bt_fig(t, "shrinker_calls", atomic_long_read(&scans));
	bt_fig(t, "blocks_reported_freed", atomic_long_read(&reported));
	bt_fig(t, "blocks_freed", BLOCKS - left);
	bt_row(t, "was_called", atomic_long_read(&scans) > 0, 1);
	bt_row(t, "all_are_there", left, BLOCKS);
	bt_row(t, "reported_too_many", atomic_long_read(&reported) > BLOCKS - left, 1);
release:
	for (i = 0; i < n; i++)
		bufio_release(b[i]);
out:
	if (c)
		bufio_client_destroy(c);
	kfree(b);
}

const struct bt_case bt_shrink[] = {
	{ "shrinker", "clean blocks are given back under pressure", shrinker },
	{ "w6_shrink", "W6: the shrinker reports what was freed and no more", w6_shrink },
	{ }
};
