// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>

#include <linux/memscope-bufio.h>

#include "bufio.h"

struct dm_buffer;

/* macro in linux/spinlock.h; the lock class is this line's */
void memscope_helper_table_lock_init(spinlock_t *lock)
{
	spin_lock_init(lock);
}

/* static inline in linux/spinlock.h */
void memscope_helper_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

/* static inline in linux/spinlock.h */
bool memscope_helper_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}

/* static inline in linux/spinlock.h */
void memscope_helper_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

/* macro in linux/wait_bit.h */
void memscope_helper_wait_clear_io(u64 *word, u64 flags)
{
	/* Pairs with the exchange that clears the flags. */
	wait_var_event_io(word, !(smp_load_acquire(word) & flags));
}

/* macro in linux/wait_bit.h */
void memscope_helper_wait_changed(u64 *word, u64 old, unsigned long timeout)
{
	/* Pairs with the exchange that changes the word. */
	wait_var_event_timeout(word, smp_load_acquire(word) != old, timeout);
}

/* macro in linux/wait_bit.h */
void memscope_helper_wait_changed_killable(u64 *word, u64 old, unsigned long timeout)
{
	might_sleep();
	/* as above */
	___wait_var_event(word, ___wait_cond_timeout(smp_load_acquire(word) != old),
			  (TASK_KILLABLE | TASK_FREEZABLE), 0, timeout,
			  __ret = schedule_timeout(__ret));
}

/* linux/jiffies.h */
u64 memscope_helper_jiffies(void)
{
	return get_jiffies_64();
}

/* static inline in linux/blkdev.h */
sector_t memscope_helper_bdev_nr_sectors(struct block_device *bdev)
{
	return bdev_nr_sectors(bdev);
}

/* static inline in linux/blkdev.h */
unsigned int memscope_helper_bdev_physical_block_size(struct block_device *bdev)
{
	return bdev_physical_block_size(bdev);
}

/* static inline in linux/blkdev.h */
unsigned int memscope_helper_bdev_max_discard_sectors(struct block_device *bdev)
{
	return bdev_max_discard_sectors(bdev);
}

/* static inline in linux/mm.h */
bool memscope_helper_page_is_pfmemalloc(const void *addr)
{
	struct page *page = is_vmalloc_addr(addr) ? vmalloc_to_page(addr) :
						    virt_to_page(addr);

	return page_is_pfmemalloc(page);
}

/* linux/string.h; in C, where others may change the bytes meanwhile */
void memscope_helper_copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}

/* macro in linux/slab.h */
void *memscope_helper_kvzalloc(size_t size, gfp_t gfp)
{
	return kvzalloc(size, gfp);
}

/* macro in linux/vmalloc.h */
void *memscope_helper_vmalloc(unsigned long size, gfp_t gfp)
{
	return __vmalloc(size, gfp);
}

/* static inlines in linux/mm.h and linux/highmem.h */
unsigned long memscope_helper_low_pages(void)
{
	return totalram_pages() - totalhigh_pages();
}

/* macro in asm/pgtable.h */
unsigned long memscope_helper_vmalloc_total(void)
{
	return VMALLOC_TOTAL;
}

/* macro in linux/percpu.h */
void __percpu *memscope_helper_alloc_counters(unsigned int n)
{
	return __alloc_percpu(array_size(n, sizeof(u64)), sizeof(u64));
}

/* macros in linux/percpu-defs.h and linux/cpumask.h; NULL for a CPU that cannot be */
u64 *memscope_helper_per_cpu(u64 __percpu *word, unsigned int cpu)
{
	return cpu_possible(cpu) ? per_cpu_ptr(word, cpu) : NULL;
}

/* macro in linux/percpu-defs.h */
void *memscope_helper_this_cpu(void __percpu *word)
{
	return raw_cpu_ptr(word);
}

/* macro in linux/percpu-defs.h */
void memscope_helper_counter_inc(void __percpu *counters, unsigned int n)
{
	this_cpu_inc(((u64 __percpu *)counters)[n]);
}

/* macros in linux/percpu-defs.h; the time is in jiffies */
void notrace memscope_helper_counter_inc_stamp(u64 __percpu *counter, u64 __percpu *stamp)
{
	this_cpu_inc(*counter);
	this_cpu_write(*stamp, get_jiffies_64());
}

/* macro in linux/percpu-defs.h */
void memscope_helper_counter_add(void __percpu *counters, unsigned int n, u64 delta)
{
	this_cpu_add(((u64 __percpu *)counters)[n], delta);
}

/* macros in linux/percpu-defs.h and linux/cpumask.h */
u64 memscope_helper_counter_sum(void __percpu *counters, unsigned int n)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(((u64 *)per_cpu_ptr(counters, cpu))[n]);
	return sum;
}

/* macros in linux/percpu-defs.h and linux/cpumask.h */
u64 memscope_helper_counter_max(void __percpu *counters, unsigned int n)
{
	u64 most = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		most = max(most, READ_ONCE(((u64 *)per_cpu_ptr(counters, cpu))[n]));
	return most;
}

/* current->bio_list */
bool memscope_helper_in_bio_submission(void)
{
	return current->bio_list;
}

/* macro in linux/sched.h */
void memscope_helper_cond_resched(void)
{
	cond_resched();
}

/* macro in linux/workqueue.h */
void memscope_helper_init_delayed_work(struct delayed_work *work, work_func_t fn)
{
	INIT_DELAYED_WORK(work, fn);
}

/* static inline in linux/workqueue.h */
bool memscope_helper_queue_delayed_work(struct workqueue_struct *wq,
					struct delayed_work *work,
					unsigned long delay)
{
	return queue_delayed_work(wq, work, delay);
}

/* static inline in linux/workqueue.h */
bool memscope_helper_mod_delayed_work(struct workqueue_struct *wq,
				      struct delayed_work *work,
				      unsigned long delay)
{
	return mod_delayed_work(wq, work, delay);
}

/* a call, under the type that the function was declared with */
void memscope_helper_call_buffer(void *function, bool dm, void *buffer)
{
	if (dm) {
		void (*call)(struct dm_buffer *b) = function;

		call(buffer);
	} else {
		void (*call)(struct memscope_buffer *b) = function;

		call(buffer);
	}
}
