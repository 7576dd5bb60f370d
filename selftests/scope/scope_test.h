/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between scope_test.ko and the programs that drive it.
 *
 * The module does and reports, the program judges: the module has no notion
 * of what a scope should do. All numbers are the kernel's own, so that neither
 * side repeats the value of a PF_ or __GFP_ flag.
 */
#ifndef SCOPE_TEST_H
#define SCOPE_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct st_constants - values that user space has no header for
 */
struct st_constants {
	/* of current->flags */
	__u32 pf_memalloc;
	__u32 pf_noio;
	__u32 pf_nofs;
	__u32 pf_pin;
	/* single bits */
	__u32 gfp_io;
	__u32 gfp_fs;
	__u32 gfp_direct_reclaim;
	__u32 gfp_kswapd_reclaim;
	__u32 gfp_noretry;
	__u32 gfp_nomemalloc;
	__u32 gfp_nowarn;
	__u32 gfp_nofail;
	__u32 gfp_movable;
	/* what callers write */
	__u32 gfp_kernel;
	__u32 gfp_kernel_account;
	__u32 gfp_noio;
	__u32 gfp_nofs;
	__u32 gfp_nowait;
	__u32 gfp_atomic;
	__u32 gfp_highuser_movable;
};

/* Who enters the scope. */
enum st_how {
	ST_MEMSCOPE,		/* memscope_enter(kinds) */
	ST_INLINE,		/* memalloc_*_save(), one kind */
};

enum st_op_code {
	ST_ENTER,		/* arg: kinds */
	ST_LEAVE,		/* arg: index of the ENTER whose cookie is used */
	ST_LEAVE_RAW,		/* arg: the cookie itself */
	ST_CAPTURE,
	ST_GFP,			/* arg: what memscope_gfp() gets */
};

#define ST_MAX_OPS 64

/**
 * struct st_script - run operations one after the other in one system call
 * @how: enum st_how; ST_INLINE knows ENTER and LEAVE only.
 * @nr: Operations in @op.
 * @flags_before: current->flags before the first.
 * @op: The operations.
 * @step: For each, what it returned and current->flags after it.
 *
 * Whatever the script leaves behind is put right before the call returns.
 */
struct st_script {
	__u32 how;
	__u32 nr;
	__u32 flags_before;
	struct {
		__u32 code;
		__u32 arg;
	} op[ST_MAX_OPS];
	struct {
		__u32 ret;
		__u32 flags;
	} step[ST_MAX_OPS];
};

/* What a tracepoint showed while the watched task was in the scope. */
struct st_seen {
	__u32 count;
	__u32 any;		/* gfp flags of all events, or'ed */
	__u32 all;		/* the same, and'ed */
};

struct st_watch {
	struct st_seen reclaim;		/* mm_vmscan_direct_reclaim_begin */
	struct st_seen memcg;		/* mm_vmscan_memcg_reclaim_begin */
	struct st_seen compact;		/* mm_compaction_try_to_compact_pages */
	struct st_seen alloc;		/* mm_page_alloc */
};

enum st_what {
	ST_PAGE,		/* alloc_page() */
	ST_PAGES,		/* alloc_pages(), order 3 */
	ST_SLAB,		/* kmem_cache_alloc(), objects of 8 KiB */
	ST_KMALLOC,		/* kmalloc(), 16 KiB: larger than any slab object */
	ST_KVMALLOC,		/* kvmalloc(), 256 KiB */
	ST_VMALLOC,		/* __vmalloc(), 256 KiB */
	ST_PERCPU,		/* __alloc_percpu_gfp(), 32 KiB per CPU */
	ST_NR_WHAT,
};

#define ST_MAX_ROUNDS 64

/* Take free memory to the min watermark before each round. */
#define ST_EAT		(1U << 0)
/* Pass @gfp through memscope_gfp(). */
#define ST_OWN_GFP	(1U << 1)
/* Keep what was allocated until the end of the call. */
#define ST_HOLD		(1U << 2)

/**
 * struct st_press - allocate inside a scope while memory is short
 * @how: enum st_how.
 * @kinds: The scope; 0 for none.
 * @what: enum st_what.
 * @gfp: What to allocate with.
 * @flags: ST_EAT, ST_OWN_GFP, ST_HOLD.
 * @rounds: How often to enter, allocate and leave.
 * @want: Stop when so many reclaims were seen; 0: do all rounds.
 * @done: Rounds that were done.
 * @ok: Allocations that succeeded.
 * @failed: Allocations that did not.
 * @pages: Pages behind those that did, where they can be told.
 * @pfmemalloc: Of these, pages from the emergency reserves.
 * @flags_before: current->flags outside.
 * @flags_inside: current->flags in the scope.
 * @flags_after: current->flags after it.
 * @seen: What the tracepoints showed.
 */
