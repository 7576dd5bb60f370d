// SPDX-License-Identifier: GPL-2.0
/*
 * CALL: the same as the plain system call in everything that can be seen, and
 * under the scopes while it lasts.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "mark.h"

#define SIZE 10000	/* of the files: three pages, the last one not whole */

static int device = -1;

static long call_ioctl(struct memscope_call *call)
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

static long plain(int fd, const struct what *w)
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

static long under(int fd, const struct what *w, __u32 scopes)
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

static const char * const names[] = {
	"regular", "append", "read-only", "write-only", "O_PATH", "directory", "pipe, read end",
	"pipe, write end", "broken pipe", "socket", "eventfd", "/dev/zero", "/dev/full",
	"/proc/self/mem", "/dev/memscope", "closed", "negative",
};

struct file {
	int fd, other;
	char path[32];
};

static char pattern[SIZE], target[3 * SIZE];

static int file_open(struct file *f, enum kind kind)
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

static void file_close(struct file *f)
{
	if (f->fd != 999)
		close(f->fd);
	close(f->other);
	if (f->path[0])
		unlink(f->path);
}

/* What can be seen afterwards: the result, buffers, position, contents. */
struct outcome {
	long ret;
	off_t pos;
	struct stat st;
	size_t length;
	char buffer[3 * SIZE], contents[3 * SIZE], target[3 * SIZE];
};

static char buffer[3 * SIZE];

static void run(struct __test_metadata *_metadata, enum kind kind, struct what *w, bool through,
		struct outcome *o)
{
	struct file f;
	int fd;

	memset(o, 0, sizeof(*o));
	memset(target, 0x11, sizeof(target));
	if (w->op == MEMSCOPE_CALL_WRITE)
		memcpy(buffer, pattern, SIZE);	/* and what an earlier call left */
	else
		memset(buffer, 0x22, sizeof(buffer));
	ASSERT_EQ(0, file_open(&f, kind));
	if (kind <= WRITE_ONLY)
		lseek(f.fd, 5000, SEEK_SET);
	o->ret = through ? under(f.fd, w, MEMSCOPE_IO_FLUSHER) : plain(f.fd, w);
	o->pos = lseek(f.fd, 0, SEEK_CUR);
	memcpy(o->buffer, buffer, sizeof(buffer));
	memcpy(o->target, target, sizeof(target));
	if (f.path[0]) {
		fd = open(f.path, O_RDONLY | O_CLOEXEC);
		o->length = read(fd, o->contents, sizeof(o->contents));
		fstat(fd, &o->st);
		close(fd);
	} else if (f.other >= 0) {
		o->length = read(f.other, o->contents, sizeof(o->contents));
	} else if (kind == EVENTFD) {
		o->length = read(f.fd, o->contents, 8);
	}
	file_close(&f);
}

static void compare(struct __test_metadata *_metadata, enum kind kind, struct what *w)
{
	static struct outcome a, b;
	bool same;

	run(_metadata, kind, w, false, &a);
	run(_metadata, kind, w, true, &b);
	same = a.ret == b.ret && a.pos == b.pos && a.length == b.length &&
	       a.st.st_size == b.st.st_size && a.st.st_blocks == b.st.st_blocks &&
	       !memcmp(a.buffer, b.buffer, sizeof(a.buffer)) &&
	       !memcmp(a.contents, b.contents, sizeof(a.contents)) &&
	       !memcmp(a.target, b.target, sizeof(a.target));
	EXPECT_TRUE(same) {
		TH_LOG("%s: op %u flags %#x iovcnt %u offset %lld len %lld: plain %ld, pos %lld; "
		       "CALL %ld, pos %lld", names[kind], w->op, w->flags, w->iovcnt,
		       (long long)w->offset, (long long)w->len, a.ret, (long long)a.pos, b.ret,
		       (long long)b.pos);
	}
}

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

/* --- the differential test -------------------------------------------------- */

static const __s64 offsets[] = {
	0, 1, 4095, 4096, SIZE - 1, SIZE, SIZE + 5, -1, -2, -4096, 0x7fffffffffffffffLL,
	0x7ffffffffffff000LL, -0x7fffffffffffffffLL - 1, 1LL << 32, (1LL << 32) - 1,
};

