// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of the whole process: every thread, whatever it is doing, and those
 * that come while it is marked.
 *
 * selftest: timeout=240 m32=yes
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <linux/io_uring.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "mark.h"

#define SITTERS 32
#define STORM 256
#define PROCESS MEMSCOPE_MARK_PROCESS
#define HOLD_PROCESS (MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS)

/* How many threads the process has, and how many have exactly this set. */
static int count_threads(long want, int *with)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int all = 0;

	*with = 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		all++;
		*with += thread_scopes(atoi(entry->d_name)) == want;
	}
	closedir(dir);
	return all;
}

/* What a thread does until it is told to end; it counts EINTRs. */
struct sitter {
	pthread_t thread;
	pid_t tid;
	int kind, fd, interrupted;
};

enum { READING, FUTEX, POLLING, SPINNING, NANOSLEEP, KINDS };

static int stop_spinning;
static pthread_mutex_t locked = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;

static void *sit(void *arg)
{
	struct sitter *me = arg;
	struct epoll_event event;
	char byte;

	me->tid = syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	switch (me->kind) {
	case READING:
		while (read(me->fd, &byte, 1) < 0)
			me->interrupted++;
		break;
	case FUTEX:
		pthread_mutex_lock(&locked);
		pthread_mutex_unlock(&locked);
		break;
	case POLLING:
		while (epoll_wait(me->fd, &event, 1, -1) < 0)
			me->interrupted++;
		break;
	case SPINNING:
		while (!__atomic_load_n(&stop_spinning, __ATOMIC_RELAXED))
			;
		break;
	case NANOSLEEP:
		while (!__atomic_load_n(&stop_spinning, __ATOMIC_RELAXED)) {
			struct timespec t = { .tv_nsec = 200000000 };

			me->interrupted += nanosleep(&t, NULL) != 0;
		}
		break;
	}
	return NULL;
}

struct crew {
	int pipe_fd[2], epoll;
	int n;
	struct sitter sitters[SITTERS];
};

FIXTURE(process)
{
	int fd;
	struct crew crew;
};

static int start(struct crew *self, int n, int kind)
{
	struct epoll_event event = { .events = EPOLLHUP };
	int i;

	if (pipe2(self->pipe_fd, O_CLOEXEC))
		return -1;
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->pipe_fd[0], &event))
		return -1;
	stop_spinning = 0;
	pthread_mutex_lock(&locked);
	pthread_barrier_init(&barrier, NULL, n + 1);
	for (i = 0; i < n; i++) {
		self->sitters[i].kind = kind < 0 ? i % KINDS : kind;
		self->sitters[i].fd = self->sitters[i].kind == POLLING ? self->epoll :
				      self->pipe_fd[0];
		if (pthread_create(&self->sitters[i].thread, NULL, sit, &self->sitters[i]))
			return -1;
	}
	self->n = n;
	pthread_barrier_wait(&barrier);
	sleep_ms(100);
	return 0;
}

static void stop(struct crew *self)
{
	int i;

	__atomic_store_n(&stop_spinning, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&locked);
	close(self->pipe_fd[1]);
	for (i = 0; i < self->n; i++)
		pthread_join(self->sitters[i].thread, NULL);
	close(self->pipe_fd[0]);
	close(self->epoll);
	self->n = 0;
}

FIXTURE_SETUP(process)
{
	self->fd = open_device();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(process)
{
	close(self->fd);
}

/* Rule: on return it is in force on every thread, whatever that was doing. */
TEST_F(process, every_thread)
{
	struct memscope_mark m = { .flags = PROCESS, .scopes = MEMSCOPE_IO_FLUSHER,
				   .timeout_ms = 20000 };
	int all, with, i;

	ASSERT_EQ(0, start(&self->crew, SITTERS, -1));
	EXPECT_EQ(0, mark_ioctl(self->fd, &m));
	EXPECT_EQ(SITTERS + 1, m.done);
	EXPECT_EQ(0, m.remaining | m.stopped | m.blocked);
	all = count_threads(MEMSCOPE_IO_FLUSHER, &with);
	EXPECT_EQ(SITTERS + 1, all);
	EXPECT_EQ(all, with);
	/* It is the threads' own: it stays without the file, and is marked already. */
	close(self->fd);
	self->fd = open_device();
	m = (struct memscope_mark) { .flags = PROCESS, .scopes = MEMSCOPE_IO_FLUSHER };
	EXPECT_EQ(0, mark_ioctl(self->fd, &m));
	EXPECT_EQ(SITTERS + 1, m.done);
	EXPECT_EQ(all, count_threads(MEMSCOPE_IO_FLUSHER, &with));
	EXPECT_EQ(all, with);
	EXPECT_EQ(0, mark(self->fd, PROCESS, 0));
	EXPECT_EQ(all, count_threads(0, &with));
	EXPECT_EQ(all, with);
	stop(&self->crew);
	/* What can be restarted is not seen by the program. */
	for (i = 0; i < SITTERS; i++) {
		struct sitter *sitter = &self->crew.sitters[i];

		if (sitter->kind == POLLING || sitter->kind == NANOSLEEP)
			continue;
		EXPECT_EQ(0, sitter->interrupted);
	}
}

/* Rule: a hold of the process: in force on every thread, gone from every one at close. */
TEST_F(process, hold_every_thread)
{
	long scopes[SITTERS];
	int all, with, i;

	ASSERT_EQ(0, start(&self->crew, SITTERS, -1));
	/* Each has something of its own, which it must have again. */
	for (i = 0; i < SITTERS; i++)
		scopes[i] = thread_scopes(self->crew.sitters[i].tid);
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, ALL_SCOPES));
	all = count_threads(ALL_SCOPES, &with);
	EXPECT_EQ(SITTERS + 1, all);
	EXPECT_EQ(all, with);
	close(self->fd);
	for (i = 0; i < SITTERS; i++)
		EXPECT_EQ(scopes[i], wait_scopes(self->crew.sitters[i].tid, scopes[i]));
	stop(&self->crew);
	self->fd = open_device();
}

