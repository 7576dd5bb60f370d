// SPDX-License-Identifier: GPL-2.0
/*
 * STATUS: who is marked, with what, by whom, since when.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <signal.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "status_fixture.h"

#define THREADS 300

/* Rule: a hold and a mark say by whom, since when, and with what, for every set. */
TEST_F(status, by_whom_since_when)
{
	static const __u32 hows[] = { MEMSCOPE_HOW_MARK, MEMSCOPE_HOW_HOLD };
	__u64 before, after;
	int how, scopes;

	prctl(PR_SET_NAME, "marked one");
	for (how = 0; how < 2; how++) {
		for (scopes = 1; scopes <= ALL_SCOPES; scopes++) {
			struct memscope_entry *e;

			before = boottime_ns();
			ASSERT_EQ(0, mark(self->fd, how ? MEMSCOPE_MARK_HOLD : 0, scopes));
			after = boottime_ns();
			e = status_of(self->fd, SELF, 0);
			ASSERT_NE(NULL, e);
			EXPECT_EQ(SELF, e->tid);
			EXPECT_EQ(getpid(), e->tgid);
			EXPECT_EQ(0, e->uid);
			EXPECT_EQ(scopes, e->scopes);
			EXPECT_EQ(scopes, e->mark);
			EXPECT_EQ(hows[how], e->how);
			EXPECT_EQ(0, e->flags & ~MEMSCOPE_ENTRY_COUNTED);
			EXPECT_EQ(getpid(), e->by_pid);
			EXPECT_EQ(0, e->by_uid);
			EXPECT_EQ(0, e->reserved);
			EXPECT_LE(before, e->since_ns);
			EXPECT_GE(after, e->since_ns);
			EXPECT_STREQ("marked one", e->comm);
			EXPECT_STREQ("marked one", e->by_comm);
			EXPECT_EQ(NULL, status_of(self->fd, SELF, 1));
		}
		ASSERT_EQ(0, mark(self->fd, how ? MEMSCOPE_MARK_HOLD : 0, 0));
		EXPECT_EQ(NULL, status_of(self->fd, SELF, 0));
	}
}

/* Rule: a mark, each file's hold, and what is its own beside, are entries each. */
TEST_F(status, an_entry_for_each)
{
	int other = open_device();
	struct memscope_entry *e;

	ASSERT_EQ(0, mark(self->fd, 0, LOCAL));
	ASSERT_EQ(0, hold(self->fd, NOIO));
	ASSERT_EQ(0, hold(other, NOFS));
	e = status_of(self->fd, SELF, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(MEMSCOPE_HOW_MARK, e->how);
	EXPECT_EQ(LOCAL, e->mark);
	EXPECT_EQ(ALL_SCOPES, e->scopes);
	e = status_of(self->fd, SELF, 1);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(MEMSCOPE_HOW_HOLD, e->how);
	EXPECT_EQ(NOIO, e->mark);
	EXPECT_EQ(ALL_SCOPES, e->scopes);
	e = status_of(self->fd, SELF, 2);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOFS, e->mark);
	EXPECT_EQ(NULL, status_of(self->fd, SELF, 3));
	close(other);
	EXPECT_EQ(NULL, status_of(self->fd, SELF, 2));
	ASSERT_EQ(0, hold(self->fd, 0));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, NOFS | LOCAL));
	e = status_of(self->fd, SELF, 1);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(MEMSCOPE_HOW_OWN, e->how);
	EXPECT_EQ(NOFS, e->mark);
}

/* Rule: what prctl(), SET_IO_FLUSHER and SET_SCOPES set is seen, without who and when. */
TEST_F(status, own)
{
	struct memscope_entry *e;
	int way;

	for (way = 0; way < 3; way++) {
		ASSERT_EQ(0, way == 0 ? raw_prctl(PR_SET_IO_FLUSHER, 1) :
			     way == 1 ? raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1) :
			     raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, MEMSCOPE_IO_FLUSHER));
		e = status_of(self->fd, SELF, 0);
		ASSERT_NE(NULL, e);
		EXPECT_EQ(MEMSCOPE_HOW_OWN, e->how);
		EXPECT_EQ(MEMSCOPE_IO_FLUSHER, e->scopes);
		EXPECT_EQ(MEMSCOPE_IO_FLUSHER, e->mark);
		EXPECT_EQ(0, e->by_pid);
		EXPECT_EQ(~0U, e->by_uid);
		EXPECT_EQ(0, e->since_ns);
		EXPECT_EQ(0, e->by_comm[0]);
		ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
		EXPECT_EQ(NULL, status_of(self->fd, SELF, 0));
	}
}

