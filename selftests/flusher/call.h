/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of MEMSCOPE_IOC_CALL share: calls, plain and through the device, and files. */
#ifndef MEMSCOPE_SELFTESTS_CALL_H
#define MEMSCOPE_SELFTESTS_CALL_H

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "mark.h"

#define SIZE 10000	/* of the files: three pages, the last one not whole */

static int device = -1;

static inline long call_ioctl(struct memscope_call *call)
{
	return raw_ioctl(device, MEMSCOPE_IOC_CALL, (unsigned long)call);
}

/* --- the plain calls and the same through the device ---------------------- */

/* What is done; with scopes < 0 by the plain call. */
struct what {
	__u32 op, flags;
	struct iovec *iov;
	__u32 iovcnt;
	__s64 offset, len;
};

static inline long plain(int fd, const struct what *w)
{
	long ret = -1;
	unsigned long low = w->offset, high = (__u64)w->offset >> 32;

	switch (w->op) {
	case MEMSCOPE_CALL_READ:
		ret = syscall(SYS_preadv2, fd, w->iov, (unsigned long)w->iovcnt, low, high,
			      (unsigned long)w->flags);
		break;
	case MEMSCOPE_CALL_WRITE:
		ret = syscall(SYS_pwritev2, fd, w->iov, (unsigned long)w->iovcnt, low, high,
			      (unsigned long)w->flags);
		break;
	case MEMSCOPE_CALL_FSYNC:
		ret = syscall(w->flags ? SYS_fdatasync : SYS_fsync, fd);
		break;
	case MEMSCOPE_CALL_FALLOCATE:
#ifdef __LP64__
		ret = syscall(SYS_fallocate, fd, w->flags, w->offset, w->len);
#else
		ret = syscall(SYS_fallocate, fd, w->flags, low, high, (unsigned long)w->len,
			      (unsigned long)((__u64)w->len >> 32));
#endif
		break;
	}
	return ret < 0 ? -errno : ret;
}

static inline long under(int fd, const struct what *w, __u32 scopes)
{
	struct memscope_call call = {
		.op = w->op, .scopes = scopes, .fd = fd, .flags = w->flags,
		.iov = (unsigned long)w->iov, .iovcnt = w->iovcnt,
		.offset = w->offset, .len = w->len,
	};

	return call_ioctl(&call);
}

/* --- files of every kind --------------------------------------------------- */

enum kind {
	REGULAR, APPEND, READ_ONLY, WRITE_ONLY, PATH, DIRECTORY, PIPE_READ, PIPE_WRITE, BROKEN_PIPE,
	SOCKET, EVENTFD, ZERO, FULL, MEMORY, DEVICE_ITSELF, CLOSED, NEGATIVE, KINDS
};

static const char * const names[] __attribute__((unused)) = {
	"regular", "append", "read-only", "write-only", "O_PATH", "directory", "pipe, read end",
	"pipe, write end", "broken pipe", "socket", "eventfd", "/dev/zero", "/dev/full",
	"/proc/self/mem", "/dev/memscope", "closed", "negative",
};

struct file {
	int fd, other;
	char path[32];
};

static char pattern[SIZE], target[3 * SIZE];

static inline int file_open(struct file *f, enum kind kind)
{
	static const int modes[] = {
		[REGULAR] = O_RDWR, [APPEND] = O_RDWR | O_APPEND, [READ_ONLY] = O_RDONLY,
		[WRITE_ONLY] = O_WRONLY, [PATH] = O_PATH,
	};
	int pair[2] = { -1, -1 }, fd;

	f->other = -1;
	f->path[0] = '\0';
	switch (kind) {
	case REGULAR ... PATH:
		strcpy(f->path, "/tmp/memscope-call-XXXXXX");
		fd = mkstemp(f->path);
		if (write(fd, pattern, SIZE) != SIZE || close(fd))
			return -1;
		f->fd = open(f->path, modes[kind] | O_CLOEXEC);
		break;
	case DIRECTORY:
		f->fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	case PIPE_READ ... BROKEN_PIPE:
		if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) || write(pair[1], pattern, 100) != 100)
			return -1;
		f->fd = pair[kind != PIPE_READ];
		f->other = pair[kind == PIPE_READ];
		if (kind == BROKEN_PIPE) {
			close(f->other);
			f->other = -1;
		}
		break;
	case SOCKET:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) ||
		    write(pair[1], pattern, 100) != 100)
			return -1;
		f->fd = pair[0];
		f->other = pair[1];
		break;
	case EVENTFD:
		f->fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
		break;
	case ZERO:
		f->fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
		break;
	case FULL:
		f->fd = open("/dev/full", O_RDWR | O_CLOEXEC);
		break;
	case MEMORY:
		/* Has no read_iter(), so that it is read a segment at a time. */
		f->fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
		lseek(f->fd, (unsigned long)target, SEEK_SET);
		break;
	case DEVICE_ITSELF:
		f->fd = open_device();
		break;
	case CLOSED:
		f->fd = 999;
		return 0;
	case NEGATIVE:
		f->fd = -1;
		return 0;
	default:
		return -1;
	}
	return f->fd < 0 ? -1 : 0;
}

static inline void file_close(struct file *f)
{
	if (f->fd != 999)
		close(f->fd);
	close(f->other);
	if (f->path[0])
		unlink(f->path);
}

static char buffer[3 * SIZE];

FIXTURE(call)
{
	int pipe_fd[2];
};

FIXTURE_SETUP(call)
{
	__u64 features = 0;
	int i;

	for (i = 0; i < SIZE; i++)
		pattern[i] = i * 7 + i / 256;
	device = open_device();
	ASSERT_LE(0, device);
	ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_CALL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, pipe2(self->pipe_fd, O_CLOEXEC));
}

FIXTURE_TEARDOWN(call)
{
	EXPECT_EQ(0, task_scopes());
	close(device);
}

#endif
