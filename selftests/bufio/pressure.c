// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure: counts entries into direct reclaim (the tracepoints of
 * vmscan) by tasks that hold a lock of the cache at that moment.
 *
 * How a held lock is seen from outside: the mutexes that the cache takes are
 * learnt beforehand by a kprobe on mutex_lock while one thread calls each
 * function; the probe on the tracepoint compares their owners with current. A
 * spin lock shows in preempt_count; on PREEMPT_RT, where it sleeps, in that it
 * keeps softirqs off and is an RCU read-side section.
 */

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stacktrace.h>
#include <linux/tracepoint.h>

#include "bufio_test.h"
#include "hog.h"

#define CLIENTS		3
#define THREADS		4
#define LOCKS		32
#define DEPTH		40

static struct {
	struct task_struct *learning;
	struct mutex *lock[LOCKS];
	unsigned int nr_locks;
	struct tracepoint *tp[2];
	bool on[2];
	atomic_t entered, from_cache, with_mutex, atomic, control;
	atomic_t shown;
	struct bt *t;
} pr;

/* --- learning the locks ---------------------------------------------------- */

static bool of_cache(unsigned long addr)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, addr);
	return strstr(name, "[" BT_MODULE "]");
}

static bool stack_has_cache(unsigned int depth)
{
	unsigned long stack[DEPTH];
	unsigned int i, n;

	n = stack_trace_save(stack, min_t(unsigned int, depth, DEPTH), 0);
	for (i = 0; i < n; i++)
		if (of_cache(stack[i]))
			return true;
	return false;
}

static int learn(struct kprobe *p, struct pt_regs *regs)
{
	struct mutex *m = (struct mutex *)regs_get_kernel_argument(regs, 0);
	unsigned int i;

	/* The caller is the cache, or a helper that the cache calls. */
	if (current != pr.learning || !stack_has_cache(14))
		return 0;
	for (i = 0; i < pr.nr_locks; i++)
		if (pr.lock[i] == m)
			return 0;
	if (pr.nr_locks < LOCKS)
		pr.lock[pr.nr_locks++] = m;
	return 0;
}

static struct kprobe learn_probe = {
	/* With lockdep the other one is a macro. */
	.symbol_name = IS_ENABLED(CONFIG_DEBUG_LOCK_ALLOC) ? "mutex_lock_nested" : "mutex_lock",
	.pre_handler = learn,
};

static int learn_locks(struct bufio_client **c, unsigned int n)
{
	unsigned int i, k;
	int r;

	pr.learning = current;
	r = register_kprobe(&learn_probe);
	if (r)
		return r;
	for (i = 0; i < n; i++) {
		for (k = 0; k < 4; k++)
			bt_write(c[i], k, BT_NEW);
		bufio_write_dirty_async(c[i]);
		bufio_write_dirty(c[i]);
		bufio_prefetch(c[i], 10, 4);
		bufio_forget(c[i], 10);
		bufio_client_reset(c[i]);
	}
	unregister_kprobe(&learn_probe);
	memset(&learn_probe.addr, 0, sizeof(learn_probe.addr));
	learn_probe.flags = 0;
	pr.learning = NULL;
	return 0;
}

/* --- counting --------------------------------------------------------------- */

static struct task_struct *mutex_owner(struct mutex *m)
{
#ifdef CONFIG_PREEMPT_RT
	/* The low bit is a flag (kernel/locking/rtmutex_common.h, rt_mutex_owner). */
	return (struct task_struct *)((unsigned long)READ_ONCE(m->rtmutex.owner) & ~1UL);
#else
	/* The low bits are flags (kernel/locking/mutex.c, __owner_task). */
	return (struct task_struct *)(atomic_long_read(&m->owner) & ~7L);
#endif
}

static bool in_spin_lock(void)
{
	return preempt_count() || softirq_count() || rcu_preempt_depth() || irqs_disabled();
}

static void reclaim_begins(void *data, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	bool mutex = false, atomic = in_spin_lock();
	unsigned long stack[DEPTH];
	unsigned int i, n;

	atomic_inc(&pr.entered);
	for (i = 0; i < pr.nr_locks; i++)
		if (mutex_owner(pr.lock[i]) == current)
			mutex = true;
	if (stack_has_cache(DEPTH))
		atomic_inc(&pr.from_cache);
	if (mutex)
		atomic_inc(&pr.with_mutex);
	if (atomic)
		atomic_inc(&pr.atomic);
	if (!mutex && !atomic)
		return;
	if (atomic_inc_return(&pr.shown) > 1)
		return;
	n = stack_trace_save(stack, 24, 1);
	for (i = 0; i < n; i++)
		bt_print(pr.t, "stack %pS\n", (void *)stack[i]);
	bt_print(pr.t, "stack -- %s\n", current->comm);
}

static void find_tp(struct tracepoint *tp, void *priv)
{
	if (!strcmp(tp->name, "mm_vmscan_direct_reclaim_begin"))
		pr.tp[0] = tp;
	else if (!strcmp(tp->name, "mm_vmscan_memcg_reclaim_begin"))
		pr.tp[1] = tp;
}

