// SPDX-License-Identifier: GPL-2.0
/*
 * Runs test cases of a block buffer cache inside the kernel. In
 * /sys/kernel/debug/bufio_test_{dm,memscope}:
 *
 *   cases     "name flags rule" of each case
 *   intended  "case.row value reason" of each difference that is meant
 *   run       write "case [dev=PATH]... [key=value]...": runs it, at most
 *             timeout= seconds
 *   result    what the last run printed
 *
 * Results: "row CASE.ROW GOT WANT ok|FAIL", "own" the same for what only
 * memscope has to give (dm-bufio's is shown), "theirs" the reverse, "fig CASE.NAME VALUE", "err TEXT",
 * "end CASE ROWS FAILED".
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bio.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/jiffies.h>
#include <linux/kasan-checks.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysrq.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "bufio_test.h"

static struct dentry *bt_dir;
static DEFINE_MUTEX(bt_run_lock);
static struct bt *bt_last;

static const struct bt_case *const bt_cases[] = {
	bt_clients, bt_reads, bt_writes, bt_contexts, bt_async, bt_errors, bt_weak, bt_wake,
	bt_shrink, bt_hot, bt_stats, bt_stress, bt_pressure, bt_powercut, bt_calls,
};

/* --- results ------------------------------------------------------------- */

static __printf(2, 0) void bt_vprint(struct bt *t, const char *fmt, va_list args)
{
	spin_lock(&t->lock);
	t->len += vscnprintf(t->out + t->len, BT_OUT - t->len, fmt, args);
	spin_unlock(&t->lock);
}

void bt_print(struct bt *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	bt_vprint(t, fmt, args);
	va_end(args);
}

void bt_fail(struct bt *t, const char *fmt, ...)
{
	va_list args;

	bt_print(t, "err %s: ", t->cs->name);
	va_start(args, fmt);
	bt_vprint(t, fmt, args);
	va_end(args);
	bt_print(t, "\n");
	spin_lock(&t->lock);
	t->failed++;
	spin_unlock(&t->lock);
}

static bool bt_judge(struct bt *t, const char *what, const char *row, long long got,
		     long long want)
{
	bool ok = got == want;

	bt_print(t, "%s %s.%s %lld %lld %s\n", what, t->cs->name, row, got, want,
		 ok ? "ok" : "FAIL");
	spin_lock(&t->lock);
	t->rows++;
	t->failed += !ok;
	spin_unlock(&t->lock);
	return ok;
}

bool bt_row(struct bt *t, const char *row, long long got, long long want)
{
	size_t n = strlen(t->cs->name);
	unsigned int i;

	for (i = 0; BT_OURS && i < bt_nr_intended; i++) {
		const char *key = bt_intended[i].row;

		if (!strncmp(key, t->cs->name, n) && key[n] == '.' && !strcmp(key + n + 1, row))
			want = bt_intended[i].ours;
	}
	return bt_judge(t, "row", row, got, want);
}

void bt_fig(struct bt *t, const char *name, long long value)
{
	bt_print(t, "fig %s.%s %lld\n", t->cs->name, name, value);
}

bool bt_row_ours(struct bt *t, const char *row, long long got, long long want)
{
	return bt_judge(t, "own", row, got, BT_OURS ? want : got);
}

bool bt_row_theirs(struct bt *t, const char *row, long long got, long long want)
{
	return bt_judge(t, "theirs", row, got, BT_OURS ? got : want);
}

u64 bt_arg(struct bt *t, const char *key, u64 dflt)
{
	unsigned int i;
	u64 v;

	for (i = 0; i < t->nr_args; i++)
		if (!strcmp(t->arg[i].key, key) && !kstrtou64(t->arg[i].val, 0, &v))
			return v;
	return dflt;
}

/* --- contents ------------------------------------------------------------ */

static __always_inline u64 bt_word(u64 seed, sector_t sector, unsigned int i)
{
	return (seed * 0x9e3779b97f4a7c15ULL ^ sector * 0xc2b2ae3d27d4eb4fULL) + i;
}

/* Checked by KASAN at once here, and not word for word: most of the work of a run is in these two. */
__no_sanitize_address void bt_fill(void *data, size_t bytes, u64 seed, sector_t sector)
{
	unsigned int i;
	u64 *w = data;

	kasan_check_write(data, bytes);
	for (; bytes; bytes -= SECTOR_SIZE, sector++) {
		u64 first = bt_word(seed, sector, 0);

		for (i = 0; i < SECTOR_SIZE / sizeof(u64); i++)
			*w++ = first + i;
	}
}

