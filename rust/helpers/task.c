// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/tracepoint.h>

#include "helpers.h"

/* READ_ONCE() of a word that its owner may be changing */
unsigned int memscope_helper_peek_flags(struct task_struct *task)
{
	return READ_ONCE(task->flags);
}

/* as above */
unsigned int memscope_helper_peek_state(struct task_struct *task)
{
	return READ_ONCE(task->__state);
}

/* get_task_comm(), a macro in linux/sched.h that wants an array */
void memscope_helper_task_comm(char *name, struct task_struct *task)
{
	strscpy_pad(name, task->comm, TASK_COMM_LEN);
}

/* macro in linux/printk.h: at most 10 lines in 5 seconds */
void memscope_helper_warn_unmarked(unsigned int major, unsigned int minor, bool io, bool fs)
{
	pr_warn_ratelimited("memscope: %s[%d] serves block device %u:%u, is not marked, and reclaims memory with%s%s%s allowed\n",
			    current->comm, task_pid_nr(current), major, minor, io ? " I/O" : "",
			    io && fs ? " and" : "", fs ? " filesystems" : "");
}

/* macro in linux/preempt.h */
bool memscope_helper_in_task(void)
{
	return in_task();
}

/* macro in linux/rculist.h */
struct task_struct *memscope_helper_first_thread(struct task_struct *task)
{
	return list_first_or_null_rcu(&task->signal->thread_head, struct task_struct, thread_node);
}

/* static inline in linux/sched/signal.h */
struct task_struct *memscope_helper_next_thread(struct task_struct *task)
{
	return __next_thread(task);
}

/* static inline in linux/sched/signal.h */
bool memscope_helper_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

/* static inline in linux/tracepoint.h */
void memscope_helper_tracepoint_synchronize_unregister(void)
{
	tracepoint_synchronize_unregister();
}

/* macro in linux/rcupdate.h where tasks cannot be preempted */
void memscope_helper_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

/* THIS_MODULE has another name in Rust from one kernel to the next */
void memscope_helper_module_get(void)
{
	__module_get(THIS_MODULE);
}

/* as above */
void memscope_helper_module_put(void)
{
	module_put(THIS_MODULE);
}

/* macro in asm-generic/barrier.h; its Rust form differs between 7.2 and 7.3 */
void memscope_helper_smp_mb(void)
{
	/* Paired by the callers of task::full_barrier(). */
	smp_mb();
}

/* static inline in linux/pid.h */
struct pid *memscope_helper_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

/*
 * get_pid(pidfd_pid()), which is not exported: NULL where @file is no pidfd. A
 * file of pidfs that is not its root directory is one (pidfs_init_inode()).
 */
struct pid *memscope_helper_pidfd_pid(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (inode->i_sb->s_magic != PID_FS_MAGIC || S_ISDIR(inode->i_mode))
		return NULL;
	return get_pid(inode->i_private);
}
