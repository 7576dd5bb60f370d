// SPDX-License-Identifier: GPL-2.0
/* The cases of the block caches. Compiled once for each cache. */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "api.h"
#include "bench.h"

#define HOT_ORDER	4096	/* a power of two: places of the order of access */

static struct bufio_client *client(struct bench *b)
{
	return bufio_client_create(b->bdev, bench_arg(b, "bs", 4096), 1, 0, NULL, NULL, 0);
}

/* Of bench_arg: few enough for the arrays here. */
static unsigned int rounds_of(struct bench *b, unsigned int dflt)
{
	return clamp_t(u64, bench_arg(b, "rounds", dflt), 1, BENCH_ROUNDS);
}

static int touch(struct bufio_client *c, sector_t block)
{
	struct bufio_buffer *buf;
	void *data = bufio_read(c, block, &buf);

	if (IS_ERR(data))
		return PTR_ERR(data);
	bufio_release(buf);
	return 0;
}

/* A cached block whose contents do not matter. No I/O. */
static int make(struct bufio_client *c, sector_t block, bool dirty)
{
	struct bufio_buffer *buf;
	void *data = bufio_new(c, block, &buf);

	if (IS_ERR(data))
		return PTR_ERR(data);
	if (dirty)
		bufio_mark_dirty(buf);
	bufio_release(buf);
	return 0;
}

static int make_all(struct bufio_client *c, sector_t first, unsigned long n)
{
	unsigned long i;
	int err = 0;

	for (i = 0; i < n && !err; i++) {
		err = make(c, first + i, false);
		if (i % 256 == 0)
			cond_resched();
	}
	return err;
}