__no_sanitize_address bool bt_is(const void *data, size_t bytes, u64 seed, sector_t sector)
{
	const u64 *w = data;
	unsigned int i;

	kasan_check_read(data, bytes);
	for (; bytes; bytes -= SECTOR_SIZE, sector++) {
		u64 first = bt_word(seed, sector, 0);

		for (i = 0; i < SECTOR_SIZE / sizeof(u64); i++)
			if (*w++ != first + i)
				return false;
	}
	return true;
}

int bt_disk_fill(struct bt *t, u64 seed, sector_t sector, sector_t n)
{
	int r = 0;

	while (n && !r) {
		unsigned int k = min_t(sector_t, n, BT_BUF >> SECTOR_SHIFT);

		bt_fill(t->buf, k << SECTOR_SHIFT, seed, sector);
		r = bdev_rw_virt(t->back, sector, t->buf, k << SECTOR_SHIFT, REQ_OP_WRITE);
		sector += k;
		n -= k;
	}
	return r;
}

bool bt_disk_is(struct bt *t, u64 seed, sector_t sector, sector_t n)
{
	while (n) {
		unsigned int k = min_t(sector_t, n, BT_BUF >> SECTOR_SHIFT);

		if (bdev_rw_virt(t->back, sector, t->buf, k << SECTOR_SHIFT, REQ_OP_READ))
			return false;
		if (!bt_is(t->buf, k << SECTOR_SHIFT, seed, sector))
			return false;
		sector += k;
		n -= k;
	}
	return true;
}

/* --- parameters of the module under test --------------------------------- */

/* Of who runs the cases: from Linux 7.3 on a kernel thread's root is empty. */
static struct path bt_root;

struct file *bt_file_open(const char *path, int flags)
{
	return file_open_root(&bt_root, path, flags, 0);
}

static struct file *bt_param(const char *name, int flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/module/" BT_MODULE "/parameters/%s", name);
	return bt_file_open(path, flags);
}

int bt_param_set(const char *name, u64 value)
{
	struct file *f = bt_param(name, O_WRONLY);
	char text[24];
	loff_t pos = 0;
	ssize_t n;

	if (IS_ERR(f))
		return PTR_ERR(f);
	n = kernel_write(f, text, scnprintf(text, sizeof(text), "%llu\n", value), &pos);
	filp_close(f, NULL);
	return n < 0 ? n : 0;
}

s64 bt_param_get(const char *name)
{
	struct file *f = bt_param(name, O_RDONLY);
	char text[24] = "";
	loff_t pos = 0;
	s64 value;
	ssize_t n;

	if (IS_ERR(f))
		return PTR_ERR(f);
	n = kernel_read(f, text, sizeof(text) - 1, &pos);
	filp_close(f, NULL);
	if (n < 0)
		return n;
	n = kstrtos64(strim(text), 0, &value);
	return n < 0 ? n : value;
}

/* --- threads ------------------------------------------------------------- */

static int bt_worker_fn(void *arg)
{
	struct bt_worker *w = arg;

	w->ret = w->fn(w->arg);
	complete_all(&w->done);
	return 0;
}

void bt_spawn(struct bt_worker *w, int (*fn)(void *arg), void *arg)
{
	w->fn = fn;
	w->arg = arg;
	w->ret = -EINPROGRESS;
	init_completion(&w->done);
	w->task = kthread_create(bt_worker_fn, w, "bufio_test_w");
	if (IS_ERR(w->task)) {
		w->ret = PTR_ERR(w->task);
		w->task = NULL;
		complete_all(&w->done);
		return;
	}
	get_task_struct(w->task);
	wake_up_process(w->task);
}

bool bt_done(struct bt_worker *w, unsigned int ms)
{
	return wait_for_completion_timeout(&w->done, msecs_to_jiffies(ms));
}

/* The case is stuck if the worker is: the run's timeout reports it. */
int bt_join(struct bt_worker *w)
{
	while (!wait_for_completion_timeout(&w->done, 30 * HZ))
		; /* in parts, or it would be taken for hung */
	if (w->task) {
		kthread_stop_put(w->task);
		w->task = NULL;
	}
	return w->ret;
}

/* --- clients ------------------------------------------------------------- */

struct bufio_client *bt_client_bs(struct bt *t, unsigned int block_size)
{
	struct bufio_client *c;

	c = bufio_client_create(t->bdev, block_size, 1, 0, NULL, NULL, 0);
	if (IS_ERR_OR_NULL(c)) {
		bt_fail(t, "client_create: %ld", PTR_ERR(c));
		return NULL;
	}
	return c;
}

struct bufio_client *bt_client(struct bt *t)
{
	return bt_client_bs(t, BT_BS);
}

/*
 * Clean blocks: dm-bufio writes back by itself when few are clean. What a
 * case counts starts after them.
 */
void bt_ballast(struct bt *t, struct bufio_client *c)
{
	unsigned int i;

	for (i = 0; i < BT_BALLAST; i++)
		bt_read_is(c, BT_BALLAST_AT + i, BT_OLD);
	gate_reset(t->gate);
}

