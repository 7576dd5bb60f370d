// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of other processes, by pidfd: who may, whom it reaches, and what holds
 * the module.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "mark.h"
#include "module.h"

#define THREADS 8

static long mark_pidfd(int fd, int pidfd, __u32 flags, __u32 scopes)
{
	struct memscope_mark m = { .flags = flags | MEMSCOPE_MARK_PIDFD, .scopes = scopes,
				   .pidfd = pidfd, .timeout_ms = 60000 };

	return mark_ioctl(fd, &m);
}

/* A process of THREADS + 1 threads that does nothing, and its pidfd. */
struct target {
	pid_t pid, tids[THREADS + 1];
	int pidfd, count;
};

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static int target_start(struct target *target, int threads, int (*before)(void))
{
	int ready[2], i;
	char path[64], byte;
	struct dirent *entry;
	pthread_t thread;
	DIR *dir;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	target->pid = fork();
	if (!target->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < threads; i++)
			if (pthread_create(&thread, NULL, idle, NULL))
				_exit(100);
		if (before && before())
			_exit(101);
		if (write(ready[1], "", 1) != 1)
			_exit(102);
		idle(NULL);
	}
	close(ready[1]);
	i = read(ready[0], &byte, 1);
	close(ready[0]);
	if (i != 1)
		return -1;
	target->pidfd = pidfd_of(target->pid, 0);
	snprintf(path, sizeof(path), "/proc/%d/task", target->pid);
	dir = opendir(path);
	target->count = 0;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && target->count <= THREADS)
			target->tids[target->count++] = atoi(entry->d_name);
	}
	closedir(dir);
	return target->pidfd < 0 || target->count != threads + 1 ? -1 : 0;
}

static void target_stop(struct target *target)
{
	kill(target->pid, SIGKILL);
	waitpid(target->pid, NULL, 0);
	close(target->pidfd);
}

/* How many of its threads have the set, waiting for all of them if so told. */
static int target_with(struct target *target, long scopes, bool wait)
{
	int i, with = 0;

	for (i = 0; i < target->count; i++) {
		unsigned int flags = task_flags_of(target->pid, target->tids[i]);

		if (wait)
			with += wait_scopes_of(target->pid, target->tids[i], scopes) == scopes;
		else
			with += flags && scopes_of_flags(flags) == scopes;
	}
	return with;
}

FIXTURE(other)
{
	int fd;
	struct target target;
};

FIXTURE_SETUP(other)
{
	self->fd = open_device();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, target_start(&self->target, THREADS, NULL));
}

FIXTURE_TEARDOWN(other)
{
	target_stop(&self->target);
	close(self->fd);
	EXPECT_EQ(0, task_scopes());
}

/* Rule: every thread of the process, and none of the caller. */
TEST_F(other, process)
{
	ASSERT_EQ(0, mark_pidfd(self->fd, self->target.pidfd, MEMSCOPE_MARK_PROCESS,
				MEMSCOPE_IO_FLUSHER));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, MEMSCOPE_IO_FLUSHER, false));
	EXPECT_EQ(0, task_scopes());
	/* For good: the file is not needed. */
	close(self->fd);
	self->fd = open_device();
	EXPECT_EQ(THREADS + 1, target_with(&self->target, MEMSCOPE_IO_FLUSHER, false));
	ASSERT_EQ(0, mark_pidfd(self->fd, self->target.pidfd, MEMSCOPE_MARK_PROCESS, 0));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, false));
}

/* Rule: without PROCESS the one thread that the pidfd is of. */
TEST_F(other, thread)
{
	int i, pidfd;

	for (i = 0; i < self->target.count; i++) {
		pidfd = pidfd_of(self->target.tids[i], PIDFD_THREAD);
		ASSERT_LE(0, pidfd);
		ASSERT_EQ(0, mark_pidfd(self->fd, pidfd, MEMSCOPE_MARK_HOLD, NOFS));
		EXPECT_EQ(NOFS, scopes_of_flags(task_flags_of(self->target.pid,
							      self->target.tids[i])));
		EXPECT_EQ(i + 1, target_with(&self->target, NOFS, false));
		/* The number of a thread is not that of a process. */
		EXPECT_EQ(self->target.tids[i] == self->target.pid ? 0 : -ESRCH,
			  mark_pidfd(self->fd, pidfd, MEMSCOPE_MARK_PROCESS, 0));
		close(pidfd);
	}
}

