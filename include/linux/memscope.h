/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allocation scopes for kernel modules, from memscope.ko.
 *
 * WARNING to callers:
 *
 * - A scope belongs to the task that entered it. Enter and leave in the same
 *   task, in process context, and leave before returning to user space.
 * - Never enter a scope in an interrupt handler: the flags there are those of
 *   whichever task was interrupted.
 * - Leave in the reverse order of entering. Scopes of different task flags may
 *   be left in any order; two scopes of the same flag may not.
 * - MEMSCOPE_NOWAIT and MEMSCOPE_NORECLAIM set the same task flag,
 *   PF_MEMALLOC. A callee that allocates without __GFP_NOMEMALLOC may then use
 *   the emergency reserves. Make your own allocations with memscope_gfp(), and
 *   call nothing in the scope that waits, that loops on __GFP_NOFAIL, or that
 *   flushes a workqueue which is not WQ_MEM_RECLAIM.
 */
#ifndef _LINUX_MEMSCOPE_H
#define _LINUX_MEMSCOPE_H

#include <linux/gfp_types.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

/**
 * enum memscope_kind - the kinds of allocation scope
 * @MEMSCOPE_NOIO: no allocation starts I/O or enters a filesystem to reclaim
 *	(PF_MEMALLOC_NOIO).
 * @MEMSCOPE_NOFS: no allocation enters a filesystem to reclaim
 *	(PF_MEMALLOC_NOFS).
 * @MEMSCOPE_NOWAIT: no allocation enters direct reclaim, compaction or the OOM
 *	killer (PF_MEMALLOC); memscope_gfp() keeps the caller's own allocations
 *	out of the emergency reserves.
 * @MEMSCOPE_NORECLAIM: allocations may use the emergency reserves
 *	(PF_MEMALLOC), for code that frees memory by allocating a little.
 * @MEMSCOPE_PIN: allocations stay in zones that allow long-term pinning
 *	(PF_MEMALLOC_PIN).
 *
 * Kinds are bits and may be or'ed.
 */
enum memscope_kind {
	MEMSCOPE_NOIO		= 1 << 0,
	MEMSCOPE_NOFS		= 1 << 1,
	MEMSCOPE_NOWAIT		= 1 << 2,
	MEMSCOPE_NORECLAIM	= 1 << 3,
	MEMSCOPE_PIN		= 1 << 4,
};

/*
 * The task flags of a nowait scope. A kernel with a nowait scope of its own (6.9
 * to 6.11 had one) uses that.
 */
#ifdef PF_MEMALLOC_NORECLAIM
#define MEMSCOPE_PF_NOWAIT	(PF_MEMALLOC_NORECLAIM | PF_MEMALLOC_NOWARN)
#else
#define MEMSCOPE_PF_NOWAIT	PF_MEMALLOC
#endif

/**
 * memscope_enter - enter one or more scopes
 * @kinds: enum memscope_kind bits; unknown bits are ignored.
 *
 * Inline, as memalloc_noio_save() is: with constant kinds it costs the same.
 *
 * Context: Process context. Does not sleep, allocate or lock.
 * Return: A cookie for memscope_leave(): the task flags that this call set and
 * that were clear before.
 */
static inline unsigned int memscope_enter(unsigned int kinds)
{
	unsigned int flags = 0;

	if (kinds & MEMSCOPE_NOIO)
		flags |= PF_MEMALLOC_NOIO;
	if (kinds & MEMSCOPE_NOFS)
		flags |= PF_MEMALLOC_NOFS;
	if (kinds & MEMSCOPE_NOWAIT)
		flags |= MEMSCOPE_PF_NOWAIT;
	if (kinds & MEMSCOPE_NORECLAIM)
		flags |= PF_MEMALLOC;
	if (kinds & MEMSCOPE_PIN)
		flags |= PF_MEMALLOC_PIN;
	return memalloc_flags_save(flags);
}