/* Rule: what a marked thread clears with prctl() is no longer shown as marked. */
TEST_F(status, cleared_by_prctl)
{
	struct memscope_entry *e;

	ASSERT_EQ(0, mark(self->fd, 0, ALL_SCOPES));
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
	e = status_of(self->fd, SELF, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOFS, e->mark);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
	EXPECT_EQ(NULL, status_of(self->fd, SELF, 0));
}

/* Rule: a suspended thread is listed, with the flag and without scopes in force. */
TEST_F(status, suspended)
{
	struct memscope_entry *e;

	ASSERT_EQ(0, mark(self->fd, 0, NOFS));
	ASSERT_EQ(0, hold(self->fd, NOIO));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0));
	e = status_of(self->fd, SELF, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(0, e->scopes);
	EXPECT_EQ(NOFS, e->mark);
	EXPECT_EQ(MEMSCOPE_ENTRY_SUSPENDED, e->flags & ~MEMSCOPE_ENTRY_COUNTED);
	e = status_of(self->fd, SELF, 1);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOIO, e->mark);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_RESUME, 0));
	e = status_of(self->fd, SELF, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOIO | NOFS, e->scopes);
	EXPECT_EQ(0, e->flags & ~MEMSCOPE_ENTRY_COUNTED);
}

/* --- others --------------------------------------------------------------------- */

static pthread_barrier_t barrier;
static int release[2];

static void *sit(void *arg)
{
	char byte;

	if (arg)
		*(pid_t *)arg = SELF;
	pthread_barrier_wait(&barrier);
	while (read(release[0], &byte, 1) < 0)
		;
	return NULL;
}

