// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that several threads use at once: memscope leaves a hold of such a
 * block with the CPU, and nobody may notice.
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/prandom.h>
#include <linux/rwsem.h>

#include "bufio_test.h"

#define BLOCK	5

struct hot_user {
	struct bufio_client *c;
	int cpu;
	bool *stop;
	unsigned int uses;
};

/* Two holds at once, then none: the last release leaves its hold behind. */
static bool use_twice(struct bufio_client *c, sector_t block)
{
	struct bufio_buffer *a, *b;

	if (bt_err(bufio_read(c, block, &a)))
		return false;
	if (!bt_err(bufio_read(c, block, &b)))
		bufio_release(b);
	bufio_release(a);
	return true;
}

static int use_fn(void *arg)
{
	struct hot_user *u = arg;

	set_cpus_allowed_ptr(current, cpumask_of(u->cpu));
	return use_twice(u->c, BLOCK) && use_twice(u->c, BLOCK);
}

/* On every CPU, one after the other. */
static void make_hot(struct bt *t, struct bufio_client *c)
{
	unsigned int good = 0, cpus = 0;
	struct bt_worker w;
	int cpu;

	for_each_online_cpu(cpu) {
		struct hot_user u = { .c = c, .cpu = cpu };

		bt_spawn(&w, use_fn, &u);
		good += bt_join(&w) == 1;
		cpus++;
	}
	bt_row(t, "several_cpus", cpus > 1, 1);
	bt_row(t, "hot", good == cpus, 1);
}

static void hot_forget(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;

	if (!c)
		return;
	make_hot(t, c);
	bufio_forget(c, BLOCK);
	bt_row(t, "forgotten", bt_cached(c, BLOCK), 0);
	make_hot(t, c);
	bufio_forget_buffers(c, BLOCK - 1, 3);
	bt_row(t, "range", bt_cached(c, BLOCK), 0);
	make_hot(t, c);
	if (bt_row(t, "hold", bt_err(bufio_get(c, BLOCK, &b)), 0)) {
		bufio_forget(c, BLOCK);
		bt_row(t, "held_stays", bt_cached(c, BLOCK), 1);
		bufio_release(b);
	}
	bufio_forget(c, BLOCK);
	bt_row(t, "forgotten_then", bt_cached(c, BLOCK), 0);
	make_hot(t, c);
	bufio_client_reset(c);
	bt_row(t, "reset", bt_cached(c, BLOCK), 0);
	make_hot(t, c);
	bufio_client_destroy(c);	/* names what is held in the log */
}

static void hot_dirty(struct bt *t)
{
	struct bufio_client *c = bt_client(t);

	if (!c)
		return;
	make_hot(t, c);
	bt_row(t, "write", bt_write(c, BLOCK, BT_NEW), 0);
	make_hot(t, c);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, BT_NEW, BLOCK * BT_SPB, BT_SPB), 1);
	make_hot(t, c);
	bufio_forget(c, BLOCK);
	bt_row(t, "forgotten", bt_cached(c, BLOCK), 0);
	bt_row(t, "contents", bt_read_is(c, BLOCK, BT_NEW), 1);
	bufio_client_destroy(c);
}

/* A block that is given up goes, whoever used it. */
static void hot_write_error(struct bt *t)
{
	struct bufio_client *c;

	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, NULL, DROP_FAILED);
	if (!bt_row(t, "create", bt_err(c), 0))
		return;
	bt_ballast(t, c);
	bt_write(c, BLOCK, BT_NEW);
	make_hot(t, c);
	gate_fail(t->gate, GATE_WRITE, BLOCK * BT_SPB, BT_SPB, BLK_STS_IOERR, 1);
	bt_row(t, "reported", bufio_write_dirty(c), -EIO);
	bt_row_ours(t, "gone", bt_cached(c, BLOCK), 0);
	bt_read_is(c, BLOCK, BT_NEW);
	bt_row(t, "read", bt_read_is(c, BLOCK, BT_OLD), 1);
	bufio_client_destroy(c);
}

static void hot_evict(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_client *c = NULL;
	unsigned int i;

	if (bt_row(t, "set", bt_param_set("max_cache_size_bytes", 64 * BT_BS), 0))
		c = bt_client(t);
	if (c) {
		make_hot(t, c);
		/* Each twice: what was used once would not displace it. */
		for (i = 0; i < 2000; i++) {
			bt_read_is(c, 10 + i % 500, BT_OLD);
			bt_read_is(c, 10 + (i + 492) % 500, BT_OLD);
		}
		bt_row(t, "evicted", bt_cached(c, BLOCK), 0);
		bufio_client_destroy(c);
	}
	bt_param_set("max_cache_size_bytes", old);
}

