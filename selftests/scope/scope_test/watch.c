// SPDX-License-Identifier: GPL-2.0
/*
 * Probes on the allocator's own tracepoints, for one task at a time.
 */

#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

struct compact_control;
#include <trace/events/compaction.h>
#include <trace/events/kmem.h>
#include <trace/events/vmscan.h>

#include "internal.h"

/* Probes run in the task that allocates, so only that one writes *seen. */
static struct task_struct *watched;
static struct st_watch *seen;

static void note(struct st_seen *s, gfp_t gfp)
{
	u32 bits = (__force u32)gfp;

	s->all = s->count ? s->all & bits : bits;
	s->any |= bits;
	s->count++;
}

/* An interrupt allocates with its own flags in whatever task it hits. */
static bool wanted(void)
{
	return READ_ONCE(watched) == current && in_task();
}

static void probe_reclaim(void *data, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	if (wanted())
		note(&seen->reclaim, gfp);
}

static void probe_memcg(void *data, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	if (wanted())
		note(&seen->memcg, gfp);
}

static void probe_compact(void *data, int order, gfp_t gfp, int prio)
{
	if (wanted())
		note(&seen->compact, gfp);
}

static void probe_alloc(void *data, struct page *page, unsigned int order, gfp_t gfp,
			int migratetype)
{
	if (wanted())
		note(&seen->alloc, gfp);
}

static struct probe {
	const char *name;
	void *func;
	struct tracepoint *tp;
	bool registered;
} probes[] = {
	{ "mm_vmscan_direct_reclaim_begin", probe_reclaim },
	{ "mm_vmscan_memcg_reclaim_begin", probe_memcg },
	{ "mm_compaction_try_to_compact_pages", probe_compact },
	{ "mm_page_alloc", probe_alloc },
};

/* Tracepoints are found by name, so the compiler must be told to compare types. */
static void __maybe_unused check_types(void)
{
	check_trace_callback_type_mm_vmscan_direct_reclaim_begin(probe_reclaim);
	check_trace_callback_type_mm_vmscan_memcg_reclaim_begin(probe_memcg);
	check_trace_callback_type_mm_compaction_try_to_compact_pages(probe_compact);
	check_trace_callback_type_mm_page_alloc(probe_alloc);
}

static void match(struct tracepoint *tp, void *data)
{
	for (int i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!strcmp(tp->name, probes[i].name))
			probes[i].tp = tp;
	}
}

void watch_exit(void)
{
	for (int i = 0; i < ARRAY_SIZE(probes); i++) {
		if (probes[i].registered)
			tracepoint_probe_unregister(probes[i].tp, probes[i].func, NULL);
		probes[i].registered = false;
	}
	tracepoint_synchronize_unregister();
}

int watch_init(void)
{
	int err;

	for_each_kernel_tracepoint(match, NULL);
	for (int i = 0; i < ARRAY_SIZE(probes); i++) {
		err = probes[i].tp ?
			tracepoint_probe_register(probes[i].tp, probes[i].func, NULL) : -ENOENT;
		if (err) {
			pr_err("no tracepoint %s: %d\n", probes[i].name, err);
			watch_exit();
			return err;
		}
		probes[i].registered = true;
	}
	return 0;
}

void watch_start(struct st_watch *s)
{
	seen = s;
	/* Seen only by probes of this task. */
	WRITE_ONCE(watched, current);
}

void watch_stop(void)
{
	WRITE_ONCE(watched, NULL);
}
