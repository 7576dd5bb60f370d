// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/scope_test: does to itself, through memscope's C API, what a program
 * asks for, and reports what the kernel then did. See ../scope_test.h.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/memscope.h>

#include "internal.h"

/* One test at a time: there is one watch. */
static DEFINE_MUTEX(lock);

static const struct st_constants constants = {
	.pf_memalloc = PF_MEMALLOC,
	.pf_noio = PF_MEMALLOC_NOIO,
	.pf_nofs = PF_MEMALLOC_NOFS,
	.pf_pin = PF_MEMALLOC_PIN,
	.gfp_io = (__force u32)__GFP_IO,
	.gfp_fs = (__force u32)__GFP_FS,
	.gfp_direct_reclaim = (__force u32)__GFP_DIRECT_RECLAIM,
	.gfp_kswapd_reclaim = (__force u32)__GFP_KSWAPD_RECLAIM,
	.gfp_noretry = (__force u32)__GFP_NORETRY,
	.gfp_nomemalloc = (__force u32)__GFP_NOMEMALLOC,
	.gfp_nowarn = (__force u32)__GFP_NOWARN,
	.gfp_nofail = (__force u32)__GFP_NOFAIL,
	.gfp_movable = (__force u32)__GFP_MOVABLE,
	.gfp_kernel = (__force u32)GFP_KERNEL,
	.gfp_kernel_account = (__force u32)GFP_KERNEL_ACCOUNT,
	.gfp_noio = (__force u32)GFP_NOIO,
	.gfp_nofs = (__force u32)GFP_NOFS,
	.gfp_nowait = (__force u32)GFP_NOWAIT,
	.gfp_atomic = (__force u32)GFP_ATOMIC,
	.gfp_highuser_movable = (__force u32)GFP_HIGHUSER_MOVABLE,
};

static int st_script(struct st_script *s)
{
	const u32 scopes = PF_MEMALLOC | PF_MEMALLOC_NOIO | PF_MEMALLOC_NOFS | PF_MEMALLOC_PIN;
	int err = 0;

	if (s->nr > ST_MAX_OPS)
		return -EINVAL;
	s->flags_before = current->flags;
	for (u32 i = 0; i < s->nr && !err; i++) {
		u32 arg = s->op[i].arg;
		unsigned int ret = 0;

		switch (s->op[i].code) {
		case ST_ENTER:
			if (s->how == ST_INLINE)
				err = st_inline_save(arg, &ret);
			else
				ret = memscope_enter(arg);
			break;
		case ST_LEAVE:
			if (arg >= i) {
				err = -EINVAL;
				break;
			}
			arg = s->step[arg].ret;
			fallthrough;
		case ST_LEAVE_RAW:
			if (s->how == ST_INLINE)
				memalloc_flags_restore(arg);
			else
				memscope_leave(arg);
			break;
		case ST_CAPTURE:
			ret = memscope_capture();
			break;
		case ST_GFP:
			ret = (__force u32)memscope_gfp((__force gfp_t)arg);
			break;
		default:
			err = -EINVAL;
		}
		s->step[i].ret = ret;
		s->step[i].flags = current->flags;
	}
	/* The script may have left anything behind. */
	current->flags = (current->flags & ~scopes) | (s->flags_before & scopes);
	return err;
}

static int st_cost(struct st_cost *c)
{
	unsigned long irq;
	u64 t[5];

	if (!c->iterations || c->iterations > 100000)
		return -EINVAL;
	local_irq_save(irq);
	t[0] = ktime_get_ns();
	for (u32 i = 0; i < c->iterations; i++)
		barrier();
	t[1] = ktime_get_ns();
	for (u32 i = 0; i < c->iterations; i++) {
		unsigned int cookie = memalloc_noio_save();

		/* The scope's body, without which gcc drops both. */
		barrier();
		memalloc_noio_restore(cookie);
		barrier();
	}
	t[2] = ktime_get_ns();
	for (u32 i = 0; i < c->iterations; i++) {
		unsigned int cookie = memscope_enter(READ_ONCE(c->kinds));

		barrier();
		memscope_leave(cookie);
		barrier();
	}
	t[3] = ktime_get_ns();
	for (u32 i = 0; i < c->iterations; i++) {
		unsigned int cookie = memscope_enter(MEMSCOPE_NOIO);

		barrier();
		memscope_leave(cookie);
		barrier();
	}
	t[4] = ktime_get_ns();
	local_irq_restore(irq);
	c->ns_empty = t[1] - t[0];
	c->ns_inline = t[2] - t[1];
	c->ns_memscope = t[3] - t[2];
	c->ns_constant = t[4] - t[3];
	return 0;
}

/* Of ST_IOC_WATCH; one program at a time. */
static struct st_watch watch;

static int eat_more(struct eaten *eaten)
{
	int err;

	mutex_lock(&lock);
	err = eat(eaten);
	mutex_unlock(&lock);
	return err;
}

static long st_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void *buf;
	long err;

	switch (cmd) {
	case ST_IOC_CONSTANTS:
		if (copy_to_user((void __user *)arg, &constants, sizeof(constants)))
			return -EFAULT;
		return 0;
	case ST_IOC_EAT:
		return eat_more(file->private_data);
	case ST_IOC_SPIT_OUT:
		mutex_lock(&lock);
		spit_out(file->private_data);
		mutex_unlock(&lock);
		return 0;
	case ST_IOC_WATCH:
		if (copy_from_user(&watch, (void __user *)arg, sizeof(watch)))
			return -EFAULT;
		watch_start(&watch);
		return 0;
	case ST_IOC_UNWATCH:
		watch_stop();
		return copy_to_user((void __user *)arg, &watch, sizeof(watch)) ? -EFAULT : 0;
	case ST_IOC_SCRIPT:
	case ST_IOC_PRESS:
	case ST_IOC_WORK:
	case ST_IOC_COST:
		break;
	default:
		return -ENOTTY;
	}
	buf = memdup_user((void __user *)arg, _IOC_SIZE(cmd));
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	mutex_lock(&lock);
	switch (cmd) {
	case ST_IOC_SCRIPT:
		err = st_script(buf);
		break;
	case ST_IOC_PRESS:
		err = st_press(buf);
		break;
	case ST_IOC_WORK:
		err = st_work(buf);
		break;
	default:
		err = st_cost(buf);
	}
	mutex_unlock(&lock);
	if (!err && copy_to_user((void __user *)arg, buf, _IOC_SIZE(cmd)))
		err = -EFAULT;
	kfree(buf);
	return err;
}

static int st_open(struct inode *inode, struct file *file)
{
	struct eaten *eaten = kzalloc_obj(*eaten);

	if (!eaten)
		return -ENOMEM;
	INIT_LIST_HEAD(&eaten->pages);
	file->private_data = eaten;
	return 0;
}

static int st_release(struct inode *inode, struct file *file)
{
	watch_stop();
	spit_out(file->private_data);
	kfree(file->private_data);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = st_open,
	.release = st_release,
	.unlocked_ioctl = st_ioctl,
};

static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "scope_test",
	.fops = &fops,
	.mode = 0600,
};

static int __init scope_test_init(void)
{
	int err = watch_init();

	if (err)
		return err;
	err = misc_register(&misc);
	if (err)
		watch_exit();
	return err;
}

static void __exit scope_test_exit(void)
{
	misc_deregister(&misc);
	watch_exit();
}

module_init(scope_test_init);
module_exit(scope_test_exit);

MODULE_DESCRIPTION("Test of memscope's scopes");
MODULE_LICENSE("GPL");
