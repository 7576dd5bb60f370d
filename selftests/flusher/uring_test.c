// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of the whole process reach the threads that io_uring runs in it.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <linux/io_uring.h>
#include <sys/stat.h>

#include "mark.h"

#define HOLD_PROCESS (MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS)

FIXTURE(uring)
{
	int fd;
};

FIXTURE_SETUP(uring)
{
	self->fd = open_device();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(uring)
{
	close(self->fd);
}

struct ring {
	int fd;
	void *sq, *sqes;
	struct io_uring_params p;
};

static int ring_setup(struct ring *ring, unsigned int flags)
{
	memset(ring, 0, sizeof(*ring));
	ring->p.flags = flags;
	ring->p.sq_thread_idle = 100;
	ring->fd = syscall(SYS_io_uring_setup, 4, &ring->p);
	if (ring->fd < 0)
		return -errno;
	ring->sq = mmap(NULL, ring->p.cq_off.cqes + 16 * sizeof(struct io_uring_cqe) + 4096,
			PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, 4 * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->sq == MAP_FAILED || ring->sqes == MAP_FAILED ? -1 : 0;
}

/* Submits one open of a FIFO for reading, which a worker does. */
static int ring_open(struct ring *ring, const char *path)
{
	struct io_uring_sqe *sqe = ring->sqes;
	unsigned int *tail = ring->sq + ring->p.sq_off.tail;
	unsigned int *mask = ring->sq + ring->p.sq_off.ring_mask;
	unsigned int *array = ring->sq + ring->p.sq_off.array;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_OPENAT;
	sqe->flags = IOSQE_ASYNC;
	sqe->fd = AT_FDCWD;
	sqe->addr = (unsigned long)path;
	sqe->open_flags = O_RDONLY | O_CLOEXEC;
	array[*tail & *mask] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
}

static int ring_result(struct ring *ring)
{
	unsigned int *head = ring->sq + ring->p.cq_off.head;
	unsigned int *mask = ring->sq + ring->p.cq_off.ring_mask;
	struct io_uring_cqe *cqes = ring->sq + ring->p.cq_off.cqes;
	int res;

	while (syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		;
	res = cqes[*head & *mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

static pid_t find_thread_now(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	char path[300], comm[32];
	struct dirent *entry;
	pid_t found = 0;

	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		if (read_file(path, comm, sizeof(comm)) > 0 && !strncmp(comm, name, strlen(name)))
			found = atoi(entry->d_name);
	}
	closedir(dir);
	return found;
}

/* A thread names itself after it has started. */
static pid_t find_thread(const char *name)
{
	pid_t tid = 0;
	int i;

	for (i = 0; i < PATIENCE && !tid; i++) {
		tid = find_thread_now(name);
		if (!tid)
			sleep_ms(10);
	}
	return tid;
}

/* Waits until the function is on the stack of a thread that sleeps. */
static bool wait_in_function(pid_t tid, const char *name)
{
	char path[64], text[4096];
	int i;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stack", tid);
	for (i = 0; i < PATIENCE; i++) {
		if (read_file(path, text, sizeof(text)) > 0 && strstr(text, name))
			return true;
		sleep_ms(10);
	}
	return false;
}

/* Rule: io_uring's workers are reached: idle ones at once, busy ones after their request. */
TEST_F(uring, worker)
{
	struct memscope_mark m = { .flags = HOLD_PROCESS, .scopes = NOIO, .timeout_ms = 200 };
	char fifo[] = "/tmp/memscope-fifo-XXXXXX";
	struct ring ring;
	pid_t worker;
	int fd, result;

	ASSERT_LE(0, close(mkstemp(fifo)));
	ASSERT_EQ(0, unlink(fifo));
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	ASSERT_EQ(0, ring_setup(&ring, 0));
	/* Blocks until the FIFO has a writer. */
	ASSERT_EQ(1, ring_open(&ring, fifo));
	worker = find_thread("iou-wrk");
	ASSERT_LT(0, worker);
	ASSERT_TRUE(wait_in_function(worker, " fifo_open+"));
	/* It is in the request: reported, not interrupted. */
	EXPECT_EQ(1, mark_ioctl(self->fd, &m));
	EXPECT_EQ(1, m.blocked);
	EXPECT_EQ(0, thread_scopes(worker));
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	result = ring_result(&ring);
	EXPECT_LE(0, result);
	EXPECT_EQ(NOIO, wait_scopes(worker, NOIO));
	close(fd);
	close(result);
	/* Idle: it is woken for it. */
	ASSERT_TRUE(wait_in_function(worker, " io_wq_worker+"));
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, NOFS));
	ASSERT_EQ(worker, find_thread("iou-wrk"));
	EXPECT_EQ(NOFS, thread_scopes(worker));
	/* And it still works. */
	ASSERT_EQ(1, ring_open(&ring, fifo));
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	result = ring_result(&ring);
	EXPECT_LE(0, result);
	ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, 0));
	close(ring.fd);
	unlink(fifo);
}

/* Rule: the submission thread of io_uring is one of the process's threads. */
TEST_F(uring, submission_thread)
{
	struct ring ring;
	unsigned int *flags;
	pid_t poller;
	int i;

	ASSERT_EQ(0, ring_setup(&ring, IORING_SETUP_SQPOLL));
	flags = ring.sq + ring.p.sq_off.flags;
	poller = find_thread("iou-sqp");
	ASSERT_LT(0, poller);
	/* Both while it polls, and after it has gone to sleep. */
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, NOIO));
	EXPECT_EQ(NOIO, thread_scopes(poller));
	for (i = 0; i < PATIENCE &&
	     !(__atomic_load_n(flags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP); i++)
		sleep_ms(10);
	ASSERT_GT(PATIENCE, i);
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, NOFS));
	EXPECT_EQ(NOFS, thread_scopes(poller));
	close(self->fd);
	EXPECT_EQ(0, wait_scopes(poller, 0));
	close(ring.fd);
	self->fd = open_device();
}

TEST_HARNESS_MAIN