/* Rule: threads and processes that inherit a mark say so, and who set it first; execve() keeps it. */
TEST_F(status, inherited)
{
	struct memscope_entry *e;
	pthread_t thread;
	pid_t tid, pid;
	__u64 since;
	int i;

	ASSERT_EQ(0, pipe2(release, O_CLOEXEC));
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	ASSERT_EQ(0, mark(self->fd, MEMSCOPE_MARK_PROCESS, NOFS));
	e = status_of(self->fd, SELF, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(MEMSCOPE_ENTRY_PROCESS, e->flags & ~MEMSCOPE_ENTRY_COUNTED);
	since = e->since_ns;
	ASSERT_EQ(0, pthread_create(&thread, NULL, sit, &tid));
	pthread_barrier_wait(&barrier);
	e = status_of(self->fd, tid, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(MEMSCOPE_HOW_MARK, e->how);
	EXPECT_EQ(MEMSCOPE_ENTRY_PROCESS | MEMSCOPE_ENTRY_INHERITED,
		  e->flags & ~MEMSCOPE_ENTRY_COUNTED);
	EXPECT_EQ(since, e->since_ns);
	EXPECT_EQ(getpid(), e->by_pid);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	for (i = 0; i < PATIENCE; i++) {
		e = status_of(self->fd, pid, 0);
		if (e && !strcmp(e->comm, "sleep"))
			break;
		sleep_ms(10);
	}
	ASSERT_NE(NULL, e);
	EXPECT_STREQ("sleep", e->comm);
	EXPECT_EQ(MEMSCOPE_HOW_MARK, e->how);
	EXPECT_EQ(NOFS, e->scopes);
	EXPECT_EQ(since, e->since_ns);
	EXPECT_TRUE(e->flags & MEMSCOPE_ENTRY_INHERITED);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(NULL, status_of(self->fd, pid, 0));
	close(release[1]);
	pthread_join(thread, NULL);
	EXPECT_EQ(NULL, status_of(self->fd, tid, 0));
	close(release[0]);
}

static pid_t stopped_child(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid > 0) {
		kill(pid, SIGSTOP);
		waitpid(pid, &status, WUNTRACED);
	}
	return pid;
}

/* Rule: what is not in force yet is PENDING; a setter that has gone is GONE. */
TEST_F(status, pending_and_gone)
{
	pid_t pid = stopped_child(), marker;
	int pidfd = pidfd_of(pid, 0), status;
	struct memscope_entry *e = NULL;

	ASSERT_LE(0, pidfd);
	marker = fork();
	ASSERT_LE(0, marker);
	if (!marker) {
		struct memscope_mark m = {
			.flags = MEMSCOPE_MARK_PIDFD | MEMSCOPE_MARK_PROCESS, .scopes = NOIO,
			.pidfd = pidfd,
		};

		prctl(PR_SET_NAME, "marker");
		_exit(mark_ioctl(self->fd, &m) != 1);
	}
	ASSERT_EQ(0, waitid(P_PID, marker, NULL, WEXITED | WNOWAIT));
	e = status_of(self->fd, pid, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOIO, e->mark);
	EXPECT_EQ(0, e->scopes);
	EXPECT_EQ(marker, e->by_pid);
	EXPECT_STREQ("marker", e->by_comm);
	/* A zombie has its number still. */
	EXPECT_EQ(MEMSCOPE_ENTRY_PENDING | MEMSCOPE_ENTRY_PROCESS,
		  e->flags & ~MEMSCOPE_ENTRY_COUNTED);
	ASSERT_EQ(marker, waitpid(marker, &status, 0));
	EXPECT_EQ(0, status);
	e = status_of(self->fd, pid, 0);
	ASSERT_NE(NULL, e);
	EXPECT_TRUE(e->flags & MEMSCOPE_ENTRY_SETTER_GONE);
	kill(pid, SIGCONT);
	EXPECT_EQ(NOIO, wait_scopes_of(pid, pid, NOIO));
	e = status_of(self->fd, pid, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOIO, e->scopes);
	EXPECT_FALSE(e->flags & MEMSCOPE_ENTRY_PENDING);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pidfd);
}

/* Rule: every thread once, in the order of their numbers, however little room there is. */
TEST_F(status, iterates)
{
	static const int rooms[] = { 1, 2, 7, 16, 17, MAX_ENTRIES };
	pthread_t thread[THREADS];
	long count, mine;
	int i, j;

	ASSERT_EQ(0, pipe2(release, O_CLOEXEC));
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, THREADS + 1));
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, sit, NULL));
	pthread_barrier_wait(&barrier);
	ASSERT_EQ(0, mark(self->fd, MEMSCOPE_MARK_PROCESS | MEMSCOPE_MARK_HOLD, NOIO));
	ASSERT_EQ(0, mark(self->fd, MEMSCOPE_MARK_PROCESS, NOFS));
	for (j = 0; j < ARRAY_LEN(rooms); j++) {
		count = status_by(self->fd, rooms[j]);
		mine = 0;
		for (i = 0; i < count; i++) {
			if (i > 0 && entries[i].tgid == getpid())
				EXPECT_LE(entries[i - 1].tid, entries[i].tid);
			if (entries[i].tgid != getpid())
				continue;
			mine++;
			EXPECT_EQ(NOIO | NOFS, entries[i].scopes);
			if (i > 0 && entries[i].tid == entries[i - 1].tid)
				EXPECT_NE(entries[i].how, entries[i - 1].how);
		}
		EXPECT_EQ(2 * (THREADS + 1), mine);
	}
	close(release[1]);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	close(release[0]);
}

/* --- who sees what ----------------------------------------------------------------- */

/* How many entries there are for which f(entry). */
static long seen(int fd, pid_t tid)
{
	long count = status_by(fd, MAX_ENTRIES), i, found = 0;

	if (count < 0)
		return count;
	for (i = 0; i < count; i++)
		found += entries[i].tid == tid || !tid;
	return found;
}

