// SPDX-License-Identifier: GPL-2.0
/*
 * Holds: scopes that last until the file is closed, are added to what the
 * thread has, and leave it as they found it; suspend and resume.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include "mark.h"

FIXTURE(hold)
{
	int a, b;
};

FIXTURE_SETUP(hold)
{
	__u64 features = 0;

	self->a = open_device();
	self->b = open_device();
	ASSERT_LE(0, self->a);
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_MARK);
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_SUSPEND);
	ASSERT_EQ(0, task_scopes());
}

FIXTURE_TEARDOWN(hold)
{
	close(self->a);
	close(self->b);
	EXPECT_EQ(0, task_scopes());
}

/* The program that exits with its scopes. */
static int exec_self(void)
{
	return execl("/proc/self/exe", "hold_test", "--scopes", NULL);
}

/* Rule: from every state, with every set: in force while the file is open, then as before. */
TEST_F(hold, restores_what_it_found)
{
	struct memscope_mark m;
	long own, held;
	int fd;

	for (own = 0; own <= ALL_SCOPES; own++) {
		ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, own));
		for (held = 0; held <= ALL_SCOPES; held++) {
			fd = open_device();
			ASSERT_LE(0, fd);
			m = (struct memscope_mark) { .flags = MEMSCOPE_MARK_HOLD, .scopes = held };
			ASSERT_EQ(0, mark_ioctl(fd, &m));
			ASSERT_EQ(1, m.done);
			ASSERT_EQ(0, m.remaining | m.stopped | m.blocked);
			ASSERT_EQ(own | held, task_scopes());
			close(fd);
			ASSERT_EQ(own, task_scopes());
		}
	}
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, 0));
}

/* Rule: a file has one hold on a thread; setting it again replaces it, 0 ends it. */
TEST_F(hold, replaces)
{
	long from, to;

	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 1));
	for (from = 0; from <= ALL_SCOPES; from++) {
		for (to = 0; to <= ALL_SCOPES; to++) {
			ASSERT_EQ(0, hold(self->a, from));
			ASSERT_EQ(0, hold(self->a, to));
			ASSERT_EQ(MEMSCOPE_IO_FLUSHER | to, task_scopes());
		}
	}
	ASSERT_EQ(0, hold(self->a, 0));
	ASSERT_EQ(MEMSCOPE_IO_FLUSHER, task_scopes());
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
}

/* Rule: files nest, and end in any order; none takes what another holds. */
TEST_F(hold, files_nest_in_any_order)
{
	long own, first, second;
	int fd[2], last;

	for (last = 0; last < 2; last++) {
		for (own = 0; own <= ALL_SCOPES; own += 3) {
			for (first = 0; first <= ALL_SCOPES; first++) {
				second = (first * 3 + 1) & ALL_SCOPES;
				ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, own));
				fd[0] = open_device();
				fd[1] = open_device();
				ASSERT_EQ(0, hold(fd[0], first));
				ASSERT_EQ(0, hold(fd[1], second));
				ASSERT_EQ(own | first | second, task_scopes());
				close(fd[!last]);
				ASSERT_EQ(own | (last ? second : first), task_scopes());
				close(fd[last]);
				ASSERT_EQ(own, task_scopes());
			}
		}
	}
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, 0));
}

/* Rule: a mark without HOLD replaces what is the thread's own, under a hold too. */
TEST_F(hold, own_changes_under_a_hold)
{
	ASSERT_EQ(0, hold(self->a, NOIO));
	ASSERT_EQ(0, mark(self->b, 0, NOFS));
	EXPECT_EQ(NOIO | NOFS, task_scopes());
	/* Held and, from now on, also its own. */
	ASSERT_EQ(0, mark(self->b, 0, NOIO | LOCAL));
	EXPECT_EQ(NOIO | LOCAL, task_scopes());
	ASSERT_EQ(0, hold(self->a, 0));
	EXPECT_EQ(NOIO | LOCAL, task_scopes());
	ASSERT_EQ(0, mark(self->b, 0, 0));
	EXPECT_EQ(0, task_scopes());
}

