// SPDX-License-Identifier: GPL-2.0
/*
 * The sanitizer kernel reports each kind of bug that it is there for, so that a
 * clean log of the other tests on it means something.
 *
 * selftest: timeout=120 kernel=sanitize alone=yes log=own
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../files.h"

/* Has the file, from where fd stands on, this text in one of its reads? */
static bool has(int fd, const char *text)
{
	char part[8192];
	bool found = false;
	ssize_t len;

	while ((len = read(fd, part, sizeof(part))) > 0)
		found = found || memmem(part, len, text, strlen(text));
	return found;
}

/* 0 or a negative errno of loading the module with this bug. */
static int commit(const char *bug)
{
	char param[64];

	snprintf(param, sizeof(param), "bug=%s", bug);
	return insert_built("ext/sanitize/canary.ko", param);
}

FIXTURE(bug) {
	int log;
};

FIXTURE_SETUP(bug)
{
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_GE(self->log, 0);
	lseek(self->log, 0, SEEK_END);
}

FIXTURE_TEARDOWN(bug)
{
	close(self->log);
}

FIXTURE_VARIANT(bug) {
	const char *name, *report;
};

/* Lockdep first: it turns itself off at a report of the others. */
FIXTURE_VARIANT_ADD(bug, circular_locking) {
	.name = "circular_locking", .report = "possible circular locking dependency",
};
FIXTURE_VARIANT_ADD(bug, sleep_in_atomic) {
	.name = "sleep_in_atomic", .report = "sleeping function called from invalid context",
};
FIXTURE_VARIANT_ADD(bug, use_after_free) {
	.name = "use_after_free", .report = "KASAN: slab-use-after-free in use_after_free",
};
FIXTURE_VARIANT_ADD(bug, shift_too_far) {
	.name = "shift_too_far", .report = "UBSAN: shift-out-of-bounds",
};
FIXTURE_VARIANT_ADD(bug, index_too_high) {
	.name = "index_too_high", .report = "UBSAN: array-index-out-of-bounds",
};
FIXTURE_VARIANT_ADD(bug, freed_active_timer) {
	.name = "freed_active_timer", .report = "ODEBUG: free active",
};

TEST_F(bug, is_reported)
{
	ASSERT_EQ(-ECANCELED, commit(variant->name));
	EXPECT_TRUE(has(self->log, variant->report));
}

/* Without a bug no report, so that the above do not find what is always there. */
TEST_F(bug, is_not_there_before)
{
	ASSERT_EQ(-EINVAL, commit("none"));
	EXPECT_FALSE(has(self->log, variant->report));
}

FIXTURE(slow) {
	int log;
};

FIXTURE_SETUP(slow)
{
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_GE(self->log, 0);
	lseek(self->log, 0, SEEK_END);
}

FIXTURE_TEARDOWN(slow)
{
	close(self->log);
}

TEST_F(slow, hung_task_is_reported)
{
	ASSERT_EQ(0, write_text("/proc/sys/kernel/hung_task_timeout_secs", "2"));
	ASSERT_EQ(-ECANCELED, commit("hung_task"));
	EXPECT_TRUE(has(self->log, "blocked for more than"));
}

TEST_F(slow, leak_is_reported)
{
	static const char file[] = "/sys/kernel/debug/kmemleak";
	int fd, status;
	pid_t pid;

	/* By a process that ends, and its stack with it. */
	pid = fork();
	ASSERT_GE(pid, 0);
	if (pid == 0)
		_exit(commit("leak") != -ECANCELED);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* What is younger than five seconds is not reported (mm/kmemleak.c). */
	sleep(6);
	ASSERT_EQ(0, write_text(file, "scan"));
	ASSERT_EQ(0, write_text(file, "scan"));
	fd = open(file, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	/* The dump of the leaked object's first bytes. */
	EXPECT_TRUE(has(fd, "memscope canary."));
	close(fd);
}

/*
 * Every allocation of a system call can be made to fail, one after the other:
 * N counts up until the call no longer gets to its Nth one.
 */
TEST(fail_nth_reaches_every_allocation)
{
	char text[16] = "";
	int failed = 0, error, fd, nth, n;
	ssize_t len;

	ASSERT_EQ(0, write_text("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"));
	ASSERT_EQ(0, write_text("/sys/kernel/debug/failslab/verbose", "0"));
	nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_GE(nth, 0);
	for (n = 1; n < 100; n++) {
		snprintf(text, sizeof(text), "%d", n);
		ASSERT_EQ(strlen(text), pwrite(nth, text, strlen(text), 0));
		fd = eventfd(0, EFD_CLOEXEC);
		error = errno;
		memset(text, 0, sizeof(text));
		/* A copy to user space counts as well: this one may be the Nth. */
		len = pread(nth, text, sizeof(text) - 1, 0);
		if (len < 0) {
			ASSERT_EQ(EFAULT, errno);
			break;
		}
		if (atoi(text) != 0)
			break;
		if (fd < 0) {
			EXPECT_EQ(ENOMEM, error);
			failed++;
		} else {
			close(fd);
		}
	}
	/* Nothing more to fail, in the closing below for instance. */
	while (pwrite(nth, "0", 1, 0) != 1)
		;
	TH_LOG("%d failure points, %d of them failed the call", n - 1, failed);
	EXPECT_LT(0, failed);
	EXPECT_LE(0, fd);
	close(nth);
}

/* The module's own Rust code is compiled with KASAN's checks. */
TEST(rust_code_is_checked_by_kasan)
{
	const char *build = getenv("MEMSCOPE_BUILD");
	char path[4096];
	struct stat st;
	void *text;
	int fd;

	ASSERT_NE(NULL, build);
	snprintf(path, sizeof(path), "%s/rust/memscope.o", build);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fstat(fd, &st));
	text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, text);
	EXPECT_NE(NULL, memmem(text, st.st_size, "__asan_report_load", 18));
	EXPECT_NE(NULL, memmem(text, st.st_size, "__asan_report_store", 19));
	close(fd);
}

TEST_HARNESS_MAIN
