// SPDX-License-Identifier: GPL-2.0
/*
 * The commands of /dev/memscope, each against prctl() and the task's flags, for
 * a caller with CAP_SYS_RESOURCE.
 *
 * selftest: timeout=60 m32=yes
 */
#include "kselftest_harness.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "flusher.h"

FIXTURE(dev)
{
	int fd;
};

FIXTURE_SETUP(dev)
{
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
}

FIXTURE_TEARDOWN(dev)
{
	close(self->fd);
}

/* Rule: the UAPI header's bits mean the task flags that it names. */
TEST_F(dev, scopes_are_task_flags)
{
	const struct {
		long scope;
		unsigned int flag;
	} map[] = {
		{ MEMSCOPE_SCOPE_NOIO, PF_MEMALLOC_NOIO },
		{ MEMSCOPE_SCOPE_NOFS, PF_MEMALLOC_NOFS },
		{ MEMSCOPE_SCOPE_LOCAL_THROTTLE, PF_LOCAL_THROTTLE },
	};
	unsigned int before = task_flags();
	int i;

	ASSERT_NE(0, before);
	EXPECT_EQ(0, before & PF_SCOPES);
	for (i = 0; i < ARRAY_LEN(map); i++) {
		EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, map[i].scope));
		EXPECT_EQ(before | map[i].flag, task_flags());
	}
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
	EXPECT_EQ(before, task_flags());
}

/* Rule: in every state, every argument has prctl's verdict and effect. */
TEST_F(dev, set_io_flusher_is_prctl)
{
	unsigned long arg;
	long state, by_prctl, by_ioctl, want;
	unsigned int after_prctl, after_ioctl;
	int i;

	for (state = 0; state <= ALL_SCOPES; state++) {
		for (i = 0; i < ARRAY_LEN(value_args); i++) {
			arg = value_args[i];
			ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, state));
			by_prctl = raw_prctl(PR_SET_IO_FLUSHER, arg);
			after_prctl = task_flags();
			ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, state));
			by_ioctl = raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, arg);
			after_ioctl = task_flags();

			ASSERT_EQ(by_prctl, by_ioctl) {
				TH_LOG("state %ld, argument %#lx", state, arg);
			}
			ASSERT_EQ(after_prctl, after_ioctl) {
				TH_LOG("state %ld, argument %#lx", state, arg);
			}
			/* And the verdict is the documented one. */
			ASSERT_EQ(arg == 0 || arg == 1 ? 0 : -EINVAL, by_ioctl);
			want = arg == 0 ? state & ~MEMSCOPE_IO_FLUSHER :
			       arg == 1 ? state | MEMSCOPE_IO_FLUSHER : state;
			ASSERT_EQ(want, scopes_of_flags(after_ioctl));
		}
	}
}

TEST_F(dev, get_io_flusher_is_prctl)
{
	unsigned long arg;
	long state, by_prctl, by_ioctl;
	int i;

	for (state = 0; state <= ALL_SCOPES; state++) {
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, state));
		for (i = 0; i < ARRAY_LEN(value_args); i++) {
			arg = value_args[i];
			by_prctl = raw_prctl(PR_GET_IO_FLUSHER, arg);
			by_ioctl = raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, arg);
			ASSERT_EQ(by_prctl, by_ioctl) {
				TH_LOG("state %ld, argument %#lx", state, arg);
			}
			/* 1 only where both bits are set. */
			ASSERT_EQ(arg ? -EINVAL : is_io_flusher(state), by_ioctl);
			ASSERT_EQ(state, task_scopes());
		}
	}
}

/* Rule: every argument bit counts, in GET as well. */
TEST_F(dev, get_refuses_every_argument_bit)
{
	int bit;

	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES));
	for (bit = 0; bit < LONG_BITS; bit++) {
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 1UL << bit));
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 1UL << bit));
	}
	EXPECT_EQ(1, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
	EXPECT_EQ(ALL_SCOPES, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
}

/* Rule: SET_SCOPES replaces the set, from every state to every state. */
TEST_F(dev, set_scopes_replaces)
{
	long from, to;

	for (from = 0; from <= ALL_SCOPES; from++) {
		for (to = 0; to <= ALL_SCOPES; to++) {
			ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, from));
			ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, to));
			ASSERT_EQ(to, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
			ASSERT_EQ(to, task_scopes());
			ASSERT_EQ(is_io_flusher(to), raw_prctl(PR_GET_IO_FLUSHER, 0));
			ASSERT_EQ(is_io_flusher(to),
				  raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
		}
	}
}

