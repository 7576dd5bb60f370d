// SPDX-License-Identifier: GPL-2.0
/*
 * A small block device daemon in user space, on ublk (io_uring).
 *
 * One queue, one thread. It stands for the daemons that serve a device out of
 * memory, a file or a network: while it serves a request it may allocate
 * memory (--scratch-kib), and while it writes its backing file it may be
 * throttled (--file). --scopes marks the serving thread through /dev/memscope, or
 * each call on that file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <liburing.h>
#include <linux/ublk_cmd.h>

#include "../../include/uapi/linux/memscope.h"
#include "demo.h"

/* Newer than Debian 13's user-space headers; an older driver ignores it. */
#ifndef UBLK_F_NO_AUTO_PART_SCAN
#define UBLK_F_NO_AUTO_PART_SCAN (1ULL << 18)
#endif

#define DEV_ID		0
#define SECTOR_SHIFT	9

/* How long the set-up may take before the control process gives up. */
#define SETUP_SECONDS	60

struct daemon {
	/* what was asked for */
	unsigned int depth;
	size_t max_io_bytes;
	size_t scratch_bytes;
	size_t size_bytes;
	const char *image;
	const char *file;
	const char *scopes;

	/* the store: memory, or a file written through the page cache */
	char *ram;
	int fd;
	/* /dev/memscope, where each call on the file is under IO_FLUSHER; or -1 */
	int per_call;

	/* ublk */
	int cdev;
	struct io_uring ring;
	const struct ublksrv_io_desc *descs;
	char *buffers;
};

/* Opens a device node, and makes it first where nothing else does. */
static int open_node(const char *name, const char *sysfs)
{
	char path[PATH_MAX];
	unsigned int major, minor;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && sysfs) {
		f = fopen(sysfs, "r");
		if (!f || fscanf(f, "%u:%u", &major, &minor) != 2)
			die("%s", sysfs);
		fclose(f);
		if (mknod(path, S_IFCHR | 0600, makedev(major, minor)))
			die("mknod %s", path);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		die("open %s", path);
	return fd;
}

/* --- the part that memscope is about ------------------------------------- */

static unsigned int parse_scopes(const char *list)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} names[] = {
		{ "noio", MEMSCOPE_SCOPE_NOIO },
		{ "nofs", MEMSCOPE_SCOPE_NOFS },
		{ "local-throttle", MEMSCOPE_SCOPE_LOCAL_THROTTLE },
	};
	unsigned int set = 0;
	char *copy = strdup(list), *name;

	for (name = strtok(copy, ","); name; name = strtok(NULL, ",")) {
		unsigned int i;

		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(name, names[i].name))
				break;
		if (i == sizeof(names) / sizeof(names[0])) {
			errno = EINVAL;
			die("--scopes %s", list);
		}
		set |= names[i].bit;
	}
	free(copy);
	return set;
}

/*
 * Marks the calling thread. Every thread that serves requests has to do this
 * for itself, or be created by one that has done it.
 */
static void enter_scopes(const char *scopes)
{
	int fd, ret;

	if (!strcmp(scopes, "none") || !strcmp(scopes, "per-call"))
		return;
	if (!strcmp(scopes, "prctl")) {
		if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
			die("prctl(PR_SET_IO_FLUSHER)");
		return;
	}

	fd = open("/dev/memscope", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("open /dev/memscope");
	if (!strcmp(scopes, "io-flusher"))
		ret = ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1);
	else
		ret = ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, parse_scopes(scopes));
	if (ret)
		die("/dev/memscope: set %s", scopes);
	/* The marks belong to the thread and stay when the file is closed. */
	close(fd);
}

/* One call on the backing file, under IO_FLUSHER; the thread has no mark before or after. */
static ssize_t scoped_call(struct daemon *d, struct memscope_call *call)
{
	call->scopes = MEMSCOPE_IO_FLUSHER;
	call->fd = d->fd;
	return ioctl(d->per_call, MEMSCOPE_IOC_CALL, call);
}

