// SPDX-License-Identifier: GPL-2.0
/*
 * Calls each function of memscope-bufio.h in the task that asks for it, so that
 * fail-nth, which counts a task's own allocations, reaches it: /dev/bufio_faults,
 * on the block device of its parameter. An operation is prepared and judged without faults, by ioctls of
 * their own: BUFIO_FAULTS_PREPARE, _ACT, _JUDGE.
 */
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/dm-io.h>
#include <linux/memscope-bufio.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/task.h>
#include <linux/string.h>

#include "bufio_faults.h"

#define MOST_BYTES	65536
#define BLOCKS		64
/* Those that an operation changes, and their neighbour, which none may touch. */
#define BLOCK		5
#define OTHER		40

static char *device = "/dev/ram0";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "the block device");

static_assert(BUFIO_FAULTS_ALL_FLAGS == MEMSCOPE_BUFIO_CLIENT_FLAGS);

static struct state {
	struct file *file;
	struct memscope_bufio_client *client;
	struct memscope_buffer *buffer;
	unsigned int bytes, flags;	/* of the client */
	unsigned int filled;	/* the blocks' size when the device was filled */
	unsigned long fallbacks;
	u8 *data;		/* for what goes past the cache */
	struct completion done;
	int read_error;
	int acted;		/* what the operation returned */
	u8 want;		/* what BLOCK has to hold in the end */
} s;

static DEFINE_MUTEX(lock);

static u8 first_byte(unsigned int block)
{
	return 0x40 + block;
}

static int hold_read(void *p)
{
	return IS_ERR(p) ? PTR_ERR(p) : p ? 0 : -ENOENT;
}

static void let_go(void)
{
	if (s.buffer)
		memscope_bufio_release(s.buffer);
	s.buffer = NULL;
}

static int change(u8 value)
{
	struct memscope_buffer *b;
	void *p = memscope_bufio_read(s.client, BLOCK, &b);

	if (IS_ERR(p))
		return PTR_ERR(p);
	memset(p, value, s.bytes);
	memscope_bufio_mark_buffer_dirty(b);
	memscope_bufio_release(b);
	s.want = value;
	return 0;
}

/* --- faults in the client's work, which runs in a worker --------------------------- */

#ifdef CONFIG_FAULT_INJECTION
static unsigned int *fail_nth(struct task_struct *task)
{
	return &task->fail_nth;
}
#else
static unsigned int *fail_nth(struct task_struct *task)
{
	static unsigned int none;

	return &none;
}
#endif

/* The worker that the faults are for, from its first write on. */
static struct {
	struct task_struct *task;
	unsigned int nth;
	bool wanted;
	struct completion started;
} worker;

static void before_write(struct memscope_buffer *b)
{
	if (!READ_ONCE(worker.wanted) || !(current->flags & PF_WQ_WORKER))
		return;
	worker.wanted = false;
	worker.task = get_task_struct(current);
	WRITE_ONCE(*fail_nth(current), worker.nth);
	complete(&worker.started);
}

/* --- the operations: 0, or an error that the caller is told ---------------------- */

struct dm_buffer;

static void before_dm_write(struct dm_buffer *b)
{
	before_write((struct memscope_buffer *)b);
}

static unsigned long from_vmalloc(void)
{
	struct memscope_bufio_usage usage;

	memscope_bufio_get_usage(&usage);
	return usage.vmalloc_bytes;
}

static int op_client_create(void)
{
	void (*write)(struct memscope_buffer *b) = before_write;
	unsigned long before = from_vmalloc();
	int ret;

	/* Through void *: the callback keeps its type. */
	if (s.flags & MEMSCOPE_BUFIO_CLIENT_DM_BUFFER)
		write = (void *)before_dm_write;
	s.client = memscope_bufio_client_create(file_bdev(s.file), s.bytes, 1, 16, NULL,
						write, s.flags);
	ret = PTR_ERR_OR_ZERO(s.client);
	if (ret)
		s.client = NULL;
	else if (is_power_of_2(s.bytes) && from_vmalloc() > before)
		s.fallbacks++;
	return ret;
}

static int op_client_destroy(void)
{
	memscope_bufio_client_destroy(s.client);
	s.client = NULL;
	return 0;
}

static int op_client_reset(void)
{
	memscope_bufio_client_reset(s.client);
	return 0;
}

