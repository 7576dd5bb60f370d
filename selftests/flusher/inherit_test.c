// SPDX-License-Identifier: GPL-2.0
/*
 * Who gets the state: the children and threads that a thread creates later,
 * and the program that it executes; nobody's change reaches another thread.
 * As with prctl(), so each case runs with either as the one that sets.
 *
 * selftest: timeout=60 m32=yes
 */
#include "kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "flusher.h"

/* The exit status of a helper program: its scopes, so never above this. */
#define STATUS_CANNOT_READ 100

FIXTURE(inherit)
{
	int fd;
};

FIXTURE_VARIANT(inherit)
{
	bool prctl;
	long scopes;
};

FIXTURE_VARIANT_ADD(inherit, prctl) { true, MEMSCOPE_IO_FLUSHER };
FIXTURE_VARIANT_ADD(inherit, ioctl) { false, MEMSCOPE_IO_FLUSHER };
FIXTURE_VARIANT_ADD(inherit, nofs) { false, MEMSCOPE_SCOPE_NOFS };
FIXTURE_VARIANT_ADD(inherit, noio) { false, MEMSCOPE_SCOPE_NOIO };
FIXTURE_VARIANT_ADD(inherit, local_throttle) { false, MEMSCOPE_SCOPE_LOCAL_THROTTLE };
FIXTURE_VARIANT_ADD(inherit, all) { false, ALL_SCOPES };

FIXTURE_SETUP(inherit)
{
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, task_scopes());
}

FIXTURE_TEARDOWN(inherit)
{
	close(self->fd);
}

static long set(int fd, bool by_prctl, long scopes)
{
	if (by_prctl)
		return raw_prctl(PR_SET_IO_FLUSHER, scopes != 0);
	return raw_ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, scopes);
}

/* The thread's own scopes where every way to read them agrees, else -1. */
static long get(int fd)
{
	long scopes = raw_ioctl(fd, MEMSCOPE_IOC_GET_SCOPES, 0);

	if (scopes != task_scopes() ||
	    raw_prctl(PR_GET_IO_FLUSHER, 0) != is_io_flusher(scopes) ||
	    raw_ioctl(fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0) != is_io_flusher(scopes))
		return -1;
	return scopes;
}

static int exit_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(inherit, fork)
{
	int go[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_EQ(variant->scopes, get(self->fd));
		/* The parent clears its own: it does not reach here. */
		EXPECT_EQ(1, read(go[0], &byte, 1));
		EXPECT_EQ(variant->scopes, get(self->fd));
		_exit(0);
	}
	ASSERT_EQ(0, set(self->fd, variant->prctl, 0));
	ASSERT_EQ(1, write(go[1], "", 1));
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(0, get(self->fd));
}

/* Rule: the child's clear does not reach the parent, nor its set. */
TEST_F(inherit, child_clears)
{
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_EQ(0, set(self->fd, variant->prctl, 0));
		EXPECT_EQ(0, get(self->fd));
		_exit(0);
	}
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(variant->scopes, get(self->fd));

	ASSERT_EQ(0, set(self->fd, variant->prctl, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_EQ(0, get(self->fd));
		EXPECT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
		_exit(0);
	}
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(0, get(self->fd));
}

TEST_F(inherit, grandchild)
{
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			EXPECT_EQ(variant->scopes, get(self->fd));
			_exit(0);
		}
		EXPECT_EQ(0, exit_status(pid));
		_exit(0);
	}
	EXPECT_EQ(0, exit_status(pid));
}

/* The child shares the memory and suspends the parent, yet is another thread. */
TEST_F(inherit, vfork)
{
	atomic_long seen = -1, cleared = -1;
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = vfork();
	ASSERT_LE(0, pid);
	if (!pid) {
		seen = raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0);
		cleared = raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0);
		_exit(0);
	}
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(variant->scopes, atomic_load(&seen));
	EXPECT_EQ(0, atomic_load(&cleared));
	EXPECT_EQ(variant->scopes, get(self->fd));
}

static char *const show_argv[] = { "inherit_test", "--show-scopes", NULL };

TEST_F(inherit, exec)
{
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		execv("/proc/self/exe", show_argv);
		_exit(STATUS_CANNOT_READ);
	}
	EXPECT_EQ(variant->scopes, exit_status(pid));
}

TEST_F(inherit, vfork_exec)
{
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = vfork();
	ASSERT_LE(0, pid);
	if (!pid) {
		execv("/proc/self/exe", show_argv);
		_exit(STATUS_CANNOT_READ);
	}
	EXPECT_EQ(variant->scopes, exit_status(pid));
}

TEST_F(inherit, posix_spawn)
{
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	ASSERT_EQ(0, posix_spawn(&pid, "/proc/self/exe", NULL, NULL, show_argv, NULL));
	EXPECT_EQ(variant->scopes, exit_status(pid));
}

/* Rule: exec keeps the state also for a program that may not change it. */
TEST_F(inherit, exec_after_drop)
{
	pid_t pid;

	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char fd_text[16], *argv[] = { "inherit_test", "--stuck", fd_text, NULL };

		snprintf(fd_text, sizeof(fd_text), "%d", self->fd);
		if (prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0))
			_exit(STATUS_CANNOT_READ);
		execv("/proc/self/exe", argv);
		_exit(STATUS_CANNOT_READ);
	}
	EXPECT_EQ(variant->scopes, exit_status(pid));
}