/* Rule: READ and WRITE are preadv2() and pwritev2(), for every kind of file and offset. */
TEST_F(call, vectored_offsets)
{
	struct iovec iov[3] = {
		{ buffer, 100 }, { buffer + 200, 0 }, { buffer + 300, 8000 },
	};
	int kind, op, i;

	for (kind = 0; kind < KINDS; kind++) {
		for (op = MEMSCOPE_CALL_READ; op <= MEMSCOPE_CALL_WRITE; op++) {
			for (i = 0; i < ARRAY_LEN(offsets); i++) {
				/* Nothing is written where this program has its memory. */
				struct what w = { op, 0, iov, 3, offsets[i] };

				compare(_metadata, kind, &w);
			}
		}
	}
}

/* Rule: the same for every flag, known or not, and for pairs that exclude each other. */
TEST_F(call, vectored_flags)
{
	static const __u32 pairs[] = { 0x30, 0x18, 0x06, 0x22, 0x50, 0xffffffff };
	struct iovec iov[2] = { { buffer, 8 }, { buffer + 8, 4000 } };
	int kind, op, bit;

	for (kind = 0; kind < KINDS; kind++) {
		for (op = MEMSCOPE_CALL_READ; op <= MEMSCOPE_CALL_WRITE; op++) {
			for (bit = 0; bit < 32 + ARRAY_LEN(pairs); bit++) {
				struct what w = { op, bit < 32 ? 1U << bit : pairs[bit - 32],
						  iov, 2, kind == MEMORY || bit & 1 ? -1 : 0 };

				compare(_metadata, kind, &w);
			}
		}
	}
}

/* Rule: the same for every array of buffers: none, too many, bad addresses and lengths. */
TEST_F(call, vectored_arrays)
{
	static struct iovec many[1025];
	char *hole = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct iovec base[] = {
		{ NULL, 0 }, { NULL, 10 }, { buffer, 0 }, { buffer, 1 }, { buffer, SIZE },
		{ buffer, ~0UL }, { hole + 4096 - 10, ~0UL >> 1 }, { (void *)~0UL, 1 }, { (void *)~0UL, 0 },
		{ (void *)(~0UL << 12), 10 }, { hole + 4096 - 10, 100 }, { hole + 4096, 10 },
	};
	int kind, op, i, j;

	ASSERT_NE(MAP_FAILED, hole);
	ASSERT_EQ(0, munmap(hole + 4096, 4096));
	for (i = 0; i < 1025; i++)
		many[i] = (struct iovec) { buffer + i, 1 };
	for (kind = 0; kind < KINDS; kind++) {
		for (op = MEMSCOPE_CALL_READ; op <= MEMSCOPE_CALL_WRITE; op++) {
			static const __u32 counts[] = { 0, 1, 8, 9, 1024, 1025, 65536 };
			struct what w = { op, 0, many, 0, -1 };

			for (i = 0; i < ARRAY_LEN(counts); i++) {
				w.iovcnt = counts[i];
				compare(_metadata, kind, &w);
			}
			for (i = 0; i < ARRAY_LEN(base); i++) {
				for (j = 0; j <= ARRAY_LEN(base); j++) {
					struct iovec iov[2] = { base[i] };

					if (j < ARRAY_LEN(base))
						iov[1] = base[j];
					w.iov = iov;
					w.iovcnt = 1 + (j < ARRAY_LEN(base));
					compare(_metadata, kind, &w);
				}
			}
			w.iov = (void *)(hole + 4096 - sizeof(struct iovec));
			w.iovcnt = 2;
			compare(_metadata, kind, &w);
			w.iov = NULL;
			compare(_metadata, kind, &w);
			w.iov = (void *)~0UL;
			compare(_metadata, kind, &w);
		}
	}
	munmap(hole, 4096);
	munmap(hole + 8192, 4096);
}

