// SPDX-License-Identifier: GPL-2.0
/*
 * Who may use /dev/memscope: CAP_SYS_RESOURCE of the calling thread in the
 * initial user namespace, whoever opened the device; and that this is checked
 * before the argument is looked at.
 *
 * selftest: timeout=60 m32=yes
 */
#include "kselftest_harness.h"

#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "flusher.h"

/*
 * Every command with every argument, and prctl's answer to the same. Prints
 * what is wrong and counts it. Runs in any credentials, so it uses neither the
 * harness nor anything that needs them.
 */
static int probe(int fd, bool allowed)
{
	static const struct {
		unsigned int cmd;
		int prctl;
	} ops[] = {
		{ MEMSCOPE_IOC_SET_IO_FLUSHER, PR_SET_IO_FLUSHER },
		{ MEMSCOPE_IOC_GET_IO_FLUSHER, PR_GET_IO_FLUSHER },
		{ MEMSCOPE_IOC_SET_SCOPES, 0 },
		{ MEMSCOPE_IOC_GET_SCOPES, 0 },
	};
	unsigned int before = task_flags() & PF_SCOPES;
	int i, j, wrong = 0;
	__u64 mask = 0;
	long got, want;

	for (i = 0; i < ARRAY_LEN(ops); i++) {
		for (j = 0; j < ARRAY_LEN(value_args); j++) {
			got = raw_ioctl(fd, ops[i].cmd, value_args[j]);
			if (ops[i].prctl)
				want = raw_prctl(ops[i].prctl, value_args[j]);
			else
				want = allowed ? got : -EPERM;
			if (got != want || (got == -EPERM) == allowed) {
				fprintf(stderr, "# command %#x, argument %#lx: %ld, not %ld\n",
					ops[i].cmd, value_args[j], got, want);
				wrong++;
			}
		}
	}
	if (!allowed && (task_flags() & PF_SCOPES) != before) {
		fprintf(stderr, "# refused, but the flags changed\n");
		wrong++;
	}
	/* What needs no capability: the features, and the refusal of the unknown. */
	got = raw_ioctl(fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask);
	if (got || !(mask & MEMSCOPE_FEATURE_IO_FLUSHER)) {
		fprintf(stderr, "# GET_FEATURES: %ld, mask %#llx\n", got, (unsigned long long)mask);
		wrong++;
	}
	got = raw_ioctl(fd, MEMSCOPE_IOC_GET_FEATURES, 0);
	if (got != -EFAULT) {
		fprintf(stderr, "# GET_FEATURES(NULL): %ld\n", got);
		wrong++;
	}
	got = raw_ioctl(fd, _IO(MEMSCOPE_IOC_MAGIC, 0xff), 0);
	if (got != -ENOTTY) {
		fprintf(stderr, "# an unknown command: %ld\n", got);
		wrong++;
	}
	if (task_flags() == 0) {
		fprintf(stderr, "# the task's flags cannot be read\n");
		wrong++;
	}
	return wrong;
}

/* The same in the program that execve() makes of this one. */
static void probe_after_exec(int fd, bool allowed)
{
	char fd_text[16], *argv[] = { "cap_test", "--probe", fd_text,
				      allowed ? "allowed" : "refused", NULL };

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	execv("/proc/self/exe", argv);
	fprintf(stderr, "# execv: %s\n", strerror(errno));
	_exit(1);
}

static int drop(bool effective_only, bool all_but)
{
	__u32 bit = CAP_TO_MASK(CAP_SYS_RESOURCE);
	int word = CAP_TO_INDEX(CAP_SYS_RESOURCE), i;
	struct caps caps;

	if (get_caps(&caps))
		return -1;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		__u32 keep = i == word ? ~bit : ~0U;

		if (all_but)
			keep = ~keep;
		caps.set[i].effective &= keep;
		if (!effective_only)
			caps.set[i].permitted &= keep;
		caps.set[i].inheritable = 0;
	}
	return set_caps(&caps);
}

static int user_namespace(void)
{
	return unshare(CLONE_NEWUSER) || write_text("/proc/self/setgroups", "deny") ||
	       write_text("/proc/self/uid_map", "0 0 1") ||
	       write_text("/proc/self/gid_map", "0 0 1") || getuid() != 0;
}

/* Each returns 0 when the calling process has the credentials of its name. */
static int effective_dropped(void) { return drop(true, false); }
static int permitted_dropped(void) { return drop(false, false); }
static int only_resource(void) { return drop(false, true); }
static int nothing(void) { return 0; }

static int bounding_dropped(void)
{
	/* Takes effect at exec, also for root. */
	return prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
}

static int nobody_ambient(void)
{
	struct caps caps;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || become_nobody() || get_caps(&caps))
		return -1;
	memset(&caps, 0, sizeof(caps));
	caps.set[CAP_TO_INDEX(CAP_SYS_RESOURCE)].permitted = CAP_TO_MASK(CAP_SYS_RESOURCE);
	caps.set[CAP_TO_INDEX(CAP_SYS_RESOURCE)].inheritable = CAP_TO_MASK(CAP_SYS_RESOURCE);
	return set_caps(&caps) ||
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_RESOURCE, 0, 0);
}

static int nobody_keepcaps(void)
{
	/* Permitted, but setresuid() has emptied the effective set. */
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || become_nobody();
}

