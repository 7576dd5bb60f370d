/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wrappers of kernel inlines and macros for the Rust code, one call each. Read
 * by bindgen.
 */
#ifndef _MEMSCOPE_HELPERS_H
#define _MEMSCOPE_HELPERS_H

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include <linux/memscope.h>

/* linux/sched.h, linux/sched/mm.h */
gfp_t memscope_helper_current_gfp_context(gfp_t gfp);

/* linux/spinlock.h, linux/workqueue.h */
unsigned long memscope_helper_spin_lock_irqsave(spinlock_t *lock);
void memscope_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
bool memscope_helper_queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool memscope_helper_work_pending(struct work_struct *work);
struct workqueue_struct *memscope_helper_alloc_workqueue(const char *name);

/* task.c */
unsigned int memscope_helper_peek_flags(struct task_struct *task);
unsigned int memscope_helper_peek_state(struct task_struct *task);
struct task_struct *memscope_helper_first_thread(struct task_struct *task);
struct task_struct *memscope_helper_next_thread(struct task_struct *task);
void memscope_helper_task_comm(char *name, struct task_struct *task);
bool memscope_helper_fatal_signal_pending(void);
void memscope_helper_tracepoint_synchronize_unregister(void);
void memscope_helper_synchronize_rcu_tasks(void);
void memscope_helper_module_get(void);
void memscope_helper_module_put(void);
void memscope_helper_smp_mb(void);
struct pid *memscope_helper_get_pid(struct pid *pid);
struct pid *memscope_helper_pidfd_pid(struct file *file);

void memscope_helper_warn_unmarked(unsigned int major, unsigned int minor, bool io, bool fs);
bool memscope_helper_in_task(void);

/* trace.c: bodies are in rust/kapi/reclaim_events.rs */
struct bdi_writeback;
struct dirty_throttle_control;
struct mem_cgroup;
void memscope_probe_reclaim_begin(void *data, gfp_t gfp, int order, struct mem_cgroup *memcg);
void memscope_probe_reclaim_end(void *data, unsigned long reclaimed, struct mem_cgroup *memcg);
void memscope_probe_page_alloc(void *data, struct page *page, unsigned int order, gfp_t gfp,
			       int migratetype);
void memscope_probe_balance_dirty_pages(void *data, struct bdi_writeback *wb,
					struct dirty_throttle_control *dtc,
					unsigned long dirty_ratelimit, unsigned long task_ratelimit,
					unsigned long dirtied, unsigned long period, long pause,
					unsigned long start);

/* file.c */
bool memscope_helper_block_number(struct file *file, unsigned int *major, unsigned int *minor);
void memscope_helper_lock_pos(struct file *file);
void memscope_helper_unlock_pos(struct file *file);
void memscope_helper_account_io(ssize_t bytes, bool write);
size_t memscope_helper_iter_count(const struct iov_iter *iter);
void *memscope_helper_iter_segment(const struct iov_iter *iter, size_t *len);
void memscope_helper_start_write(struct file *file, bool write);
void memscope_helper_end_write(struct file *file, bool write);
void memscope_helper_notify_io(struct file *file, bool write);

#endif /* _MEMSCOPE_HELPERS_H */
