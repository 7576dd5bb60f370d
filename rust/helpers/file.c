// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/sched/xacct.h>
#include <linux/uio.h>

#include "helpers.h"

/* fdget_pos(), which is not exported, locks this for the kinds of file with FMODE_ATOMIC_POS */
void memscope_helper_lock_pos(struct file *file)
{
	if (file->f_mode & FMODE_ATOMIC_POS)
		mutex_lock(&file->f_pos_lock);
}

/* as above */
void memscope_helper_unlock_pos(struct file *file)
{
	if (file->f_mode & FMODE_ATOMIC_POS)
		mutex_unlock(&file->f_pos_lock);
}

/* static inlines in linux/sched/xacct.h */
void memscope_helper_account_io(ssize_t bytes, bool write)
{
	if (write) {
		if (bytes > 0)
			add_wchar(current, bytes);
		inc_syscw(current);
	} else {
		if (bytes > 0)
			add_rchar(current, bytes);
		inc_syscr(current);
	}
}

/* static inline in linux/uio.h */
size_t memscope_helper_iter_count(const struct iov_iter *iter)
{
	return iov_iter_count(iter);
}

/* macros in linux/uio.h */
void *memscope_helper_iter_segment(const struct iov_iter *iter, size_t *len)
{
	*len = iter_iov_len(iter);
	return (__force void *)iter_iov_addr(iter);
}

/* static inline in linux/fs.h */
void memscope_helper_start_write(struct file *file, bool write)
{
	if (write)
		file_start_write(file);
}

/* static inline in linux/fs.h */
void memscope_helper_end_write(struct file *file, bool write)
{
	if (write)
		file_end_write(file);
}

/* static inlines in linux/fs.h, macros in linux/kdev_t.h */
bool memscope_helper_block_number(struct file *file, unsigned int *major, unsigned int *minor)
{
	struct inode *inode = file_inode(file);

	*major = imajor(inode);
	*minor = iminor(inode);
	return S_ISBLK(inode->i_mode);
}

/* static inlines in linux/fsnotify.h */
void memscope_helper_notify_io(struct file *file, bool write)
{
	if (write)
		fsnotify_modify(file);
	else
		fsnotify_access(file);
}
