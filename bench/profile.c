// SPDX-License-Identifier: GPL-2.0
/*
 * Where a case spends its time: a timer looks at what it interrupted. Made for
 * -icount, where there is no performance counter and time is instructions.
 * What runs with interrupts off is counted where they go on again.
 */

#include <linux/hrtimer.h>
#include <linux/kallsyms.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>

#include <asm/irq_regs.h>

#include "bench.h"

#define SAMPLES		(1 << 18)

static struct {
	struct hrtimer timer;
	u64 period_ns;
	unsigned long *ip;
	unsigned int nr;
} prof;

static enum hrtimer_restart prof_tick(struct hrtimer *timer)
{
	struct pt_regs *regs = get_irq_regs();

	if (regs && !user_mode(regs) && prof.nr < SAMPLES)
		prof.ip[prof.nr++] = instruction_pointer(regs);
	hrtimer_forward_now(timer, ns_to_ktime(prof.period_ns));
	return HRTIMER_RESTART;
}

int bench_profile_start(u64 period_ns)
{
	prof.nr = 0;
	prof.period_ns = max_t(u64, period_ns, 10000);
	prof.ip = vmalloc(SAMPLES * sizeof(*prof.ip));
	if (!prof.ip)
		return -ENOMEM;
	hrtimer_setup(&prof.timer, prof_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&prof.timer, ns_to_ktime(prof.period_ns), HRTIMER_MODE_REL_PINNED_HARD);
	return 0;
}

static int cmp_ip(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

/* One line "FUNCTION SAMPLES" for each function, the whole number as "samples". */
void bench_profile_stop(struct bench *b)
{
	char name[KSYM_SYMBOL_LEN], last[KSYM_SYMBOL_LEN] = "";
	unsigned int i, n = 0;

	hrtimer_cancel(&prof.timer);
	sort(prof.ip, prof.nr, sizeof(*prof.ip), cmp_ip, NULL);
	bench_fig(b, "samples", prof.nr);
	for (i = 0; i < prof.nr; i++) {
		sprint_symbol_no_offset(name, prof.ip[i]);
		strreplace(name, ' ', '_');
		if (strcmp(name, last)) {
			if (n)
				bench_fig(b, last, n);
			strscpy(last, name, sizeof(last));
			n = 0;
		}
		n++;
	}
	if (n)
		bench_fig(b, last, n);
	vfree(prof.ip);
}
