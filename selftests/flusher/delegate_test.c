// SPDX-License-Identifier: GPL-2.0
/*
 * DELEGATE: a file with which its holder marks itself, only itself, with no more
 * than it was given. revoke_test has how that ends.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

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

/* Rule: for the first that uses it; what is refused, and what it does not mark, does not count. */
TEST_F(delegate, first)
{
	struct memscope_register no_node = { .fd = -1 };
	__u64 features;

	ASSERT_EQ(0, delegate(self->fd, MEMSCOPE_DELEGATE_FIRST, NOIO, 0, 0));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	EXPECT_LE(0, status_by(self->fd, 10));
	EXPECT_EQ(0, IN_CHILD(become_nobody() || hold(self->fd, NOFS) != -EPERM ||
			      hold(self->fd, ALL_SCOPES + 1) != -EINVAL ||
			      mark(self->fd, 0, NOIO) != -EPERM ||
			      call_read(self->fd, NOFS) != -EPERM ||
			      raw_ioctl(self->fd, MEMSCOPE_IOC_REGISTER,
					(unsigned long)&no_node) != -EBADF));
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

#define NODE "/tmp/memscope-node"

/* Any user, without capabilities, who may read what /proc has of itself. */
static int become(uid_t uid)
{
	return setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
	       prctl(PR_SET_DUMPABLE, 1);
}

/* What an open fdinfo says of two processes, three bits each; 64: anything else. */
static int lines_of(int info, pid_t a, pid_t b)
{
	static const char *const lines[] = {
		"memscope-hold:\t%d noio\n", "memscope-suspended:\t%d\n",
		"memscope-serves:\t7:0 process %d\n",
	};
	int i, found = 0, known = 0, all = 0, len;
	char text[4096], line[100];
	const char *p = text;

	len = read(info, text, sizeof(text) - 1);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	for (i = 0; i < 2 * ARRAY_LEN(lines); i++) {
		snprintf(line, sizeof(line), lines[i % 3], i / 3 ? b : a);
		if (strstr(text, line)) {
			found |= 1 << i;
			known++;
		}
	}
	while ((p = strstr(p, "memscope-"))) {
		all += strncmp(p, "memscope-delegated:", 19) != 0;
		p++;
	}
	return found | (all != known ? 64 : 0);
}

static int fdinfo_of(int fd, pid_t a, pid_t b)
{
	char path[64];
	int info, lines;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	lines = lines_of(info, a, b);
	close(info);
	return lines;
}

/* Whether fdinfo says that the file is for a process, by its number. */
static int fdinfo_has_first(int fd, pid_t pid)
{
	char path[64], text[4096], line[100];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(line, sizeof(line), "memscope-delegated:\tnoio process %d\n", pid);
	if (read_file(path, text, sizeof(text)) <= 0)
		return -1;
	return strstr(text, line) ? 1 : strstr(text, " process ") ? -2 : 0;
}

/*
 * Rule: fdinfo shows who has the capability all that the file holds, suspends and serves, and
 * others what their own user does with it.
 */
TEST_F(delegate, fdinfo_shows_own_threads)
{
	const uid_t users[2] = { NOBODY, 1 };
	int first = open_device(), ready[2], go[2], i, node;
	char path[64];
	pid_t pid[2];
	char byte;

	ASSERT_EQ(0, delegate(self->fd, 0, NOIO, 0, 0));
	ASSERT_EQ(0, delegate(first, MEMSCOPE_DELEGATE_FIRST, NOIO, 0, 0));
	unlink(NODE);
	ASSERT_EQ(0, mknod(NODE, S_IFBLK | 0600, makedev(7, 0)));
	node = open(NODE, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, node);
	ASSERT_EQ(0, unlink(NODE));
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			struct memscope_register r = { 0, node };

			close(go[1]);
			if (become(users[i]) || hold(self->fd, NOIO) ||
			    raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0) ||
			    raw_ioctl(self->fd, MEMSCOPE_IOC_REGISTER, (unsigned long)&r) ||
			    hold(first, NOIO) != (i ? -EPERM : 0) || write(ready[1], "", 1) != 1)
				_exit(1);
			/* Until the parent closes it. */
			if (read(go[0], &byte, 1) != 0)
				_exit(2);
			if (fdinfo_of(self->fd, pid[0] ? pid[0] : getpid(), i ? getpid() : 0) !=
			    (i ? 070 : 007))
				_exit(3);
			_exit(fdinfo_has_first(first, i ? pid[0] : getpid()) != !i);
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
	}
	EXPECT_EQ(077, fdinfo_of(self->fd, pid[0], pid[1]));
	EXPECT_EQ(1, fdinfo_has_first(first, pid[0]));
	/* Another process of a user of it, and a user of none. */
	EXPECT_EQ(0, IN_CHILD(become(NOBODY) || fdinfo_of(self->fd, pid[0], pid[1]) != 007 ||
			      fdinfo_has_first(first, pid[0]) != 1));
	EXPECT_EQ(0, IN_CHILD(become(2) || fdinfo_of(self->fd, pid[0], pid[1]) != 0 ||
			      fdinfo_has_first(first, pid[0]) != 0));
	/* Root without the capability is no more than a user, nor is that of a namespace. */
	EXPECT_EQ(0, IN_CHILD(effective_resource(false) ||
			      fdinfo_of(self->fd, pid[0], pid[1]) != 0 ||
			      fdinfo_has_first(first, pid[0]) != 0));
	EXPECT_EQ(0, IN_CHILD(become(2) || unshare(CLONE_NEWUSER) ||
			      fdinfo_of(self->fd, pid[0], pid[1]) != 0));
	/* Opened by one and read by the other, as what a set-user-ID program is given. */
	EXPECT_EQ(0, IN_CHILD(({
		int by_root, by_nobody, bad;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
		by_root = open(path, O_RDONLY);
		bad = setresuid(-1, NOBODY, 0) || prctl(PR_SET_DUMPABLE, 1);
		bad |= lines_of(by_root, pid[0], pid[1]) != 007;
		by_nobody = open(path, O_RDONLY);
		bad |= setresuid(-1, 0, 0) || fdinfo_of(self->fd, pid[0], pid[1]) != 077;
		bad || lines_of(by_nobody, pid[0], pid[1]) != 007;
	})));
	/* Who has no number in the reader's pid namespace is not there. */
	EXPECT_EQ(0, IN_CHILD(unshare(CLONE_NEWPID) ||
			      IN_CHILD(fdinfo_of(self->fd, pid[0], pid[1]) != 0 ||
				       fdinfo_has_first(first, pid[0]) != 0)));
	close(go[1]);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, ({ int s; waitpid(pid[i], &s, 0); s; }));
	close(go[0]);
	close(ready[0]);
	close(ready[1]);
	close(node);
	close(first);
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
