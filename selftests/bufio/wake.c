// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that wait for a buffer.
 */

#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/math64.h>

#include "bufio_test.h"

struct greedy {
	struct bufio_client *c;
	unsigned int id, rounds;
	u64 worst_ns, failed;
};

static int greedy_fn(void *arg)
{
	struct greedy *g = arg;
	unsigned int i;

	for (i = 0; i < g->rounds; i++) {
		u64 from = ktime_get_ns(), ns;

		if (bt_read_is(g->c, (g->id * 131 + i * 17) % 800, BT_OLD) != 1)
			g->failed++;
		ns = ktime_get_ns() - from;
		g->worst_ns = max(g->worst_ns, ns);
	}
	return 0;
}

/* Eight threads and two buffers. */
static void w7_wake(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct greedy g[8];
	struct bt_worker w[8];
	struct bufio_client *c;
	u64 worst = 0, failed = 0;
	unsigned int i;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bufio_client_create(t->bdev, BT_BS, 2, 0, NULL, NULL, 0);
	if (bt_row(t, "create", bt_err(c), 0)) {
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			g[i] = (struct greedy) {
				.c = c, .id = i, .rounds = bt_arg(t, "rounds", 1000),
			};
			bt_spawn(&w[i], greedy_fn, &g[i]);
		}
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			bt_join(&w[i]);
			worst = max(worst, g[i].worst_ns);
			failed += g[i].failed;
		}
		bt_row(t, "failed", failed, 0);
		bt_fig(t, "longest_wait_ms", div_u64(worst, NSEC_PER_MSEC));
		bufio_client_destroy(c);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/*
 * A buffer that is released after a thread has looked for one in vain, and
 * before it sleeps. That moment is made to happen: the thread is stopped by a
 * probe at the function with which it queues itself, until the buffer is
 * released, on the other CPU.
 */
static struct {
	struct task_struct *waiter;
	bool queues, released;
	atomic_t timed_out;
} wl;

static int at_queue(struct kprobe *p, struct pt_regs *regs)
{
	u64 end = ktime_get_mono_fast_ns() + 10 * NSEC_PER_SEC;

	if (current != READ_ONCE(wl.waiter) || READ_ONCE(wl.queues))
		return 0;
	WRITE_ONCE(wl.queues, true);
	/* Pairs with the store after the release of the buffer. */
	while (!smp_load_acquire(&wl.released) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	return 0;
}

/* What the waiter's sleep ended with: 0 is the end of its time. */
static int sleep_begins(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return current != READ_ONCE(wl.waiter) || !READ_ONCE(wl.queues);
}

static int sleep_ends(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	if (!regs_return_value(regs))
		atomic_inc(&wl.timed_out);
	return 0;
}

static int waiter_fn(void *arg)
{
	struct greedy *g = arg;
	u64 from = ktime_get_ns();

	set_cpus_allowed_ptr(current, cpumask_of(1));
	WRITE_ONCE(wl.waiter, current);
	g->failed = bt_read_is(g->c, 1, BT_OLD) != 1;
	WRITE_ONCE(wl.waiter, NULL);
	g->worst_ns = ktime_get_ns() - from;
	return 0;
}

static void w7_lost_wake(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct kprobe queue = {
		.symbol_name = BT_OURS ? "prepare_to_wait_event" : "add_wait_queue",
		.pre_handler = at_queue,
	};
	struct kretprobe sleep = {
		.kp.symbol_name = "schedule_timeout",
		.entry_handler = sleep_begins,
		.handler = sleep_ends,
	};
	struct greedy g = { };
	struct bufio_buffer *b;
	struct bt_worker w;
	unsigned int ms;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	memset(&wl, 0, sizeof(wl));
	set_cpus_allowed_ptr(current, cpumask_of(0));
	g.c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, NULL, 0);
	if (!bt_row(t, "create", bt_err(g.c), 0))
		goto out;
	if (!bt_row(t, "hold", bt_err(bufio_read(g.c, 0, &b)), 0))
		goto destroy;
	if (bt_row(t, "probes", register_kprobe(&queue) || register_kretprobe(&sleep), 0)) {
		bt_spawn(&w, waiter_fn, &g);
		for (ms = 0; ms < BT_SOON_MS && !READ_ONCE(wl.queues); ms++)
			usleep_range(1000, 1100);
		bt_row(t, "waiter_queues", READ_ONCE(wl.queues), 1);
		bufio_release(b);
		/* Pairs with the load of the waiter's probe. */
		smp_store_release(&wl.released, true);
		bt_join(&w);
		unregister_kretprobe(&sleep);
		unregister_kprobe(&queue);
		bt_row(t, "read", g.failed, 0);
		bt_fig(t, "waited_ms", div_u64(g.worst_ns, NSEC_PER_MSEC));
		bt_row(t, "wake_up_lost", atomic_read(&wl.timed_out) > 0, 1);
	} else {
		bufio_release(b);
	}
destroy:
	bufio_client_destroy(g.c);
out:
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	bt_param_set("max_cache_size_bytes", old);
}

/*
 * A thread that stops where it takes a client's lock of memscope, for cases that
 * run on another CPU meanwhile. dm-bufio has no such place to stop at.
 */
static struct {
	struct task_struct *task;
	unsigned int calls, nth;
	bool stopped, go;
} stop;

static int at_lock(struct kprobe *p, struct pt_regs *regs)
{
	u64 end = ktime_get_mono_fast_ns() + 10 * NSEC_PER_SEC;

	if (current != READ_ONCE(stop.task) || ++stop.calls != stop.nth)
		return 0;
	WRITE_ONCE(stop.stopped, true);
	/* Pairs with the store of bt_stops(). */
	while (!smp_load_acquire(&stop.go) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	return 0;
}

static struct kprobe lock_probe;

int bt_stops(bool on)
{
	if (!BT_OURS)
		return 0;
	if (!on) {
		/* Pairs with the load of the probe. */
		smp_store_release(&stop.go, true);
		unregister_kprobe(&lock_probe);
		return 0;
	}
	memset(&stop, 0, sizeof(stop));
	lock_probe = (struct kprobe) {
		.symbol_name = "memscope_helper_spin_lock_bh", .pre_handler = at_lock,
	};
	return register_kprobe(&lock_probe);
}

void bt_stop_me(unsigned int nth)
{
	stop.nth = nth;
	WRITE_ONCE(stop.task, current);
}

bool bt_stopped(unsigned int ms)
{
	for (; ms && !READ_ONCE(stop.stopped); ms--)
		usleep_range(1000, 1100);
	return READ_ONCE(stop.stopped);
}

const struct bt_case bt_wake[] = {
	{ "w7_wake", "W7: eight threads and two buffers: each gets its turn", w7_wake },
	{ "w7_lost_wake", "W7: a release just before the sleep is not missed", w7_lost_wake },
	{ }
};
