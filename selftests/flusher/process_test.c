// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of the whole process: every thread, whatever it is doing, and those
 * that come while it is marked.
 *
 * selftest: timeout=240 m32=yes
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "status.h"

#define SITTERS 32
#define STORM 256
#define PROCESS MEMSCOPE_MARK_PROCESS
#define HOLD_PROCESS (MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS)

/*
 * How many threads the process has, and how many have exactly this set. One that is
 * ending, which pthread_join() does not wait for, is no thread any more.
 */
static int count_threads(long want, int *with)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int flags;
	int all = 0;

	*with = 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		flags = task_flags_of(getpid(), atoi(entry->d_name));
		if (!flags || flags & PF_EXITING)
			continue;
		all++;
		*with += scopes_of_flags(flags) == want;
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
	/* Those that a mark would find elsewhere before they are in their call. */
	for (i = 0; i < n; i++) {
		if (self->sitters[i].kind == READING &&
		    !wait_in_syscall(getpid(), self->sitters[i].tid, SYS_read))
			return -1;
		if (self->sitters[i].kind == POLLING &&
		    !wait_in_syscall(getpid(), self->sitters[i].tid, SYS_epoll_wait))
			return -1;
	}
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
				   .timeout_ms = 60000 };
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
static int vfork_release[2], vfork_runs[2];

static void *in_vfork(void *arg)
{
	char byte;
	pid_t pid, *tid = arg;

	*tid = syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	pid = vfork();
	if (!pid)
		_exit(write(vfork_runs[1], "", 1) == 1 &&
		      read(vfork_release[0], &byte, 1) == 1 ? 0 : 1);
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
	char byte;

	ASSERT_EQ(0, pipe2(vfork_release, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(vfork_runs, O_CLOEXEC));
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, in_vfork, &tid));
	pthread_barrier_wait(&barrier);
	/* With the child running, all it can sleep in is the wait for its end. */
	ASSERT_EQ(1, read(vfork_runs[0], &byte, 1));
	ASSERT_TRUE(wait_in_syscall(getpid(), tid, SYS_vfork));
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
	pthread_t thread[8];
	void *result;
	int i, round;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < 8; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, mark_from_thread,
						    &self->fd));
		for (i = 0; i < 8; i++) {
			/* Who waits for the others' time-outs has some left over. */
			ASSERT_EQ(0, pthread_join(thread[i], &result));
			EXPECT_EQ(NULL, result);
		}
		ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, 0));
		ASSERT_EQ(0, task_scopes());
	}
}

/* --- threads that come and go --------------------------------------------- */

/*
 * What a new thread must have, with the number of the round, so that no two are alike;
 * -1: anything.
 */
static long expected = -1;
#define EXPECTED(round, scopes) ((long)(round) << 8 | (scopes))
static int storm_over, wrong, born;

