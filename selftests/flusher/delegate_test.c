// SPDX-License-Identifier: GPL-2.0
/*
 * DELEGATE: a file with which its holder marks itself, only itself, with no more
 * than it was given. revoke_test has how that ends.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include "delegate.h"

/* Rule: without the capability, every set out of the delegated one and no other. */
TEST_F(delegate, scopes)
{
	long given, asked;
	int fd;

	for (given = 1; given <= ALL_SCOPES; given++) {
		fd = open_device();
		ASSERT_EQ(0, delegate(fd, 0, given, 0, 0));
		for (asked = 0; asked <= ALL_SCOPES; asked++) {
			long want = asked & ~given ? -EPERM : 0;

			EXPECT_EQ(0, IN_CHILD(become_nobody() || hold(fd, asked) != want ||
					      task_scopes() != (want ? 0 : asked)));
			EXPECT_EQ(0, IN_CHILD(become_nobody() ||
					      call_read(fd, asked) != (want ? want : 1)));
			/* The capability gives no more, once the file is delegated. */
			EXPECT_EQ(want, hold(fd, asked));
			EXPECT_EQ(want ? want : 1, call_read(fd, asked));
			ASSERT_EQ(0, hold(fd, 0));
		}
		close(fd);
	}
}

/* Rule: it marks who uses it; nothing that lasts, and no others. */
TEST_F(delegate, only_itself)
{
	struct memscope_mark m = { .scopes = NOIO };
	int status;
	pid_t pid;

	ASSERT_EQ(0, delegate(self->fd, 0, ALL_SCOPES, 0, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 flags;

		if (become_nobody())
			_exit(1);
		m.pidfd = pidfd_of(getpid(), 0);
		for (flags = 0; flags < 16; flags++) {
			bool other = flags & MEMSCOPE_MARK_PIDFD;
			long ret;

			m.flags = flags;
			m.pidfd = other ? pidfd_of(getpid(), 0) : 0;
			m.done = m.remaining = m.stopped = m.blocked = 0;
			ret = mark_ioctl(self->fd, &m);
			if (ret != (other || !(flags & MEMSCOPE_MARK_HOLD) ? -EPERM : 0))
				_exit(2 + flags);
		}
		if (raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1) != -EPERM ||
		    raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 7) != -EPERM ||
		    raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0) != -EPERM ||
		    raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 1) != -EPERM ||
		    raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0) != -EPERM ||
		    delegate(self->fd, 0, NOIO, 0, 0) != -EPERM || revoke_file(self->fd) != -EPERM)
			_exit(50);
		/* Unknown bits are told from what is not allowed. */
		m.flags = MEMSCOPE_MARK_PIDFD;
		m.scopes = ALL_SCOPES + 1;
		if (mark_ioctl(self->fd, &m) != -EINVAL)
			_exit(51);
		_exit(task_scopes() == NOIO ? 0 : 52);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0, task_scopes());
	EXPECT_EQ(-EPERM, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void *tell_and_idle(void *tid)
{
	__atomic_store_n((pid_t *)tid, syscall(SYS_gettid), __ATOMIC_RELAXED);
	return idle(NULL);
}

/* Rule: of the holder's process, all threads and later ones. */
TEST_F(delegate, own_process)
{
	ASSERT_EQ(0, delegate(self->fd, 0, MEMSCOPE_IO_FLUSHER, 0, 0));
	EXPECT_EQ(0, IN_CHILD(({
		pthread_t thread[4];
		int i, bad = become_nobody();
		struct memscope_entry *e;
		long count;

		for (i = 0; i < 3; i++)
			bad |= pthread_create(&thread[i], NULL, idle, NULL);
		bad |= mark(self->fd, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, NOIO) != 0;
		bad |= pthread_create(&thread[3], NULL, idle, NULL);
		/* It sees itself, and how it came by it. */
		count = status_by(self->fd, MAX_ENTRIES);
		bad |= count != 5;
		for (i = 0; i < count; i++) {
			e = &entries[i];
			bad |= e->tgid != getpid() || e->how != MEMSCOPE_HOW_DELEGATED ||
			       e->by_pid != getpid() || e->by_uid != NOBODY || e->mark != NOIO ||
			       !(e->flags & MEMSCOPE_ENTRY_PROCESS);
		}
		bad;
	})));
}

/* Rule: for the user it was given to, by effective id. */
TEST_F(delegate, user)
{
	int other = open_device();

	ASSERT_EQ(0, delegate(self->fd, MEMSCOPE_DELEGATE_UID, NOIO, NOBODY, 0));
	ASSERT_EQ(0, delegate(other, MEMSCOPE_DELEGATE_UID, NOIO, 1, 0));
	EXPECT_EQ(0, IN_CHILD(become_nobody() || hold(self->fd, NOIO) ||
			      hold(other, NOIO) != -EPERM || call_read(other, 0) != -EPERM));
	/* Root is another user. */
	EXPECT_EQ(-EPERM, hold(self->fd, NOIO));
	EXPECT_EQ(-EPERM, call_read(self->fd, NOIO));
	EXPECT_EQ(0, IN_CHILD(setresuid(NOBODY, 1, NOBODY) || hold(self->fd, NOIO) != -EPERM ||
			      hold(other, NOIO)));
	close(other);
}

/* Rule: for the process it was given to; not for its children. */
TEST_F(delegate, process)
{
	int go[2], pidfd, status;
	pid_t pid;

	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char byte;

		if (read(go[0], &byte, 1) != 1 || become_nobody() || hold(self->fd, NOIO))
			_exit(1);
		_exit(IN_CHILD(hold(self->fd, NOIO) != -EPERM) ? 2 : 0);
	}
	pidfd = pidfd_of(pid, 0);
	ASSERT_EQ(0, delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD, NOIO, 0, pidfd));
	EXPECT_EQ(-EPERM, hold(self->fd, NOIO));
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	/* Its number may come again, the process does not. */
	EXPECT_EQ(-EPERM, hold(self->fd, NOIO));
	close(pidfd);
	close(go[0]);
	close(go[1]);
}