/* Rule: a thread that sleeps in what cannot be interrupted is reported, and changes later. */
static int vfork_release[2];

static void *in_vfork(void *arg)
{
	char byte;
	pid_t pid, *tid = arg;

	*tid = syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	pid = vfork();
	if (!pid)
		_exit(read(vfork_release[0], &byte, 1) == 1 ? 0 : 1);
	waitpid(pid, NULL, 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

TEST_F(process, blocked_thread_is_reported)
{
	struct memscope_mark m = { .flags = PROCESS, .scopes = NOIO, .timeout_ms = 100 };
	pthread_t thread;
	pid_t tid;

	ASSERT_EQ(0, pipe2(vfork_release, O_CLOEXEC));
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, in_vfork, &tid));
	pthread_barrier_wait(&barrier);
	sleep_ms(100);
	EXPECT_EQ(1, mark_ioctl(self->fd, &m));
	EXPECT_EQ(1, m.done);
	EXPECT_EQ(1, m.remaining);
	EXPECT_EQ(1, m.blocked);
	EXPECT_EQ(0, m.stopped);
	EXPECT_EQ(NOIO, task_scopes());
	EXPECT_EQ(0, thread_scopes(tid));
	ASSERT_EQ(1, write(vfork_release[1], "", 1));
	pthread_barrier_wait(&barrier);
	EXPECT_EQ(NOIO, thread_scopes(tid));
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, mark(self->fd, PROCESS, 0));
}

/* Rule: with NO_INTERRUPT a sleeping thread finishes its call first. */
TEST_F(process, no_interrupt)
{
	struct memscope_mark m = { .flags = PROCESS | MEMSCOPE_MARK_NO_INTERRUPT,
				   .scopes = NOIO, .timeout_ms = 100 };
	int all, with;

	ASSERT_EQ(0, start(&self->crew, 1, POLLING));
	EXPECT_EQ(1, mark_ioctl(self->fd, &m));
	EXPECT_EQ(1, m.remaining);
	EXPECT_EQ(0, m.stopped | m.blocked);
	EXPECT_EQ(0, thread_scopes(self->crew.sitters[0].tid));
	EXPECT_EQ(0, self->crew.sitters[0].interrupted);
	/* Asked again without: interrupted, although the work is queued already. */
	EXPECT_EQ(0, mark(self->fd, PROCESS, NOIO));
	all = count_threads(NOIO, &with);
	EXPECT_EQ(2, all);
	EXPECT_EQ(2, with);
	stop(&self->crew);
	/* The documented price. */
	EXPECT_EQ(1, self->crew.sitters[0].interrupted);
	EXPECT_EQ(0, mark(self->fd, PROCESS, 0));
}

static void *mark_from_thread(void *arg)
{
	return (void *)mark(*(int *)arg, HOLD_PROCESS, NOIO);
}

/* Rule: threads that mark the process at the same time do not wait for each other. */
TEST_F(process, mutual)
{
	struct timespec before, after;
	pthread_t thread[8];
	void *result;
	int i, round;

	clock_gettime(CLOCK_MONOTONIC, &before);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 8; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, mark_from_thread,
						    &self->fd));
		for (i = 0; i < 8; i++) {
			ASSERT_EQ(0, pthread_join(thread[i], &result));
			EXPECT_EQ(NULL, result);
		}
		ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, 0));
		ASSERT_EQ(0, task_scopes());
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	/* Waiting for a time-out would take 20 s at once. */
	EXPECT_GT(20, after.tv_sec - before.tv_sec);
}

/* --- threads that come and go --------------------------------------------- */