static int op_set_sector_offset(void)
{
	memscope_bufio_set_sector_offset(s.client, 8);
	memscope_bufio_set_sector_offset(s.client, 0);
	return 0;
}

static int op_read(void)
{
	return hold_read(memscope_bufio_read(s.client, BLOCK, &s.buffer));
}

static int op_read_with_ioprio(void)
{
	return hold_read(memscope_bufio_read_with_ioprio(s.client, BLOCK, &s.buffer, 0));
}

static int op_get(void)
{
	return hold_read(memscope_bufio_get(s.client, BLOCK, &s.buffer));
}

static int op_new(void)
{
	return hold_read(memscope_bufio_new(s.client, BLOCK, &s.buffer));
}

static int op_prefetch(void)
{
	memscope_bufio_prefetch(s.client, 0, BLOCKS / 8);
	return 0;
}

static int op_prefetch_with_ioprio(void)
{
	memscope_bufio_prefetch_with_ioprio(s.client, 0, BLOCKS / 8, 0);
	return 0;
}

static int op_release(void)
{
	let_go();
	return 0;
}

static int op_mark_buffer_dirty(void)
{
	memset(memscope_bufio_get_block_data(s.buffer), 0xd1, s.bytes);
	memscope_bufio_mark_buffer_dirty(s.buffer);
	s.want = 0xd1;
	return 0;
}

static int op_mark_partial_buffer_dirty(void)
{
	memset(memscope_bufio_get_block_data(s.buffer), 0xd2, s.bytes);
	memscope_bufio_mark_partial_buffer_dirty(s.buffer, 0, s.bytes);
	s.want = 0xd2;
	return 0;
}

static int op_write_dirty_buffers_async(void)
{
	memscope_bufio_write_dirty_buffers_async(s.client);
	return 0;
}

static int op_write_dirty_buffers(void)
{
	return memscope_bufio_write_dirty_buffers(s.client);
}

static int op_issue_flush(void)
{
	return memscope_bufio_issue_flush(s.client);
}

static int op_issue_discard(void)
{
	return memscope_bufio_issue_discard(s.client, BLOCKS, 8);
}

static int op_forget(void)
{
	memscope_bufio_forget(s.client, BLOCK);
	return 0;
}

static int op_forget_buffers(void)
{
	memscope_bufio_forget_buffers(s.client, 0, BLOCKS);
	return 0;
}

static int op_set_minimum_buffers(void)
{
	memscope_bufio_set_minimum_buffers(s.client, 4);
	return 0;
}

static int op_get_block_size(void)
{
	return memscope_bufio_get_block_size(s.client) == s.bytes ? 0 : -EUCLEAN;
}

static int op_get_device_size(void)
{
	return memscope_bufio_get_device_size(s.client) >= BLOCKS ? 0 : -EUCLEAN;
}

static int op_get_dm_io_client(void)
{
	return PTR_ERR_OR_ZERO(memscope_bufio_get_dm_io_client(s.client));
}

static int op_get_block_number(void)
{
	return memscope_bufio_get_block_number(s.buffer) == BLOCK ? 0 : -EUCLEAN;
}

static int op_get_block_data(void)
{
	return *(u8 *)memscope_bufio_get_block_data(s.buffer) == first_byte(BLOCK) ? 0 : -EUCLEAN;
}

static int op_get_aux_data(void)
{
	return memscope_bufio_get_aux_data(s.buffer) ? 0 : -EUCLEAN;
}

static int op_get_client(void)
{
	return memscope_bufio_get_client(s.buffer) == s.client ? 0 : -EUCLEAN;
}

static void read_done(struct memscope_buffer *b, int error, void *context)
{
	s.buffer = b;
	s.read_error = error;
	complete(&s.done);
}

static int op_read_async(void)
{
	int ret;

	reinit_completion(&s.done);
	ret = memscope_bufio_read_async(s.client, BLOCK, 0, read_done, NULL);
	if (ret)
		return ret;
	wait_for_completion(&s.done);
	return s.read_error;
}

static int op_set_maximum_bytes(void)
{
	memscope_bufio_set_maximum_bytes(s.client, 1 << 20);
	return 0;
}

static int op_get_allocated_bytes(void)
{
	return memscope_bufio_get_allocated_bytes(s.client) >= s.bytes ? 0 : -EUCLEAN;
}