/* Rule: for the first that uses it; what it does not mark does not count. */
TEST_F(delegate, first)
{
	__u64 features;

	ASSERT_EQ(0, delegate(self->fd, MEMSCOPE_DELEGATE_FIRST, NOIO, 0, 0));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	EXPECT_LE(0, status_by(self->fd, 10));
	EXPECT_EQ(0, IN_CHILD(become_nobody() || hold(self->fd, NOIO) ||
			      IN_CHILD(hold(self->fd, NOIO) != -EPERM) || hold(self->fd, NOIO)));
	EXPECT_EQ(-EPERM, hold(self->fd, NOIO));
	EXPECT_EQ(0, IN_CHILD(become_nobody() || call_read(self->fd, NOIO) != -EPERM));
}

/* --- how it gets there -------------------------------------------------------- */

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(socket, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Rule: sent over a socket to a process of another user in namespaces of its own. */
TEST_F(delegate, over_a_socket)
{
	int pair[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd;

		close(self->fd);
		if (become_nobody() || unshare(CLONE_NEWUSER | CLONE_NEWNS))
			_exit(1);
		/* It can neither open it, nor mark itself in another way. */
		if (open(DEVICE, O_RDWR) >= 0 || raw_prctl(PR_SET_IO_FLUSHER, 1) != -EPERM)
			_exit(2);
		fd = receive_fd(pair[1]);
		if (fd < 0 || hold(fd, MEMSCOPE_IO_FLUSHER) ||
		    task_scopes() != MEMSCOPE_IO_FLUSHER)
			_exit(3);
		/* The root of its user namespace has no say. */
		if (revoke_file(fd) != -EPERM || delegate(fd, 0, NOFS, 0, 0) != -EPERM ||
		    hold(fd, NOFS) != -EPERM)
			_exit(4);
		close(fd);
		_exit(task_scopes() ? 5 : 0);
	}
	ASSERT_EQ(0, delegate(self->fd, 0, MEMSCOPE_IO_FLUSHER, 0, 0));
	ASSERT_EQ(0, send_fd(pair[0], self->fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	close(pair[0]);
	close(pair[1]);
}

/* Rule: inherited through execve(), where its user is a program that knows its number. */
TEST_F(delegate, inherited)
{
	ASSERT_EQ(0, delegate(self->fd, 0, MEMSCOPE_IO_FLUSHER, 0, 0));
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER, IN_CHILD(({
		char number[16];

		snprintf(number, sizeof(number), "%d", self->fd);
		if (!fcntl(self->fd, F_SETFD, 0) && !become_nobody())
			execl("/proc/self/exe", "delegate_test", "--use", number, NULL);
		100;
	})));
}

/* Rule: a file that is not delegated is of no use to who has no capability. */
TEST_F(delegate, not_delegated)
{
	EXPECT_EQ(0, IN_CHILD(become_nobody() || hold(self->fd, NOIO) != -EPERM ||
			      delegate(self->fd, 0, NOIO, 0, 0) != -EPERM ||
			      revoke_file(self->fd) != -EPERM || call_read(self->fd, 0) != -EPERM));
	EXPECT_EQ(-EINVAL, revoke_file(self->fd));
}

/* Rule: fdinfo says what a file is good for. */
TEST_F(delegate, fdinfo)
{
	char path[64], text[4096], line[100];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	ASSERT_EQ(0, delegate(self->fd, MEMSCOPE_DELEGATE_UID | MEMSCOPE_DELEGATE_FIRST,
			      MEMSCOPE_FS_FLUSHER, 0, 0));
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "memscope-delegated:\tnofs,local_throttle uid 0\n"));
	ASSERT_EQ(0, hold(self->fd, NOFS));
	ASSERT_EQ(0, revoke_file(self->fd));
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	snprintf(line, sizeof(line),
		 "memscope-delegated:\tnofs,local_throttle uid 0 process %d revoked\n", getpid());
	EXPECT_NE(NULL, strstr(text, line)) {
		TH_LOG("%s", text);
	}
}