/* Rule: what prctl() clears stays cleared when the hold ends. */
TEST_F(hold, prctl_clears_for_good)
{
	ASSERT_EQ(0, hold(self->a, MEMSCOPE_IO_FLUSHER));
	ASSERT_EQ(1, raw_prctl(PR_GET_IO_FLUSHER, 0));
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
	EXPECT_EQ(0, task_scopes());
	ASSERT_EQ(0, hold(self->a, 0));
	EXPECT_EQ(0, task_scopes());
}

/* Rule: what it clears of a hold is back with the next change of the thread's marks. */
TEST_F(hold, prctl_clears_until_the_next_change)
{
	ASSERT_EQ(0, hold(self->a, MEMSCOPE_IO_FLUSHER));
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
	EXPECT_EQ(0, task_scopes());
	ASSERT_EQ(0, hold(self->b, NOFS));
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER | NOFS, task_scopes());
	ASSERT_EQ(0, hold(self->a, 0));
	EXPECT_EQ(NOFS, task_scopes());
}

/* Rule: a second descriptor of the file keeps the hold; the last one ends it. */
TEST_F(hold, last_descriptor_counts)
{
	int fd = open_device(), copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	ASSERT_LE(100, copy);
	ASSERT_EQ(0, hold(fd, NOIO));
	close(fd);
	EXPECT_EQ(NOIO, task_scopes());
	/* dup2() onto it closes it as well. */
	ASSERT_EQ(copy, dup2(self->a, copy));
	EXPECT_EQ(0, task_scopes());
	close(copy);
}

/* Rule: a descriptor that another process was given does not keep the hold. */
TEST_F(hold, inherited_descriptor_does_not_keep)
{
	int fd = open_device(), pipe_fd[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe2(pipe_fd, O_CLOEXEC));
	ASSERT_EQ(0, hold(fd, NOIO));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(pipe_fd[1]);
		/* Until the parent has looked. */
		_exit(read(pipe_fd[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(fd);
	EXPECT_EQ(0, task_scopes());
	close(pipe_fd[1]);
	close(pipe_fd[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Rule: nor does another process's closing it end the hold. */
TEST_F(hold, child_does_not_end)
{
	ASSERT_EQ(0, hold(self->a, NOIO));
	EXPECT_EQ(0, IN_CHILD(close(self->a)));
	EXPECT_EQ(NOIO, task_scopes());
}

/* Rule: a new process starts without what is held, with what is the thread's own. */
TEST_F(hold, fork_leaves_holds)
{
	pid_t pid;
	int status;

	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, NOFS));
	ASSERT_EQ(0, hold(self->a, MEMSCOPE_IO_FLUSHER));
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	EXPECT_EQ(NOFS, IN_CHILD(task_scopes()));
	/* And so does its child, and one by vfork(). */
	EXPECT_EQ(NOFS, IN_CHILD(IN_CHILD(task_scopes())));
	pid = vfork();
	if (!pid) {
		exec_self();
		_exit(99);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(NOFS, WEXITSTATUS(status));
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, 0));
}

static void *read_scopes(void *arg)
{
	*(long *)arg = task_scopes();
	return NULL;
}

/* Rule: a thread of a held thread is held, before it runs; the hold ends for both. */
TEST_F(hold, thread_joins)
{
	pthread_t thread;
	long scopes = -1;

	ASSERT_EQ(0, hold(self->a, NOIO));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_scopes, &scopes));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(NOIO, scopes);
	ASSERT_EQ(0, hold(self->a, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_scopes, &scopes));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, scopes);
}

static pthread_barrier_t barrier;

static void *sit(void *arg)
{
	pid_t *tid = arg;
	char byte;

	*tid = syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	/* Until the pipe is closed: interrupted and restarted, never ended. */
	while (read(tid[1], &byte, 1) < 0)
		if (errno == EINTR)
			tid[2]++;
	return NULL;
}