static u32 next_random(u32 *state)
{
	/* xorshift32 (Marsaglia 2003). */
	u32 x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* The order of access to @blocks cached blocks, so that no random number is made meanwhile. */
static u32 *access_order(unsigned long blocks)
{
	u32 *order = kvmalloc_array(HOT_ORDER, sizeof(*order), GFP_KERNEL), state = 1;
	unsigned int i;

	for (i = 0; order && i < HOT_ORDER; i++)
		order[i] = next_random(&state) % blocks;
	return order;
}

/* --- hits -------------------------------------------------------------------- */

static int get_release(struct bufio_client *c, sector_t block)
{
	struct bufio_buffer *buf;

	if (IS_ERR_OR_NULL(bufio_get(c, block, &buf)))
		return -EIO;
	bufio_release(buf);
	return 0;
}

static int hit(struct bench *b)
{
	unsigned long blocks = bench_arg(b, "blocks", 1);
	unsigned int n = bench_arg(b, "n", 1000), rounds = rounds_of(b, 16), i, r;
	struct bufio_client *c;
	u64 ns[BENCH_ROUNDS];
	u32 *order;
	int err;

	order = access_order(blocks);
	if (!order)
		return -ENOMEM;
	c = client(b);
	err = make_all(c, 0, blocks);
	for (r = 0; !err && r < rounds; r++) {
		u64 start = ktime_get_ns();

		for (i = 0; i < n && !err; i++)
			err = get_release(c, order[i % HOT_ORDER]);
		ns[r] = ktime_get_ns() - start;
		cond_resched();
	}
	bufio_client_destroy(c);
	kvfree(order);
	if (!err)
		bench_rounds(b, ns, rounds, n);
	return err;
}

/* Reads over more blocks than the limit admits: hits and misses. */
static int thrash(struct bench *b)
{
	unsigned long blocks = bench_arg(b, "blocks", 4096);
	unsigned int n = bench_arg(b, "n", 2048), rounds = rounds_of(b, 8), i, r;
	struct bufio_client *c = client(b);
	u64 ns[BENCH_ROUNDS];
	u32 state = 1;
	int err = 0;

	for (r = 0; !err && r < rounds + 2; r++) {
		u64 start = ktime_get_ns();

		for (i = 0; i < n && !err; i++) {
			/* Half of the reads go to an eighth of the blocks. */
			u32 x = next_random(&state);
			sector_t block = (x >> 1) % (x & 1 ? blocks / 8 : blocks);

			err = touch(c, block);
			if (i % 64 == 0)
				cond_resched();
		}
		if (r >= 2)
			ns[r - 2] = ktime_get_ns() - start;
	}
	bufio_client_destroy(c);
	if (!err)
		bench_rounds(b, ns, rounds, n);
	return err;
}

/* Blocks of many clients of one device. */
static int clients(struct bench *b)
{
	unsigned int count = bench_arg(b, "clients", 100), n = bench_arg(b, "n", 1000);
	unsigned int rounds = rounds_of(b, 8), made = 0, i, r;
	struct bufio_client **c;
	u64 ns[BENCH_ROUNDS], miss[BENCH_ROUNDS], start;
	u32 *order;
	int err = 0;

	c = kvcalloc(count, sizeof(*c), GFP_KERNEL);
	order = access_order(count);
	if (!c || !order) {
		kvfree(c);
		kvfree(order);
		return -ENOMEM;
	}
	start = ktime_get_ns();
	for (; made < count; made++) {
		c[made] = client(b);
		if (IS_ERR(c[made])) {
			err = PTR_ERR(c[made]);
			break;
		}
	}
	bench_fig(b, "create_ps", div_u64((ktime_get_ns() - start) * 1000, count));
	for (i = 0; !err && i < made; i++)
		err = make_all(c[i], 0, 8);
	for (r = 0; !err && r < rounds; r++) {
		start = ktime_get_ns();
		for (i = 0; i < n && !err; i++)
			err = get_release(c[order[i % HOT_ORDER]], i % 8);
		ns[r] = ktime_get_ns() - start;
		start = ktime_get_ns();
		for (i = 0; i < 128 && !err; i++)
			err = touch(c[order[i]], 8 + r * 128 + i);
		miss[r] = ktime_get_ns() - start;
		cond_resched();
	}
	start = ktime_get_ns();
	while (made)
		bufio_client_destroy(c[--made]);
	bench_fig(b, "destroy_ps", div_u64((ktime_get_ns() - start) * 1000, count));
	kvfree(c);
	kvfree(order);
	if (!err) {
		u64 sum = 0;

		for (r = 0; r < rounds; r++)
			sum += miss[r];
		bench_fig(b, "miss_ps", div64_u64(sum * 1000, rounds * 128));
		bench_rounds(b, ns, rounds, n);
	}
	return err;
}

/* --- misses ------------------------------------------------------------------ */

/*
 * Each block is read once. With fill= blocks cached before, and a limit below
 * that (which the caller sets), each read has to evict.
 */
static int miss(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 256), rounds = rounds_of(b, 16), i, r;
	unsigned long fill = bench_arg(b, "fill", 0);
	struct bufio_client *c = client(b);
	u64 ns[BENCH_ROUNDS];
	sector_t block = fill;
	int err;

	err = make_all(c, 0, fill);
	/* The first round warms the slabs. */
	for (r = 0; !err && r <= rounds; r++) {
		u64 start = ktime_get_ns();

		for (i = 0; i < n && !err; i++) {
			err = touch(c, block++);
			if (i % 64 == 63)
				cond_resched();
		}
		if (r)
			ns[r - 1] = ktime_get_ns() - start;
		cond_resched();
	}
	bufio_client_destroy(c);
	if (!err)
		bench_rounds(b, ns, rounds, n);
	return err;
}

#ifdef BT_MEMSCOPE
#define TAKES_LOCK	"memscope_helper_spin_lock_bh"
#define GIVES_LOCK	"memscope_helper_spin_unlock_bh"
#else
#define TAKES_LOCK	"mutex_lock"
#define GIVES_LOCK	"mutex_unlock"
#endif

/* For how long the client's lock is held in a miss; with fill= as above. */
static int lock_held(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 512), i;
	unsigned long fill = bench_arg(b, "fill", 256);
	struct bufio_client *c = client(b);
	int err = make_all(c, 0, fill);

	if (!err)
		err = bench_lock_start(TAKES_LOCK, GIVES_LOCK);
	if (!err) {
		for (i = 0; i < n && !err; i++)
			err = touch(c, fill + i);
		bench_lock_stop(b, n);
	}
	bufio_client_destroy(c);
	return err;
}