static void *short_life(void *arg)
{
	long before = __atomic_load_n(&expected, __ATOMIC_SEQ_CST);
	long have = task_scopes();
	long after = __atomic_load_n(&expected, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&born, 1, __ATOMIC_RELAXED);
	if (before == after && before >= 0 && have != (before & ALL_SCOPES))
		__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Creates threads without end, which create threads. */
static void *breed(void *arg)
{
	pthread_t thread[4];
	int i, n;

	__atomic_store_n((pid_t *)arg, syscall(SYS_gettid), __ATOMIC_RELAXED);
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

static pthread_t breeder[STORM / 4];
static pid_t breeder_tid[STORM / 4];

static void storm_start(struct __test_metadata *_metadata)
{
	int i;

	memset(breeder_tid, 0, sizeof(breeder_tid));

	storm_over = 0;
	wrong = 0;
	born = 0;
	expected = -1;
	for (i = 0; i < STORM / 4; i++)
		ASSERT_EQ(0, pthread_create(&breeder[i], NULL, breed, &breeder_tid[i]));
	for (i = 0; i < STORM / 4; i++) {
		while (!__atomic_load_n(&breeder_tid[i], __ATOMIC_RELAXED))
			sleep_ms(1);
	}
}

/* From here on all have the set: as many as there are at a time are born, and none without. */
static void storm_has(struct __test_metadata *_metadata, int round, long scopes)
{
	int before = __atomic_load_n(&born, __ATOMIC_RELAXED), i;

	__atomic_store_n(&expected, EXPECTED(round, scopes), __ATOMIC_SEQ_CST);
	/* And more where the machine is quick. */
	sleep_ms(300);
	for (i = 0; i < PATIENCE && __atomic_load_n(&born, __ATOMIC_RELAXED) < before + STORM; i++)
		sleep_ms(10);
	EXPECT_LE(before + STORM, __atomic_load_n(&born, __ATOMIC_RELAXED));
	EXPECT_EQ(0, wrong) {
		TH_LOG("round %d: %d of %d new threads without the set", round, wrong, born);
	}
	__atomic_store_n(&expected, -1, __ATOMIC_SEQ_CST);
}

static void storm_end(struct __test_metadata *_metadata)
{
	int i, all, with;

	storm_over = 1;
	for (i = 0; i < STORM / 4; i++)
		pthread_join(breeder[i], NULL);
	TH_LOG("%d threads came and went", born);
	all = count_threads(0, &with);
	EXPECT_EQ(all, with);
}

static void storm(struct __test_metadata *_metadata, int fd, __u32 flags)
{
	int round;

	storm_start(_metadata);
	for (round = 0; round < 4; round++) {
		long scopes = round & 1 ? 0 : MEMSCOPE_IO_FLUSHER;
		struct memscope_mark m = { .flags = flags, .scopes = scopes,
					   .timeout_ms = 60000 };

		EXPECT_EQ(0, mark_ioctl(fd, &m)) {
			TH_LOG("round %d: %u done, %u remaining, %u stopped, %u blocked",
			       round, m.done, m.remaining, m.stopped, m.blocked);
		}
		storm_has(_metadata, round, scopes);
	}
	storm_end(_metadata);
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

/*
 * Rule: nothing is left of threads that were created while the command ran: the probes are left,
 * which is when nobody is looked after.
 */
TEST_F(process, storm_leaves_nothing)
{
	int round;

	ASSERT_EQ(0, need_debugfs());
	storm_start(_metadata);
	for (round = 0; round < 200; round++)
		EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, round & 1 ? 0 : NOIO));
	storm_end(_metadata);
	EXPECT_TRUE(wait_probes_off());
}

/* Rule: REVOKE ends it on every thread, and none that comes afterwards has it. */
TEST_F(process, storm_revoked)
{
	struct memscope_delegate d = { .scopes = MEMSCOPE_IO_FLUSHER };
	int i, all, with;

	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d));
	storm_start(_metadata);
	EXPECT_EQ(0, mark(self->fd, HOLD_PROCESS, MEMSCOPE_IO_FLUSHER));
	storm_has(_metadata, 0, MEMSCOPE_IO_FLUSHER);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_REVOKE, 0));
	EXPECT_EQ(0, task_scopes());
	/* The others when they next return to user mode. */
	for (i = 0; i < PATIENCE; i++) {
		all = count_threads(0, &with);
		if (all == with)
			break;
		sleep_ms(10);
	}
	EXPECT_EQ(all, with);
	storm_has(_metadata, 1, 0);
	EXPECT_EQ(-EKEYREVOKED, mark(self->fd, HOLD_PROCESS, MEMSCOPE_IO_FLUSHER));
	storm_end(_metadata);
}

/* Rule: STATUS tells of no thread twice, and misses none that is there all the time. */
TEST_F(process, storm_status)
{
	struct memscope_entry *e;
	int round, i, j, steady;
	long count;

	storm_start(_metadata);
	ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, NOIO));
	for (round = 0; round < 5; round++) {
		pid_t last = 0;

		/* So that it goes on from where it was, many times. */
		count = status_by(self->fd, 1 + 5 * round);
		ASSERT_LE(1, count);
		for (i = 0, steady = 0; i < count; i++) {
			e = &entries[i];
			if (e->tgid != getpid())
				continue;
			EXPECT_LT(last, e->tid);
			last = e->tid;
			EXPECT_EQ(NOIO, e->mark);
			for (j = 0; j < STORM / 4 && breeder_tid[j] != e->tid; j++)
				;
			/* Of one that is being created or ends there is no record for a moment. */
			if (j < STORM / 4 || e->how != MEMSCOPE_HOW_OWN)
				EXPECT_EQ(MEMSCOPE_HOW_HOLD, e->how);
			steady += j < STORM / 4;
		}
		EXPECT_EQ(STORM / 4, steady);
	}
	ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, 0));
	storm_end(_metadata);
}