/* Rule: closing changes the other threads as well, also one asleep in a system call. */
TEST_F(hold, close_reaches_a_sleeping_thread)
{
	int fd = open_device(), pipe_fd[2];
	pid_t about[3] = { 0 };
	pthread_t thread;

	ASSERT_EQ(0, pipe2(pipe_fd, O_CLOEXEC));
	about[1] = pipe_fd[0];
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	ASSERT_EQ(0, hold(fd, MEMSCOPE_IO_FLUSHER));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sit, about));
	pthread_barrier_wait(&barrier);
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER, thread_scopes(about[0]));
	ASSERT_TRUE(wait_in_syscall(getpid(), about[0], SYS_read));
	close(fd);
	EXPECT_EQ(0, task_scopes());
	EXPECT_EQ(0, wait_scopes(about[0], 0));
	close(pipe_fd[1]);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* read() of a pipe is restarted: the daemon sees nothing. */
	EXPECT_EQ(0, about[2]);
}

/* Rule: execve() ends the hold where the descriptor is close-on-exec, before the program runs. */
TEST_F(hold, exec_ends_it)
{
	EXPECT_EQ(NOFS, IN_CHILD(({
		if (raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, NOFS) ||
		    hold(self->a, MEMSCOPE_IO_FLUSHER) || task_scopes() != ALL_SCOPES)
			_exit(100);
		exec_self();
		101;
	})));
}

/* Rule: and keeps it where it is not. */
TEST_F(hold, exec_keeps_it)
{
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER, IN_CHILD(({
		if (fcntl(self->a, F_SETFD, 0) || hold(self->a, MEMSCOPE_IO_FLUSHER))
			_exit(100);
		exec_self();
		101;
	})));
}

static void *exec_from_thread(void *arg)
{
	if (task_scopes() != MEMSCOPE_IO_FLUSHER)
		_exit(102);
	exec_self();
	_exit(101);
}

/* Rule: the same where another thread than the first calls execve(). */
TEST_F(hold, exec_of_a_thread_ends_it)
{
	EXPECT_EQ(0, IN_CHILD(({
		pthread_t thread;

		if (hold(self->a, MEMSCOPE_IO_FLUSHER) ||
		    pthread_create(&thread, NULL, exec_from_thread, NULL))
			_exit(100);
		pause();
		103;
	})));
}

static void *hold_again_and_again(void *arg)
{
	int *fds = arg;

	for (;;) {
		mark(fds[0], MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, MEMSCOPE_IO_FLUSHER);
		hold(fds[1], NOFS);
		mark(fds[0], MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, 0);
	}
	return NULL;
}

/* Rule: nor does one get through that another thread sets at the moment of execve(). */
TEST_F(hold, exec_races)
{
	int fds[2] = { self->a, self->b }, round;

	for (round = 0; round < 40; round++) {
		EXPECT_EQ(NOFS, IN_CHILD(({
			pthread_t thread;
			int i;

			if (raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, NOFS))
				_exit(100);
			for (i = 0; i < 3; i++)
				if (pthread_create(&thread, NULL, hold_again_and_again, fds))
					_exit(101);
			sleep_ms(round % 8);
			exec_self();
			102;
		})));
	}
}

/* Rule: a failed execve() changes nothing. */
TEST_F(hold, failed_exec_keeps)
{
	ASSERT_EQ(0, hold(self->a, NOIO));
	EXPECT_EQ(-1, execl("/nonexistent", "none", NULL));
	EXPECT_EQ(NOIO, task_scopes());
}

/* Rule: a daemon that dies takes its holds along, and hurts nobody. */
TEST_F(hold, death)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < 50; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			pthread_t thread;
			long scopes;

			if (hold(self->a, ALL_SCOPES) || hold(self->b, NOIO))
				_exit(100);
			if (i & 1)
				pthread_create(&thread, NULL, read_scopes, &scopes);
			if (i & 2)
				kill(getpid(), SIGKILL);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(i & 2 ? WIFSIGNALED(status) : !status);
	}
}

/* --- suspend and resume -------------------------------------------------- */

