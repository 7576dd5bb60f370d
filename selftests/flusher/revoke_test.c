// SPDX-License-Identifier: GPL-2.0
/*
 * REVOKE, and the end of who has delegated: what was marked through the file ends,
 * and nothing more is.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <signal.h>

#include "delegate.h"

struct holder {
	pid_t pid;
	int ready[2], go[2];
};

/* A process of two threads, both held by fd; ends, after it was told to, with what it then has. */
static void *wait_in_read(void *arg)
{
	char byte;

	while (read(*(int *)arg, &byte, 1) < 0)
		;
	return NULL;
}

static int holder_start(struct holder *h, int fd, __u32 scopes)
{
	char byte;

	if (pipe2(h->ready, O_CLOEXEC) || pipe2(h->go, O_CLOEXEC))
		return -1;
	h->pid = fork();
	if (!h->pid) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(h->go[1]);
		if (become_nobody() || pthread_create(&thread, NULL, wait_in_read, &h->go[0]) ||
		    mark(fd, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, scopes))
			_exit(100);
		if (write(h->ready[1], "", 1) != 1)
			_exit(101);
		wait_in_read(&h->go[0]);
		if (hold(fd, scopes) != -EKEYREVOKED || call_read(fd, 0) != -EKEYREVOKED ||
		    raw_ioctl(fd, MEMSCOPE_IOC_SUSPEND, 0) != -EKEYREVOKED ||
		    raw_ioctl(fd, MEMSCOPE_IOC_RESUME, 0) != -EKEYREVOKED)
			_exit(102);
		_exit(task_scopes());
	}
	return read(h->ready[0], &byte, 1) == 1 ? 0 : -1;
}

static int holder_end(struct holder *h)
{
	int status;

	close(h->go[1]);
	close(h->go[0]);
	close(h->ready[0]);
	close(h->ready[1]);
	return waitpid(h->pid, &status, 0) == h->pid && WIFEXITED(status) ?
	       WEXITSTATUS(status) : -1;
}

/* How many threads of a process have scopes, waiting for it to be none. */
static int held(pid_t pid)
{
	int dev = open_device(), i, j, n = -1;

	for (i = 0; i < PATIENCE && n; i++) {
		long count = status_by(dev, MAX_ENTRIES);

		n = 0;
		for (j = 0; j < count; j++)
			n += entries[j].tgid == pid && entries[j].scopes;
		if (n)
			sleep_ms(10);
	}
	close(dev);
	return n;
}

/* Rule: REVOKE undoes what was marked, on threads that sleep too, and it is the end of it. */
TEST_F(delegate, revoke)
{
	struct holder h;

	ASSERT_EQ(0, delegate(self->fd, 0, ALL_SCOPES, 0, 0));
	ASSERT_EQ(0, holder_start(&h, self->fd, ALL_SCOPES));
	ASSERT_EQ(0, hold(self->fd, NOFS));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0));
	EXPECT_EQ(0, IN_CHILD(effective_resource(false) || revoke_file(self->fd) != -EPERM));
	ASSERT_EQ(0, revoke_file(self->fd));
	EXPECT_EQ(0, task_scopes());
	EXPECT_EQ(0, held(h.pid));
	EXPECT_EQ(0, holder_end(&h));
	/* Also with the capability, and it cannot be delegated again. */
	EXPECT_EQ(-EKEYREVOKED, hold(self->fd, NOIO));
	EXPECT_EQ(-EPERM, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
	EXPECT_EQ(-EBUSY, delegate(self->fd, 0, NOIO, 0, 0));
	EXPECT_EQ(0, revoke_file(self->fd));
}

/* Rule: who has kept no descriptor revokes by one taken from a process that has it. */
TEST_F(delegate, revoke_without_a_descriptor)
{
	struct holder h;
	int pidfd, fd = self->fd;

	ASSERT_EQ(0, delegate(fd, MEMSCOPE_DELEGATE_FIRST, NOIO, 0, 0));
	ASSERT_EQ(0, holder_start(&h, fd, NOIO));
	close(fd);
	pidfd = pidfd_of(h.pid, 0);
	self->fd = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, revoke_file(self->fd));
	EXPECT_EQ(0, held(h.pid));
	EXPECT_EQ(0, holder_end(&h));
	close(pidfd);
}

/* Rule: TIED: the end of who delegated is the end of it; by close, exec and death. */
TEST_F(delegate, tied)
{
	int how, status;

	for (how = 0; how < 4; how++) {
		int fd = open_device(), go[2];
		struct holder h;
		pid_t admin;
		char byte;

		ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
		admin = fork();
		if (!admin) {
			if (delegate(fd, how < 3 ? MEMSCOPE_DELEGATE_TIED : 0, NOIO, 0, 0) ||
			    write(go[1], "", 1) != 1)
				_exit(1);
			close(go[1]);
			/* Until all are held. */
			raise(SIGSTOP);
			if (how == 0) {
				close(fd);
				pause();
			}
			if (how == 1)
				execl("/bin/sleep", "sleep", "1000", NULL);
			_exit(0);
		}
		ASSERT_EQ(1, read(go[0], &byte, 1));
		ASSERT_EQ(admin, waitpid(admin, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(0, holder_start(&h, fd, NOIO));
		ASSERT_EQ(0, kill(admin, SIGCONT));
		if (how == 3) {
			ASSERT_EQ(admin, waitpid(admin, &status, 0));
			/* Not tied: it stays. */
			EXPECT_EQ(NOIO, scopes_of_flags(task_flags_of(h.pid, h.pid)));
			ASSERT_EQ(0, revoke_file(fd));
		}
		EXPECT_EQ(0, held(h.pid));
		EXPECT_EQ(0, holder_end(&h));
		if (how < 3) {
			kill(admin, SIGKILL);
			ASSERT_EQ(admin, waitpid(admin, &status, 0));
		}
		close(fd);
		close(go[0]);
		close(go[1]);
	}
}

static int racing = -1;

static void *mark_again_and_again(void *arg)
{
	long ret;

	do
		ret = hold(racing, NOIO);
	while (!ret);
	/* Told before REVOKE has got to this thread. */
	return (void *)(ret == -EKEYREVOKED ? wait_scopes(syscall(SYS_gettid), 0) : ret);
}

/* Rule: whoever marks itself while it is revoked is not left marked. */
TEST_F(delegate, revoke_races)
{
	pthread_t thread[8];
	void *result;
	int i, round;

	for (round = 0; round < 50; round++) {
		racing = open_device();
		ASSERT_EQ(0, delegate(racing, 0, NOIO, 0, 0));
		for (i = 0; i < 8; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, mark_again_and_again, NULL));
		sleep_ms(round % 5);
		ASSERT_EQ(0, revoke_file(racing));
		for (i = 0; i < 8; i++) {
			ASSERT_EQ(0, pthread_join(thread[i], &result));
			EXPECT_EQ(NULL, result);
		}
		close(racing);
	}
}

TEST_HARNESS_MAIN
