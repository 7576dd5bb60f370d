// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that fail below bufio: unplugged with data to write, too short, on a
 * full file system, not answering. Rule: what was written is on the device or
 * the failure is reported; what can be written later is; taking the client
 * apart ends, and leaves no memory behind.
 *
 * selftest: timeout=240 memory=1G
 */
#include "kselftest_harness.h"

#include <glob.h>

#include "../flusher/flusher.h"
#include "bufio_faults.h"

/* The number of an operation of the module, by its name; -1 if there is none. */
static long number_of(int fd, const char *name)
{
	char names[1024], *line, *rest = names;
	ssize_t len = pread(fd, names, sizeof(names) - 1, 0);
	long i;

	if (len < 0)
		return -1;
	names[len] = '\0';
	for (i = 0; (line = strsep(&rest, "\n")); i++)
		if (!strcmp(line, name))
			return i;
	return -1;
}

FIXTURE(device) {
	int fd;
	long op;
};

FIXTURE_SETUP(device)
{
	self->fd = -1;
	ASSERT_EQ(0, system("modprobe -a dm-mod sd_mod loop"));
}

/* Rule: it ends, whatever the device does, and gives everything back. */
FIXTURE_TEARDOWN(device)
{
	char text[32] = "";
	int fd, i;

	if (self->fd >= 0)
		close(self->fd);
	EXPECT_EQ(0, system("rmmod bufio_faults"));
	/* What was taken apart is freed after a grace period. */
	for (i = 0; i < 600 && strcmp(text, "0\n"); i++) {
		memset(text, 0, sizeof(text));
		fd = open("/sys/module/memscope/parameters/current_allocated_bytes", O_RDONLY);
		EXPECT_LT(0, read(fd, text, sizeof(text) - 1));
		close(fd);
		usleep(100000);
	}
	EXPECT_STREQ("0\n", text);
	EXPECT_EQ(0, system("losetup -D; ! mountpoint -q /tmp/small || umount /tmp/small"));
	EXPECT_EQ(0, system("test ! -e /sys/module/scsi_debug || rmmod scsi_debug"));
}

static long prepare(int fd, long op)
{
	return raw_ioctl(fd, BUFIO_FAULTS_PREPARE, op);
}

static long act(int fd, long op)
{
	return raw_ioctl(fd, BUFIO_FAULTS_ACT, op);
}

static long judge(int fd, long op)
{
	return raw_ioctl(fd, BUFIO_FAULTS_JUDGE, op);
}

static void insert(struct __test_metadata *_metadata, FIXTURE_DATA(device) *self,
		   const char *device)
{
	char param[64];

	snprintf(param, sizeof(param), "device=%s", device);
	ASSERT_EQ(0, insert_built("ext/sanitize/bufio_faults.ko", param));
	self->fd = open("/dev/bufio_faults", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->op = number_of(self->fd, "write_dirty_buffers");
	ASSERT_LE(0, self->op);
}

/* A disk of scsi_debug; its name under /dev. */
static void scsi_disk(struct __test_metadata *_metadata, char *name, size_t size)
{
	glob_t found;
	int i;

	ASSERT_EQ(0, system("modprobe scsi_debug dev_size_mb=8 delay=0"));
	for (i = 0; i < 600; i++) {
		if (!glob("/sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*", 0,
			  NULL, &found))
			break;
		usleep(100000);
	}
	ASSERT_GT(600, i);
	snprintf(name, size, "%s", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
}

static int set_scsi_limit(const char *disk, const char *limit, int value)
{
	char command[200];

	snprintf(command, sizeof(command), "echo %d | tee /sys/block/%s/device/scsi_disk/*/%s",
		 value, disk, limit);
	return system(command);
}

/* Rule: data that was dirty when the device went is reported as not written. */
TEST_F(device, removed_while_dirty)
{
	char name[64], path[160];

	scsi_disk(_metadata, name, sizeof(name));
	snprintf(path, sizeof(path), "/dev/%s", name);
	insert(_metadata, self, path);
	ASSERT_EQ(0, prepare(self->fd, self->op));
	snprintf(path, sizeof(path), "/sys/block/%s/device/delete", name);
	ASSERT_EQ(0, write_text(path, "1"));
	EXPECT_GT(0, act(self->fd, self->op));
	/* Nor does anything of it come back as written. */
	EXPECT_GT(0, judge(self->fd, self->op));
}

/* Rule: a write that the device never answered is reported; when it answers again, it is written. */
TEST_F(device, does_not_answer)
{
	static const char options[] = "/sys/bus/pseudo/drivers/scsi_debug/opts";
	static const char nth[] = "/sys/bus/pseudo/drivers/scsi_debug/every_nth";
	char name[64], path[160];
	int i;

	scsi_disk(_metadata, name, sizeof(name));
	snprintf(path, sizeof(path), "/dev/%s", name);
	insert(_metadata, self, path);
	ASSERT_EQ(0, prepare(self->fd, self->op));
	snprintf(path, sizeof(path), "/sys/block/%s/device/timeout", name);
	ASSERT_EQ(0, write_text(path, "1"));
	/* Else the disk is taken offline after two of them; and each is tried once. */
	ASSERT_EQ(0, set_scsi_limit(name, "max_medium_access_timeouts", 1000));
	ASSERT_EQ(0, set_scsi_limit(name, "max_retries", 0));
	/* No command is answered. */
	ASSERT_EQ(0, write_text(nth, "1"));
	ASSERT_EQ(0, write_text(options, "4"));
	EXPECT_GT(0, act(self->fd, self->op));
	ASSERT_EQ(0, write_text(options, "0"));
	ASSERT_EQ(0, write_text(nth, "0"));
	/* Its first answers may tell of the reset. */
	for (i = 0; i < 20 && act(self->fd, self->op); i++)
		usleep(100000);
	EXPECT_GT(20, i);
	EXPECT_EQ(0, judge(self->fd, self->op));
}

/* Rule: blocks behind the end of the device are an error, and the others are there. */
TEST_F(device, too_short)
{
	int i;

	/* Four blocks. */
	ASSERT_EQ(0, system("truncate -s 16K /tmp/short && losetup /dev/loop0 /tmp/short"));
	insert(_metadata, self, "/dev/loop0");
	EXPECT_GT(0, prepare(self->fd, self->op));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, raw_ioctl(self->fd, BUFIO_FAULTS_READ, i));
	EXPECT_EQ(-EIO, raw_ioctl(self->fd, BUFIO_FAULTS_READ, i));
}

/* Rule: no space below is an error, and no longer one when there is space. */
TEST_F(device, full_backing_file)
{
	ASSERT_EQ(0, system("mkdir -p /tmp/small"));
	ASSERT_EQ(0, system("mount -t tmpfs -o size=1M none /tmp/small"));
	ASSERT_EQ(0, system("truncate -s 4M /tmp/small/image"));
	/* To the last page: of a write that fits in part the loop device reports success. */
	ASSERT_EQ(0, system("cat /dev/zero >/tmp/small/other 2>/dev/null; true"));
	ASSERT_EQ(0, system("losetup /dev/loop0 /tmp/small/image"));
	insert(_metadata, self, "/dev/loop0");
	EXPECT_GT(0, prepare(self->fd, self->op));
	ASSERT_EQ(0, system("rm /tmp/small/other"));
	EXPECT_EQ(0, prepare(self->fd, self->op));
	EXPECT_EQ(0, act(self->fd, self->op));
	EXPECT_EQ(0, judge(self->fd, self->op));
}

TEST_HARNESS_MAIN