/* Rule: a hold on others ends when the one who set it closes the file, or dies. */
TEST_F(other, hold_ends_with_the_marker)
{
	int done[2], go[2], status, i;
	char byte;
	pid_t pid;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pipe2(done, O_CLOEXEC));
		ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			int fd = open_device();

			close(go[1]);
			if (mark_pidfd(fd, self->target.pidfd, MEMSCOPE_MARK_HOLD |
				       MEMSCOPE_MARK_PROCESS, ALL_SCOPES))
				_exit(100);
			if (write(done[1], "", 1) != 1)
				_exit(101);
			/* Until the other has looked. */
			if (read(go[0], &byte, 1) != 0)
				_exit(102);
			if (i == 1)
				execl("/bin/true", "true", NULL);
			close(fd);
			_exit(0);
		}
		ASSERT_EQ(1, read(done[0], &byte, 1));
		EXPECT_EQ(THREADS + 1, target_with(&self->target, ALL_SCOPES, false));
		if (i == 0)
			kill(pid, SIGKILL);
		close(go[1]);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(i == 0 ? WIFSIGNALED(status) : !status);
		EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, true));
		close(done[0]);
		close(done[1]);
		close(go[0]);
	}
}

/* Rule: a stopped process is reported as such, and has it before it does anything again. */
TEST_F(other, stopped)
{
	struct memscope_mark m = {
		.flags = MEMSCOPE_MARK_PIDFD | MEMSCOPE_MARK_PROCESS, .scopes = NOIO,
		.pidfd = self->target.pidfd, .timeout_ms = 100,
	};
	int status;

	ASSERT_EQ(0, kill(self->target.pid, SIGSTOP));
	/* It is told when the last thread has stopped. */
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, &status, WUNTRACED));
	EXPECT_EQ(THREADS + 1, mark_ioctl(self->fd, &m));
	EXPECT_EQ(0, m.done);
	EXPECT_EQ(THREADS + 1, m.remaining);
	EXPECT_EQ(THREADS + 1, m.stopped);
	EXPECT_EQ(0, m.blocked);
	EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, false));
	ASSERT_EQ(0, kill(self->target.pid, SIGCONT));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, NOIO, true));
}

/* Rule: killed while it is waited for: no error, no wait for the time-out. */
TEST_F(other, dies_meanwhile)
{
	struct memscope_mark m = {
		.flags = MEMSCOPE_MARK_PIDFD | MEMSCOPE_MARK_PROCESS | MEMSCOPE_MARK_HOLD,
		.scopes = NOIO, .pidfd = self->target.pidfd, .timeout_ms = ~0U,
	};
	pid_t killer, waiter = getpid();
	int status;

	ASSERT_EQ(0, kill(self->target.pid, SIGSTOP));
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, &status, WUNTRACED));
	killer = fork();
	if (!killer)
		_exit(!wait_in_syscall(waiter, waiter, SYS_ioctl) ||
		      kill(self->target.pid, SIGKILL) != 0);
	/* The time-out is 49 days: this would not return. */
	EXPECT_EQ(-ESRCH, mark_ioctl(self->fd, &m));
	ASSERT_EQ(killer, waitpid(killer, &status, 0));
	EXPECT_EQ(0, status);
	/* A zombie, and then nothing: the number cannot come to mean another process. */
	EXPECT_EQ(-ESRCH, mark_pidfd(self->fd, self->target.pidfd, MEMSCOPE_MARK_PROCESS, NOIO));
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, &status, 0));
	EXPECT_EQ(-ESRCH, mark_pidfd(self->fd, self->target.pidfd, MEMSCOPE_MARK_PROCESS, NOIO));
	EXPECT_EQ(-ESRCH, mark_pidfd(self->fd, self->target.pidfd, 0, NOIO));
	close(self->target.pidfd);
	ASSERT_EQ(0, target_start(&self->target, THREADS, NULL));
}

/* Rule: a waiting caller can be killed. */
TEST_F(other, wait_is_killable)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, kill(self->target.pid, SIGSTOP));
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, &status, WUNTRACED));
	pid = fork();
	if (!pid) {
		struct memscope_mark m = {
			.flags = MEMSCOPE_MARK_PIDFD | MEMSCOPE_MARK_PROCESS,
			.scopes = NOIO, .pidfd = self->target.pidfd, .timeout_ms = ~0U,
		};
		mark_ioctl(self->fd, &m);
		_exit(1);
	}
	ASSERT_TRUE(wait_in_syscall(pid, pid, SYS_ioctl));
	ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	kill(self->target.pid, SIGCONT);
}