/* Rule: in every state, SUSPEND leaves every scope and RESUME restores it; they nest. */
TEST_F(hold, suspend_resume)
{
	long own, held, depth, i;

	for (own = 0; own <= ALL_SCOPES; own++) {
		for (held = 0; held <= ALL_SCOPES; held++) {
			depth = (own + held) % 3 + 1;
			ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, own));
			ASSERT_EQ(0, hold(self->a, held));
			for (i = 0; i < depth; i++) {
				ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SUSPEND, 0));
				ASSERT_EQ(0, task_scopes());
			}
			for (i = 0; i < depth; i++) {
				ASSERT_EQ(0, task_scopes());
				ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
			}
			ASSERT_EQ(own | held, task_scopes());
			ASSERT_EQ(-EINVAL, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
			ASSERT_EQ(0, hold(self->a, 0));
			ASSERT_EQ(own, task_scopes());
		}
	}
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SET_SCOPES, 0));
}

/* Rule: what is marked and ended meanwhile takes effect at RESUME. */
TEST_F(hold, suspended_changes)
{
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 1));
	ASSERT_EQ(0, hold(self->b, NOFS));
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SUSPEND, 0));
	ASSERT_EQ(0, hold(self->a, NOIO));
	ASSERT_EQ(0, mark(self->a, 0, LOCAL));
	ASSERT_EQ(0, hold(self->b, 0));
	EXPECT_EQ(0, task_scopes());
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
	EXPECT_EQ(LOCAL | NOIO, task_scopes());
	ASSERT_EQ(0, hold(self->a, 0));
	ASSERT_EQ(0, mark(self->a, 0, 0));
}

/* Rule: only the file that suspended resumes, and closing it resumes. */
TEST_F(hold, suspension_belongs_to_the_file)
{
	int fd = open_device();

	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 1));
	ASSERT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_SUSPEND, 0));
	ASSERT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_SUSPEND, 0));
	ASSERT_EQ(-EINVAL, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SUSPEND, 0));
	close(fd);
	EXPECT_EQ(0, task_scopes());
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER, task_scopes());
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
}

/* Rule: no capability is needed, and what one gets back is what one had. */
TEST_F(hold, suspend_without_capability)
{
	ASSERT_EQ(0, hold(self->a, NOIO));
	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SUSPEND, 0));
	EXPECT_EQ(0, task_scopes());
	EXPECT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
	EXPECT_EQ(NOIO, task_scopes());
	EXPECT_EQ(-EPERM, hold(self->a, 0));
	EXPECT_EQ(NOIO, task_scopes());
}

/* Rule: what a suspended thread creates starts without scopes. */
TEST_F(hold, suspended_fork)
{
	pthread_t thread;
	long scopes = -1;

	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 1));
	ASSERT_EQ(0, hold(self->a, NOFS));
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_SUSPEND, 0));
	EXPECT_EQ(0, IN_CHILD(task_scopes()));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_scopes, &scopes));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, scopes);
	ASSERT_EQ(0, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 0));
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
}

/* --- arguments ------------------------------------------------------------ */

TEST_F(hold, suspend_takes_no_argument)
{
	int bit;

	for (bit = 0; bit < LONG_BITS; bit++) {
		EXPECT_EQ(-EINVAL, raw_ioctl(self->a, MEMSCOPE_IOC_SUSPEND, 1UL << bit));
		EXPECT_EQ(-EINVAL, raw_ioctl(self->a, MEMSCOPE_IOC_RESUME, 1UL << bit));
	}
}

/* Rule: every unknown flag, scope and non-zero reserved field is EINVAL; nothing changes. */
TEST_F(hold, unknown_bits)
{
	const __u32 known = MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS |
			    MEMSCOPE_MARK_NO_INTERRUPT | MEMSCOPE_MARK_PIDFD;
	struct memscope_mark m;
	__u32 *word = (__u32 *)&m;
	int bit, i, tried = 0;

	for (i = 0; i < sizeof(m) / sizeof(*word); i++) {
		for (bit = 0; bit < 32; bit++) {
			memset(&m, 0, sizeof(m));
			m.scopes = NOIO;
			word[i] |= 1U << bit;
			/* All values of the time-out are good. */
			if (&word[i] == &m.timeout_ms || m.scopes & ALL_SCOPES & ~NOIO ||
			    (&word[i] == &m.scopes && bit == 0) || m.flags & known)
				continue;
			tried++;
			EXPECT_EQ(-EINVAL, mark_ioctl(self->a, &m)) {
				TH_LOG("word %d, bit %d", i, bit);
			}
		}
	}
	EXPECT_EQ(7 * 32 - 3 - 4, tried);
	EXPECT_EQ(0, task_scopes());
}