/* Rule: an unknown bit is EINVAL, alone or beside known ones; nothing changes. */
TEST_F(dev, set_scopes_unknown_bits)
{
	long state, with;
	int bit;

	for (bit = 0; bit < LONG_BITS; bit++) {
		if (1UL << bit & ALL_SCOPES)
			continue;
		state = bit & ALL_SCOPES;
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, state));
		for (with = 0; with <= ALL_SCOPES; with++) {
			ASSERT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES,
						     1UL << bit | with)) {
				TH_LOG("bit %d with %ld", bit, with);
			}
			ASSERT_EQ(state, task_scopes());
		}
	}
	/* All of them at once, and what sign extension would make of them. */
	EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, ~0UL));
	EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES,
				     ~(unsigned long)ALL_SCOPES));
	EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, LONG_MIN));
}

/* Rule: either sees what the other set. */
TEST_F(dev, each_sees_the_other)
{
	int round, on;

	for (round = 0; round < 4; round++) {
		on = !(round & 1);
		ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, on));
		EXPECT_EQ(on, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
		EXPECT_EQ(on ? MEMSCOPE_IO_FLUSHER : 0,
			  raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, !on));
		EXPECT_EQ(!on, raw_prctl(PR_GET_IO_FLUSHER, 0));
		ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES,
				       on ? MEMSCOPE_IO_FLUSHER : 0));
		EXPECT_EQ(on, raw_prctl(PR_GET_IO_FLUSHER, 0));
		/* Clearing takes back what the other has set. */
		ASSERT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
		EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
	}
}

/* Rule: SET_IO_FLUSHER leaves NOFS as it is, set or not. */
TEST_F(dev, io_flusher_leaves_nofs)
{
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, MEMSCOPE_SCOPE_NOFS));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 0));
	EXPECT_EQ(MEMSCOPE_SCOPE_NOFS, task_scopes());
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER, task_scopes());
}

/*
 * Rule: no other flag of the task changes, and the use of the privilege is
 * noted (PF_SUPERPRIV, for accounting) as prctl() notes it.
 */
TEST_F(dev, other_flags_untouched)
{
	const struct {
		unsigned int cmd;
		unsigned long arg;
	} ops[] = {
		{ MEMSCOPE_IOC_SET_IO_FLUSHER, 1 }, { MEMSCOPE_IOC_GET_IO_FLUSHER, 0 },
		{ MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES }, { MEMSCOPE_IOC_GET_SCOPES, 0 },
		{ MEMSCOPE_IOC_SET_SCOPES, 0 }, { MEMSCOPE_IOC_SET_IO_FLUSHER, 2 },
		{ MEMSCOPE_IOC_SET_SCOPES, 8 }, { MEMSCOPE_IOC_SET_IO_FLUSHER, 0 },
	};
	unsigned int before, after;
	int i, status;
	pid_t pid;

	/* fork() clears PF_SUPERPRIV: each child starts without. */
	for (i = -1; i < (int)ARRAY_LEN(ops); i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			before = task_flags();
			if (i < 0)
				raw_prctl(PR_GET_IO_FLUSHER, 0);
			else
				raw_ioctl(self->fd, ops[i].cmd, ops[i].arg);
			after = task_flags();
			EXPECT_EQ(0, before & PF_SUPERPRIV);
			EXPECT_EQ(PF_SUPERPRIV, (before ^ after) & ~PF_SCOPES) {
				TH_LOG("operation %d: %#x -> %#x", i, before, after);
			}
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
	}
}

/* --- GET_FEATURES ------------------------------------------------------- */

TEST_F(dev, features)
{
	__u64 mask = ~0ULL;
	char unaligned[16];

	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask));
	EXPECT_EQ(MEMSCOPE_FEATURE_IO_FLUSHER | MEMSCOPE_FEATURE_SCOPES |
		  MEMSCOPE_FEATURE_MARK | MEMSCOPE_FEATURE_SUSPEND | MEMSCOPE_FEATURE_CALL |
		  MEMSCOPE_FEATURE_STATUS | MEMSCOPE_FEATURE_DELEGATE |
		  MEMSCOPE_FEATURE_ACCOUNTING | MEMSCOPE_FEATURE_REGISTER, mask);

	memset(unaligned, 0x5a, sizeof(unaligned));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES,
			       (unsigned long)unaligned + 3));
	EXPECT_EQ(0, memcmp(unaligned + 3, &mask, sizeof(mask)));
	/* Not a byte more than the type says. */
	EXPECT_EQ(0x5a, unaligned[2]);
	EXPECT_EQ(0x5a, unaligned[11]);
	EXPECT_EQ(0, task_scopes());
}

