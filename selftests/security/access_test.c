// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what with /dev/memscope: every command from every kind of caller
 * that should not be able to. docs/security.md is the table of these rules.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "../flusher/mark.h"

static union {
	struct memscope_mark mark;
	struct memscope_call call;
	struct memscope_status status;
	struct memscope_delegate delegate;
	struct memscope_register reg;
	__u64 mask;
} argument;

static void make_mark(void)
{
	argument.mark = (struct memscope_mark){ .scopes = NOIO };
}

static void make_hold(void)
{
	argument.mark = (struct memscope_mark){ .flags = MEMSCOPE_MARK_HOLD, .scopes = NOIO };
}

static void make_process(void)
{
	argument.mark = (struct memscope_mark){ .flags = MEMSCOPE_MARK_PROCESS, .scopes = NOIO };
}

static void make_pidfd(void)
{
	argument.mark = (struct memscope_mark){
		.flags = MEMSCOPE_MARK_PIDFD, .scopes = NOIO,
		.pidfd = pidfd_of(getpid(), 0),
	};
}

static void make_call(void)
{
	static char byte;
	static struct iovec iov = { &byte, 1 };

	argument.call = (struct memscope_call){
		.op = MEMSCOPE_CALL_READ, .scopes = NOIO, .fd = open("/dev/zero", O_RDONLY),
		.iov = (unsigned long)&iov, .iovcnt = 1, .offset = -1,
	};
}

static void make_status(void)
{
	argument.status = (struct memscope_status){
		.entry_size = sizeof(struct memscope_entry),
	};
}

static void make_delegate(void)
{
	argument.delegate = (struct memscope_delegate){ .scopes = NOIO };
}

static void make_register(void)
{
	argument.reg = (struct memscope_register){ .fd = -1 };
}

/* What the command returns with the capability, and without it. */
static const struct command {
	const char *name;
	unsigned int cmd;
	void (*make)(void);	/* the argument in memory; or by value: */
	unsigned long value;
	__u64 feature;
	long with, without;
} commands[] = {
	{ "SET_IO_FLUSHER", MEMSCOPE_IOC_SET_IO_FLUSHER, NULL, 1,
	  MEMSCOPE_FEATURE_IO_FLUSHER, 0, -EPERM },
	{ "GET_IO_FLUSHER", MEMSCOPE_IOC_GET_IO_FLUSHER, NULL, 0,
	  MEMSCOPE_FEATURE_IO_FLUSHER, 1, -EPERM },
	{ "SET_SCOPES", MEMSCOPE_IOC_SET_SCOPES, NULL, 0, MEMSCOPE_FEATURE_SCOPES, 0, -EPERM },
	{ "GET_SCOPES", MEMSCOPE_IOC_GET_SCOPES, NULL, 0, MEMSCOPE_FEATURE_SCOPES, 0, -EPERM },
	{ "MARK", MEMSCOPE_IOC_MARK, make_mark, 0, MEMSCOPE_FEATURE_MARK, 0, -EPERM },
	{ "MARK HOLD", MEMSCOPE_IOC_MARK, make_hold, 0, MEMSCOPE_FEATURE_MARK, 0, -EPERM },
	{ "MARK PROCESS", MEMSCOPE_IOC_MARK, make_process, 0, MEMSCOPE_FEATURE_MARK, 0, -EPERM },
	{ "MARK PIDFD", MEMSCOPE_IOC_MARK, make_pidfd, 0, MEMSCOPE_FEATURE_MARK, 0, -EPERM },
	{ "GET_FEATURES", MEMSCOPE_IOC_GET_FEATURES, make_status, 0, 0, 0, 0 },
	{ "SUSPEND", MEMSCOPE_IOC_SUSPEND, NULL, 0, MEMSCOPE_FEATURE_SUSPEND, 0, 0 },
	{ "RESUME", MEMSCOPE_IOC_RESUME, NULL, 0, MEMSCOPE_FEATURE_SUSPEND, 0, 0 },
	{ "CALL", MEMSCOPE_IOC_CALL, make_call, 0, MEMSCOPE_FEATURE_CALL, 1, -EPERM },
	{ "STATUS", MEMSCOPE_IOC_STATUS, make_status, 0, MEMSCOPE_FEATURE_STATUS, 0, 0 },
	{ "REGISTER", MEMSCOPE_IOC_REGISTER, make_register, 0, MEMSCOPE_FEATURE_REGISTER,
	  -EBADF, -EPERM },
	{ "REVOKE", MEMSCOPE_IOC_REVOKE, NULL, 0, MEMSCOPE_FEATURE_DELEGATE, -EINVAL, -EPERM },
	{ "DELEGATE", MEMSCOPE_IOC_DELEGATE, make_delegate, 0, MEMSCOPE_FEATURE_DELEGATE,
	  0, -EPERM },
};