static ssize_t pio(struct daemon *d, bool write, char *buf, size_t len, off_t pos)
{
	struct iovec iov = { buf, len };
	struct memscope_call call = {
		.op = write ? MEMSCOPE_CALL_WRITE : MEMSCOPE_CALL_READ,
		.iov = (uintptr_t)&iov,
		.iovcnt = 1,
		.offset = pos,
	};

	if (d->per_call >= 0)
		return scoped_call(d, &call);
	return write ? pwrite(d->fd, buf, len, pos) : pread(d->fd, buf, len, pos);
}

static int sync_file(struct daemon *d)
{
	struct memscope_call call = {
		.op = MEMSCOPE_CALL_FSYNC,
		.flags = MEMSCOPE_FSYNC_DATASYNC,
	};

	return d->per_call >= 0 ? scoped_call(d, &call) : fdatasync(d->fd);
}

/* --- serving -------------------------------------------------------------- */

static int full_pio(struct daemon *d, bool write, char *buf, size_t len, off_t pos)
{
	while (len) {
		ssize_t n = pio(d, write, buf, len, pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		buf += n;
		pos += n;
		len -= n;
	}
	return 0;
}

/* The daemon's need for memory while it serves. */
static int use_scratch(size_t bytes)
{
	volatile char *p;
	size_t i;

	if (!bytes)
		return 0;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	for (i = 0; i < bytes; i += 4096)
		p[i] = 1;
	munmap((void *)p, bytes);
	return 0;
}

static int serve_one(struct daemon *d, const struct ublksrv_io_desc *desc, char *buf)
{
	off_t pos = (off_t)desc->start_sector << SECTOR_SHIFT;
	size_t len = (size_t)desc->nr_sectors << SECTOR_SHIFT;
	int op = ublksrv_get_op(desc);
	int ret;

	ret = use_scratch(d->scratch_bytes);
	if (ret)
		return ret;

	if (op == UBLK_IO_OP_FLUSH)
		return d->ram || !sync_file(d) ? 0 : -errno;
	if (op != UBLK_IO_OP_READ && op != UBLK_IO_OP_WRITE)
		return -EOPNOTSUPP;
	if (pos < 0 || (size_t)pos > d->size_bytes || len > d->size_bytes - pos)
		return -EINVAL;

	if (d->ram) {
		if (op == UBLK_IO_OP_WRITE)
			memcpy(d->ram + pos, buf, len);
		else
			memcpy(buf, d->ram + pos, len);
	} else {
		ret = full_pio(d, op == UBLK_IO_OP_WRITE, buf, len, pos);
	}
	return ret ? ret : (int)len;
}

static void queue_command(struct daemon *d, unsigned int tag, unsigned int op, int result)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);
	struct ublksrv_io_cmd *cmd;

	/* One entry a tag, so there is always room. */
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, d->cdev, NULL, 0, 0);
	sqe->cmd_op = op;
	cmd = (struct ublksrv_io_cmd *)sqe->cmd;
	cmd->q_id = 0;
	cmd->tag = tag;
	cmd->result = result;
	cmd->addr = (uintptr_t)(d->buffers + tag * d->max_io_bytes);
	io_uring_sqe_set_data64(sqe, tag);
}

static void open_store(struct daemon *d)
{
	struct stat st;

	if (d->file) {
		d->fd = open(d->file, O_RDWR | O_CLOEXEC);
		if (d->fd < 0)
			die("open %s", d->file);
		return;
	}
	d->ram = map(d->size_bytes);
	if (!d->image)
		return;
	d->fd = open(d->image, O_RDONLY | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st))
		die("open %s", d->image);
	if ((size_t)st.st_size > d->size_bytes) {
		errno = EFBIG;
		die("%s", d->image);
	}
	if (full_pio(d, false, d->ram, st.st_size, 0))
		die("read %s", d->image);
	close(d->fd);
}