struct st_press {
	__u32 how;
	__u32 kinds;
	__u32 what;
	__u32 gfp;
	__u32 flags;
	__u32 rounds;
	__u32 want;
	__u32 done;
	__u32 ok;
	__u32 failed;
	__u32 pages;
	__u32 pfmemalloc;
	__u32 flags_before;
	__u32 flags_inside;
	__u32 flags_after;
	struct st_watch seen;
};

#define ST_MAX_SUBMIT	4
#define ST_MAX_RUNS	8

/* Own ordered WQ_MEM_RECLAIM queue; otherwise system_percpu_wq. */
#define ST_WORK_OWN_WQ	(1U << 0)
/* memscope_capture(), plain work, memscope_enter(); not memscope_queue_work(). */
#define ST_WORK_MANUAL	(1U << 1)
/* Let the worker start only when all submissions are made; needs OWN_WQ. */
#define ST_WORK_BLOCK	(1U << 2)
/* Cancel after the first submission; needs BLOCK. */
#define ST_WORK_CANCEL	(1U << 3)
/* The item enters a scope on top of its own and does not leave it. */
#define ST_WORK_LEAVE_OPEN	(1U << 4)

/**
 * struct st_work - submit a work item under scopes
 * @flags: ST_WORK_*.
 * @nr_submit: Submissions.
 * @kinds: For each, the scope in which it is made.
 * @requeue: How often the item queues itself again.
 * @gfp: What the worker allocates with.
 * @rounds: How many pages it allocates in each run, after eating to the min
 *	watermark; 0 for none.
 * @queued: What each submission returned.
 * @captured: memscope_capture() at each submission.
 * @runs: How often the item ran.
 * @run: The worker's flags around and inside of each run.
 * @cancelled: What cancel_work_sync() returned.
 * @same_task: Set if a worker was the submitting task itself.
 * @flags_submit_before: The submitter's flags before.
 * @flags_submit_after: The submitter's flags after.
 * @seen: What the tracepoints showed in the worker.
 */
struct st_work {
	__u32 flags;
	__u32 nr_submit;
	__u32 kinds[ST_MAX_SUBMIT];
	__u32 requeue;
	__u32 gfp;
	__u32 rounds;
	__u32 queued[ST_MAX_SUBMIT];
	__u32 captured[ST_MAX_SUBMIT];
	__u32 runs;
	struct {
		__u32 before;
		__u32 inside;
		__u32 after;
	} run[ST_MAX_RUNS];
	__u32 cancelled;
	__u32 same_task;
	__u32 flags_submit_before;
	__u32 flags_submit_after;
	struct st_watch seen;
};

/**
 * struct st_cost - time enter and leave with interrupts off
 * @iterations: Of each loop.
 * @kinds: For memscope_enter().
 * @ns_memscope: memscope_enter() and memscope_leave().
 * @ns_constant: The same of MEMSCOPE_NOIO, as a constant.
 * @ns_inline: memalloc_noio_save() and memalloc_noio_restore().
 * @ns_empty: The loop alone.
 *
 * With QEMU's -icount shift=0 a nanosecond is an instruction.
 */
struct st_cost {
	__u32 iterations;
	__u32 kinds;
	__u64 ns_memscope;
	__u64 ns_constant;
	__u64 ns_inline;
	__u64 ns_empty;
};

/*
 * For what another module does: EAT takes free memory to the min watermark and
 * keeps it until SPIT_OUT or close. Between WATCH and UNWATCH the tracepoints
 * are counted for the calling task, on top of what is passed in.
 */
#define ST_IOC_CONSTANTS	_IOR('s', 0, struct st_constants)
#define ST_IOC_SCRIPT		_IOWR('s', 1, struct st_script)
#define ST_IOC_PRESS		_IOWR('s', 2, struct st_press)
#define ST_IOC_WORK		_IOWR('s', 3, struct st_work)
#define ST_IOC_EAT		_IO('s', 5)
#define ST_IOC_SPIT_OUT		_IO('s', 6)
#define ST_IOC_WATCH		_IOW('s', 7, struct st_watch)
#define ST_IOC_UNWATCH		_IOR('s', 8, struct st_watch)
#define ST_IOC_COST		_IOWR('s', 4, struct st_cost)

#endif /* SCOPE_TEST_H */