static void hot_held(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *b;

	if (!c)
		return;
	bt_stat_client(t);
	make_hot(t, c);
	bt_row_ours(t, "nobody", bt_stat(t, "held"), 0);
	make_hot(t, c);
	if (bt_row(t, "hold", bt_err(bufio_get(c, BLOCK, &b)), 0)) {
		bt_row_ours(t, "somebody", bt_stat(t, "held"), 1);
		bufio_release(b);
	}
	bt_row_ours(t, "nobody_then", bt_stat(t, "held"), 0);
	bufio_client_destroy(c);
}

static int busy_fn(void *arg)
{
	struct hot_user *u = arg;
	struct bufio_buffer *b;
	void *data;

	set_cpus_allowed_ptr(current, cpumask_of(u->cpu));
	while (!READ_ONCE(*u->stop)) {
		data = bufio_read(u->c, BLOCK, &b);
		if (bt_err(data) || !bt_is(data, SECTOR_SIZE, BT_OLD, BLOCK * BT_SPB))
			return 0;
		bufio_release(b);
		/* Now and then nobody holds it. */
		if (++u->uses % 32 == 0)
			usleep_range(20, 50);
	}
	return 1;
}

/* Users on all CPUs, while the block is forgotten and looked for all the time. */
static void hot_beside_forget(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bt_worker w[8];
	struct hot_user u[8];
	unsigned int i, n = 0, good = 0, forgets = 0, uses = 0;
	unsigned long end = jiffies + HZ, limit = jiffies + 30 * HZ;
	bool stop = false;
	int cpu;

	if (!c)
		return;
	for_each_online_cpu(cpu) {
		if (n + 2 > ARRAY_SIZE(u))
			break;
		for (i = 0; i < 2; i++, n++) {
			u[n] = (struct hot_user) { .c = c, .cpu = cpu, .stop = &stop };
			bt_spawn(&w[n], busy_fn, &u[n]);
		}
	}
	/* On a busy machine longer, for a moment at which nobody holds it. */
	while (time_before(jiffies, end) ||
	       (time_before(jiffies, limit) && gate_total(t->gate, GATE_READ) < 2)) {
		bufio_forget(c, BLOCK);
		forgets++;
		usleep_range(50, 100);
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < n; i++) {
		good += bt_join(&w[i]) == 1;
		uses += u[i].uses;
	}
	bt_row(t, "good", good == n, 1);
	bt_fig(t, "uses", uses);
	bt_fig(t, "forgets", forgets);
	bt_fig(t, "reads", gate_total(t->gate, GATE_READ));
	bt_row(t, "read_again", gate_total(t->gate, GATE_READ) > 1, 1);
	bufio_forget(c, BLOCK);
	bt_row(t, "forgotten", bt_cached(c, BLOCK), 0);
	bufio_client_destroy(c);
}

/* One release too many is found out also beside a hold that is left with the CPU. */
static void hot_second_release(struct bt *t)
{
	struct bufio_client *c = bt_client(t);
	struct bufio_buffer *a, *b;

	if (!c)
		return;
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
	if (bt_row(t, "read", bt_err(bufio_read(c, BLOCK, &a)), 0)) {
		if (bt_row(t, "again", bt_err(bufio_read(c, BLOCK, &b)), 0))
			bufio_release(b);
		bufio_release(a);
		/* dm-bufio has a BUG_ON there, with its lock held: not called on it. */
		if (BT_OURS)
			bufio_release(a);
		if (bt_row(t, "hold", bt_err(bufio_read(c, BLOCK, &a)), 0)) {
			bufio_forget(c, BLOCK);
			bt_row(t, "is_held", bt_cached(c, BLOCK), 1);
			bufio_release(a);
		}
		bufio_forget(c, BLOCK);
		bt_row(t, "is_not_held", bt_cached(c, BLOCK), 0);
	}
	bufio_client_destroy(c);
}

#define MIX_BLOCKS	4

struct mix {
	struct bufio_client *c;
	struct rw_semaphore lock[MIX_BLOCKS];
	u32 version[MIX_BLOCKS];
	s64 limit;
	bool stop;
	atomic_t threads, wrong;
};