/**
 * memscope_leave - leave what memscope_enter() entered
 * @cookie: The value that the matching memscope_enter() returned.
 *
 * Clears exactly the flags that the matching call set. Bits of @cookie that
 * are no scope flags are ignored.
 *
 * Context: The task that entered. Does not sleep, allocate or lock.
 */
static inline void memscope_leave(unsigned int cookie)
{
	memalloc_flags_restore(cookie & (PF_MEMALLOC_NOIO | PF_MEMALLOC_NOFS |
					 MEMSCOPE_PF_NOWAIT | PF_MEMALLOC |
					 PF_MEMALLOC_PIN));
}

/**
 * memscope_gfp - the flags to allocate with in the current scopes
 * @gfp: What the allocation would use outside of any scope.
 *
 * What the page allocator applies by itself (current_gfp_context()), and, where
 * the task has PF_MEMALLOC set, GFP_NOWAIT with __GFP_NORETRY,
 * __GFP_NOMEMALLOC and __GFP_NOWARN in the place of any reclaim: the
 * allocation then neither waits nor touches the reserves, and may fail.
 * __GFP_NOFAIL is removed in that case, so check the result.
 *
 * For kmalloc(), kvmalloc() and pages. Not for __vmalloc(), which warns of
 * __GFP_NOMEMALLOC and drops it; and the page tables of a kvmalloc() that falls
 * back to vmalloc may come from the reserves all the same.
 *
 * Context: Any.
 * Return: The flags.
 */
gfp_t memscope_gfp(gfp_t gfp);

/**
 * memscope_capture - the scopes of the current task, to enter elsewhere
 *
 * PF_MEMALLOC is captured as MEMSCOPE_NOWAIT, whoever set it: the other context
 * then does not wait for reclaim either, but gets no licence to the reserves.
 * memscope_enter() of the captured value does set PF_MEMALLOC there, see the
 * WARNING above; mask MEMSCOPE_NOWAIT out where that is not wanted.
 *
 * Context: Process context.
 * Return: enum memscope_kind bits.
 */
unsigned int memscope_capture(void);

/**
 * struct memscope_work - a work item that runs under its submitter's scopes
 * @work: The work item. Cancel or flush it through this member.
 * @fn: Called in the worker, with the captured scopes entered.
 * @lock: Private to memscope.
 * @kinds: Private to memscope.
 *
 * Where an item is queued again while it is pending, it runs once, under the
 * union of the scopes of all who queued it. Where it is queued again while it
 * starts to run, the second run may be under that union too: never under less
 * than its submitter's scopes. The scopes of a cancelled submission count for
 * the next one.
 */
struct memscope_work {
	struct work_struct work;
	void (*fn)(struct memscope_work *work);
	spinlock_t lock; /* protects kinds */
	unsigned int kinds;
};

/**
 * memscope_work_run - the work function of every struct memscope_work
 * @work: The member of a struct memscope_work.
 *
 * Set by memscope_init_work(); not called by users.
 */
void memscope_work_run(struct work_struct *work);

/**
 * memscope_init_work - initialise a work item
 * @w: The item.
 * @f: Its function.
 */
#define memscope_init_work(w, f)				\
	do {							\
		struct memscope_work *__w = (w);		\
								\
		INIT_WORK(&__w->work, memscope_work_run);	\
		__w->fn = (f);					\
		spin_lock_init(&__w->lock);			\
		__w->kinds = 0;					\
	} while (0)

/**
 * memscope_queue_work - queue a work item under the current task's scopes
 * @wq: The workqueue. Use one with WQ_MEM_RECLAIM where reclaim may wait for
 *	the work.
 * @work: The item.
 *
 * Context: Process context; does not sleep.
 * Return: false if the item was pending already.
 */
bool memscope_queue_work(struct workqueue_struct *wq,
			 struct memscope_work *work);

#endif /* _LINUX_MEMSCOPE_H */