TEST_F(dev, features_bad_pointer)
{
	long page = sysconf(_SC_PAGESIZE);
	char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64 *end = (__u64 *)(two + page - sizeof(__u64));

	ASSERT_NE(MAP_FAILED, two);
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, 0));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, 8));
	/* Kernel addresses, and the top of the range. */
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, 1UL << (LONG_BITS - 1) |
				     (LONG_BITS == 32 ? 0x7ffff000UL : 0)));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, ~0UL));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, ~0UL & -8UL));

	ASSERT_EQ(0, mprotect(two + page, page, PROT_NONE));
	*end = 0;
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)end));
	EXPECT_NE(0, *end);
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES,
				     (unsigned long)end + 4));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES,
				     (unsigned long)two + page));
	*end = 0;
	ASSERT_EQ(0, mprotect(two, page, PROT_READ));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)end));
	EXPECT_EQ(0, *end);
}

/* --- unknown commands --------------------------------------------------- */

/* Those whose struct may grow take any size. */
static const unsigned int growing[] = {
	MEMSCOPE_IOC_MARK, MEMSCOPE_IOC_CALL, MEMSCOPE_IOC_STATUS, MEMSCOPE_IOC_DELEGATE,
	MEMSCOPE_IOC_REGISTER,
};

static bool known(unsigned int cmd)
{
	int i;

	for (i = 0; i < ARRAY_LEN(growing); i++) {
		if (_IOC_NR(cmd) == _IOC_NR(growing[i]) && _IOC_DIR(cmd) == _IOC_DIR(growing[i]))
			return true;
	}
	return cmd == MEMSCOPE_IOC_SET_IO_FLUSHER || cmd == MEMSCOPE_IOC_GET_IO_FLUSHER ||
	       cmd == MEMSCOPE_IOC_SET_SCOPES || cmd == MEMSCOPE_IOC_GET_SCOPES ||
	       cmd == MEMSCOPE_IOC_GET_FEATURES || cmd == MEMSCOPE_IOC_SUSPEND ||
	       cmd == MEMSCOPE_IOC_RESUME || cmd == MEMSCOPE_IOC_REVOKE;
}

/* Rule: number, direction and size of a command all count. */
TEST_F(dev, unknown_commands)
{
	static const unsigned int sizes[] = { 0, 1, 4, 7, 8, 9, 12, 16, 0x100, 0x3fff };
	__u64 buf[2] = { 0, 0 };
	unsigned int nr, dir, cmd;
	int i, tried = 0;

	for (nr = 0; nr < 256; nr++) {
		for (dir = 0; dir < 4; dir++) {
			for (i = 0; i < ARRAY_LEN(sizes); i++) {
				cmd = _IOC(dir, MEMSCOPE_IOC_MAGIC, nr, sizes[i]);
				if (known(cmd))
					continue;
				ASSERT_EQ(-ENOTTY, raw_ioctl(self->fd, cmd, (unsigned long)buf)) {
					TH_LOG("command %#x", cmd);
				}
				tried++;
			}
		}
	}
	EXPECT_EQ(256 * 4 * ARRAY_LEN(sizes) - 8 - ARRAY_LEN(sizes) * ARRAY_LEN(growing),
		  tried);
	EXPECT_EQ(0, buf[0] | buf[1]);
	EXPECT_EQ(0, task_scopes());
}

/*
 * Rule: of the other letters only those work that the VFS takes for every
 * file: the same verdict as from a device that has no ioctl at all.
 */
TEST_F(dev, other_magics)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned int type, nr, cmd;
	long want, got;
	int unknown = 0;

	ASSERT_LE(0, null);
	for (type = 0; type < 256; type++) {
		if (type == MEMSCOPE_IOC_MAGIC)
			continue;
		for (nr = 0; nr < 256; nr += nr < 0x10 || type == 'T' ? 1 : 0x10) {
			cmd = _IO(type, nr);
			want = raw_ioctl(null, cmd, 0);
			got = raw_ioctl(self->fd, cmd, 0);
			ASSERT_EQ(want, got) {
				TH_LOG("command %#x", cmd);
			}
			unknown += got == -ENOTTY;
		}
	}
	EXPECT_LT(250 * 16, unknown);
	EXPECT_EQ(0, task_scopes());
	close(null);
}