/* 0 for data, 1 for NULL, else the errno. */
long bt_err(const void *p)
{
	return IS_ERR(p) ? PTR_ERR(p) : !p;
}

/* Read a block: 1 if it has these contents, 0 if not, or the errno. */
int bt_read_is(struct bufio_client *c, sector_t block, u64 seed)
{
	unsigned int bs = bufio_get_block_size(c);
	struct bufio_buffer *b;
	void *p = bufio_read(c, block, &b);
	bool is;

	if (bt_err(p))
		return bt_err(p) == 1 ? -ENODATA : bt_err(p);
	is = bt_is(p, bs, seed, block * (bs >> SECTOR_SHIFT));
	bufio_release(b);
	return is;
}

int bt_read_fn(void *arg)
{
	struct bt_reader *r = arg;

	return bt_read_is(r->c, r->block, BT_OLD);
}

/* 1 if the block is in the cache, 0 if not, or the errno. */
int bt_cached(struct bufio_client *c, sector_t block)
{
	struct bufio_buffer *b;
	void *p = bufio_get(c, block, &b);

	if (bt_err(p))
		return bt_err(p) == 1 ? 0 : bt_err(p);
	bufio_release(b);
	return 1;
}

/* How many blocks of a range are in the cache. */
unsigned int bt_cached_in(struct bufio_client *c, sector_t from, sector_t to)
{
	unsigned int n = 0;

	for (; from < to; from++)
		n += bt_cached(c, from) == 1;
	return n;
}

/* Change a block and mark it dirty. */
int bt_write(struct bufio_client *c, sector_t block, u64 seed)
{
	unsigned int bs = bufio_get_block_size(c);
	struct bufio_buffer *b;
	void *p = bufio_new(c, block, &b);

	if (bt_err(p))
		return bt_err(p) == 1 ? -ENODATA : bt_err(p);
	bt_fill(p, bs, seed, block * (bs >> SECTOR_SHIFT));
	bufio_mark_dirty(b);
	bufio_release(b);
	return 0;
}

/* --- running ------------------------------------------------------------- */

static void bt_free(struct bt *t)
{
	unsigned int i;

	if (!t)
		return;
	for (i = 0; i < t->nr_devs; i++)
		bdev_fput(t->dev_file[i]);
	kfree(t->buf);
	vfree(t->out);
	kfree(t);
}

static int bt_open(struct bt *t, const char *path)
{
	struct file *f;

	if (t->nr_devs == BT_DEVS)
		return -E2BIG;
	f = bdev_file_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE, NULL, NULL);
	if (IS_ERR(f))
		return PTR_ERR(f);
	t->dev_file[t->nr_devs] = f;
	t->dev[t->nr_devs++] = file_bdev(f);
	return 0;
}

static int bt_parse(struct bt *t, char *line)
{
	const struct bt_case *cs;
	char *word, *val;
	unsigned int i;
	int r;

	word = strsep(&line, " ");
	for (i = 0; i < ARRAY_SIZE(bt_cases) && !t->cs; i++)
		for (cs = bt_cases[i]; cs->name && !t->cs; cs++)
			if (!strcmp(cs->name, word))
				t->cs = cs;
	if (!t->cs)
		return -ENOENT;
	while ((word = strsep(&line, " "))) {
		val = strchr(word, '=');
		if (!val)
			return -EINVAL;
		*val++ = 0;
		if (!strcmp(word, "dev")) {
			r = bt_open(t, val);
			if (r)
				return r;
			continue;
		}
		if (t->nr_args == BT_ARGS)
			return -E2BIG;
		strscpy(t->arg[t->nr_args].key, word);
		strscpy(t->arg[t->nr_args].val, val);
		t->nr_args++;
	}
	return t->nr_devs ? 0 : -ENODEV;
}

static void bt_run_case(struct bt *t)
{
	s64 age = bt_param_get("writeback_age_ms");
	int r;

	t->bdev = t->dev[0];
	t->back = t->dev[0];
	if (!(t->cs->flags & BT_RAW)) {
		r = bt_disk_fill(t, BT_OLD, 0, BT_AREA);
		if (r) {
			bt_fail(t, "cannot fill the device: %d", r);
			goto out;
		}
		t->gate = gate_create(t->back, bt_arg(t, "pbs", 4096), bt_arg(t, "discard", 1));
		if (IS_ERR(t->gate)) {
			bt_fail(t, "gate_create: %ld", PTR_ERR(t->gate));
			goto out;
		}
		t->bdev = gate_bdev(t->gate);
		/* What is written when must not depend on how long a case takes. */
		if (age > 0)
			bt_param_set("writeback_age_ms", 0);
	}
	t->cs->fn(t);
	if (t->gate && age > 0)
		bt_param_set("writeback_age_ms", age);
	if (t->gate)
		gate_destroy(t->gate);
out:
	bt_print(t, "end %s %u %u\n", t->cs->name, t->rows, t->failed);
	t->finished = true;
	complete_all(&t->done);
}