static int op_get_usage(void)
{
	struct memscope_bufio_usage usage;

	memscope_bufio_get_usage(&usage);
	return usage.current_bytes >= s.bytes ? 0 : -EUCLEAN;
}

static int op_set_peak_bytes(void)
{
	struct memscope_bufio_usage usage;

	memscope_bufio_set_peak_bytes(1UL << 40);
	memscope_bufio_get_usage(&usage);
	memscope_bufio_set_peak_bytes(0);
	return usage.peak_bytes == 1UL << 40 ? 0 : -EUCLEAN;
}

static int op_set_limit_bytes(void)
{
	struct memscope_bufio_usage usage;

	memscope_bufio_set_limit_bytes(1 << 20);
	memscope_bufio_get_usage(&usage);
	memscope_bufio_set_limit_bytes(0);
	return usage.limit_bytes == 1 << 20 ? 0 : -EUCLEAN;
}

static int op_get_retain_bytes(void)
{
	return memscope_bufio_get_retain_bytes() ? 0 : -EUCLEAN;
}

static int op_set_retain_bytes(void)
{
	unsigned long before = memscope_bufio_get_retain_bytes(), now;

	memscope_bufio_set_retain_bytes(before + 1);
	now = memscope_bufio_get_retain_bytes();
	memscope_bufio_set_retain_bytes(before);
	return now == before + 1 ? 0 : -EUCLEAN;
}

static const struct memscope_bufio_dm_io_ops dm_io_ops = {
	.create = dm_io_client_create,
	.destroy = dm_io_client_destroy,
};

static int op_set_dm_io(void)
{
	struct dm_io_client *io;

	memscope_bufio_set_dm_io(NULL);
	io = memscope_bufio_get_dm_io_client(s.client);
	memscope_bufio_set_dm_io(&dm_io_ops);
	return io == ERR_PTR(-EOPNOTSUPP) ? 0 : -EUCLEAN;
}

/* So many dirty blocks that the client's work writes some of them, in bios of their own. */
static int op_background(void)
{
	struct memscope_buffer *b;
	unsigned int i, nth = READ_ONCE(*fail_nth(current));
	void *p;
	int ret = 0;

	/* The faults are the worker's. */
	WRITE_ONCE(*fail_nth(current), 0);
	worker.nth = nth;
	reinit_completion(&worker.started);
	WRITE_ONCE(worker.wanted, true);
	for (i = BLOCK; i < OTHER; i += 2) {
		p = memscope_bufio_new(s.client, i, &b);
		if (IS_ERR(p)) {
			worker.wanted = false;
			return PTR_ERR(p);
		}
		memset(p, i == BLOCK ? 0xd4 : first_byte(i), s.bytes);
		memscope_bufio_mark_buffer_dirty(b);
		memscope_bufio_release(b);
	}
	s.want = 0xd4;
	if (!wait_for_completion_timeout(&worker.started, 60 * HZ))
		ret = -ETIMEDOUT;
	WRITE_ONCE(worker.wanted, false);
	/* Waits for the work; what that could not write is written now. */
	memscope_bufio_client_destroy(s.client);
	s.client = NULL;
	if (ret)
		return ret;
	/* The caller looks in itself whether the Nth was met. */
	WRITE_ONCE(*fail_nth(current), READ_ONCE(*fail_nth(worker.task)));
	WRITE_ONCE(*fail_nth(worker.task), 0);
	put_task_struct(worker.task);
	return 0;
}

enum { NOTHING, CLIENT, CACHED, HELD, DIRTY };