static int prefetched(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 1024), rounds = rounds_of(b, 8), i, r;
	struct bufio_client *c;
	u64 ns[BENCH_ROUNDS], start;
	int err = 0;

	/* The first round warms the slabs. */
	for (r = 0; !err && r <= rounds; r++) {
		c = client(b);
		start = ktime_get_ns();
		bufio_prefetch(c, 0, n);
		for (i = 0; i < n && !err; i++)
			err = touch(c, i);
		if (r)
			ns[r - 1] = ktime_get_ns() - start;
		bufio_client_destroy(c);
	}
	if (!err)
		bench_rounds(b, ns, rounds, n);
	return err;
}

/* --- dirty blocks -------------------------------------------------------------- */

static int new_dirty(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 512), rounds = rounds_of(b, 8), i, r;
	struct bufio_client *c;
	u64 ns[BENCH_ROUNDS], start;
	int err = 0;

	for (r = 0; !err && r <= rounds; r++) {
		c = client(b);
		/* So many clean ones that no write-back begins. */
		err = make_all(c, 1 << 20, 2 * n);
		start = ktime_get_ns();
		for (i = 0; i < n && !err; i++)
			err = make(c, i, true);
		if (r)
			ns[r - 1] = ktime_get_ns() - start;
		bufio_client_destroy(c);
	}
	if (!err)
		bench_rounds(b, ns, rounds, n);
	return err;
}

static int redirty(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 1000), rounds = rounds_of(b, 16), i, r;
	struct bufio_client *c = client(b);
	struct bufio_buffer *buf;
	u64 ns[BENCH_ROUNDS];

	bufio_new(c, 0, &buf);
	bufio_mark_dirty(buf);
	for (r = 0; r < rounds; r++) {
		u64 start = ktime_get_ns();

		for (i = 0; i < n; i++)
			bufio_mark_dirty(buf);
		ns[r] = ktime_get_ns() - start;
	}
	bufio_release(buf);
	bufio_client_destroy(c);
	bench_rounds(b, ns, rounds, n);
	return 0;
}

/* write_dirty_buffers of n blocks, stride blocks apart. */
static int writeback(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 512), rounds = rounds_of(b, 8), i, r;
	unsigned int stride = bench_arg(b, "stride", 1);
	struct bufio_client *c = client(b);
	u64 ns[BENCH_ROUNDS];
	int err;

	err = make_all(c, 1 << 20, 2 * n);
	for (r = 0; !err && r <= rounds; r++) {
		u64 start;

		for (i = 0; i < n && !err; i++)
			err = make(c, (sector_t)i * stride, true);
		start = ktime_get_ns();
		if (!err)
			err = bufio_write_dirty(c);
		if (r)
			ns[r - 1] = ktime_get_ns() - start;
		cond_resched();
	}
	bufio_client_destroy(c);
	if (!err)
		bench_rounds(b, ns, rounds, n);
	return err;
}

/* --- memory ---------------------------------------------------------------------- */

/* What is free before and after n blocks were cached. */
static int memory(struct bench *b)
{
	unsigned int n = bench_arg(b, "n", 32768), bs = bench_arg(b, "bs", 4096);
	struct bufio_client *c = client(b);
	struct sysinfo before, after;
	s64 used;
	int err;

	/* The first blocks bring what a client has once. */
	err = make_all(c, 1 << 20, 64);
	/* What was freed before is free by then. */
	rcu_barrier();
	msleep(300);
	si_meminfo(&before);
	if (!err)
		err = make_all(c, 0, n);
	si_meminfo(&after);
	bufio_client_destroy(c);
	if (err)
		return err;
	used = (s64)(before.freeram - after.freeram) * PAGE_SIZE;
	bench_fig(b, "used_bytes", used);
	bench_fig(b, "each_mb", div_s64((used - (s64)n * bs) * 1000, n));
	return 0;
}

/* --- several threads -------------------------------------------------------------- */

struct load {
	int (*fn)(struct load *l);
	struct bufio_client *c;
	struct completion *go, done;
	struct task_struct *task;
	u32 *order;
	unsigned long blocks;
	u64 ops, start, end;
	atomic64_t word;
	unsigned int id, nr;
	u32 *took;
	unsigned int nr_took, most_took;
	int err;
	bool *stop;
} ____cacheline_aligned; /* the counts of one thread are not on the line of another's */

static int load_thread(void *arg)
{
	struct load *l = arg;

	wait_for_completion(l->go);
	l->start = ktime_get_ns();
	l->err = l->fn(l);
	l->end = ktime_get_ns();
	complete(&l->done);
	return 0;
}