/* Rule: without the capability one sees the threads of one's own user id, and no others. */
TEST_F(status, who_sees)
{
	struct memscope_mark m = {
		.flags = MEMSCOPE_MARK_PIDFD, .scopes = NOFS, .timeout_ms = 60000,
	};
	struct memscope_entry *e;
	int ready[2];
	pid_t nobody;
	char byte;

	ASSERT_EQ(0, pipe(ready));
	nobody = fork();
	if (!nobody) {
		if (become_nobody() || prctl(PR_SET_PDEATHSIG, SIGKILL) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, mark(self->fd, 0, NOIO));
	m.pidfd = pidfd_of(nobody, 0);
	ASSERT_LE(0, m.pidfd);
	ASSERT_EQ(0, mark_ioctl(self->fd, &m));
	close(m.pidfd);
	e = status_of(self->fd, nobody, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(NOBODY, e->uid);
	EXPECT_EQ(1, seen(self->fd, SELF));
	EXPECT_EQ(1, seen(self->fd, nobody));
	EXPECT_EQ(0, IN_CHILD(become_nobody() || seen(self->fd, getppid()) != 0 ||
			      seen(self->fd, nobody) != 1));
	/* Root without the capability is no more than a user. */
	EXPECT_EQ(0, IN_CHILD(effective_resource(false) || seen(self->fd, getppid()) != 1 ||
			      seen(self->fd, nobody) != 0));
	/* Nor is the root of another user namespace. */
	EXPECT_EQ(0, IN_CHILD(become_nobody() || unshare(CLONE_NEWUSER) ||
			      seen(self->fd, getppid()) != 0));
	/* Of another pid namespace one sees what is in it, by its numbers. */
	EXPECT_EQ(0, IN_CHILD(({
		int ret = 100;

		if (!unshare(CLONE_NEWPID))
			ret = IN_CHILD(seen(self->fd, 0) != 1 || entries[0].tid != 1 ||
				       entries[0].by_pid != 0);
		ret;
	})));
	kill(nobody, SIGKILL);
	waitpid(nobody, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

/* --- CALL and marks ------------------------------------------------------------------- */

static void *call_and_tell(void *arg)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	struct memscope_call call = { .op = MEMSCOPE_CALL_READ, .scopes = NOIO, .fd = release[0],
				      .iov = (unsigned long)&iov, .iovcnt = 1, .offset = -1 };

	*(pid_t *)arg = SELF;
	pthread_barrier_wait(&barrier);
	if (raw_ioctl(*((int *)arg + 1), MEMSCOPE_IOC_CALL, (unsigned long)&call) != 1)
		return (void *)-1L;
	return (void *)task_scopes();
}

/* Rule: a mark for good of a thread that has the scopes only for a call outlasts the call. */
TEST_F(status, mark_during_call)
{
	int arg[2] = { 0, self->fd };
	struct memscope_entry *e;
	pthread_t thread;
	void *result;

	ASSERT_EQ(0, pipe2(release, O_CLOEXEC));
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_and_tell, arg));
	pthread_barrier_wait(&barrier);
	ASSERT_EQ(NOIO, wait_scopes(arg[0], NOIO));
	e = status_of(self->fd, arg[0], 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(MEMSCOPE_HOW_OWN, e->how);
	ASSERT_EQ(0, mark(self->fd, MEMSCOPE_MARK_PROCESS, NOIO));
	ASSERT_EQ(1, write(release[1], "", 1));
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ((void *)NOIO, result);
	ASSERT_EQ(0, mark(self->fd, MEMSCOPE_MARK_PROCESS, 0));
	close(release[0]);
	close(release[1]);
}

/* --- limits --------------------------------------------------------------------------- */

/* Rule: MAX_PER_TASK files hold a thread, or a process, or suspend a thread; no more. */
TEST_F(status, limits)
{
	int fds[MEMSCOPE_MAX_PER_TASK + 1], i, what;
	long ret;

	for (what = 0; what < 3; what++) {
		for (i = 0; i <= MEMSCOPE_MAX_PER_TASK; i++) {
			fds[i] = open_device();
			ASSERT_LE(0, fds[i]);
			if (what < 2)
				ret = mark(fds[i], MEMSCOPE_MARK_HOLD |
					   (what ? MEMSCOPE_MARK_PROCESS : 0), NOIO);
			else
				ret = raw_ioctl(fds[i], MEMSCOPE_IOC_SUSPEND, 0);
			EXPECT_EQ(i < MEMSCOPE_MAX_PER_TASK ? 0 : -ENOSPC, ret);
			/* The same file again is not one more. */
			if (!ret) {
				ASSERT_EQ(0, what == 2 ?
					     raw_ioctl(fds[i], MEMSCOPE_IOC_SUSPEND, 0) :
					     mark(fds[i], MEMSCOPE_MARK_HOLD, NOFS));
			}
		}
		/* Room again. */
		close(fds[0]);
		if (what == 0)
			EXPECT_EQ(0, hold(fds[MEMSCOPE_MAX_PER_TASK], NOIO));
		for (i = 1; i <= MEMSCOPE_MAX_PER_TASK; i++)
			close(fds[i]);
		EXPECT_EQ(0, task_scopes());
	}
}

/* Rule: suspending without end takes no memory without end. */
TEST_F(status, suspensions_are_counted)
{
	int i;

	ASSERT_EQ(0, hold(self->fd, NOIO));
	for (i = 0; i < 100000; i++)
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0));
	for (i = 0; i < 100000; i++) {
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_RESUME, 0));
	}
	EXPECT_EQ(NOIO, task_scopes());
	EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_RESUME, 0));
}

