// SPDX-License-Identifier: GPL-2.0
/*
 * Measures dm-bufio and memscope's bufio side by side. In
 * /sys/kernel/debug/memscope_bench:
 *
 *   run     write "CACHE CASE [dev=PATH] [key=value]...": runs the case, in the
 *           writer's context; CACHE is dm or memscope, or scope for what is
 *           about scopes
 *   result  "NAME VALUE" lines of the last run
 *
 * profile=NS adds, for each function, how often a timer found the CPU there.
 *
 * Times are in thousandths of a nanosecond for one operation where the name
 * ends in _ps, in nanoseconds where it ends in _ns.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/vmstat.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "bench.h"
#include "hog.h"

static struct dentry *bench_dir;
static DEFINE_MUTEX(bench_lock);
static char *bench_out;

static const struct {
	const char *name;
	const struct bench_case *cases;
} bench_sets[] = {
	{ "dm", bench_dm },
	{ "memscope", bench_memscope },
	{ "scope", bench_scope },
};

/* --- arguments and results ------------------------------------------------- */

u64 bench_arg(struct bench *b, const char *key, u64 dflt)
{
	unsigned int i;
	u64 v;

	for (i = 0; i < b->nr_args; i++)
		if (!strcmp(b->arg[i].key, key) && !kstrtou64(b->arg[i].val, 0, &v))
			return v;
	return dflt;
}

void bench_fig(struct bench *b, const char *name, s64 value)
{
	b->len += scnprintf(b->out + b->len, BENCH_OUT - b->len, "%s %lld\n", name, value);
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int cmp_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

void bench_rounds(struct bench *b, u64 *ns, unsigned int n, unsigned int ops)
{
	sort(ns, n, sizeof(*ns), cmp_u64, NULL);
	bench_fig(b, "median_ps", div64_u64(ns[n / 2] * 1000, ops));
	bench_fig(b, "min_ps", div64_u64(ns[0] * 1000, ops));
	bench_fig(b, "max_ps", div64_u64(ns[n - 1] * 1000, ops));
}

void bench_quantiles(struct bench *b, const char *prefix, u32 *ns, unsigned int n)
{
	static const struct { const char *name; unsigned int of_1000; } q[] = {
		{ "p50", 500 }, { "p99", 990 }, { "p999", 999 },
	};
	char name[40];
	unsigned int i;

	if (!n)
		return;
	sort(ns, n, sizeof(*ns), cmp_u32, NULL);
	for (i = 0; i < ARRAY_SIZE(q); i++) {
		snprintf(name, sizeof(name), "%s_%s_ns", prefix, q[i].name);
		bench_fig(b, name, ns[div_u64((u64)n * q[i].of_1000, 1000)]);
	}
	snprintf(name, sizeof(name), "%s_max_ns", prefix);
	bench_fig(b, name, ns[n - 1]);
}

/* --- memory pressure --------------------------------------------------------- */

static struct {
	struct task_struct *task;
	unsigned long leave;
	struct completion ready;
} eater;

static void eater_take(unsigned long n)
{
	while (n--) {
		struct page *page = alloc_page(GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC);

		if (!page)
			return;
		hog_add(page);
	}
}

/* Keeps what is free near eater.leave pages, from both sides. */
static int eater_fn(void *unused)
{
	while (!kthread_should_stop()) {
		unsigned long free = global_zone_page_state(NR_FREE_PAGES);

		if (free > eater.leave + 256) {
			eater_take(256);
			cond_resched();
			continue;
		}
		complete_all(&eater.ready);
		if (free < eater.leave / 2)
			hog_free(64);
		schedule_timeout_interruptible(1);
	}
	return 0;
}

int bench_hog_start(unsigned long pages)
{
	/* Not the OOM killer: what is measured must live. */
	hog_init();
	init_completion(&eater.ready);
	eater.leave = pages;
	eater.task = kthread_run(eater_fn, NULL, "bench_hog");
	if (IS_ERR(eater.task)) {
		hog_exit();
		return PTR_ERR(eater.task);
	}
	wait_for_completion(&eater.ready);
	return 0;
}

unsigned long bench_hog_pages(void)
{
	return hog.nr;
}

void bench_hog_stop(void)
{
	kthread_stop(eater.task);
	hog_exit();
}

/* --- files ------------------------------------------------------------------- */

static int bench_open_dev(struct bench *b, const char *path)
{
	b->file = bdev_file_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE, b, NULL);
	if (IS_ERR(b->file)) {
		int err = PTR_ERR(b->file);

		b->file = NULL;
		return err;
	}
	b->bdev = file_bdev(b->file);
	return 0;
}

static int bench_run(char *line)
{
	struct bench b = { .out = bench_out };
	const char *set = strsep(&line, " "), *name = strsep(&line, " ");
	const struct bench_case *c = NULL;
	unsigned int i;
	char *word;
	int err = 0;

	b.out[0] = 0;
	for (i = 0; i < ARRAY_SIZE(bench_sets); i++)
		if (!strcmp(set, bench_sets[i].name))
			c = bench_sets[i].cases;
	for (; c && c->name && name; c++)
		if (!strcmp(c->name, name))
			break;
	if (!c || !c->name || !name)
		return -ENOENT;
	while (!err && (word = strsep(&line, " "))) {
		char *val = word;
		const char *key = strsep(&val, "=");

		if (!*key)
			continue;
		if (!val || b.nr_args == BENCH_ARGS) {
			err = -EINVAL;
		} else if (!strcmp(key, "dev")) {
			err = bench_open_dev(&b, val);
		} else {
			strscpy(b.arg[b.nr_args].key, key, sizeof(b.arg[0].key));
			strscpy(b.arg[b.nr_args].val, val, sizeof(b.arg[0].val));
			b.nr_args++;
		}
	}
	if (!err && bench_arg(&b, "profile", 0))
		err = bench_profile_start(bench_arg(&b, "profile", 0));
	if (!err) {
		err = c->fn(&b);
		if (bench_arg(&b, "profile", 0))
			bench_profile_stop(&b);
	}
	if (b.file)
		bdev_fput(b.file);
	return err;
}

static ssize_t run_write(struct file *file, const char __user *from, size_t n, loff_t *pos)
{
	char *line;
	int err;

	if (n > 1024)
		return -E2BIG;
	line = memdup_user_nul(from, n);
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&bench_lock);
	err = bench_run(strim(line));
	mutex_unlock(&bench_lock);
	kfree(line);
	return err ? err : n;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = run_write,
};

static int result_show(struct seq_file *m, void *unused)
{
	mutex_lock(&bench_lock);
	seq_puts(m, bench_out);
	mutex_unlock(&bench_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(result);

static int __init bench_init(void)
{
	bench_out = kzalloc(BENCH_OUT, GFP_KERNEL);
	if (!bench_out)
		return -ENOMEM;
	bench_dir = debugfs_create_dir("memscope_bench", NULL);
	debugfs_create_file("run", 0200, bench_dir, NULL, &run_fops);
	debugfs_create_file("result", 0400, bench_dir, NULL, &result_fops);
	return 0;
}

static void __exit bench_exit(void)
{
	debugfs_remove(bench_dir);
	kfree(bench_out);
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_DESCRIPTION("memscope against what the kernel has");
MODULE_LICENSE("GPL");