static bool time_is_up(struct load *l)
{
	return READ_ONCE(*l->stop);
}

/* Inlined, so that nothing but the cache's function is called for a block. */
static __always_inline int hot_load(struct load *l, unsigned int batch,
				    int (*use)(struct bufio_client *c, sector_t block))
{
	unsigned int i = l->id * 97;
	int err = 0;

	while (!err && !time_is_up(l)) {
		unsigned int end = i + batch;

		for (; i < end && !err; i++)
			err = use(l->c, l->order[i % HOT_ORDER]);
		l->ops += batch;
		cond_resched();
	}
	return err;
}

static int hit_load(struct load *l)
{
	return hot_load(l, 256, get_release);
}

static int read_load(struct load *l)
{
	return hot_load(l, 64, touch);
}

/* About what a hit is, without a cache: nothing is shared but the time that is up. */
static int control_load(struct load *l)
{
	unsigned long x = l->id;
	unsigned int i, j;

	while (!time_is_up(l)) {
		for (i = 0; i < 256; i++) {
			atomic64_inc(&l->word);
			for (j = 0; j < 32; j++) {
				x = x * 5 + 1;
				OPTIMIZER_HIDE_VAR(x);
			}
			atomic64_dec(&l->word);
		}
		l->ops += 256;
		cond_resched();
	}
	return 0;
}

static int dirty_load(struct load *l)
{
	unsigned int i = l->id * 97;

	while (!time_is_up(l)) {
		struct bufio_buffer *buf;
		void *data = bufio_read(l->c, l->order[i++ % HOT_ORDER], &buf);

		if (IS_ERR(data))
			return PTR_ERR(data);
		bufio_mark_dirty(buf);
		bufio_release(buf);
		l->ops++;
		cond_resched();
	}
	return 0;
}

/* Counts an operation that began at start, and keeps how long it took. */
static void timed_op(struct load *l, u64 start)
{
	if (l->nr_took < l->most_took)
		l->took[l->nr_took++] = min_t(u64, ktime_get_ns() - start, U32_MAX);
	l->ops++;
}

/* Misses, each timed: a part of the device for each, once, as the second time might be a hit. */
static int miss_load(struct load *l)
{
	unsigned long part = l->blocks / l->nr, i;
	int err = 0;

	for (i = 0; i < part && !err && !time_is_up(l); i++) {
		u64 start = ktime_get_ns();

		err = touch(l->c, l->id * part + i);
		timed_op(l, start);
		cond_resched();
	}
	return err;
}

/* Somebody who needs the client's lock for a moment now and then. */
static int bystander_load(struct load *l)
{
	while (!time_is_up(l)) {
		u64 start = ktime_get_ns();

		bufio_forget(l->c, l->blocks + 1);
		timed_op(l, start);
		usleep_range(200, 250);
	}
	return 0;
}

/* Runs the loads for ms=; with cpus= each is bound to one of so many. */
static int run_loads(struct bench *b, struct load *l, unsigned int n)
{
	unsigned int cpus = min_t(u64, bench_arg(b, "cpus", 0), num_online_cpus()), i;
	DECLARE_COMPLETION_ONSTACK(go);
	bool stop = false;
	int err = 0;

	for (i = 0; i < n; i++) {
		l[i].id = i;
		l[i].nr = n;
		l[i].ops = 0;
		l[i].stop = &stop;
		l[i].go = &go;
		init_completion(&l[i].done);
		l[i].task = kthread_create(load_thread, &l[i], "bench/%u", i);
		if (IS_ERR(l[i].task)) {
			err = PTR_ERR(l[i].task);
			stop = true;
			break;
		}
		if (cpus)
			kthread_bind(l[i].task, i % cpus);
		wake_up_process(l[i].task);
	}
	n = i;
	complete_all(&go);
	if (!err)
		msleep(bench_arg(b, "ms", 200));
	WRITE_ONCE(stop, true);
	for (i = 0; i < n; i++) {
		wait_for_completion(&l[i].done);
		err = err ?: l[i].err;
	}
	return err;
}