static long issue(int fd, const struct command *c)
{
	if (!c->make)
		return raw_ioctl(fd, c->cmd, c->value);
	memset(&argument, 0, sizeof(argument));
	c->make();
	return raw_ioctl(fd, c->cmd, (unsigned long)&argument);
}

/* Every command once; how many did not return what they should. */
static int probe(int fd, bool allowed)
{
	unsigned int before = task_flags() & PF_SCOPES;
	__u64 mask = 0;
	int i, wrong = 0;
	long want, got;

	if (raw_ioctl(fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask))
		wrong++;
	for (i = 0; i < ARRAY_LEN(commands); i++) {
		want = allowed ? commands[i].with : commands[i].without;
		if ((mask & commands[i].feature) != commands[i].feature)
			want = -ENOTTY;
		got = issue(fd, &commands[i]);
		if (got != want) {
			fprintf(stderr, "# %s: %ld, not %ld\n", commands[i].name, got, want);
			wrong++;
		}
	}
	if (!allowed && (task_flags() & PF_SCOPES) != before) {
		fprintf(stderr, "# the scopes have changed\n");
		wrong++;
	}
	return wrong;
}

static int drop_resource(void)
{
	return effective_resource(false);
}

/* As a rootless container: root inside, with every capability of the namespace. */
static int container(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %d 1", getuid());
	snprintf(gid, sizeof(gid), "0 %d 1", getgid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS |
		    CLONE_NEWIPC | CLONE_NEWCGROUP))
		return -1;
	return write_text("/proc/self/setgroups", "deny") || write_text("/proc/self/uid_map", uid) ||
	       write_text("/proc/self/gid_map", gid) || getuid() != 0;
}

static int nobodys_container(void)
{
	return become_nobody() || prctl(PR_SET_DUMPABLE, 1) || container();
}

static int nothing(void)
{
	return 0;
}

FIXTURE(caller)
{
	int fd;
};

FIXTURE_VARIANT(caller)
{
	int (*become)(void);
	bool allowed;
};

FIXTURE_VARIANT_ADD(caller, root) { nothing, true };
FIXTURE_VARIANT_ADD(caller, without_the_capability) { drop_resource, false };
FIXTURE_VARIANT_ADD(caller, nobody) { become_nobody, false };
FIXTURE_VARIANT_ADD(caller, roots_container) { container, false };
FIXTURE_VARIANT_ADD(caller, nobodys_container) { nobodys_container, false };

