// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations from several threads on several clients with different
 * block sizes, contents compared with a shadow copy in memory.
 *
 * A block's contents in the shadow are a version number for each sector. The
 * block's lock (hashed) is held while a thread works on it: the cache does not
 * serialise holders of a block.
 */

#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

#include "bufio_test.h"

#define LOCKS		256
#define MAX_THREADS	16

struct shadow {
	struct bufio_client *c;
	struct block_device *bdev;
	unsigned int bs, spb;
	sector_t blocks, offset;
	bool read_only, in_softirq;
	u32 *version;			/* of each sector */
	struct mutex lock[LOCKS];
};

struct stress {
	struct bt *t;
	struct shadow *sh;
	unsigned int nr;
	u64 ops, end_ns;
	atomic64_t done, wrong, failed;
	atomic64_t kind[8];
	atomic64_t hits;
	struct timer_list timer;
	struct rnd_state soft_rnd;
	u64 soft_gets, soft_hits;
};

struct stressor {
	struct stress *s;
	unsigned int id;
};

/* Each sector of a block against the shadow. */
static bool block_is(struct shadow *sh, sector_t block, void *p, unsigned int *bad)
{
	sector_t first = block * sh->spb;
	unsigned int i;

	for (i = 0; i < sh->spb; i++) {
		*bad = i;
		if (!bt_is(p + i * SECTOR_SIZE, SECTOR_SIZE, sh->version[first + i], first + i))
			return false;
	}
	return true;
}

static void change(struct shadow *sh, sector_t block, void *p, unsigned int from,
		   unsigned int to)
{
	sector_t first = block * sh->spb;
	unsigned int i;

	for (i = from; i < to; i++) {
		sh->version[first + i]++;
		bt_fill(p + i * SECTOR_SIZE, SECTOR_SIZE, sh->version[first + i], first + i);
	}
}

static void check(struct stress *s, struct shadow *sh, sector_t block, void *p, const char *how)
{
	unsigned int bad;

	if (block_is(sh, block, p, &bad))
		return;
	if (atomic64_inc_return(&s->wrong) <= 5)
		bt_fail(s->t, "%s: client with bs %u, block %llu, sector %u is not version %u",
			how, sh->bs, block, bad, sh->version[block * sh->spb + bad]);
}

static void stress_op(struct stress *s, struct rnd_state *rnd)
{
	struct shadow *sh = &s->sh[prandom_u32_state(rnd) % s->nr];
	u32 r = prandom_u32_state(rnd), what = r % 1000, from, to;
	sector_t block = prandom_u32_state(rnd) % sh->blocks;
	struct bufio_buffer *b;
	struct mutex *lock;
	void *p;

	if (sh->read_only && (what < 8 || what >= 700))
		what = 80 + r % 620;
	/* Half of the work is on an eighth of the blocks. */
	if (r & 0x10000)
		block %= max_t(sector_t, sh->blocks / 8, 1);
	if (what < 2) {
		atomic64_inc(&s->kind[0]);
		if (bufio_write_dirty(sh->c))
			atomic64_inc(&s->failed);
		return;
	}
	if (what < 8) {
		atomic64_inc(&s->kind[1]);
		bufio_write_dirty_async(sh->c);
		return;
	}
	if (what < 40) {
		atomic64_inc(&s->kind[2]);
		bufio_prefetch(sh->c, block, 1 + r % 8);
		return;
	}
	if (what < 80) {
		atomic64_inc(&s->kind[3]);
		bufio_forget(sh->c, block);
		return;
	}
	lock = &sh->lock[block % LOCKS];
	mutex_lock(lock);
	if (what < 350) {
		atomic64_inc(&s->kind[4]);
		p = bufio_get(sh->c, block, &b);
		if (!bt_err(p)) {
			atomic64_inc(&s->hits);
			check(s, sh, block, p, "get");
			bufio_release(b);
		}
	} else if (what < 700) {
		atomic64_inc(&s->kind[5]);
		p = bufio_read(sh->c, block, &b);
		if (!bt_err(p)) {
			check(s, sh, block, p, "read");
			bufio_release(b);
		} else {
			atomic64_inc(&s->failed);
		}
	} else if (what < 900) {
		atomic64_inc(&s->kind[6]);
		from = prandom_u32_state(rnd) % sh->spb;
		to = from + 1 + prandom_u32_state(rnd) % (sh->spb - from);
		p = bufio_read(sh->c, block, &b);
		if (!bt_err(p)) {
			check(s, sh, block, p, "read to change");
			change(sh, block, p, from, to);
			bufio_mark_partial_dirty(b, from * SECTOR_SIZE, to * SECTOR_SIZE);
			bufio_release(b);
		} else {
			atomic64_inc(&s->failed);
		}
	} else {
		atomic64_inc(&s->kind[7]);
		p = bufio_new(sh->c, block, &b);
		if (!bt_err(p)) {
			change(sh, block, p, 0, sh->spb);
			bufio_mark_dirty(b);
			bufio_release(b);
		} else {
			atomic64_inc(&s->failed);
		}
	}
	mutex_unlock(lock);
}