/* Rule: execve() of a marked process keeps what another holds. */
TEST_F(other, target_exec_keeps)
{
	int pipe_fd[2], status;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(pipe_fd));
	pid = fork();
	if (!pid) {
		char number[16];

		snprintf(number, sizeof(number), "%d", pipe_fd[0]);
		close(pipe_fd[1]);
		if (read(pipe_fd[0], &byte, 1) != 1)
			_exit(100);
		execl("/proc/self/exe", "pidfd_test", "--wait", number, NULL);
		_exit(101);
	}
	close(pipe_fd[0]);
	ASSERT_EQ(0, mark_pidfd(self->fd, pidfd_of(pid, 0), MEMSCOPE_MARK_HOLD |
				MEMSCOPE_MARK_PROCESS, NOIO | NOFS));
	ASSERT_EQ(1, write(pipe_fd[1], "", 1));
	close(pipe_fd[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(NOIO | NOFS, WEXITSTATUS(status));
}

/* Only CAP_SYS_RESOURCE, as nobody: no right over root's processes. */
static int nobody_with_resource(void)
{
	struct caps caps;
	int i;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || become_nobody() || get_caps(&caps))
		return -1;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		__u32 keep = i == CAP_TO_INDEX(CAP_SYS_RESOURCE) ?
			     CAP_TO_MASK(CAP_SYS_RESOURCE) : 0;

		caps.set[i].permitted = keep;
		caps.set[i].effective = keep;
		caps.set[i].inheritable = 0;
	}
	return set_caps(&caps);
}

/* Rule: CAP_SYS_RESOURCE and the right to send signals, both. */
TEST_F(other, permission)
{
	int kthread = pidfd_of(2, 0);
	struct target nobody;

	ASSERT_EQ(0, target_start(&nobody, 2, become_nobody));
	EXPECT_EQ(0, IN_CHILD(nobody_with_resource() ||
			      mark_pidfd(self->fd, self->target.pidfd, MEMSCOPE_MARK_PROCESS,
					 NOIO) != -EPERM));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, false));
	EXPECT_EQ(0, IN_CHILD(nobody_with_resource() ||
			      mark_pidfd(self->fd, nobody.pidfd, MEMSCOPE_MARK_PROCESS, NOIO)));
	EXPECT_EQ(3, target_with(&nobody, NOIO, false));
	EXPECT_EQ(0, IN_CHILD(become_nobody() ||
			      mark_pidfd(self->fd, nobody.pidfd, MEMSCOPE_MARK_PROCESS,
					 NOFS) != -EPERM));
	EXPECT_EQ(3, target_with(&nobody, NOIO, false));
	EXPECT_EQ(0, IN_CHILD(effective_resource(false) ||
			      mark_pidfd(self->fd, nobody.pidfd, MEMSCOPE_MARK_PROCESS,
					 NOFS) != -EPERM));
	target_stop(&nobody);
	/* kthreadd is nobody's daemon. */
	ASSERT_LE(0, kthread);
	EXPECT_EQ(-EPERM, mark_pidfd(self->fd, kthread, MEMSCOPE_MARK_PROCESS, NOIO));
	EXPECT_EQ(-EPERM, mark_pidfd(self->fd, kthread, 0, NOIO));
	close(kthread);
}

/* Rule: what is no pidfd is EBADF; a pidfd without its flag is EINVAL. */
TEST_F(other, bad_pidfd)
{
	struct memscope_mark m = { .scopes = NOIO, .pidfd = self->target.pidfd };
	int fds[] = { -1, -10000, -10001, 12345, self->fd,
		      open("/proc/self", O_RDONLY | O_CLOEXEC),
		      open("/dev/null", O_RDONLY | O_CLOEXEC),
		      syscall(SYS_memfd_create, "x", 1U),
		      socket(AF_UNIX, SOCK_STREAM, 0) };
	int i;

	for (i = 0; i < ARRAY_LEN(fds); i++) {
		EXPECT_EQ(-EBADF, mark_pidfd(self->fd, fds[i], MEMSCOPE_MARK_PROCESS, NOIO)) {
			TH_LOG("descriptor %d of the list", i);
		}
	}
	EXPECT_EQ(-EINVAL, mark_ioctl(self->fd, &m));
	/* Unknown bits are found first, and the capability before them. */
	EXPECT_EQ(-EINVAL, mark_pidfd(self->fd, -1, MEMSCOPE_MARK_PROCESS, ~0U));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, false));
	EXPECT_EQ(0, task_scopes());
}