/* Rule: size in the number: smaller is EINVAL, larger must be zero beyond, else E2BIG. */
TEST_F(hold, sizes)
{
	const unsigned int size = sizeof(struct memscope_mark);
	union {
		struct memscope_mark m;
		char bytes[1024];
	} arg;
	unsigned int s, at, cmd;

	for (s = 0; s < size; s++) {
		memset(&arg, 0, sizeof(arg));
		arg.m.scopes = NOIO;
		cmd = _IOC(_IOC_READ | _IOC_WRITE, MEMSCOPE_IOC_MAGIC,
			   _IOC_NR(MEMSCOPE_IOC_MARK), s);
		ASSERT_EQ(-EINVAL, raw_ioctl(self->a, cmd, (unsigned long)&arg));
	}
	for (s = size + 1; s < sizeof(arg); s += 61) {
		cmd = _IOC(_IOC_READ | _IOC_WRITE, MEMSCOPE_IOC_MAGIC,
			   _IOC_NR(MEMSCOPE_IOC_MARK), s);
		for (at = size; at < s; at += s - size == 1 ? 1 : s - size - 1) {
			memset(&arg, 0, sizeof(arg));
			arg.m.scopes = NOIO;
			arg.bytes[at] = 1;
			ASSERT_EQ(-E2BIG, raw_ioctl(self->a, cmd, (unsigned long)&arg));
		}
		ASSERT_EQ(0, task_scopes());
		memset(&arg, 0, sizeof(arg));
		arg.m.scopes = NOIO;
		ASSERT_EQ(0, raw_ioctl(self->a, cmd, (unsigned long)&arg));
		ASSERT_EQ(1, arg.m.done);
		ASSERT_EQ(NOIO, task_scopes());
		ASSERT_EQ(0, mark(self->a, 0, 0));
	}
}

/* Rule: EFAULT before EPERM before EINVAL. */
TEST_F(hold, order_of_checks)
{
	long page = sysconf(_SC_PAGESIZE);
	char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memscope_mark *m = (void *)(two + page - sizeof(*m));

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, mprotect(two + page, page, PROT_NONE));
	m->flags = ~0U;
	EXPECT_EQ(-EINVAL, mark_ioctl(self->a, m));
	EXPECT_EQ(-EFAULT, mark_ioctl(self->a, (void *)((char *)m + 4)));
	EXPECT_EQ(-EFAULT, mark_ioctl(self->a, NULL));
	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(-EPERM, mark_ioctl(self->a, m));
	EXPECT_EQ(-EFAULT, mark_ioctl(self->a, (void *)((char *)m + 4)));
	EXPECT_EQ(-EFAULT, mark_ioctl(self->a, NULL));
	ASSERT_EQ(0, effective_resource(true));
	/* Only readable: done, and then the answer cannot be written. */
	m->flags = MEMSCOPE_MARK_HOLD;
	m->scopes = NOIO;
	ASSERT_EQ(0, mprotect(two, page, PROT_READ));
	EXPECT_EQ(-EFAULT, mark_ioctl(self->a, m));
	EXPECT_EQ(NOIO, task_scopes());
}

/* What the program has that was executed, and a thread that it creates: the same, or 90. */
static int scopes_of_program(void)
{
	long own = task_scopes(), scopes = -1;
	pthread_t thread;

	if (pthread_create(&thread, NULL, read_scopes, &scopes) || pthread_join(thread, NULL))
		return 91;
	return scopes == own ? own : 90;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--scopes"))
		return scopes_of_program();
	return test_harness_run(argc, argv);
}
