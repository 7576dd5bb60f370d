// SPDX-License-Identifier: GPL-2.0

#include <linux/sched/mm.h>

#include "helpers.h"

/* static inline in linux/sched/mm.h */
gfp_t memscope_helper_current_gfp_context(gfp_t gfp)
{
	return current_gfp_context(gfp);
}

/* macro in linux/spinlock.h */
unsigned long memscope_helper_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

/* static inline in linux/spinlock.h */
void memscope_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

/* static inline in linux/workqueue.h */
bool memscope_helper_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue_work(wq, work);
}

/* macro in linux/workqueue.h */
bool memscope_helper_work_pending(struct work_struct *work)
{
	return work_pending(work);
}

/* variadic macro in linux/workqueue.h */
struct workqueue_struct *memscope_helper_alloc_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_MEM_RECLAIM | WQ_UNBOUND, 0, name);
}