/* Rule: FSYNC is fsync() and fdatasync(), FALLOCATE fallocate(), with every mode. */
TEST_F(call, others)
{
	static const __s64 lens[] = { 0, 1, 4096, -1, 0x7fffffffffffffffLL, 1LL << 32 };
	int kind, bit, i, j;

	for (kind = 0; kind < KINDS; kind++) {
		struct what w = { MEMSCOPE_CALL_FSYNC };

		compare(_metadata, kind, &w);
		w.flags = MEMSCOPE_FSYNC_DATASYNC;
		compare(_metadata, kind, &w);
		w.op = MEMSCOPE_CALL_FALLOCATE;
		for (bit = -1; bit < 64; bit++) {
			w.flags = bit < 0 ? 0 : 1U << bit % 32 | (bit >= 32);
			w.offset = 4096;
			w.len = 4096;
			compare(_metadata, kind, &w);
		}
		w.flags = 0;
		for (i = 0; i < ARRAY_LEN(offsets); i++) {
			for (j = 0; j < ARRAY_LEN(lens); j++) {
				/* The file is not to fill the memory. */
				if (offsets[i] == 0 && lens[j] == 1LL << 32)
					continue;
				w.offset = offsets[i];
				w.len = lens[j];
				if (offsets[i] >= 0 && lens[j] == 1LL << 32)
					w.flags = 0x80000000;
				compare(_metadata, kind, &w);
				w.flags = 0;
			}
		}
	}
}

/* Rule: of a range as well; a range that is none is EINVAL. */
TEST_F(call, fsync_range)
{
	static const struct { __s64 offset, len; long ret; } cases[] = {
		{ 0, 0, 0 }, { 0, 1, 0 }, { 4096, 4096, 0 }, { 1LL << 40, 0, 0 },
		{ 0, 0x7fffffffffffffffLL, 0 }, { 1, 0x7fffffffffffffffLL, 0 },
		{ 2, 0x7fffffffffffffffLL, -EINVAL }, { 0x7fffffffffffffffLL, 1, 0 },
		{ 0x7fffffffffffffffLL, 2, -EINVAL }, { -1, 0, -EINVAL }, { 0, -1, -EINVAL },
	};
	struct file f;
	int i;

	ASSERT_EQ(0, file_open(&f, REGULAR));
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		struct what w = { .op = MEMSCOPE_CALL_FSYNC, .offset = cases[i].offset,
				  .len = cases[i].len };

		EXPECT_EQ(cases[i].ret, under(f.fd, &w, NOIO));
	}
	file_close(&f);
}

/* Rule: limits and signals are those of the plain call. */
TEST_F(call, file_size_limit)
{
	struct rlimit old, limit;
	struct iovec iov = { buffer, 1000 };
	struct what w = { MEMSCOPE_CALL_WRITE, 0, &iov, 1, SIZE };

	ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
	limit = (struct rlimit) { SIZE + 10, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	compare(_metadata, REGULAR, &w);
	w.offset = SIZE + 10;
	compare(_metadata, REGULAR, &w);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
}

/* Rule: what was read and written is accounted to the thread. */
static long io_field(const char *name)
{
	char line[100];
	long value = -1;
	FILE *f = fopen("/proc/thread-self/io", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name) + 1);
	}
	if (f)
		fclose(f);
	return value;
}

TEST_F(call, accounting)
{
	struct iovec iov = { buffer, 1234 };
	struct what w = { MEMSCOPE_CALL_WRITE, 0, &iov, 1, -1 };
	long before = io_field("wchar:");

	ASSERT_LE(0, before);
	ASSERT_EQ(1234, under(self->pipe_fd[1], &w, NOIO));
	EXPECT_EQ(before + 1234, io_field("wchar:"));
}

/* --- the scopes --------------------------------------------------------------- */

struct reader {
	int fd;
	pid_t tid;
	__u32 scopes;
	long own, ret, after;
};

static void *read_pipe(void *arg)
{
	struct reader *r = arg;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct what w = { MEMSCOPE_CALL_READ, 0, &iov, 1, -1 };

	if (raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, r->own))
		return NULL;
	__atomic_store_n(&r->tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	r->ret = under(r->fd, &w, r->scopes);
	r->after = task_scopes();
	return NULL;
}