/* Operations in 1,000 seconds, from when the first thread began until the last ended. */
static u64 rate(struct load *l, unsigned int n)
{
	u64 start = l->start, end = l->end, ops = 0;

	for (; n; n--, l++) {
		start = min(start, l->start);
		end = max(end, l->end);
		ops += l->ops;
	}
	return mul_u64_u64_div_u64(ops, 1000ULL * NSEC_PER_SEC, end - start ?: 1);
}

/*
 * readers= threads read hot blocks, dirtiers= threads make them dirty: all of one
 * client, or with own=1 each of a client of its own, so that they share no block.
 * With control=1 they do not use it. Of rounds= runs the best, which was disturbed least.
 */
static int throughput(struct bench *b)
{
	unsigned int readers = bench_arg(b, "readers", 1), dirtiers = bench_arg(b, "dirtiers", 0);
	unsigned int rounds = bench_arg(b, "rounds", 1), r;
	unsigned long blocks = bench_arg(b, "blocks", 1);
	bool own = bench_arg(b, "own", 0);
	u64 reads = 0, dirties = 0;
	struct load *l;
	unsigned int i;
	u32 *order;
	int err = 0;

	l = kvcalloc(readers + dirtiers, sizeof(*l), GFP_KERNEL);
	order = access_order(blocks);
	if (!l || !order) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < readers + dirtiers; i++) {
		l[i].fn = bench_arg(b, "control", 0) ? control_load :
			  i >= readers ? dirty_load : dirtiers ? read_load : hit_load;
		l[i].c = i && !own ? l[0].c : client(b);
		l[i].order = order;
		l[i].blocks = blocks;
		if (!err && (!i || own))
			err = make_all(l[i].c, 0, blocks);
	}
	for (r = 0; !err && r < rounds; r++) {
		err = run_loads(b, l, readers + dirtiers);
		reads = max(reads, rate(l, readers));
		if (dirtiers)
			dirties = max(dirties, rate(l + readers, dirtiers));
	}
	for (i = 0; i < (own ? readers + dirtiers : 1); i++)
		bufio_client_destroy(l[i].c);
	if (!err) {
		bench_fig(b, "reads_per_ks", reads);
		if (dirtiers)
			bench_fig(b, "dirties_per_ks", dirties);
	}
out:
	kvfree(order);
	kvfree(l);
	return err;
}

/* Misses while memory is short, and how long others wait for the client's lock. */
static int pressure(struct bench *b)
{
	unsigned int n = bench_arg(b, "threads", 2), i, total = 0;
	struct bufio_client *c = client(b);
	struct load *l;
	u32 *all;
	int err = -ENOMEM;

	l = kvcalloc(n + 1, sizeof(*l), GFP_KERNEL);
	all = vmalloc(array3_size(n + 1, 1 << 17, sizeof(*all)));
	if (!l || !all)
		goto out;
	for (i = 0; i <= n; i++) {
		l[i].fn = i < n ? miss_load : bystander_load;
		l[i].c = c;
		l[i].blocks = bench_arg(b, "blocks", 100000);
		l[i].took = all + i * (1 << 17);
		l[i].most_took = 1 << 17;
	}
	err = bench_hog_start(bench_arg(b, "leave", 2048));
	if (err)
		goto out;
	err = run_loads(b, l, n + 1);
	bench_fig(b, "eaten_pages", bench_hog_pages());
	bench_hog_stop();
	if (!err) {
		bench_fig(b, "reads_per_ks", rate(l, n));
		bench_quantiles(b, "wait", l[n].took, l[n].nr_took);
		for (i = 0; i < n; i++) {
			memmove(all + total, l[i].took, l[i].nr_took * sizeof(*all));
			total += l[i].nr_took;
		}
		bench_quantiles(b, "read", all, total);
		bench_fig(b, "reads", total);
	}
out:
	bufio_client_destroy(c);
	vfree(all);
	kvfree(l);
	return err;
}

#ifdef BT_MEMSCOPE
const struct bench_case bench_memscope[] = {
#else
const struct bench_case bench_dm[] = {
#endif
	{ "hit", hit },
	{ "thrash", thrash },
	{ "clients", clients },
	{ "miss", miss },
	{ "lock_held", lock_held },
	{ "prefetch", prefetched },
	{ "new_dirty", new_dirty },
	{ "redirty", redirty },
	{ "writeback", writeback },
	{ "memory", memory },
	{ "throughput", throughput },
	{ "pressure", pressure },
	{ }
};