static void mix_look(struct mix *m, sector_t block)
{
	struct bufio_buffer *a, *b;
	void *p;

	down_read(&m->lock[block]);
	p = bufio_read(m->c, block, &a);
	if (bt_err(p) || !bt_is(p, BT_BS, m->version[block], block * BT_SPB))
		atomic_inc(&m->wrong);
	if (!bt_err(p)) {
		/* Neither looks nor sleeps for long. */
		void *q = bufio_get(m->c, block, &b);

		if (q && !IS_ERR(q)) {
			if (p != q || a != b)
				atomic_inc(&m->wrong);
			bufio_release(b);
		}
		if (!bt_is(p, BT_BS, m->version[block], block * BT_SPB))
			atomic_inc(&m->wrong);
		bufio_release(a);
	}
	up_read(&m->lock[block]);
}

static void mix_change(struct mix *m, sector_t block, bool fresh)
{
	struct bufio_buffer *b;
	void *p;

	down_write(&m->lock[block]);
	p = fresh ? bufio_new(m->c, block, &b) : bufio_read(m->c, block, &b);
	if (bt_err(p)) {
		atomic_inc(&m->wrong);
	} else {
		if (!fresh && !bt_is(p, BT_BS, m->version[block], block * BT_SPB))
			atomic_inc(&m->wrong);
		bt_fill(p, BT_BS, ++m->version[block], block * BT_SPB);
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	up_write(&m->lock[block]);
}

static int mix_fn(void *arg)
{
	struct mix *m = arg;
	struct rnd_state rnd;
	unsigned int ops = 0;

	prandom_seed_state(&rnd, atomic_inc_return(&m->threads));
	for (; !READ_ONCE(m->stop); ops++) {
		u32 r = prandom_u32_state(&rnd), what = r % 1000;
		sector_t block = (r >> 16) % MIX_BLOCKS;

		if (what < 30)
			mix_change(m, block, what < 15);
		else if (what < 60)
			bufio_forget(m->c, block);
		else if (what < 65)
			bufio_forget_buffers(m->c, 0, MIX_BLOCKS);
		else if (what < 68 && BT_OURS)	/* dm-bufio warns of what is held */
			bufio_client_reset(m->c);
		else if (what < 73)
			bufio_write_dirty(m->c);
		else if (what < 76)
			bufio_write_dirty_async(m->c);
		else if (what < 80)
			bufio_prefetch(m->c, 0, MIX_BLOCKS);
		else if (what < 84)
			bt_param_set("max_cache_size_bytes", what & 1 ? m->limit : 6 * BT_BS);
		else if (what < 100)
			bt_read_is(m->c, 100 + (r >> 16) % 50, BT_OLD);
		else
			mix_look(m, block);
	}
	return ops;
}

/* Everything at once, on blocks so few that they are hot all the time. */
static void hot_mix(struct bt *t)
{
	struct mix m = { .c = bt_client(t), .limit = bt_param_get("max_cache_size_bytes") };
	unsigned int i, ops = 0;
	struct bt_worker w[8];

	if (!m.c)
		return;
	for (i = 0; i < MIX_BLOCKS; i++) {
		init_rwsem(&m.lock[i]);
		m.version[i] = BT_OLD;
	}
	for (i = 0; i < ARRAY_SIZE(w); i++)
		bt_spawn(&w[i], mix_fn, &m);
	msleep(bt_arg(t, "ms", 1500));
	WRITE_ONCE(m.stop, true);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		ops += bt_join(&w[i]);
	bt_param_set("max_cache_size_bytes", m.limit);
	bt_fig(t, "ops", ops);
	bt_row(t, "wrong", atomic_read(&m.wrong), 0);
	bt_row(t, "flush", bufio_write_dirty(m.c), 0);
	for (i = 0; i < MIX_BLOCKS; i++) {
		bt_row(t, "on_disk", bt_disk_is(t, m.version[i], i * BT_SPB, BT_SPB), 1);
		bufio_forget(m.c, i);
		bt_row(t, "forgotten", bt_cached(m.c, i), 0);
	}
	bufio_client_destroy(m.c);	/* names what is held in the log */
}

const struct bt_case bt_hot[] = {
	{ "hot_forget", "what several used is forgotten when nobody holds it", hot_forget },
	{ "hot_dirty", "what several use is written as everything else", hot_dirty },
	{ "hot_write_error", "what could not be written leaves, whoever used it", hot_write_error },
	{ "hot_evict", "what several used is evicted when it is old", hot_evict },
	{ "hot_held", "what nobody holds does not count as held", hot_held, BT_INLINE },
	{ "hot_beside_forget", "a block is forgotten while several use it", hot_beside_forget },
	{ "hot_second_release", "a second release of what several used does no harm",
	  hot_second_release, BT_WARNS_OURS },
	{ "hot_mix", "what several use, change and forget is what it was written to be", hot_mix },
	{ }
};