static int nobody_raised(void)
{
	return nobody_keepcaps() || effective_resource(true);
}

static int namespace_opens(void)
{
	int fd;

	if (user_namespace())
		return -1;
	/* The node belongs to the uid that the namespace maps as its root. */
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	return probe(fd, false);
}

FIXTURE(caller)
{
	int fd;
};

FIXTURE_VARIANT(caller)
{
	int (*become)(void);
	bool exec, allowed;
};

FIXTURE_VARIANT_ADD(caller, root) { nothing, false, true };
FIXTURE_VARIANT_ADD(caller, root_exec) { nothing, true, true };
FIXTURE_VARIANT_ADD(caller, effective_dropped) { effective_dropped, false, false };
/* Root regains at exec what is in its bounding set. */
FIXTURE_VARIANT_ADD(caller, effective_dropped_exec) { effective_dropped, true, true };
FIXTURE_VARIANT_ADD(caller, permitted_dropped) { permitted_dropped, false, false };
FIXTURE_VARIANT_ADD(caller, only_sys_resource) { only_resource, false, true };
FIXTURE_VARIANT_ADD(caller, bounding_dropped) { bounding_dropped, false, true };
FIXTURE_VARIANT_ADD(caller, bounding_dropped_exec) { bounding_dropped, true, false };
FIXTURE_VARIANT_ADD(caller, nobody) { become_nobody, false, false };
FIXTURE_VARIANT_ADD(caller, nobody_exec) { become_nobody, true, false };
FIXTURE_VARIANT_ADD(caller, nobody_keepcaps) { nobody_keepcaps, false, false };
FIXTURE_VARIANT_ADD(caller, nobody_raised) { nobody_raised, false, true };
FIXTURE_VARIANT_ADD(caller, nobody_ambient_exec) { nobody_ambient, true, true };
FIXTURE_VARIANT_ADD(caller, userns_root) { user_namespace, false, false };
FIXTURE_VARIANT_ADD(caller, userns_root_exec) { user_namespace, true, false };
FIXTURE_VARIANT_ADD(caller, userns_root_opens) { namespace_opens, false, false };

FIXTURE_SETUP(caller)
{
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(caller)
{
	close(self->fd);
}

/* Runs in a child with the variant's credentials; -1 if they cannot be had. */
static int in_child(int fd, int (*become)(void), bool exec, bool allowed)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (become()) {
			fprintf(stderr, "# the credentials: %s\n", strerror(errno));
			_exit(100);
		}
		if (exec)
			probe_after_exec(fd, allowed);
		_exit(probe(fd, allowed) ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* Rule: EPERM without the capability, whatever the argument; else prctl's answer. */
TEST_F(caller, verdict)
{
	EXPECT_EQ(0, in_child(self->fd, variant->become, variant->exec, variant->allowed));
}

/* The same where the state is set: neither read nor cleared without it. */
TEST_F(caller, verdict_when_set)
{
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES));
	EXPECT_EQ(0, in_child(self->fd, variant->become, variant->exec, variant->allowed));
	/* The child is another thread. */
	EXPECT_EQ(ALL_SCOPES, task_scopes());
}

/* Rule: the capability of each call counts, not that of the first. */
TEST(drop_and_regain)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, MEMSCOPE_SCOPE_NOFS));
	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(-EPERM, raw_ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, 0));
	EXPECT_EQ(-EPERM, raw_ioctl(fd, MEMSCOPE_IOC_GET_SCOPES, 0));
	EXPECT_EQ(-EPERM, raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	EXPECT_EQ(-EPERM, raw_prctl(PR_SET_IO_FLUSHER, 1));
	EXPECT_EQ(MEMSCOPE_SCOPE_NOFS, task_scopes());
	ASSERT_EQ(0, effective_resource(true));
	EXPECT_EQ(MEMSCOPE_SCOPE_NOFS, raw_ioctl(fd, MEMSCOPE_IOC_GET_SCOPES, 0));
}

/* Rule: a refusal is not noted as a use of privilege, by neither. */
TEST(refusal_leaves_flags)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	unsigned int before;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, effective_resource(false));
	before = task_flags();
	ASSERT_EQ(0, before & PF_SUPERPRIV);
	EXPECT_EQ(-EPERM, raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	EXPECT_EQ(before, task_flags());
	EXPECT_EQ(-EPERM, raw_prctl(PR_SET_IO_FLUSHER, 1));
	EXPECT_EQ(before, task_flags());
}

/* Rule: an unprivileged user cannot open the node. */
TEST(nobody_cannot_open)
{
	ASSERT_EQ(0, become_nobody());
	EXPECT_EQ(-1, open(DEVICE, O_RDWR));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, open(DEVICE, O_RDONLY));
	EXPECT_EQ(EACCES, errno);
}

/* Rule: an fd that was passed on gives its receiver no right. */
TEST(passed_fd_gives_no_right)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int pair[2], fd, status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (become_nobody() || recvmsg(pair[1], &msg, 0) != 1)
			_exit(100);
		header = CMSG_FIRSTHDR(&msg);
		if (!header)
			_exit(101);
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
		_exit(probe(fd, false) ? 1 : 0);
	}
	fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, fd);
	header = CMSG_FIRSTHDR(&msg);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	close(fd);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--probe"))
		return probe(atoi(argv[2]), !strcmp(argv[3], "allowed")) ? 1 : 0;
	return test_harness_run(argc, argv);
}