/* The daemon proper; writes one byte to `ready` when it takes requests. */
static void __attribute__((noreturn)) serve(struct daemon *d, int ready)
{
	struct io_uring_cqe *cqe;
	unsigned int tag;
	int ret;

	enter_scopes(d->scopes);
	if (!strcmp(d->scopes, "per-call"))
		d->per_call = open_node("memscope", NULL);
	open_store(d);
	d->cdev = open_node("ublkc0", "/sys/class/ublk-char/ublkc0/dev");
	/* The driver maps the whole descriptor area of the queue or nothing. */
	d->descs = mmap(NULL, (d->depth * sizeof(*d->descs) + 4095) & ~4095UL,
			PROT_READ, MAP_SHARED | MAP_POPULATE, d->cdev,
			UBLKSRV_CMD_BUF_OFFSET);
	if (d->descs == MAP_FAILED)
		die("mmap of the request descriptors");
	d->buffers = map(d->depth * d->max_io_bytes);
	ret = io_uring_queue_init(d->depth, &d->ring, 0);
	if (ret) {
		errno = -ret;
		die("io_uring_queue_init");
	}
	/*
	 * What a careful daemon does: nothing that it already has can be
	 * swapped out. Scopes are for the memory that it does not have yet.
	 */
	if (mlockall(MCL_CURRENT))
		die("mlockall");

	for (tag = 0; tag < d->depth; tag++)
		queue_command(d, tag, UBLK_U_IO_FETCH_REQ, 0);
	ret = io_uring_submit(&d->ring);
	if (ret != (int)d->depth) {
		errno = ret < 0 ? -ret : EIO;
		die("ublk: fetch requests");
	}
	if (write(ready, "", 1) != 1)
		die("tell the control process");
	close(ready);

	for (;;) {
		ret = io_uring_submit_and_wait(&d->ring, 1);
		if (ret < 0 && ret != -EINTR) {
			errno = -ret;
			die("io_uring_submit_and_wait");
		}
		while (!io_uring_peek_cqe(&d->ring, &cqe)) {
			tag = cqe->user_data;
			ret = cqe->res;
			io_uring_cqe_seen(&d->ring, cqe);
			if (ret == UBLK_IO_RES_ABORT)
				exit(0);	/* the device was stopped */
			if (ret != UBLK_IO_RES_OK) {
				errno = -ret;
				die("ublk: request %u", tag);
			}
			ret = serve_one(d, &d->descs[tag],
					d->buffers + tag * d->max_io_bytes);
			queue_command(d, tag, UBLK_U_IO_COMMIT_AND_FETCH_REQ, ret);
		}
	}
}

/* --- control -------------------------------------------------------------- */

static void control(struct io_uring *ring, int fd, unsigned int op,
		    void *buf, size_t len, uint64_t data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct ublksrv_ctrl_cmd *cmd;
	struct io_uring_cqe *cqe;
	int ret;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = op;
	/* Longer than the 16 bytes of an io_uring_sqe: hence SQE128. */
	cmd = (struct ublksrv_ctrl_cmd *)sqe->cmd;
	memset(cmd, 0, sizeof(*cmd));
	cmd->dev_id = DEV_ID;
	cmd->queue_id = -1;
	cmd->addr = (uintptr_t)buf;
	cmd->len = len;
	cmd->data[0] = data;
	ret = io_uring_submit(ring);
	if (ret == 1)
		ret = io_uring_wait_cqe(ring, &cqe);
	if (ret >= 0)
		ret = cqe->res;
	if (ret < 0) {
		errno = -ret;
		die("ublk: control command %u", _IOC_NR(op));
	}
	io_uring_cqe_seen(ring, cqe);
}