FIXTURE_SETUP(caller)
{
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(caller)
{
	close(self->fd);
}

/* Rule: each command needs what the table says, also on a descriptor of somebody who has it. */
TEST_F(caller, every_command)
{
	EXPECT_EQ(0, IN_CHILD(variant->become() ? 100 : probe(self->fd, variant->allowed)));
}

/* Rule: the same in a child of the caller, in whose pid namespace it is number 1. */
TEST_F(caller, every_command_in_a_child)
{
	EXPECT_EQ(0, IN_CHILD(variant->become() ? 100 :
			      IN_CHILD(probe(self->fd, variant->allowed))));
}

/* --- containers -------------------------------------------------------------- */

/* In a container: the host's node under another name, on a file system of its own. */
static int bind_mounted(int want_errno)
{
	int fd;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/mnt", "tmpfs", 0, NULL) ||
	    mknod("/mnt/memscope", S_IFREG | 0600, 0) ||
	    mount(DEVICE, "/mnt/memscope", NULL, MS_BIND, NULL))
		return 100;
	fd = open("/mnt/memscope", O_RDWR | O_CLOEXEC);
	if (want_errno)
		return fd >= 0 || errno != want_errno;
	return fd < 0 ? 101 : probe(fd, false);
}

/* Rule: a container of root, with the node bind-mounted, opens it and may do nothing. */
TEST(container_of_root)
{
	EXPECT_EQ(0, IN_CHILD(container() ? 102 : IN_CHILD(bind_mounted(0))));
}

/* Rule: a container of another user does not open it, being root there or not. */
TEST(container_of_nobody)
{
	EXPECT_EQ(0, IN_CHILD(nobodys_container() ? 102 : IN_CHILD(bind_mounted(EACCES))));
}

static int own_node(dev_t dev)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/mnt", "tmpfs", 0, NULL))
		return 100;
	return !mknod("/mnt/memscope", S_IFCHR | 0666, dev) || errno != EPERM;
}

/* Rule: nor does it make a node of its own. */
TEST(container_makes_no_node)
{
	struct stat st;

	ASSERT_EQ(0, stat(DEVICE, &st));
	EXPECT_EQ(0, IN_CHILD(container() ? 102 : IN_CHILD(own_node(st.st_rdev))));
}