static const struct op {
	const char *name;
	int needs;
	int (*act)(void);
} ops[] = {
#define OP(name, needs)	{ #name, needs, op_##name }
	OP(client_create, NOTHING),
	OP(client_destroy, DIRTY),
	OP(client_reset, DIRTY),
	OP(set_sector_offset, CLIENT),
	OP(read, CLIENT),
	OP(read_with_ioprio, CLIENT),
	OP(read_async, CLIENT),
	OP(get, CACHED),
	OP(new, CLIENT),
	OP(prefetch, CLIENT),
	OP(prefetch_with_ioprio, CLIENT),
	OP(release, HELD),
	OP(mark_buffer_dirty, HELD),
	OP(mark_partial_buffer_dirty, HELD),
	OP(write_dirty_buffers_async, DIRTY),
	OP(write_dirty_buffers, DIRTY),
	OP(issue_flush, CLIENT),
	OP(issue_discard, CLIENT),
	OP(forget, CACHED),
	OP(forget_buffers, CACHED),
	OP(set_minimum_buffers, CLIENT),
	OP(get_block_size, CLIENT),
	OP(get_device_size, CLIENT),
	OP(get_dm_io_client, CLIENT),
	OP(get_block_number, HELD),
	OP(get_block_data, HELD),
	OP(get_aux_data, HELD),
	OP(get_client, HELD),
	OP(set_maximum_bytes, CLIENT),
	OP(get_allocated_bytes, CLIENT),
	OP(get_usage, CLIENT),
	OP(set_peak_bytes, NOTHING),
	OP(set_limit_bytes, NOTHING),
	OP(get_retain_bytes, NOTHING),
	OP(set_retain_bytes, NOTHING),
	OP(set_dm_io, CLIENT),
	OP(background, CLIENT),
};

/* Every block that an operation may write, so that the device need not allocate it then. */
static int fill(struct memscope_bufio_client *c)
{
	struct memscope_buffer *b;
	unsigned int i;
	void *p;

	for (i = 0; i < BLOCKS + 8; i++) {
		p = memscope_bufio_new(c, i, &b);
		if (IS_ERR(p))
			return PTR_ERR(p);
		memset(p, first_byte(i), s.bytes);
		memscope_bufio_mark_buffer_dirty(b);
		memscope_bufio_release(b);
	}
	return memscope_bufio_write_dirty_buffers(c);
}

/* A block of the device, past the cache: s.data. */
static int transfer(unsigned int block, enum req_op op)
{
	sector_t sector = (sector_t)block * (s.bytes >> SECTOR_SHIFT);

	return bdev_rw_virt(file_bdev(s.file), sector, s.data, s.bytes, op);
}

static int put(unsigned int block)
{
	memset(s.data, first_byte(block), s.bytes);
	return transfer(block, REQ_OP_WRITE);
}

/* BLOCK and OTHER have their contents. */
static int set_contents(void)
{
	int ret;

	if (s.filled == s.bytes)
		return put(BLOCK) ?: put(OTHER);
	ret = op_client_create();
	if (ret)
		return ret;
	ret = fill(s.client);
	memscope_bufio_client_destroy(s.client);
	s.client = NULL;
	s.filled = ret ? 0 : s.bytes;
	return ret;
}

static void end(void)
{
	let_go();
	if (s.client)
		memscope_bufio_client_destroy(s.client);
	s.client = NULL;
}

static int prepare(const struct op *op)
{
	int ret = set_contents();

	s.want = first_byte(BLOCK);
	if (ret || op->needs == NOTHING)
		return ret;
	/* An empty cache. */
	ret = op_client_create();
	if (!ret && op->needs == DIRTY)
		ret = change(0xd0);
	if (!ret && (op->needs == CACHED || op->needs == HELD))
		ret = op_read();
	if (op->needs != HELD)
		let_go();
	return ret;
}

static int holds(unsigned int block, u8 value)
{
	struct memscope_buffer *b;
	u8 *p = memscope_bufio_read(s.client, block, &b);
	int ret = 0;

	if (IS_ERR(p))
		return PTR_ERR(p);
	if (memchr_inv(p, value, s.bytes))
		ret = -EUCLEAN;
	memscope_bufio_release(b);
	return ret;
}

static int holds_on_device(unsigned int block, u8 value)
{
	int ret = transfer(block, REQ_OP_READ);

	if (!ret && memchr_inv(s.data, value, s.bytes))
		ret = -EUCLEAN;
	return ret;
}

/*
 * What an operation may have left undone, it may not have done by half. An error
 * of the device may have lost a change only if that was reported.
 */
