// SPDX-License-Identifier: GPL-2.0
/*
 * For how long a client's lock is held: from the entry of the function that
 * takes it to that of the function that gives it back. What the probes take
 * themselves is measured with a mutex of this file, and taken off.
 */

#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/sched.h>

#include "bench.h"

#define EMPTY	256	/* sections with nothing in them */

static struct {
	struct kprobe take, give;
	struct task_struct *task;
	unsigned int depth, times;
	u64 since_ns, ns;
	u64 empty_ps;
} held;

static int on_take(struct kprobe *p, struct pt_regs *regs)
{
	if (held.task == current && !held.depth++)
		held.since_ns = ktime_get_ns();
	return 0;
}

static int on_give(struct kprobe *p, struct pt_regs *regs)
{
	if (held.task == current && held.depth && !--held.depth) {
		held.ns += ktime_get_ns() - held.since_ns;
		held.times++;
	}
	return 0;
}

static int probes_on(const char *take, const char *give)
{
	int err;

	held.take = (struct kprobe){ .symbol_name = take, .pre_handler = on_take };
	held.give = (struct kprobe){ .symbol_name = give, .pre_handler = on_give };
	held.depth = 0;
	held.times = 0;
	held.ns = 0;
	err = register_kprobe(&held.take);
	if (err)
		return err;
	err = register_kprobe(&held.give);
	if (err) {
		unregister_kprobe(&held.take);
		return err;
	}
	held.task = current;
	return 0;
}

static void probes_off(void)
{
	held.task = NULL;
	unregister_kprobe(&held.take);
	unregister_kprobe(&held.give);
}

int bench_lock_start(const char *take, const char *give)
{
	static DEFINE_MUTEX(empty);
	unsigned int i;
	int err = probes_on("mutex_lock", "mutex_unlock");

	if (err)
		return err;
	for (i = 0; i < EMPTY; i++) {
		mutex_lock(&empty);
		mutex_unlock(&empty);
	}
	probes_off();
	if (held.times != EMPTY)
		return -EIO;
	held.empty_ps = div_u64(held.ns * 1000, EMPTY);
	return probes_on(take, give);
}

void bench_lock_stop(struct bench *b, unsigned int ops)
{
	probes_off();
	bench_fig(b, "held_ps", div_s64((s64)(held.ns * 1000) - (s64)(held.times * held.empty_ps), ops));
	bench_fig(b, "times_of_1000", div_u64((u64)held.times * 1000, ops));
}