static int reader_start(struct reader *r, pthread_t *thread)
{
	int i;

	r->tid = 0;
	if (pthread_create(thread, NULL, read_pipe, r))
		return -1;
	for (i = 0; i < 20000 && !__atomic_load_n(&r->tid, __ATOMIC_SEQ_CST); i++)
		sleep_ms(1);
	return r->tid ? 0 : -1;
}

/* Rule: for every set, on every set: both during the call, what was there after it. */
TEST_F(call, scopes_during_the_call)
{
	struct reader r = { .fd = self->pipe_fd[0] };
	pthread_t thread;

	for (r.own = 0; r.own <= ALL_SCOPES; r.own++) {
		for (r.scopes = 0; r.scopes <= ALL_SCOPES; r.scopes++) {
			ASSERT_EQ(0, reader_start(&r, &thread));
			EXPECT_EQ(r.own | r.scopes, wait_scopes(r.tid, r.own | r.scopes));
			ASSERT_EQ(1, write(self->pipe_fd[1], "", 1));
			ASSERT_EQ(0, pthread_join(thread, NULL));
			EXPECT_EQ(1, r.ret);
			EXPECT_EQ(r.own, r.after);
		}
	}
}

/* Rule: a call that fails leaves nothing behind either. */
TEST_F(call, nothing_left_after_failure)
{
	struct what w = { MEMSCOPE_CALL_READ, 0, (void *)8, 1, -1 };
	int kind, op;

	ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, NOFS));
	for (kind = 0; kind < KINDS; kind++) {
		for (op = 0; op <= MEMSCOPE_CALL_WRITE; op++) {
			struct file f;

			w.op = op;
			ASSERT_EQ(0, file_open(&f, kind));
			EXPECT_GT(0, under(f.fd, &w, ALL_SCOPES));
			EXPECT_EQ(NOFS, task_scopes());
			file_close(&f);
		}
	}
	ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, 0));
}

/* Rule: holds and suspensions are as before, whatever the call adds. */
TEST_F(call, nests_with_holds)
{
	struct iovec iov = { buffer, 1 };
	struct what w = { MEMSCOPE_CALL_READ, 0, &iov, 1, 0 };
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	long held, scopes;

	for (held = 0; held <= ALL_SCOPES; held++) {
		for (scopes = 0; scopes <= ALL_SCOPES; scopes++) {
			ASSERT_EQ(0, hold(device, held));
			EXPECT_EQ(1, under(zero, &w, scopes));
			EXPECT_EQ(held, task_scopes());
			ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_SUSPEND, 0));
			EXPECT_EQ(1, under(zero, &w, scopes));
			EXPECT_EQ(0, task_scopes());
			ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_RESUME, 0));
			EXPECT_EQ(held, task_scopes());
		}
	}
	ASSERT_EQ(0, hold(device, 0));
	close(zero);
}

static int handled;

static void handler(int signal)
{
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

/* Rule: a signal interrupts it as the plain call: EINTR, or restarted with SA_RESTART. */
TEST_F(call, signals)
{
	int restart;

	for (restart = 0; restart < 2; restart++) {
		struct reader r = { .fd = self->pipe_fd[0], .own = LOCAL, .scopes = NOIO };
		struct sigaction action = { .sa_handler = handler,
					    .sa_flags = restart ? SA_RESTART : 0 };
		pthread_t thread;
		int i;

		handled = 0;
		ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
		ASSERT_EQ(0, reader_start(&r, &thread));
		ASSERT_EQ(NOIO | LOCAL, wait_scopes(r.tid, NOIO | LOCAL));
		ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
		for (i = 0; i < 20000 && !__atomic_load_n(&handled, __ATOMIC_SEQ_CST); i++)
			sleep_ms(1);
		EXPECT_EQ(1, handled);
		if (restart) {
			EXPECT_EQ(NOIO | LOCAL, wait_scopes(r.tid, NOIO | LOCAL));
			ASSERT_EQ(1, write(self->pipe_fd[1], "", 1));
		}
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(restart ? 1 : -EINTR, r.ret);
		EXPECT_EQ(LOCAL, r.after);
	}
}

/* Rule: a blocked call can be killed. */
TEST_F(call, killed)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct reader r = { .fd = self->pipe_fd[0], .scopes = ALL_SCOPES };

		read_pipe(&r);
		_exit(1);
	}
	EXPECT_EQ(ALL_SCOPES, wait_scopes_of(pid, pid, ALL_SCOPES));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