static int bt_thread(void *arg)
{
	bt_run_case(arg);
	return 0;
}

/* What takes longer than a second does not hold up a suspend. */
static bool bt_wait(struct bt *t)
{
	unsigned long end = jiffies + bt_arg(t, "timeout", 60) * HZ;

	if (wait_for_completion_timeout(&t->done, HZ))
		return true;
	while (!completion_done(&t->done) && time_before(jiffies, end)) {
		__set_current_state(TASK_UNINTERRUPTIBLE | TASK_FREEZABLE_UNSAFE);
		schedule_timeout(HZ / 20);
	}
	return completion_done(&t->done);
}

static int bt_run(struct bt *t)
{
	struct task_struct *task;

	if (t->cs->flags & BT_INLINE) {
		bt_run_case(t);
		return 0;
	}
	task = kthread_create(bt_thread, t, "bufio_test");
	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task_struct(task);
	wake_up_process(task);
	if (bt_wait(t)) {
		kthread_stop_put(task);
		return 0;
	}
	bt_print(t, "err %s: stuck, pid %d\n", t->cs->name, task->pid);
	put_task_struct(task);
	/* Who runs and who is blocked: to the kernel log. */
	handle_sysrq('l');
	handle_sysrq('w');
	__module_get(THIS_MODULE);	/* its code is running for good */
	return -ETIMEDOUT;
}

static ssize_t bt_run_write(struct file *file, const char __user *ubuf, size_t n, loff_t *pos)
{
	struct bt *t;
	char *line;
	int r;

	line = memdup_user_nul(ubuf, min_t(size_t, n, 1023));
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&bt_run_lock);
	if (!bt_root.mnt)
		get_fs_root(current->fs, &bt_root);
	/* One that is stuck still uses its memory. */
	if (bt_last && bt_last->finished)
		bt_free(bt_last);
	bt_last = NULL;
	t = kzalloc_obj(*t);
	if (!t) {
		r = -ENOMEM;
		goto out;
	}
	t->out = vzalloc(BT_OUT);
	t->buf = kmalloc(BT_BUF, GFP_KERNEL);
	spin_lock_init(&t->lock);
	init_completion(&t->done);
	r = t->out && t->buf ? bt_parse(t, strim(line)) : -ENOMEM;
	if (r) {
		bt_free(t);
		goto out;
	}
	bt_last = t;
	r = bt_run(t);
out:
	mutex_unlock(&bt_run_lock);
	kfree(line);
	return r ? r : n;
}

static const struct file_operations bt_run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = bt_run_write,
};

static int bt_result_show(struct seq_file *m, void *v)
{
	/* A case may read files with this lock held, whose lock is held here. */
	if (!mutex_trylock(&bt_run_lock))
		return -EBUSY;
	if (bt_last) {
		spin_lock(&bt_last->lock);
		seq_write(m, bt_last->out, bt_last->len);
		spin_unlock(&bt_last->lock);
	}
	mutex_unlock(&bt_run_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(bt_result);

static int bt_cases_show(struct seq_file *m, void *v)
{
	const struct bt_case *cs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bt_cases); i++)
		for (cs = bt_cases[i]; cs->name; cs++)
			seq_printf(m, "%s 0x%x %s\n", cs->name, cs->flags, cs->rule);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(bt_cases);

static int bt_intended_show(struct seq_file *m, void *v)
{
	unsigned int i;

	for (i = 0; i < bt_nr_intended; i++)
		seq_printf(m, "%s %lld %s\n", bt_intended[i].row, bt_intended[i].ours,
			   bt_intended[i].why);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(bt_intended);

static int __init bt_init(void)
{
	bt_dir = debugfs_create_dir("bufio_test_" BT_IMPL, NULL);
	debugfs_create_file("cases", 0400, bt_dir, NULL, &bt_cases_fops);
	debugfs_create_file("intended", 0400, bt_dir, NULL, &bt_intended_fops);
	debugfs_create_file("run", 0200, bt_dir, NULL, &bt_run_fops);
	debugfs_create_file("result", 0400, bt_dir, NULL, &bt_result_fops);
	return 0;
}

static void __exit bt_exit(void)
{
	debugfs_remove(bt_dir);
	bt_free(bt_last);
	if (bt_root.mnt)
		path_put(&bt_root);
}

module_init(bt_init);
module_exit(bt_exit);
MODULE_AUTHOR("memscope developers");
MODULE_DESCRIPTION("Test cases of a block buffer cache");
MODULE_LICENSE("GPL");