/*
 * In softirq: lookups in the NO_SLEEP clients. What they find is looked at where
 * nobody changes it.
 */
static void stress_soft(struct timer_list *timer)
{
	struct stress *s = container_of(timer, struct stress, timer);
	struct bufio_buffer *b;
	unsigned int i, k;
	void *p;

	for (i = 0; i < s->nr; i++) {
		struct shadow *sh = &s->sh[i];

		for (k = 0; k < 16 && sh->in_softirq; k++) {
			u32 block = prandom_u32_state(&s->soft_rnd) % sh->blocks;

			s->soft_gets++;
			p = bufio_get(sh->c, block / (k & 1 ? 8 : 1), &b);
			if (bt_err(p))
				continue;
			s->soft_hits++;
			if (sh->read_only)
				check(s, sh, bufio_get_block_number(b), p, "get in softirq");
			bufio_release(b);
		}
	}
	mod_timer(timer, jiffies + 1);
}

static int stress_fn(void *arg)
{
	struct stressor *me = arg;
	struct stress *s = me->s;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, bt_arg(s->t, "seed", 1) * 1000003 + me->id);
	while (atomic64_inc_return(&s->done) <= s->ops) {
		stress_op(s, &rnd);
		if (atomic64_read(&s->wrong) > 100 || ktime_get_ns() > s->end_ns)
			break;
		cond_resched();
	}
	return 0;
}

/* The device itself against the shadow, past any cache. */
static u64 disk_wrong(struct bt *t, struct shadow *sh)
{
	sector_t s, n = sh->blocks * sh->spb;
	u64 wrong = 0;
	unsigned int i, k;

	for (s = 0; s < n; s += k) {
		k = min_t(sector_t, n - s, BT_BUF >> SECTOR_SHIFT);
		if (bdev_rw_virt(sh->bdev, sh->offset + s, t->buf, k << SECTOR_SHIFT,
				 REQ_OP_READ)) {
			wrong += k;
			continue;
		}
		for (i = 0; i < k; i++)
			wrong += !bt_is(t->buf + i * SECTOR_SIZE, SECTOR_SIZE,
					sh->version[s + i], s + i);
	}
	return wrong;
}

static int disk_start(struct bt *t, struct shadow *sh)
{
	sector_t s, n = sh->blocks * sh->spb;
	unsigned int k;
	int r = 0;

	for (s = 0; s < n && !r; s += k) {
		k = min_t(sector_t, n - s, BT_BUF >> SECTOR_SHIFT);
		bt_fill(t->buf, k << SECTOR_SHIFT, 1, s);
		r = bdev_rw_virt(sh->bdev, sh->offset + s, t->buf, k << SECTOR_SHIFT,
				 REQ_OP_WRITE);
	}
	for (s = 0; s < n; s++)
		sh->version[s] = 1;
	return r;
}

/*
 * Clients on the devices given with dev=, by turns; bytes= of each, ops= in
 * all from threads= threads, limit= the cache's limit.
 */
