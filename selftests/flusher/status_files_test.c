// SPDX-License-Identifier: GPL-2.0
/*
 * What debugfs and fdinfo show of the marks, and when the probes are there.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <sys/stat.h>

#include "status_fixture.h"
#include "module.h"

static char text[65536];

/* Rule: fdinfo lists what the file holds and suspends. */
TEST_F(status, fdinfo)
{
	char path[64], line[100];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	EXPECT_EQ(NULL, strstr(text, "memscope-"));
	ASSERT_EQ(0, hold(self->fd, MEMSCOPE_IO_FLUSHER));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SUSPEND, 0));
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	snprintf(line, sizeof(line), "memscope-hold:\t%d noio,local_throttle\n", SELF);
	EXPECT_NE(NULL, strstr(text, line)) {
		TH_LOG("%s", text);
	}
	snprintf(line, sizeof(line), "memscope-suspended:\t%d\n", SELF);
	EXPECT_NE(NULL, strstr(text, line));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_RESUME, 0));
}

/* Rule: debugfs has the same, for root, and no addresses. */
TEST_F(status, debugfs)
{
	struct memscope_status s = { .entry_size = sizeof(entries[0]) };
	struct stat st;
	char line[100];

	prctl(PR_SET_NAME, "a b\033c");
	ASSERT_EQ(0, stat(FLUSHERS, &st));
	EXPECT_EQ(0400, st.st_mode & 0777);
	ASSERT_EQ(0, hold(self->fd, NOIO | NOFS));
	ASSERT_LT(0, read_file(FLUSHERS, text, sizeof(text)));
	/* Since the module was loaded, so that other programs have their share. */
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_STATUS, (unsigned long)&s));
	snprintf(line, sizeof(line), "# probes on missed %llu unmarked %llu\n", s.missed, s.unmarked);
	EXPECT_NE(NULL, strstr(text, line));
	snprintf(line, sizeof(line), "\n%d %d 0 noio,nofs noio,nofs hold ", SELF, getpid());
	EXPECT_NE(NULL, strstr(text, line)) {
		TH_LOG("%s", text);
	}
	/* One line and one column each, whatever the name. */
	EXPECT_NE(NULL, strstr(text, " a?b?c\n"));
	EXPECT_EQ(NULL, strstr(text, "ffff"));
}

/* Rule: an open file of debugfs keeps the module, as the device does. */
TEST_F(status, debugfs_holds_the_module)
{
	int fd = open(FLUSHERS, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	close(self->fd);
	EXPECT_EQ(-EWOULDBLOCK, module_remove());
	close(fd);
	EXPECT_EQ(0, module_remove_soon());
	ASSERT_EQ(0, module_insert());
	self->fd = open_device();
}

/* Rule: the probes are left some time after nobody is marked any more, and not before. */
TEST_F(status, probes_leave)
{
	int i;

	ASSERT_EQ(0, mark(self->fd, 0, NOIO));
	for (i = 0; i < 6; i++) {
		sleep_ms(1000);
		ASSERT_TRUE(probes_are("on"));
	}
	ASSERT_EQ(0, mark(self->fd, 0, 0));
	EXPECT_TRUE(wait_probes_off());
	/* And come back. */
	ASSERT_EQ(0, hold(self->fd, NOIO));
	EXPECT_TRUE(probes_are("on"));
}

TEST_HARNESS_MAIN
