/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wrappers of kernel inlines and macros for the buffer cache, one call each.
 * Read by bindgen.
 */
#ifndef _MEMSCOPE_HELPERS_BUFIO_H
#define _MEMSCOPE_HELPERS_BUFIO_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/shrinker.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

/* linux/spinlock.h */
void memscope_helper_table_lock_init(spinlock_t *lock);
void memscope_helper_spin_lock_bh(spinlock_t *lock);
bool memscope_helper_spin_trylock_bh(spinlock_t *lock);
void memscope_helper_spin_unlock_bh(spinlock_t *lock);

/* linux/wait_bit.h */
void memscope_helper_wait_clear_io(u64 *word, u64 flags);
void memscope_helper_wait_changed(u64 *word, u64 old, unsigned long timeout);
void memscope_helper_wait_changed_killable(u64 *word, u64 old, unsigned long timeout);

/* linux/jiffies.h */
u64 memscope_helper_jiffies(void);

/* parameters, see bufio_params.c */
unsigned long memscope_helper_max_cache_size_bytes(void);
unsigned long memscope_helper_retain_bytes(void);
unsigned int memscope_helper_writeback_age_ms(void);

/* values of read-only parameters, from Rust */
unsigned long memscope_bufio_current_allocated(void);
unsigned long memscope_bufio_peak_allocated(void);
void memscope_bufio_reset_peak(void);

/* functions of C callers; dm: declared with a struct dm_buffer */
void memscope_helper_call_buffer(void *function, bool dm, void *buffer);

/* linux/blkdev.h, linux/bio.h */
sector_t memscope_helper_bdev_nr_sectors(struct block_device *bdev);
unsigned int memscope_helper_bdev_physical_block_size(struct block_device *bdev);
unsigned int memscope_helper_bdev_max_discard_sectors(struct block_device *bdev);

/* linux/mm.h, linux/gfp.h, linux/vmalloc.h */
bool memscope_helper_page_is_pfmemalloc(const void *addr);
void memscope_helper_copy(void *to, const void *from, size_t n);
void *memscope_helper_kvzalloc(size_t size, gfp_t gfp);
void *memscope_helper_vmalloc(unsigned long size, gfp_t gfp);
unsigned long memscope_helper_low_pages(void);
unsigned long memscope_helper_vmalloc_total(void);

/* linux/percpu.h */
void __percpu *memscope_helper_alloc_counters(unsigned int n);
u64 *memscope_helper_per_cpu(u64 __percpu *word, unsigned int cpu);
void *memscope_helper_this_cpu(void __percpu *word);
void memscope_helper_counter_inc(void __percpu *counters, unsigned int n);
void memscope_helper_counter_inc_stamp(u64 __percpu *counter, u64 __percpu *stamp);
void memscope_helper_counter_add(void __percpu *counters, unsigned int n, u64 delta);
u64 memscope_helper_counter_sum(void __percpu *counters, unsigned int n);
u64 memscope_helper_counter_max(void __percpu *counters, unsigned int n);

/* linux/sched.h */
bool memscope_helper_in_bio_submission(void);
void memscope_helper_cond_resched(void);

/* linux/workqueue.h */
void memscope_helper_init_delayed_work(struct delayed_work *work, work_func_t fn);
bool memscope_helper_queue_delayed_work(struct workqueue_struct *wq,
					struct delayed_work *work,
					unsigned long delay);
bool memscope_helper_mod_delayed_work(struct workqueue_struct *wq,
				      struct delayed_work *work,
				      unsigned long delay);

#endif /* _MEMSCOPE_HELPERS_BUFIO_H */