static void stress(struct bt *t)
{
	/* dm-bufio waits for writes with a NO_SLEEP client's spin lock held: none there. */
	static const struct { unsigned int bs, flags; sector_t offset; bool read_only; } v[] = {
		{ 4096, 0, 0 }, { 512, 0, 0 }, { 16384, 0, 8 }, { 1536, 0, 0 },
		{ 4096, BUFIO_NO_SLEEP, 0, true }, { 4096, BT_OURS ? BUFIO_NO_SLEEP : 0, 2 },
		{ 65536, 0, 0 }, { 12288, 0, 3 }, { 4096, 0, 1 },
	};
	static const char *const kinds[] = {
		"write_dirty", "write_async", "prefetch", "forget", "get", "read", "change", "new",
	};
	unsigned int i, j, nr = bt_arg(t, "clients", 5);
	unsigned int threads = bt_arg(t, "threads", 4);
	s64 old = bt_param_get("max_cache_size_bytes");
	u64 bytes = bt_arg(t, "bytes", 4 << 20), wrong = 0, from;
	struct stressor *me;
	struct bt_worker *w;
	struct stress s = { .t = t };
	char name[32];

	nr = min_t(unsigned int, nr, ARRAY_SIZE(v));
	threads = min_t(unsigned int, threads, MAX_THREADS);
	s.sh = kvzalloc_objs(*s.sh, nr);
	me = kvzalloc_objs(*me, threads);
	w = kvzalloc_objs(*w, threads);
	if (!s.sh || !me || !w) {
		bt_fail(t, "no memory");
		goto out_free;
	}
	if (!bt_row(t, "limit", bt_param_set("max_cache_size_bytes",
					      bt_arg(t, "limit", 4 << 20)), 0))
		goto out_free;
	for (i = 0; i < nr; i++) {
		struct shadow *sh = &s.sh[i];

		sh->bdev = t->dev[i % t->nr_devs];
		sh->bs = v[i].bs;
		sh->spb = sh->bs >> SECTOR_SHIFT;
		sh->read_only = v[i].read_only;
		sh->in_softirq = v[i].flags & BUFIO_NO_SLEEP;
		/* Clients of one device are side by side on it. */
		sh->offset = v[i].offset + (i / t->nr_devs) * ((bytes >> SECTOR_SHIFT) + 256);
		sh->blocks = div_u64(bytes, sh->bs);
		if (sh->offset + sh->blocks * sh->spb > bdev_nr_sectors(sh->bdev)) {
			bt_fail(t, "device %u is too small", i % t->nr_devs);
			goto out;
		}
		for (j = 0; j < LOCKS; j++)
			mutex_init(&sh->lock[j]);
		sh->version = vcalloc(sh->blocks * sh->spb, sizeof(u32));
		if (!sh->version || disk_start(t, sh)) {
			bt_fail(t, "cannot set up client %u", i);
			goto out;
		}
		sh->c = bufio_client_create(sh->bdev, sh->bs, 1, 0, NULL, NULL, v[i].flags);
		if (bt_err(sh->c)) {
			bt_fail(t, "create: %ld", bt_err(sh->c));
			sh->c = NULL;
			goto out;
		}
		bufio_set_sector_offset(sh->c, sh->offset);
	}
	s.nr = nr;
	s.ops = bt_arg(t, "ops", 100000);
	from = ktime_get_ns();
	s.end_ns = from + bt_arg(t, "seconds", 300) * NSEC_PER_SEC;
	prandom_seed_state(&s.soft_rnd, 99);
	timer_setup_on_stack(&s.timer, stress_soft, 0);
	mod_timer(&s.timer, jiffies + 1);
	for (i = 0; i < threads; i++) {
		me[i] = (struct stressor) { .s = &s, .id = i };
		bt_spawn(&w[i], stress_fn, &me[i]);
	}
	for (i = 0; i < threads; i++)
		bt_join(&w[i]);
	timer_shutdown_sync(&s.timer);
	timer_destroy_on_stack(&s.timer);
	bt_fig(t, "softirq_gets", s.soft_gets);
	bt_fig(t, "softirq_hits", s.soft_hits);
	bt_fig(t, "ms", div_u64(ktime_get_ns() - from, NSEC_PER_MSEC));
	for (i = 0; i < ARRAY_SIZE(kinds) && s.ops >= 100000; i++) {
		snprintf(name, sizeof(name), "ops_%s", kinds[i]);
		bt_fig(t, name, atomic64_read(&s.kind[i]));
	}
	bt_fig(t, "ops_get_hits", atomic64_read(&s.hits));
	bt_row(t, "all_done", atomic64_read(&s.done) >= s.ops, 1);
	bt_row(t, "wrong_contents", atomic64_read(&s.wrong), 0);
	bt_row(t, "errors", atomic64_read(&s.failed), 0);
	for (i = 0; i < nr; i++)
		wrong += bufio_write_dirty(s.sh[i].c) != 0;
	bt_row(t, "last_flush_errors", wrong, 0);
	for (i = 0, wrong = 0; i < nr; i++)
		wrong += disk_wrong(t, &s.sh[i]);
	bt_row(t, "wrong_sectors_on_disk", wrong, 0);
out:
	for (i = 0; i < nr; i++) {
		if (s.sh[i].c)
			bufio_client_destroy(s.sh[i].c);
		vfree(s.sh[i].version);
	}
	bt_param_set("max_cache_size_bytes", old);
out_free:
	kvfree(w);
	kvfree(me);
	kvfree(s.sh);
}

const struct bt_case bt_stress[] = {
	{ "stress", "random operations against a shadow copy", stress, BT_RAW | BT_PARAMS },
	{ }
};