/* --- load -------------------------------------------------------------------- */

struct load {
	struct bufio_client **c;
	unsigned int id;
	u64 blocks, end_ns, last_ns, done, failed;
};

static int load_fn(void *arg)
{
	struct load *l = arg;
	struct rnd_state rnd;
	u64 now;

	prandom_seed_state(&rnd, l->id + 7);
	/* Longer if there was no pressure yet: another task makes it. */
	for (now = ktime_get_ns(); now < l->end_ns || (!atomic_read(&pr.entered) && now < l->last_ns);
	     now = ktime_get_ns()) {
		struct bufio_client *c = l->c[prandom_u32_state(&rnd) % CLIENTS];
		u32 block = prandom_u32_state(&rnd) % l->blocks, what = prandom_u32_state(&rnd);
		struct bufio_buffer *b;

		l->done++;
		switch (what % 16) {
		case 0:
			bufio_prefetch(c, block, 8);
			continue;
		case 1:
			if (what % 4096 < 128)
				l->failed += bufio_write_dirty(c) != 0;
			continue;
		case 2 ... 9:
			l->failed += bt_write(c, block, BT_NEW) != 0;
			continue;
		}
		if (bt_err(bufio_read(c, block, &b)))
			l->failed++;
		else
			bufio_release(b);
	}
	return 0;
}

/* What eats memory. */
static struct {
	struct completion bottom;
	bool stop;
} eater;

static int eater_fn(void *arg)
{
	while (!READ_ONCE(eater.stop)) {
		struct page *page;

		page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | __GFP_NOMEMALLOC);
		if (!page) {
			/* At the bottom: stay there, but let others live. */
			complete(&eater.bottom);
			hog_free(32);
			usleep_range(1000, 2000);
			continue;
		}
		hog_add(page);
		if (atomic_read(&pr.entered))
			complete(&eater.bottom);
		cond_resched();
	}
	return 0;
}

/* dm-bufio calls this with its lock held: reclaim here must be seen. */
static void control_alloc(struct bufio_buffer *b)
{
	struct page *page;
	unsigned int before = atomic_read(&pr.with_mutex);

	page = alloc_pages(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN, 8);
	if (page)
		__free_pages(page, 8);
	atomic_add(atomic_read(&pr.with_mutex) - before, &pr.control);
}

static void pressure(struct bt *t, bool own_task)
{
	struct bufio_client *c[CLIENTS] = { }, *control = NULL;
	u64 seconds = bt_arg(t, "seconds", 10), done = 0, failed = 0;
	struct load l[THREADS];
	struct bt_worker w[THREADS], eats;
	unsigned int i, known;

	memset(&pr, 0, sizeof(pr));
	pr.t = t;
	for (i = 0; i < CLIENTS; i++) {
		c[i] = bufio_client_create(t->dev[i % t->nr_devs], BT_BS, 1, 0, NULL, NULL, 0);
		if (bt_err(c[i])) {
			bt_fail(t, "create: %ld", bt_err(c[i]));
			c[i] = NULL;
			goto out;
		}
		bufio_set_sector_offset(c[i], (i / t->nr_devs) * 65536);
	}
	if (!BT_OURS)
		control = bufio_client_create(t->dev[0], BT_BS, 1, 0, control_alloc, NULL, 0);
	if (!bt_row(t, "probe", learn_locks(c, CLIENTS), 0))
		goto out;
	if (control && !IS_ERR(control))
		learn_locks(&control, 1);
	known = pr.nr_locks;
	bt_fig(t, "mutexes_learnt", known);
	bt_row_theirs(t, "a_mutex_a_client", known >= CLIENTS + 1, 1);

	/* That a spin lock would be seen, of either kind: one of our own. */
	atomic_set(&pr.shown, 1000);
	reclaim_begins(NULL, 0, 0, NULL);
	bt_row(t, "probe_sees_no_lock", atomic_read(&pr.atomic), 0);
	spin_lock_bh(&t->lock);
	reclaim_begins(NULL, 0, 0, NULL);
	spin_unlock_bh(&t->lock);
	spin_lock(&t->lock);
	reclaim_begins(NULL, 0, 0, NULL);
	spin_unlock(&t->lock);
	bt_row(t, "probe_sees_spin_lock", atomic_read(&pr.atomic), 2);
	atomic_set(&pr.atomic, 0);
	atomic_set(&pr.entered, 0);
	atomic_set(&pr.from_cache, 0);
	atomic_set(&pr.shown, 0);

	for_each_kernel_tracepoint(find_tp, NULL);
	for (i = 0; i < 2; i++)
		pr.on[i] = pr.tp[i] && !tracepoint_probe_register(pr.tp[i], reclaim_begins, NULL);
	bt_row(t, "tracepoints", pr.on[0] + pr.on[1], 2);

	hog_init();
	eater.stop = false;
	init_completion(&eater.bottom);
	if (!own_task) {
		bt_spawn(&eats, eater_fn, NULL);
		bt_row(t, "memory_is_full",
		       wait_for_completion_timeout(&eater.bottom, 60 * HZ) > 0, 1);
	}
	for (i = 0; i < THREADS; i++) {
		l[i] = (struct load) {
			.c = c, .id = i, .blocks = bt_arg(t, "blocks", 8000),
			.end_ns = ktime_get_ns() + seconds * NSEC_PER_SEC,
			.last_ns = ktime_get_ns() + (seconds + 60) * NSEC_PER_SEC,
		};
		if (own_task && !i)
			continue;
		bt_spawn(&w[i], load_fn, &l[i]);
	}
	if (own_task)
		load_fn(&l[0]);
	for (i = own_task; i < THREADS; i++)
		bt_join(&w[i]);
	for (i = 0; i < THREADS; i++) {
		done += l[i].done;
		failed += l[i].failed;
	}
	bt_fig(t, "operations", done);
	bt_fig(t, "reclaim_entered", atomic_read(&pr.entered));
	bt_fig(t, "reclaim_from_cache", atomic_read(&pr.from_cache));
	bt_fig(t, "most_eaten_pages", hog.most);
	bt_row(t, "errors", failed, 0);
	bt_row_ours(t, "reclaim_with_mutex", atomic_read(&pr.with_mutex), 0);
	bt_row_ours(t, "reclaim_in_atomic", atomic_read(&pr.atomic), 0);
	/* Nothing is shown by a run without reclaim. */
	bt_row(t, "pressure_was_on", atomic_read(&pr.entered) > 0, 1);
	if (control && !IS_ERR(control) && !own_task) {
		for (i = 0; i < 200 && !atomic_read(&pr.control); i++)
			bt_read_is(control, i, BT_OLD);
		bt_row_theirs(t, "probe_sees_mutex", atomic_read(&pr.control) > 0, 1);
	}
	WRITE_ONCE(eater.stop, true);
	if (!own_task)
		bt_join(&eats);
	hog_exit();
	for (i = 0; i < 2; i++)
		if (pr.on[i])
			tracepoint_probe_unregister(pr.tp[i], reclaim_begins, NULL);
	tracepoint_synchronize_unregister();
out:
	for (i = 0; i < CLIENTS; i++)
		if (c[i])
			bufio_client_destroy(c[i]);
	if (control && !IS_ERR(control))
		bufio_client_destroy(control);
}

