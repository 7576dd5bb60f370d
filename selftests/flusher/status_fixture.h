/* SPDX-License-Identifier: GPL-2.0 */
/* The fixture of the tests of what STATUS, debugfs and fdinfo show. */
#ifndef MEMSCOPE_SELFTESTS_STATUS_FIXTURE_H
#define MEMSCOPE_SELFTESTS_STATUS_FIXTURE_H

#include "status.h"

#define SELF ((pid_t)syscall(SYS_gettid))

FIXTURE(status)
{
	int fd;
};

FIXTURE_SETUP(status)
{
	__u64 features = 0;

	self->fd = open_device();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_STATUS);
	ASSERT_EQ(0, need_debugfs());
	ASSERT_EQ(NULL, status_of(self->fd, SELF, 0));
}

FIXTURE_TEARDOWN(status)
{
	EXPECT_EQ(0, mark(self->fd, 0, 0));
	EXPECT_EQ(0, mark(self->fd, MEMSCOPE_MARK_HOLD, 0));
	EXPECT_EQ(NULL, status_of(self->fd, SELF, 0));
	close(self->fd);
}

#endif