struct thread {
	pthread_t thread;
	sem_t go, done;
	int fd;
	bool prctl;
	long scopes;		/* to set, once told to go */
	long before, after;
	pid_t tid;
};

static void *thread_body(void *data)
{
	struct thread *t = data;

	t->tid = syscall(SYS_gettid);
	t->before = get(t->fd);
	sem_post(&t->done);
	sem_wait(&t->go);
	if (set(t->fd, t->prctl, t->scopes))
		t->after = -1;
	else
		t->after = get(t->fd);
	sem_post(&t->done);
	sem_wait(&t->go);
	return NULL;
}

static int thread_start(struct thread *t, int fd, bool by_prctl, long scopes)
{
	t->fd = fd;
	t->prctl = by_prctl;
	t->scopes = scopes;
	t->before = -1;
	t->after = -1;
	if (sem_init(&t->go, 0, 0) || sem_init(&t->done, 0, 0) ||
	    pthread_create(&t->thread, NULL, thread_body, t))
		return -1;
	return sem_wait(&t->done);
}

/* Rule: a thread inherits from its creator, and keeps its own from then on. */
TEST_F(inherit, pthread)
{
	struct thread clears, sets;

	ASSERT_EQ(0, thread_start(&sets, self->fd, variant->prctl, variant->scopes));
	ASSERT_EQ(0, set(self->fd, variant->prctl, variant->scopes));
	ASSERT_EQ(0, thread_start(&clears, self->fd, variant->prctl, 0));
	EXPECT_EQ(0, sets.before);
	EXPECT_EQ(variant->scopes, clears.before);
	/* The one that was there before did not get it later. */
	EXPECT_EQ(0, scopes_of_flags(task_flags_of(getpid(), sets.tid)));

	sem_post(&clears.go);
	sem_wait(&clears.done);
	EXPECT_EQ(0, clears.after);
	EXPECT_EQ(variant->scopes, get(self->fd));

	ASSERT_EQ(0, set(self->fd, variant->prctl, 0));
	sem_post(&sets.go);
	sem_wait(&sets.done);
	EXPECT_EQ(variant->scopes, sets.after);
	EXPECT_EQ(0, get(self->fd));
	/* Seen from outside, by thread. */
	EXPECT_EQ(0, scopes_of_flags(task_flags_of(getpid(), clears.tid)));
	EXPECT_EQ(variant->scopes, scopes_of_flags(task_flags_of(getpid(), sets.tid)));

	sem_post(&sets.go);
	sem_post(&clears.go);
	pthread_join(sets.thread, NULL);
	pthread_join(clears.thread, NULL);
	EXPECT_EQ(0, get(self->fd));
}

struct spawner {
	int fd;
	bool prctl;
	long scopes;
	int forked;
};

static void *spawner_body(void *data)
{
	struct spawner *s = data;
	pid_t pid;

	if (set(s->fd, s->prctl, s->scopes))
		return NULL;
	pid = fork();
	if (!pid)
		_exit(get(s->fd) & 0x7f);
	s->forked = exit_status(pid);
	return NULL;
}

/* Rule: a process inherits from the thread that forks, not from the leader. */
TEST_F(inherit, fork_in_thread)
{
	struct spawner s = { self->fd, variant->prctl, variant->scopes, -1 };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, spawner_body, &s));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(variant->scopes, s.forked);
	EXPECT_EQ(0, get(self->fd));
}

static void *exec_body(void *data)
{
	struct spawner *s = data;

	if (!set(s->fd, s->prctl, s->scopes))
		execv("/proc/self/exe", show_argv);
	_exit(STATUS_CANNOT_READ);
}

/* Rule: after exec in a thread, the state is that thread's, not the leader's. */
TEST_F(inherit, exec_in_thread)
{
	struct spawner s = { self->fd, variant->prctl, variant->scopes, -1 };
	pthread_t thread;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (pthread_create(&thread, NULL, exec_body, &s))
			_exit(STATUS_CANNOT_READ);
		for (;;)
			pause();
	}
	EXPECT_EQ(variant->scopes, exit_status(pid));
}

int main(int argc, char **argv)
{
	unsigned int flags = task_flags();
	long scopes = scopes_of_flags(flags);

	if (argc == 2 && !strcmp(argv[1], "--show-scopes"))
		return flags ? scopes : STATUS_CANNOT_READ;
	if (argc == 3 && !strcmp(argv[1], "--stuck")) {
		if (raw_prctl(PR_SET_IO_FLUSHER, 0) != -EPERM ||
		    raw_ioctl(atoi(argv[2]), MEMSCOPE_IOC_SET_IO_FLUSHER, 0) != -EPERM ||
		    raw_ioctl(atoi(argv[2]), MEMSCOPE_IOC_SET_SCOPES, 0) != -EPERM)
			return STATUS_CANNOT_READ;
		return task_scopes();
	}
	return test_harness_run(argc, argv);
}