/* --- arguments --------------------------------------------------------------------- */

/* Rule: to a process of the caller's pid namespace that is there, and not to a thread. */
TEST_F(delegate, bad_process)
{
	int own = pidfd_of(getpid(), 0), pidfd;
	pthread_t thread;
	pid_t pid, tid = 0;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	pidfd = pidfd_of(pid, 0);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(-ESRCH, delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD, NOIO, 0, pidfd));
	close(pidfd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, tell_and_idle, &tid));
	while (!__atomic_load_n(&tid, __ATOMIC_RELAXED))
		sleep_ms(1);
	pidfd = pidfd_of(tid, PIDFD_THREAD);
	ASSERT_LE(0, pidfd);
	EXPECT_EQ(-ESRCH, delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD, NOIO, 0, pidfd));
	EXPECT_EQ(0, IN_CHILD(({
		int ret = 100;

		if (!unshare(CLONE_NEWPID))
			ret = IN_CHILD(delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD, NOIO, 0,
						own) != -EINVAL);
		ret;
	})));
	EXPECT_EQ(-EBADF, delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD, NOIO, 0, -1));
	EXPECT_EQ(-EBADF, delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD, NOIO, 0, self->fd));
	/* Nothing of this has delegated it. */
	EXPECT_EQ(-EINVAL, revoke_file(self->fd));
	close(pidfd);
	close(own);
}

/* Rule: unknown bits, contradictions and what is without its flag are EINVAL. */
TEST_F(delegate, arguments)
{
	const __u32 known = MEMSCOPE_DELEGATE_UID | MEMSCOPE_DELEGATE_PIDFD |
			    MEMSCOPE_DELEGATE_FIRST | MEMSCOPE_DELEGATE_TIED;
	int pidfd = pidfd_of(getpid(), 0), bit, size, i;
	struct {
		struct memscope_delegate d;
		char beyond[16];
	} large = { .d = { .scopes = NOIO } };

	for (bit = 0; bit < 32; bit++) {
		if (!((1U << bit) & known))
			EXPECT_EQ(-EINVAL, delegate(self->fd, 1U << bit, NOIO, 0, 0));
		if (!((1U << bit) & ALL_SCOPES))
			EXPECT_EQ(-EINVAL, delegate(self->fd, 0, NOIO | 1U << bit, 0, 0));
		EXPECT_EQ(-EINVAL, delegate(self->fd, 0, NOIO, 1U << bit, 0));
		EXPECT_EQ(-EINVAL, delegate(self->fd, 0, NOIO, 0, 1U << bit));
	}
	EXPECT_EQ(-EINVAL, delegate(self->fd, 0, 0, 0, 0));
	EXPECT_EQ(-EINVAL, delegate(self->fd, MEMSCOPE_DELEGATE_PIDFD | MEMSCOPE_DELEGATE_FIRST,
				    NOIO, 0, pidfd));
	EXPECT_EQ(-EINVAL, delegate(self->fd, MEMSCOPE_DELEGATE_UID, NOIO, ~0U, 0));
	/* The capability comes first, the struct before it. */
	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(-EPERM, delegate(self->fd, ~0U, ~0U, 0, 0));
	EXPECT_EQ(-EPERM, raw_ioctl(self->fd, MEMSCOPE_IOC_REVOKE, 1));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_DELEGATE, 8));
	ASSERT_EQ(0, effective_resource(true));
	for (size = 0; size <= sizeof(large); size++) {
		int fd = open_device();
		unsigned int cmd = _IOC(_IOC_WRITE, MEMSCOPE_IOC_MAGIC,
					_IOC_NR(MEMSCOPE_IOC_DELEGATE), size);

		for (i = sizeof(large.d); i < size; i++) {
			((char *)&large)[i] = 1;
			EXPECT_EQ(-E2BIG, raw_ioctl(fd, cmd, (unsigned long)&large));
			((char *)&large)[i] = 0;
		}
		EXPECT_EQ(size < sizeof(large.d) ? -EINVAL : 0,
			  raw_ioctl(fd, cmd, (unsigned long)&large));
		close(fd);
	}
	/* Nothing of this has delegated it. */
	EXPECT_EQ(-EINVAL, revoke_file(self->fd));
	ASSERT_EQ(0, delegate(self->fd, 0, NOIO, 0, 0));
	/* Not widened, and not narrowed. */
	EXPECT_EQ(-EBUSY, delegate(self->fd, 0, ALL_SCOPES, 0, 0));
	EXPECT_EQ(-EBUSY, delegate(self->fd, 0, NOIO, 0, 0));
	for (bit = 0; bit < LONG_BITS; bit++)
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_REVOKE, 1UL << bit));
	close(pidfd);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--use"))
		return hold(atoi(argv[2]), MEMSCOPE_IO_FLUSHER) ? 101 : task_scopes();
	return test_harness_run(argc, argv);
}