/* --- the node and its file operations ----------------------------------- */

TEST(node)
{
	unsigned int major_nr = 0, minor_nr = 0;
	char text[32] = "";
	struct stat st;
	int fd;

	ASSERT_EQ(0, stat(DEVICE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0600, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
	fd = open("/sys/class/misc/memscope/dev", O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, read(fd, text, sizeof(text) - 1));
	ASSERT_TRUE(sscanf(text, "%u:%u", &major_nr, &minor_nr) == 2);
	EXPECT_EQ(major_nr, major(st.st_rdev));
	EXPECT_EQ(minor_nr, minor(st.st_rdev));
}

FIXTURE(mode)
{
	int fd;
};

FIXTURE_VARIANT(mode)
{
	int flags;
	long read_errno, write_errno;
};

/* EBADF: not opened for it. EINVAL: opened, but the file has no such method. */
FIXTURE_VARIANT_ADD(mode, read_only) {
	.flags = O_RDONLY, .read_errno = EINVAL, .write_errno = EBADF,
};

FIXTURE_VARIANT_ADD(mode, write_only) {
	.flags = O_WRONLY, .read_errno = EBADF, .write_errno = EINVAL,
};

FIXTURE_VARIANT_ADD(mode, read_write) {
	.flags = O_RDWR, .read_errno = EINVAL, .write_errno = EINVAL,
};

FIXTURE_VARIANT_ADD(mode, nonblock) {
	.flags = O_RDWR | O_NONBLOCK, .read_errno = EINVAL, .write_errno = EINVAL,
};

FIXTURE_SETUP(mode)
{
	self->fd = open(DEVICE, variant->flags | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(mode)
{
	close(self->fd);
}

/* Rule: the commands do not depend on how the device was opened. */
TEST_F(mode, commands_work)
{
	__u64 mask = 0;

	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES));
	EXPECT_EQ(ALL_SCOPES, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 0));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
	EXPECT_EQ(MEMSCOPE_SCOPE_NOFS, task_scopes());
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask));
	EXPECT_NE(0, mask);
}

TEST_F(mode, plain_errno)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN | POLLOUT | POLLPRI };
	char buf[8] = "";
	int epoll;

	EXPECT_EQ(-1, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(variant->read_errno, errno);
	EXPECT_EQ(-1, write(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(variant->write_errno, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ((variant->flags & O_ACCMODE) == O_WRONLY ? EACCES : ENODEV, errno);
	if ((variant->flags & O_ACCMODE) == O_RDWR) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
					   self->fd, 0));
		EXPECT_EQ(ENODEV, errno);
	}
	EXPECT_EQ(-1, fsync(self->fd));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(ESPIPE, errno);
	/* No poll method: always ready, and not for epoll. */
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, poll_fd.revents);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, epoll);
	EXPECT_EQ(-1, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event));
	EXPECT_EQ(EPERM, errno);
	close(epoll);
}

/* Rule: a file without permissions takes no command. */
TEST(o_path)
{
	int fd = open(DEVICE, O_PATH | O_CLOEXEC);
	__u64 mask = 0;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	EXPECT_EQ(-EBADF, raw_ioctl(fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask));
	EXPECT_EQ(0, task_scopes() & MEMSCOPE_IO_FLUSHER);
	close(fd);
}

/* Rule: the state is the thread's, not the file's: it outlives every fd. */
TEST(state_outlives_the_file)
{
	int a = open(DEVICE, O_RDWR | O_CLOEXEC), b = open(DEVICE, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_EQ(0, raw_ioctl(a, MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES));
	close(a);
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	EXPECT_EQ(ALL_SCOPES, raw_ioctl(b, MEMSCOPE_IOC_GET_SCOPES, 0));
	close(b);
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	EXPECT_EQ(1, raw_prctl(PR_GET_IO_FLUSHER, 0));
	EXPECT_EQ(0, raw_prctl(PR_SET_IO_FLUSHER, 0));
	EXPECT_EQ(MEMSCOPE_SCOPE_NOFS, task_scopes());
}

TEST_HARNESS_MAIN