static int signals;

static void on_signal(int number)
{
	signals++;
}

/* Rule: a signal that is handled, at whatever moment, makes no command but CALL fail. */
TEST_F(process, signals)
{
	struct itimerval often = { { .tv_usec = 1000 }, { .tv_usec = 1000 } }, never = { };
	struct sigaction action = { .sa_handler = on_signal };
	struct memscope_delegate d = { .scopes = ALL_SCOPES };
	struct memscope_register r = { };
	char node[] = "/tmp/memscope-node";
	int all, with, round, fd;
	__u64 mask;

	ASSERT_EQ(0, start(&self->crew, SITTERS, -1));
	/* A node of no device: it is not opened. */
	ASSERT_EQ(0, mknod(node, S_IFBLK | 0600, 0));
	r.fd = open(node, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, r.fd);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	/* As many as it takes to be hit at many a place. */
	for (round = 0; round < 10 || signals < 200; round++) {
		ASSERT_EQ(0, mark(self->fd, PROCESS, NOFS));
		ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, MEMSCOPE_IO_FLUSHER));
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0));
		ASSERT_EQ(0, task_scopes());
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_RESUME, 0));
		ASSERT_EQ(ALL_SCOPES, task_scopes());
		all = count_threads(ALL_SCOPES, &with);
		ASSERT_EQ(SITTERS + 1, all);
		ASSERT_EQ(all, with);
		ASSERT_LE(all * 2, status_by(self->fd, 5));
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_REGISTER, (unsigned long)&r));
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask));
		fd = open_device();
		ASSERT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d));
		ASSERT_EQ(0, hold(fd, NOIO));
		ASSERT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_REVOKE, 0));
		ASSERT_EQ(0, close(fd));
		ASSERT_EQ(0, mark(self->fd, HOLD_PROCESS, 0));
		ASSERT_EQ(0, mark(self->fd, PROCESS, 0));
		all = count_threads(0, &with);
		ASSERT_EQ(all, with);
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	TH_LOG("%d rounds, %d signals", round, signals);
	stop(&self->crew);
	close(r.fd);
	unlink(node);
}

struct late_mark {
	pthread_t thread;
	int fd;
	pid_t tid;
	struct memscope_mark mark;
	long ret;
};

static void *mark_late(void *arg)
{
	struct late_mark *me = arg;

	__atomic_store_n(&me->tid, syscall(SYS_gettid), __ATOMIC_RELAXED);
	me->ret = mark_ioctl(me->fd, &me->mark);
	return NULL;
}

/* Rule: a command that is under way when the last descriptor is closed leaves nothing behind. */
TEST_F(process, closed_meanwhile)
{
	struct late_mark late = { .fd = dup(self->fd) };
	struct keeper other;

	ASSERT_EQ(0, keep_files(&other));
	close(self->fd);
	self->fd = open_device();
	/* Some of the crew sleep on, so that it waits. */
	ASSERT_EQ(0, start(&self->crew, 4, READING));
	late.mark = (struct memscope_mark) {
		.flags = HOLD_PROCESS | MEMSCOPE_MARK_NO_INTERRUPT,
		.scopes = NOIO,
		.timeout_ms = 60000,
	};
	ASSERT_EQ(0, pthread_create(&late.thread, NULL, mark_late, &late));
	while (!__atomic_load_n(&late.tid, __ATOMIC_RELAXED))
		sleep_ms(1);
	ASSERT_EQ(NOIO, wait_scopes_of(getpid(), getpid(), NOIO));
	ASSERT_EQ(0, close(late.fd));
	sleep_ms(100);
	stop(&self->crew);
	ASSERT_EQ(0, pthread_join(late.thread, NULL));
	EXPECT_EQ(0, late.ret);
	EXPECT_EQ(0, wait_scopes_of(getpid(), getpid(), 0));
	EXPECT_EQ(NULL, status_of(self->fd, getpid(), 0));
	EXPECT_EQ(0, let_go(&other));
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
	/* None joins what has ended. */
	close(self->fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_scopes, &scopes));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, scopes);
	self->fd = open_device();
}

TEST_HARNESS_MAIN
