// SPDX-License-Identifier: GPL-2.0
/*
 * One bug of each kind that the sanitizer kernel has to report: if it does not,
 * a clean log of that kernel says nothing. Only for a kernel whose guest is
 * thrown away. Loading it commits the bug that the parameter names and fails
 * with ECANCELED.
 */
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *bug = "";
module_param(bug, charp, 0);
MODULE_PARM_DESC(bug, "which bug to commit");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void circular_locking(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_in_atomic(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
}

/* The compilers know what a constant would do, and warn or leave it out. */
static unsigned int eight = 8;
module_param(eight, uint, 0);

static void use_after_free(void)
{
	char *p = kmalloc(64, GFP_KERNEL);
	char *again = p;

	OPTIMIZER_HIDE_VAR(again);
	kfree(p);
	if (again)
		READ_ONCE(again[eight]);
}

static void shift_too_far(void)
{
	WRITE_ONCE(eight, 1U << (eight * 4));
}

static void index_too_high(void)
{
	static struct {
		unsigned int in[8];
		/* What is hit is this, and not what KASAN guards. */
		unsigned int behind[2];
	} array;

	/* One past the end would be allowed: an address is taken. */
	WRITE_ONCE(array.in[eight + 1], 1);
}

struct timed {
	struct timer_list timer;
};

static void nothing(struct timer_list *timer)
{
}

static void freed_active_timer(void)
{
	struct timed *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return;
	timer_setup(&p->timer, nothing, 0);
	mod_timer(&p->timer, jiffies + 3600 * HZ);
	kfree(p);
}

static void leak(void)
{
	int i;

	/* Some, since one address may go on lying about in memory by chance. */
	for (i = 0; i < 8; i++) {
		char *p = kzalloc(200, GFP_KERNEL);

		if (p)
			strscpy(p, "memscope canary", 16);
		barrier_data(p);
	}
}

static void hung_task(void)
{
	static DECLARE_COMPLETION(never);

	wait_for_completion_timeout(&never, 10 * HZ);
}

static const struct {
	const char *name;
	void (*commit)(void);
} bugs[] = {
	{ "circular_locking", circular_locking },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "use_after_free", use_after_free },
	{ "shift_too_far", shift_too_far },
	{ "index_too_high", index_too_high },
	{ "freed_active_timer", freed_active_timer },
	{ "leak", leak },
	{ "hung_task", hung_task },
};

static int __init canary_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bugs[i].name, bug)) {
			bugs[i].commit();
			return -ECANCELED;
		}
	}
	return -EINVAL;
}
module_init(canary_init);

MODULE_DESCRIPTION("Bugs that a sanitizer kernel has to report");
MODULE_LICENSE("GPL");
