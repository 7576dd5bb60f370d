/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of DELEGATE and REVOKE share. */
#ifndef MEMSCOPE_SELFTESTS_DELEGATE_H
#define MEMSCOPE_SELFTESTS_DELEGATE_H

#include <sys/uio.h>

#include "status.h"

static inline long delegate(int fd, __u32 flags, __u32 scopes, __u32 uid, int pidfd)
{
	struct memscope_delegate d = { flags, scopes, uid, pidfd };

	return raw_ioctl(fd, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d);
}

static inline long revoke_file(int fd)
{
	return raw_ioctl(fd, MEMSCOPE_IOC_REVOKE, 0);
}

static inline long call_read(int fd, __u32 scopes)
{
	static char byte;
	struct iovec iov = { &byte, 1 };
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct memscope_call call = { .op = MEMSCOPE_CALL_READ, .scopes = scopes, .fd = zero,
				      .iov = (unsigned long)&iov, .iovcnt = 1 };
	long ret = raw_ioctl(fd, MEMSCOPE_IOC_CALL, (unsigned long)&call);

	close(zero);
	return ret;
}

FIXTURE(delegate)
{
	int fd;
};

FIXTURE_SETUP(delegate)
{
	__u64 features = 0;

	self->fd = open_device();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_DELEGATE);
}

FIXTURE_TEARDOWN(delegate)
{
	close(self->fd);
	EXPECT_EQ(0, task_scopes());
}

#endif