static long expected = -1;	/* what a new thread must have; -1: anything */
static int storm_over, wrong, born;

static void *short_life(void *arg)
{
	long before = __atomic_load_n(&expected, __ATOMIC_SEQ_CST);
	long have = task_scopes();
	long after = __atomic_load_n(&expected, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&born, 1, __ATOMIC_RELAXED);
	if (before == after && before >= 0 && have != before)
		__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Creates threads without end, which create threads. */
static void *breed(void *arg)
{
	pthread_t thread[4];
	int i, n;

	while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED)) {
		for (n = 0; n < 4; n++) {
			if (pthread_create(&thread[n], NULL, short_life, NULL))
				break;
		}
		for (i = 0; i < n; i++)
			pthread_join(thread[i], NULL);
	}
	return NULL;
}

static void storm(struct __test_metadata *_metadata, int fd, __u32 flags)
{
	pthread_t breeder[STORM / 4];
	int i, round, with, all;

	storm_over = 0;
	wrong = 0;
	born = 0;
	expected = -1;
	for (i = 0; i < STORM / 4; i++)
		ASSERT_EQ(0, pthread_create(&breeder[i], NULL, breed, NULL));
	for (round = 0; round < 6; round++) {
		long scopes = round & 1 ? 0 : MEMSCOPE_IO_FLUSHER;
		struct memscope_mark m = { .flags = flags, .scopes = scopes,
					   .timeout_ms = 60000 };

		__atomic_store_n(&expected, -1, __ATOMIC_SEQ_CST);
		EXPECT_EQ(0, mark_ioctl(fd, &m)) {
			TH_LOG("round %d: %u done, %u remaining, %u stopped, %u blocked",
			       round, m.done, m.remaining, m.stopped, m.blocked);
		}
		__atomic_store_n(&expected, scopes, __ATOMIC_SEQ_CST);
		sleep_ms(300);
		EXPECT_EQ(0, wrong) {
			TH_LOG("round %d: %d of %d new threads without the set", round, wrong,
			       born);
		}
	}
	storm_over = 1;
	for (i = 0; i < STORM / 4; i++)
		pthread_join(breeder[i], NULL);
	TH_LOG("%d threads came and went", born);
	EXPECT_LT(STORM, born);
	all = count_threads(0, &with);
	EXPECT_EQ(all, with);
}

/* Rule: threads being created meanwhile have it too, and none loses it. */
TEST_F(process, storm_for_good)
{
	storm(_metadata, self->fd, PROCESS);
}

TEST_F(process, storm_held)
{
	storm(_metadata, self->fd, HOLD_PROCESS);
}

static void *read_scopes(void *arg)
{
	*(long *)arg = task_scopes();
	return NULL;
}

/* Rule: a new thread joins the process's hold, whoever creates it; a new process does not. */
TEST_F(process, later_threads_join)
{
	long scopes = -1;
	pthread_t thread;

	ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, NOFS));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_scopes, &scopes));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* The creator is suspended, the process is held. */
	EXPECT_EQ(NOFS, scopes);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_RESUME, 0));
	EXPECT_EQ(0, IN_CHILD(task_scopes()));
}

/* --- io_uring --------------------------------------------------------------- */

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
	int fd;

	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		memset(comm, 0, sizeof(comm));
		if (read(fd, comm, sizeof(comm) - 1) > 0 && !strncmp(comm, name, strlen(name)))
			found = atoi(entry->d_name);
		close(fd);
	}
	closedir(dir);
	return found;
}

/* A thread names itself after it has started. */
static pid_t find_thread(const char *name)
{
	pid_t tid = 0;
	int i;

	for (i = 0; i < 500 && !tid; i++) {
		tid = find_thread_now(name);
		if (!tid)
			sleep_ms(10);
	}
	return tid;
}

/* Rule: io_uring's workers are reached: idle ones at once, busy ones after their request. */
TEST_F(process, io_uring_worker)
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
	sleep_ms(200);
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
	/* Idle: it is woken for it, well before its idle time-out of 5 s. */
	sleep_ms(100);
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
TEST_F(process, io_uring_sqpoll)
{
	struct ring ring;
	pid_t poller;

	ASSERT_EQ(0, ring_setup(&ring, IORING_SETUP_SQPOLL));
	poller = find_thread("iou-sqp");
	ASSERT_LT(0, poller);
	/* Both while it polls, and after it has gone to sleep. */
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, NOIO));
	EXPECT_EQ(NOIO, thread_scopes(poller));
	sleep_ms(500);
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, NOFS));
	EXPECT_EQ(NOFS, thread_scopes(poller));
	close(self->fd);
	EXPECT_EQ(0, wait_scopes(poller, 0));
	close(ring.fd);
	self->fd = open_device();
}

TEST_HARNESS_MAIN