/*
 * Pages from the kernel's emergency reserves serve the request and go back at
 * release. This needs blocks of vmalloc memory (12 KiB): only there does an
 * allocation of the cache come near the reserves.
 */
static void emergency_pages(struct bt *t)
{
	unsigned int round, k, low, flags;
	struct bufio_client *c;
	struct page *page;

	if (!BT_OURS) {
		bt_fig(t, "no_such_counter", 1);
		return;
	}
	c = bt_client_bs(t, 12288);
	if (!c)
		return;
	bt_stat_client(t);
	hog_init();
	bt_row_ours(t, "before", bt_stat(t, "emergency_pages_seen"), 0);
	for (round = 0; round < 50; round++) {
		/* Down to where the allocator marks what it gives. */
		flags = memalloc_noreclaim_save();
		for (low = 0; low < 256; ) {
			page = alloc_page(GFP_KERNEL | __GFP_NOWARN);
			if (!page)
				break;
			low += page_is_pfmemalloc(page);
			hog_add(page);
		}
		memalloc_noreclaim_restore(flags);
		for (k = 0; k < 4; k++) {
			struct bufio_buffer *b;

			if (bt_err(bufio_read(c, round * 4 + k, &b))) {
				bt_fail(t, "read");
				continue;
			}
			/* A few stay until they are written. */
			if (!(round % 10) && !k)
				bufio_mark_dirty(b);
			bufio_release(b);
		}
		/* What is read ahead is not released by anybody. */
		if (!(round % 10))
			bufio_prefetch(c, 1000 + round, 1);
	}
	hog_exit();
	bt_row_ours(t, "write", bufio_write_dirty(c), 0);
	/* The client's work throws out what was not released. */
	for (k = 0; k < BT_SOON_MS / 100 && bt_stat(t, "emergency_pages"); k++)
		msleep(100);
	bt_fig(t, "pages_seen", bt_stat(t, "emergency_pages_seen"));
	bt_row_ours(t, "seen", bt_stat(t, "emergency_pages_seen") > 0, 1);
	bt_row_ours(t, "left_in_cache", bt_stat(t, "emergency_pages"), 0);
	bufio_client_destroy(c);
}

static void pressure_global(struct bt *t)
{
	pressure(t, false);
}

static void pressure_memcg(struct bt *t)
{
	pressure(t, true);
}

const struct bt_case bt_pressure[] = {
	{ "pressure_global", "no direct reclaim with a lock held", pressure_global,
	  BT_RAW | BT_PARAMS },
	{ "emergency_pages", "pages of the reserves go back at release, or when written", emergency_pages,
	  BT_RAW | BT_PARAMS | BT_INLINE },
	{ "pressure_memcg", "the same from a task of a full cgroup", pressure_memcg,
	  BT_RAW | BT_PARAMS | BT_INLINE },
	{ }
};