static int judge(const struct op *op, bool device_fails)
{
	/* At the end of a client it is logged. */
	bool dropped = op->act == op_background && s.flags & MEMSCOPE_BUFIO_CLIENT_DROP_FAILED;
	bool reported = device_fails && (s.acted || op->act == op_client_destroy || dropped);
	int ret = 0;

	/* A new block's contents are the caller's to write. */
	if (s.buffer && op->act == op_new) {
		memset(memscope_bufio_get_block_data(s.buffer), 0xd3, s.bytes);
		memscope_bufio_mark_buffer_dirty(s.buffer);
		s.want = 0xd3;
	}
	let_go();
	if (s.client) {
		ret = memscope_bufio_write_dirty_buffers(s.client);
		if (ret && device_fails) {
			reported = true;
			/* Once. */
			ret = memscope_bufio_write_dirty_buffers(s.client);
		}
		if (!ret && !reported)
			ret = holds(BLOCK, s.want);
		if (!ret)
			ret = holds(OTHER, first_byte(OTHER));
	}
	end();
	/* On the device, not only in the cache. */
	if (!ret && !reported)
		ret = holds_on_device(BLOCK, s.want);
	if (!ret)
		ret = holds_on_device(OTHER, first_byte(OTHER));
	return ret;
}

/* Of the device, not of a cache. */
static int read_block(unsigned int block)
{
	int ret;

	end();
	s.bytes = BUFIO_FAULTS_BYTES(0);
	s.flags = 0;
	ret = op_client_create();
	if (!ret)
		ret = holds(block, first_byte(block));
	end();
	return ret;
}

static long faults_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct op *op;
	long ret = -ENOTTY;
	bool device_fails;

	if (cmd == BUFIO_FAULTS_COUNT)
		return ARRAY_SIZE(ops);
	if (cmd == BUFIO_FAULTS_READ) {
		mutex_lock(&lock);
		ret = read_block(arg);
		mutex_unlock(&lock);
		return ret;
	}
	if (cmd == BUFIO_FAULTS_FALLBACKS)
		return s.fallbacks;
	device_fails = arg & BUFIO_FAULTS_DEVICE;
	if ((arg & BUFIO_FAULTS_OPERATION) >= ARRAY_SIZE(ops))
		return -EINVAL;
	op = &ops[arg & BUFIO_FAULTS_OPERATION];
	mutex_lock(&lock);
	switch (cmd) {
	case BUFIO_FAULTS_PREPARE:
		pr_debug("%s\n", op->name);
		end();
		s.bytes = BUFIO_FAULTS_BYTES(arg);
		s.flags = BUFIO_FAULTS_FLAGS(arg);
		ret = s.bytes > MOST_BYTES ? -EINVAL : prepare(op);
		break;
	case BUFIO_FAULTS_ACT:
		s.acted = op->act();
		ret = s.acted;
		break;
	case BUFIO_FAULTS_JUDGE:
		ret = judge(op, device_fails);
		break;
	}
	mutex_unlock(&lock);
	return ret;
}

/* The names, one on a line. */
static ssize_t faults_read(struct file *file, char __user *to, size_t bytes, loff_t *pos)
{
	char text[1024];
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		len += scnprintf(text + len, sizeof(text) - len, "%s\n", ops[i].name);
	return simple_read_from_buffer(to, bytes, pos, text, len);
}

static const struct file_operations faults_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = faults_ioctl,
	.read = faults_read,
};

static struct miscdevice faults_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bufio_faults",
	.fops = &faults_fops,
	.mode = 0600,
};

static int __init faults_init(void)
{
	int ret;

	init_completion(&s.done);
	init_completion(&worker.started);
	s.data = kmalloc(MOST_BYTES, GFP_KERNEL);
	if (!s.data)
		return -ENOMEM;
	s.file = bdev_file_open_by_path(device, BLK_OPEN_READ | BLK_OPEN_WRITE, NULL, NULL);
	ret = PTR_ERR_OR_ZERO(s.file);
	if (ret)
		goto no_file;
	ret = misc_register(&faults_device);
	if (ret)
		goto no_device;
	memscope_bufio_set_dm_io(&dm_io_ops);
	return 0;

no_device:
	fput(s.file);
no_file:
	kfree(s.data);
	return ret;
}

static void __exit faults_exit(void)
{
	misc_deregister(&faults_device);
	end();
	memscope_bufio_set_dm_io(NULL);
	fput(s.file);
	kfree(s.data);
}

module_init(faults_init);
module_exit(faults_exit);
MODULE_AUTHOR("memscope developers");
MODULE_DESCRIPTION("Calls of bufio, one at a time, for fault injection");
MODULE_LICENSE("GPL");
