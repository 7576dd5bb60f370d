// SPDX-License-Identifier: GPL-2.0
/*
 * The C client against the module. It is included on both sides of the header
 * that the module is built with: the names that both define must agree.
 *
 * selftest: timeout=30 m32=yes
 */
#include "../../tools/include/memscope-client.h"
#include <linux/memscope.h>

#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "pf.h"

_Static_assert(MEMSCOPE_CLIENT_SET_SCOPES == MEMSCOPE_IOC_SET_SCOPES, "number");
_Static_assert(MEMSCOPE_CLIENT_GET_SCOPES == MEMSCOPE_IOC_GET_SCOPES, "number");
_Static_assert(MEMSCOPE_CLIENT_GET_FEATURES == MEMSCOPE_IOC_GET_FEATURES, "number");
_Static_assert(MEMSCOPE_CLIENT_MARK == MEMSCOPE_IOC_MARK, "number");
_Static_assert(MEMSCOPE_CLIENT_SUSPEND == MEMSCOPE_IOC_SUSPEND, "number");
_Static_assert(MEMSCOPE_CLIENT_RESUME == MEMSCOPE_IOC_RESUME, "number");
_Static_assert(MEMSCOPE_CLIENT_CALL == MEMSCOPE_IOC_CALL, "number");
_Static_assert(MEMSCOPE_CLIENT_REGISTER == MEMSCOPE_IOC_REGISTER, "number");
#define SAME_FIELD(type, field) \
	_Static_assert(__builtin_offsetof(struct memscope_client_##type, field) == \
		       __builtin_offsetof(struct memscope_##type, field), #field)
SAME_FIELD(mark, flags);
SAME_FIELD(mark, scopes);
SAME_FIELD(mark, pidfd);
SAME_FIELD(mark, timeout_ms);
SAME_FIELD(mark, done);
SAME_FIELD(mark, remaining);
SAME_FIELD(mark, blocked);
SAME_FIELD(call, op);
SAME_FIELD(call, scopes);
SAME_FIELD(call, fd);
SAME_FIELD(call, flags);
SAME_FIELD(call, iov);
SAME_FIELD(call, iovcnt);
SAME_FIELD(call, offset);
SAME_FIELD(call, len);
SAME_FIELD(register, flags);
SAME_FIELD(register, fd);

/* What it reads in /proc are the kernel's bits. */
_Static_assert(PF_MEMALLOC_NOFS == 0x40000 && PF_MEMALLOC_NOIO == 0x80000 &&
	       PF_LOCAL_THROTTLE == 0x100000, "flags");

FIXTURE(client) {
	struct memscope_client ms;
};

FIXTURE_SETUP(client)
{
	ASSERT_EQ(0, memscope_open(&self->ms));
	ASSERT_EQ(0, memscope_set(&self->ms, 0));
}

FIXTURE_TEARDOWN(client)
{
	memscope_set(&self->ms, 0);
	memscope_close(&self->ms);
}

/* Every set is read back, by the device and in /proc. */
TEST_F(client, sets)
{
	unsigned int set;

	for (set = 0; set < 8; set++) {
		ASSERT_EQ(0, memscope_set(&self->ms, set));
		EXPECT_EQ((int)set, memscope_get(&self->ms));
		EXPECT_EQ((int)set, memscope_client_proc_());
	}
	EXPECT_EQ(-1, memscope_set(&self->ms, 8));
	EXPECT_EQ(EINVAL, errno);
}

/* What was there comes back, level by level. */
TEST_F(client, nested)
{
	unsigned int outer, inner;

	ASSERT_EQ(0, memscope_add(&self->ms, MEMSCOPE_SCOPE_NOFS));
	ASSERT_EQ(0, memscope_enter(&self->ms, MEMSCOPE_IO_FLUSHER, &outer));
	ASSERT_EQ(0, memscope_enter(&self->ms, MEMSCOPE_SCOPE_NOIO, &inner));
	EXPECT_EQ(7, memscope_get(&self->ms));
	ASSERT_EQ(0, memscope_leave(&self->ms, inner));
	EXPECT_EQ(7, memscope_get(&self->ms));
	ASSERT_EQ(0, memscope_leave(&self->ms, outer));
	EXPECT_EQ((int)MEMSCOPE_SCOPE_NOFS, memscope_get(&self->ms));
}

static void *read_scopes(void *arg)
{
	(void)arg;
	return (void *)(long)memscope_client_proc_();
}

/* A hold of the process is in force on new threads, and ends at the close. */
TEST_F(client, hold_process)
{
	struct memscope_client other;
	pthread_t thread;
	void *seen;

	ASSERT_EQ(0, memscope_open(&other));
	ASSERT_EQ(0, memscope_hold_process(&other, MEMSCOPE_FS_FLUSHER));
	EXPECT_EQ((int)MEMSCOPE_FS_FLUSHER, memscope_client_proc_());
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_scopes, NULL));
	pthread_join(thread, &seen);
	EXPECT_EQ((long)MEMSCOPE_FS_FLUSHER, (long)seen);
	ASSERT_EQ(0, memscope_suspend(&self->ms));
	EXPECT_EQ(0, memscope_client_proc_());
	ASSERT_EQ(0, memscope_resume(&self->ms));
	EXPECT_EQ((int)MEMSCOPE_FS_FLUSHER, memscope_client_proc_());
	memscope_close(&other);
	EXPECT_EQ(0, memscope_client_proc_());
}

/* Single calls do what the plain ones do, and leave no scope behind. */
TEST_F(client, calls)
{
	char path[] = "/tmp/memscope-call.XXXXXX", a[4], b[8];
	struct iovec out[] = { { (void *)"under ", 6 }, { (void *)"scopes", 6 } };
	struct iovec in[] = { { a, 4 }, { b, 8 } };
	int fd = mkstemp(path);

	ASSERT_LE(0, fd);
	unlink(path);
	EXPECT_EQ(0, memscope_fallocate(&self->ms, MEMSCOPE_IO_FLUSHER, fd, 0, 0, 8192));
	EXPECT_EQ(8192, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(12, memscope_pwritev2(&self->ms, MEMSCOPE_IO_FLUSHER, fd, out, 2, 100, 0));
	EXPECT_EQ(0, memscope_fsync(&self->ms, MEMSCOPE_IO_FLUSHER, fd));
	EXPECT_EQ(0, memscope_fdatasync(&self->ms, MEMSCOPE_IO_FLUSHER, fd));
	EXPECT_EQ(12, memscope_preadv2(&self->ms, MEMSCOPE_IO_FLUSHER, fd, in, 2, 100, 0));
	EXPECT_EQ(0, memcmp(a, "unde", 4));
	EXPECT_EQ(0, memcmp(b, "r scopes", 8));
	EXPECT_EQ(-1, memscope_preadv2(&self->ms, 0, -1, in, 2, 100, 0));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(0, memscope_get(&self->ms));
	close(fd);
}

/* A device is registered once, by its node, and removed once. */
TEST_F(client, registers)
{
	/* That of the guest's root, which is only named. */
	int disk = open("/dev/vda", O_PATH | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, disk);
	ASSERT_LE(0, null);
	EXPECT_EQ(0, memscope_register(&self->ms, disk));
	EXPECT_EQ(0, memscope_unregister(&self->ms, disk));
	EXPECT_EQ(-1, memscope_unregister(&self->ms, disk));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, memscope_register(&self->ms, null));
	EXPECT_EQ(ENOTBLK, errno);
	close(disk);
	close(null);
}

/* Without the device: prctl for IO_FLUSHER, the reason for the rest. */
TEST(fallback)
{
	struct memscope_client ms = { -1, ENOENT };
	unsigned int before, set;

	ASSERT_EQ(0, memscope_enter(&ms, MEMSCOPE_IO_FLUSHER, &before));
	EXPECT_EQ((int)MEMSCOPE_IO_FLUSHER, memscope_client_proc_());
	ASSERT_EQ(0, memscope_leave(&ms, before));
	EXPECT_EQ(0, memscope_client_proc_());
	for (set = 1; set < 8; set++) {
		if (set == MEMSCOPE_IO_FLUSHER)
			continue;
		EXPECT_EQ(-1, memscope_set(&ms, set));
		EXPECT_EQ(ENOENT, errno);
		EXPECT_EQ(0, memscope_client_proc_());
	}
	EXPECT_EQ(-1, memscope_hold_process(&ms, MEMSCOPE_IO_FLUSHER));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, memscope_register(&ms, 0));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_NE(NULL, strstr(memscope_strerror(&ms, errno), "modprobe"));
}

TEST_HARNESS_MAIN