/* --- arguments ------------------------------------------------------------------------- */

/* It can be read, and the answer not written. */
static const struct memscope_status read_only = {
	.entry_size = sizeof(struct memscope_entry),
};

TEST_F(status, arguments)
{
	static char big[8192];
	struct memscope_status good = {
		.entries = (unsigned long)entries, .entry_size = sizeof(entries[0]), .count = 4,
	}, s;
	unsigned long at = (unsigned long)&s;
	int bit, i, j;
	long filled;

	for (bit = 0; bit < 64; bit++) {
		if (bit < 32) {
			s = good;
			s.flags = 1U << bit;
			EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
			s = good;
			s.reserved = 1U << bit;
			EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
		}
		s = good;
		s.missed = 1ULL << bit;
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
		s = good;
		s.unmarked = 1ULL << bit;
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
	}
	s = good;
	s.cursor = ~0ULL;
	EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
	for (i = 0; i <= 4097; i++) {
		s = good;
		s.count = 0;
		s.entry_size = i;
		EXPECT_EQ(i < sizeof(entries[0]) || i > 4096 ? -EINVAL : 0,
			  raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
	}
	/* A larger element: what is beyond is zero. */
	ASSERT_EQ(0, hold(self->fd, NOIO));
	memset(big, 0x55, sizeof(big));
	s = good;
	s.entries = (unsigned long)big;
	s.entry_size = 400;
	/* This thread, and whoever else is marked on the machine. */
	filled = raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at);
	ASSERT_LE(1, filled);
	ASSERT_GE(4, filled);
	for (j = 0; j < filled; j++) {
		for (i = sizeof(entries[0]); i < 400; i++)
			ASSERT_EQ(0, big[j * 400 + i]);
	}
	EXPECT_EQ(0x55, big[filled * 400]);
	/* Nowhere to write. */
	s = good;
	s.entries = 8;
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, at));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, 8));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, (unsigned long)&read_only));
	/* The struct's size. */
	for (i = 0; i < sizeof(s) + 16; i++) {
		struct {
			struct memscope_status s;
			char beyond[16];
		} large = { .s = good };
		unsigned int cmd = _IOC(_IOC_READ | _IOC_WRITE, MEMSCOPE_IOC_MAGIC,
					_IOC_NR(MEMSCOPE_IOC_STATUS), i);

		filled = raw_ioctl(self->fd, cmd, (unsigned long)&large);
		EXPECT_TRUE(i < sizeof(s) ? filled == -EINVAL : filled >= 1);
		large.s = good;
		if (i > sizeof(s)) {
			large.beyond[i - sizeof(s) - 1] = 1;
			EXPECT_EQ(-E2BIG, raw_ioctl(self->fd, cmd, (unsigned long)&large));
		}
	}
}

TEST_HARNESS_MAIN