/* Rule: not out of the caller's pid namespace. */
TEST_F(other, pid_namespace)
{
	EXPECT_EQ(0, IN_CHILD(({
		int ret = 100;

		if (!unshare(CLONE_NEWPID))
			ret = IN_CHILD(mark_pidfd(self->fd, self->target.pidfd,
						  MEMSCOPE_MARK_PROCESS, NOIO) != -EINVAL);
		ret;
	})));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, false));
}

/* Rule: marking a process that creates threads, execs and exits all the time harms nobody. */
TEST_F(other, exec_and_exit_races)
{
	struct timespec now, end;
	int marked = 0, gone = 0, status;
	long ret;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 5;
	do {
		pid_t pid = fork();
		int pidfd;

		ASSERT_LE(0, pid);
		if (!pid) {
			execl("/proc/self/exe", "pidfd_test", "--churn", NULL);
			_exit(1);
		}
		pidfd = pidfd_of(pid, 0);
		ASSERT_LE(0, pidfd);
		do {
			ret = mark_pidfd(self->fd, pidfd, MEMSCOPE_MARK_PROCESS |
					 (marked & 1 ? MEMSCOPE_MARK_HOLD : 0),
					 marked & ALL_SCOPES);
			marked += ret == 0;
		} while (ret == 0);
		ASSERT_EQ(-ESRCH, ret);
		gone++;
		close(pidfd);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		clock_gettime(CLOCK_MONOTONIC, &now);
		/* And until it has met some alive, on a machine that is slow. */
	} while (now.tv_sec < end.tv_sec || !marked);
	TH_LOG("%d marks on %d processes", marked, gone);
}

/*
 * Rule: the module stays while a thread has not changed yet, and is let go
 * when it has; what was marked for good stays.
 */
TEST_F(other, rmmod_while_marked)
{
	struct memscope_mark m = {
		.flags = MEMSCOPE_MARK_PIDFD | MEMSCOPE_MARK_PROCESS, .scopes = NOIO,
	};
	int status;

	/* One that has not inherited the file, which would hold the module. */
	target_stop(&self->target);
	close(self->fd);
	ASSERT_EQ(0, target_start(&self->target, THREADS, NULL));
	self->fd = open_device();
	m.pidfd = self->target.pidfd;
	ASSERT_EQ(0, kill(self->target.pid, SIGSTOP));
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, &status, WUNTRACED));
	ASSERT_EQ(THREADS + 1, mark_ioctl(self->fd, &m));
	close(self->fd);
	/* Nobody has the device open, but the stopped threads have work to do. */
	EXPECT_EQ(-EWOULDBLOCK, module_remove());
	ASSERT_EQ(0, kill(self->target.pid, SIGCONT));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, NOIO, true));
	EXPECT_EQ(0, module_remove_soon());
	EXPECT_EQ(THREADS + 1, target_with(&self->target, NOIO, false));
	ASSERT_EQ(0, module_insert());
	self->fd = open_device();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, mark_pidfd(self->fd, self->target.pidfd, MEMSCOPE_MARK_PROCESS, 0));
	EXPECT_EQ(THREADS + 1, target_with(&self->target, 0, false));
}

static void *nothing(void *arg)
{
	return NULL;
}

/* Creates threads, and execs itself a few times. */
static int churn(int left)
{
	pthread_t thread[8];
	char number[16];
	int i;

	for (i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, nothing, NULL);
	snprintf(number, sizeof(number), "%d", left - 1);
	if (left)
		execl("/proc/self/exe", "pidfd_test", "--churn", number, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	char byte;

	if (argc >= 2 && !strcmp(argv[1], "--churn"))
		return churn(argc > 2 ? atoi(argv[2]) : 5);
	if (argc == 3 && !strcmp(argv[1], "--wait")) {
		/* Until the other end is closed. */
		while (read(atoi(argv[2]), &byte, 1) < 0)
			;
		return task_scopes();
	}
	return test_harness_run(argc, argv);
}