static void usage(FILE *f)
{
	fprintf(f,
"Usage: blkd [OPTION]...\n"
"\n"
"Serves /dev/ublkb0 from user space; prints the daemon's process id once the\n"
"device is there, and returns. The daemon runs until it is killed.\n"
"\n"
"  --depth N        requests in flight (default 16)\n"
"  --max-io-kib N   largest request (default 128)\n"
"  --scratch-kib N  memory that serving a request takes for a moment (default 0)\n"
"  --size-mib N     size of the device (default 64)\n"
"  --image FILE     what the device holds at first; it is kept in memory\n"
"  --file FILE      keep the device's contents in FILE instead, written through\n"
"                   the page cache\n"
"  --scopes LIST    marks of the serving thread, through /dev/memscope: none\n"
"                   (default), io-flusher, or some of noio,nofs,local-throttle;\n"
"                   prctl: PR_SET_IO_FLUSHER instead, to compare; per-call: no\n"
"                   mark, but each call on FILE is made under io-flusher\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "depth", required_argument, NULL, 'd' },
		{ "max-io-kib", required_argument, NULL, 'm' },
		{ "scratch-kib", required_argument, NULL, 's' },
		{ "size-mib", required_argument, NULL, 'z' },
		{ "image", required_argument, NULL, 'i' },
		{ "file", required_argument, NULL, 'f' },
		{ "scopes", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct daemon d = {
		.depth = 16,
		.max_io_bytes = 128 << 10,
		.size_bytes = 64 << 20,
		.scopes = "none",
		.per_call = -1,
	};
	struct ublksrv_ctrl_dev_info info = { };
	struct ublk_params params = { };
	struct io_uring_params ring_params = { .flags = IORING_SETUP_SQE128 };
	struct io_uring ring;
	int opt, fd, ret, ready[2];
	char byte;
	pid_t pid;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'd':
			d.depth = atoi(optarg);
			break;
		case 'm':
			d.max_io_bytes = (size_t)atoi(optarg) << 10;
			break;
		case 's':
			d.scratch_bytes = (size_t)atoi(optarg) << 10;
			break;
		case 'z':
			d.size_bytes = (size_t)atoi(optarg) << 20;
			break;
		case 'i':
			d.image = optarg;
			break;
		case 'f':
			d.file = optarg;
			break;
		case 'c':
			d.scopes = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc || !d.depth || !d.max_io_bytes || !d.size_bytes) {
		usage(stderr);
		return 2;
	}

	alarm(SETUP_SECONDS);
	fd = open_node("ublk-control", NULL);
	ret = io_uring_queue_init_params(4, &ring, &ring_params);
	if (ret) {
		errno = -ret;
		die("io_uring_queue_init_params");
	}

	info.nr_hw_queues = 1;
	info.queue_depth = d.depth;
	info.max_io_buf_bytes = d.max_io_bytes;
	info.dev_id = DEV_ID;
	info.flags = UBLK_F_CMD_IOCTL_ENCODE | UBLK_F_NO_AUTO_PART_SCAN;
	control(&ring, fd, UBLK_U_CMD_ADD_DEV, &info, sizeof(info), 0);

	params.len = sizeof(params);
	params.types = UBLK_PARAM_TYPE_BASIC;
	params.basic.logical_bs_shift = SECTOR_SHIFT;
	params.basic.physical_bs_shift = 12;
	params.basic.io_min_shift = 12;
	params.basic.io_opt_shift = 12;
	params.basic.max_sectors = d.max_io_bytes >> SECTOR_SHIFT;
	params.basic.dev_sectors = d.size_bytes >> SECTOR_SHIFT;
	if (d.file)
		params.basic.attrs = UBLK_ATTR_VOLATILE_CACHE;
	control(&ring, fd, UBLK_U_CMD_SET_PARAMS, &params, sizeof(params), 0);

	if (pipe2(ready, O_CLOEXEC))
		die("pipe2");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		alarm(0);
		close(fd);
		close(ready[0]);
		/* The caller may wait for the end of this output. */
		fclose(stdout);
		serve(&d, ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return 1;	/* the daemon has said why */
	control(&ring, fd, UBLK_U_CMD_START_DEV, NULL, 0, pid);
	printf("%d\n", pid);
	return 0;
}
