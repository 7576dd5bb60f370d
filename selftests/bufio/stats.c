// SPDX-License-Identifier: GPL-2.0
/*
 * What memscope says of a client in debugfs. dm-bufio says nothing.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/uaccess.h>

#include "bufio_test.h"

static char path[96];

/* Of the newest client of the device is what bt_stat() says from now on. */
void bt_stat_client(struct bt *t)
{
	char other[sizeof(path)];
	struct file *f;
	unsigned int i;

	for (i = 0; i < 4096; i++) {
		snprintf(other, sizeof(other),
			 "/sys/kernel/debug/memscope/bufio/memscope_bufio-%u:%u-%u",
			 MAJOR(t->bdev->bd_dev), MINOR(t->bdev->bd_dev), i);
		f = bt_file_open(other, O_RDONLY);
		if (IS_ERR(f))
			continue;
		filp_close(f, NULL);
		strscpy(path, other);
	}
}

/*
 * A number of the client's debugfs file. Such files are read to user memory
 * only: the case runs in the task that started it, which has some.
 */
s64 bt_stat(struct bt *t, const char *key)
{
	char *text = t->buf, *p;
	unsigned long user;
	struct file *f;
	loff_t pos = 0;
	ssize_t n = 0;
	s64 value;

	f = bt_file_open(path, O_RDONLY);
	if (IS_ERR(f))
		return PTR_ERR(f);
	user = vm_mmap(NULL, 0, BT_BUF, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, 0);
	if (IS_ERR_VALUE(user)) {
		filp_close(f, NULL);
		return user;
	}
	do {
		n = f->f_op->read(f, (char __user *)user + pos, BT_BUF - 1 - pos, &pos);
	} while (n > 0);
	if (!n && copy_from_user(text, (char __user *)user, pos))
		n = -EFAULT;
	vm_munmap(user, BT_BUF);
	filp_close(f, NULL);
	if (n < 0)
		return n;
	text[pos] = 0;
	for (p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, strlen(key)) && p[strlen(key)] == ' ')
			return sscanf(p + strlen(key), "%lld", &value) == 1 ? value : -EINVAL;
		if (!*p)
			break;
	}
	return -ENODATA;
}

#ifdef BT_MEMSCOPE
static noinline_for_stack void is(struct bt *t, const char *when, const char *key, s64 want)
{
	char row[64];

	snprintf(row, sizeof(row), "%s.%s", when, key);
	bt_row_ours(t, row, bt_stat(t, key), want);
}

/* Each number after what it counts. */
static void statistics(struct bt *t)
{
	struct bufio_client *c;
	struct bufio_buffer *b;
	unsigned int i;

	c = bufio_client_create(t->bdev, BT_BS, 2, 0, NULL, NULL, 0);
	if (!bt_row_ours(t, "create", bt_err(c), 0))
		return;
	bt_stat_client(t);
	is(t, "new", "block_bytes", BT_BS);
	is(t, "new", "buffers", 0);
	is(t, "new", "reserve", 2);
	is(t, "new", "reserve_wanted", 2);
	is(t, "new", "bytes", memscope_bufio_get_allocated_bytes(c));
	bufio_set_minimum_buffers(c, 5);
	is(t, "new", "minimum", 5);
	memscope_bufio_set_maximum_bytes(c, 50 * BT_BS);
	is(t, "new", "bytes_max", 50 * BT_BS);
	for (i = 0; i < 10; i++)
		bt_read_is(c, i, BT_OLD);
	is(t, "read", "buffers", 10);
	is(t, "read", "clean", 10);
	is(t, "read", "misses", 10);
	is(t, "read", "read_bios", 10);
	is(t, "read", "step_nowait", 10);
	is(t, "read", "hits", 0);
	/* Used again: another queue, and as clean. */
	for (i = 0; i < 10; i++)
		bt_cached(c, i);
	bt_cached(c, 20);
	is(t, "get", "hits", 10);
	is(t, "get", "get_misses", 1);
	is(t, "get", "clean", 10);
	bufio_prefetch(c, 20, 4);
	gate_idle(t->gate, BT_SOON_MS);
	is(t, "prefetch", "prefetched", 4);
	is(t, "prefetch", "read_bios", 11);
	if (bt_row_ours(t, "hold", bt_err(bufio_read(c, 0, &b)), 0)) {
		bufio_mark_dirty(b);
		is(t, "hold", "held", 1);
		is(t, "hold", "dirty", 1);
		is(t, "hold", "clean", 13);
		bufio_release(b);
	}
	gate_hold(t->gate, GATE_WRITE, 0, GATE_ALL);
	bufio_write_dirty_async(c);
	bt_row_ours(t, "in_flight", gate_wait_held(t->gate, 1, BT_SOON_MS), 1);
	is(t, "write", "writing", 1);
	is(t, "write", "dirty", 0);
	gate_open(t->gate);
	gate_idle(t->gate, BT_SOON_MS);
	is(t, "written", "writing", 0);
	is(t, "written", "clean", 14);
	is(t, "written", "write_bios", 1);
	is(t, "written", "written_blocks", 1);
	for (i = 100; i < 200; i++)
		bt_read_is(c, i, BT_OLD);
	bt_row_ours(t, "evictions", bt_stat(t, "evictions") >= 100 + 14 - 50, 1);
	bt_row_ours(t, "step_make_room", bt_stat(t, "step_make_room") > 0, 1);
	bt_row_ours(t, "within", bt_stat(t, "bytes") <= 50 * BT_BS, 1);
	/* Header and data of each. */
	bt_row_ours(t, "buffer_bytes", bt_stat(t, "buffer_bytes") > BT_BS, 1);
	is(t, "sum", "bytes", bt_stat(t, "table_bytes") + bt_stat(t, "buffer_bytes") *
	   (bt_stat(t, "buffers") + bt_stat(t, "reserve")));
	gate_fail(t->gate, GATE_READ, 0, BT_SPB, BLK_STS_IOERR, 1);
	bufio_forget(c, 0);
	bt_row_ours(t, "fails", bt_err(bufio_read(c, 0, &b)), -EIO);
	is(t, "failed", "read_errors", 1);
	gate_fail(t->gate, GATE_WRITE, 0, BT_SPB, BLK_STS_IOERR, 1);
	bt_write(c, 0, BT_NEW);
	bt_row_ours(t, "write_fails", bufio_write_dirty(c), -EIO);
	is(t, "failed", "write_errors", 1);
	bufio_client_destroy(c);
}
#else
static void statistics(struct bt *t)
{
	bt_fig(t, "no_such_file", 1);
}
#endif

const struct bt_case bt_stats[] = {
	{ "statistics", "each number of debugfs is what it says", statistics, BT_INLINE },
	{ }
};