/* --- arguments ------------------------------------------------------------------ */

/* A call that succeeds, of each operation. */
static struct memscope_call good(int op, int fd)
{
	static struct iovec iov = { buffer, 1 };
	struct memscope_call call = { .op = op, .scopes = NOIO, .fd = fd };

	if (op <= MEMSCOPE_CALL_WRITE) {
		call.iov = (unsigned long)&iov;
		call.iovcnt = 1;
	} else if (op == MEMSCOPE_CALL_FALLOCATE) {
		call.len = 1;
	}
	return call;
}

/* Rule: unknown operations, scopes and fields that are not taken are EINVAL, bit by bit. */
TEST_F(call, unknown_bits)
{
	struct memscope_call call;
	struct file f;
	int op, bit;

	ASSERT_EQ(0, file_open(&f, REGULAR));
	for (op = 0; op < 4; op++) {
		call = good(op, f.fd);
		ASSERT_EQ(op <= MEMSCOPE_CALL_WRITE, call_ioctl(&call));
		for (bit = 0; bit < 64; bit++) {
			if (bit >= 2 && bit < 32) {
				call = good(op, f.fd);
				call.op |= 1U << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
			if (bit < 32) {
				call = good(op, f.fd);
				call.scopes |= 1U << bit;
				EXPECT_EQ((1U << bit) & ALL_SCOPES ? op <= MEMSCOPE_CALL_WRITE :
					  -EINVAL, call_ioctl(&call));
				call = good(op, f.fd);
				call.reserved |= 1U << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
			if (op == MEMSCOPE_CALL_FSYNC && bit >= 1 && bit < 32) {
				call = good(op, f.fd);
				call.flags = 1U << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
			call = good(op, f.fd);
			if (op <= MEMSCOPE_CALL_WRITE) {
				call.len = 1ULL << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			} else {
				call.iov = 1ULL << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
				call.iov = 0;
				call.iovcnt = 1U << bit % 32;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
		}
	}
	call.op = 4;
	EXPECT_EQ(-EINVAL, call_ioctl(&call));
	file_close(&f);
}

/* Rule: the struct may be larger by zeroes, not smaller; and is where it says. */
TEST_F(call, struct_size)
{
	struct {
		struct memscope_call call;
		char beyond[64];
	} large = { .call = good(MEMSCOPE_CALL_FSYNC, self->pipe_fd[0]) };
	int size, i;

	for (size = 0; size <= sizeof(large); size++) {
		unsigned int cmd = _IOC(_IOC_WRITE, MEMSCOPE_IOC_MAGIC,
					_IOC_NR(MEMSCOPE_IOC_CALL), size);

		/* A pipe cannot be synchronised: what the plain call says. */
		EXPECT_EQ(-EINVAL, raw_ioctl(device, cmd, (unsigned long)&large));
		for (i = sizeof(large.call); i < size; i++) {
			((char *)&large)[i] = 1;
			EXPECT_EQ(-E2BIG, raw_ioctl(device, cmd, (unsigned long)&large));
			((char *)&large)[i] = 0;
		}
	}
	EXPECT_EQ(-EFAULT, raw_ioctl(device, MEMSCOPE_IOC_CALL, 0));
	EXPECT_EQ(-EFAULT, raw_ioctl(device, MEMSCOPE_IOC_CALL, 1));
}

/* Rule: EPERM without the capability, before any look at what is asked for. */
TEST_F(call, capability)
{
	struct memscope_call call = good(MEMSCOPE_CALL_READ, self->pipe_fd[0]);

	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(-EPERM, call_ioctl(&call));
	call.op = ~0;
	EXPECT_EQ(-EPERM, call_ioctl(&call));
	EXPECT_EQ(-EFAULT, raw_ioctl(device, MEMSCOPE_IOC_CALL, 0));
	ASSERT_EQ(0, effective_resource(true));
	EXPECT_EQ(-EINVAL, call_ioctl(&call));
}

TEST_HARNESS_MAIN