/* Rule: the node's mode is 0600 root:root, and the permission is looked at for every mode of open. */
TEST(mode_of_the_node)
{
	static const int how[] = { O_RDONLY, O_WRONLY, O_RDWR };
	struct stat st;
	int i;

	ASSERT_EQ(0, stat(DEVICE, &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
	ASSERT_EQ(0, become_nobody());
	for (i = 0; i < ARRAY_LEN(how); i++) {
		EXPECT_EQ(-1, open(DEVICE, how[i] | O_CLOEXEC));
		EXPECT_EQ(EACCES, errno);
	}
}

/* Rule: a process that marks others also needs the right to send them signals. */
TEST(mark_needs_the_right_to_signal)
{
	int fd = open_device(), pipes[2], pidfd;
	struct memscope_mark m = { .flags = MEMSCOPE_MARK_PIDFD, .scopes = NOIO };
	struct caps caps;
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		char byte;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (become_nobody() || write(pipes[1], "", 1) != 1)
			_exit(1);
		close(pipes[1]);
		while (read(pipes[0], &byte, 1) > 0)
			;
		for (;;)
			pause();
	}
	ASSERT_LT(0, pid);
	close(pipes[1]);
	pidfd = pidfd_of(pid, 0);
	ASSERT_LE(0, pidfd);
	m.pidfd = pidfd;
	ASSERT_EQ(0, get_caps(&caps));
	caps.set[CAP_TO_INDEX(CAP_KILL)].effective &= ~CAP_TO_MASK(CAP_KILL);
	ASSERT_EQ(0, set_caps(&caps));
	/* Until it has become somebody else, the caller's uid is enough. */
	while (kill(pid, 0) == 0)
		sleep_ms(10);
	EXPECT_EQ(-EPERM, mark_ioctl(fd, &m));
	EXPECT_EQ(0, scopes_of_flags(task_flags_of(pid, pid)));
	kill(pid, SIGKILL);
	caps.set[CAP_TO_INDEX(CAP_KILL)].effective |= CAP_TO_MASK(CAP_KILL);
	ASSERT_EQ(0, set_caps(&caps));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- seccomp ------------------------------------------------------------------ */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

static int filter(struct sock_filter *code, unsigned short len)
{
	struct sock_fprog program = { len, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Of the ioctls of this device, only one command, with one argument. */
static int only(unsigned int cmd, unsigned int arg)
{
	struct sock_filter code[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
		LOAD(args[1]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cmd, 1, 0),
		RETURN(SECCOMP_RET_ERRNO | EDQUOT),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arg, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ERRNO | EDQUOT),
	};

	return filter(code, ARRAY_LEN(code));
}

static int filtered(int fd)
{
	int i, wrong = 0;

	if (only(MEMSCOPE_IOC_SET_IO_FLUSHER, 1))
		return 100;
	for (i = 0; i < ARRAY_LEN(commands); i++) {
		long want = commands[i].cmd == MEMSCOPE_IOC_SET_IO_FLUSHER ? 0 : -EDQUOT;

		if (issue(fd, &commands[i]) != want)
			wrong++;
	}
	wrong += raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 0) != -EDQUOT;
	return wrong + !is_io_flusher(task_scopes());
}

/* Rule: a filter sees the command, and the argument of those that take it by value. */
TEST(seccomp_sees_the_command)
{
	int fd = open_device();

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, IN_CHILD(filtered(fd)));
}

/* Rule: what a filter forbids as a system call, it must also forbid as a CALL: that is an ioctl. */
TEST(seccomp_and_call)
{
	struct sock_filter no_read[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_preadv2, 0, 1),
		RETURN(SECCOMP_RET_ERRNO | EDQUOT),
		RETURN(SECCOMP_RET_ALLOW),
	};
	int fd = open_device(), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	__u64 mask = 0;
	char byte;
	struct iovec iov = { &byte, 1 };

	ASSERT_LE(0, fd);
	ASSERT_LE(0, zero);
	ASSERT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask));
	ASSERT_EQ(0, filter(no_read, ARRAY_LEN(no_read)));
	ASSERT_EQ(-1, syscall(SYS_preadv2, zero, &iov, 1, 0, 0, 0));
	ASSERT_EQ(EDQUOT, errno);
	memset(&argument, 0, sizeof(argument));
	make_call();
	/* The documentation says so; a change of this is one of the documentation. */
	EXPECT_EQ(mask & MEMSCOPE_FEATURE_CALL ? 1 : -ENOTTY,
		  raw_ioctl(fd, MEMSCOPE_IOC_CALL, (unsigned long)&argument));
	EXPECT_EQ(0, IN_CHILD(only(MEMSCOPE_IOC_GET_FEATURES, 0) ? 100 :
			      raw_ioctl(fd, MEMSCOPE_IOC_CALL,
					(unsigned long)&argument) != -EDQUOT));
}

static int strict(int fd)
{
	if (hold(fd, NOIO) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		return 100;
	syscall(SYS_ioctl, fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1);
	return 101;
}

/* Rule: a strict caller is killed by its ioctl, with its hold; the device works on. */
TEST(seccomp_strict)
{
	int fd = open_device(), status;
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid)
		_exit(strict(fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_EQ(0, hold(fd, NOIO));
	EXPECT_EQ(NOIO, task_scopes());
	close(fd);
	EXPECT_EQ(0, task_scopes());
}

/* Rule: a task with a filter can be marked by who may, and needs no system call for it. */
TEST(seccomp_target)
{
	struct memscope_mark m = { .flags = MEMSCOPE_MARK_PIDFD, .scopes = NOFS,
				   .timeout_ms = 20000 };
	int fd = open_device(), ready[2];
	pid_t pid;
	char byte;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		/* From here on read(), write(), exit() and sigreturn() only. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) ||
		    write(ready[1], "", 1) != 1)
			syscall(SYS_exit, 1);
		for (;;)
			;
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	m.pidfd = pidfd_of(pid, 0);
	EXPECT_EQ(0, mark_ioctl(fd, &m));
	EXPECT_EQ(NOFS, scopes_of_flags(task_flags_of(pid, pid)));
	EXPECT_EQ(0, kill(pid, 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_HARNESS_MAIN
