// SPDX-License-Identifier: GPL-2.0
/*
 * The machine is suspended in mid-I/O. Rule: after the resume all goes on, what
 * is read is what was written, and the hold is what it was. Who waits for a mark
 * of a stopped process holds nothing up.
 *
 * To memory, from which the clock wakes it; and by the kernel's own test mode
 * (/sys/power/pm_test), which stops at each stage before.
 *
 * Not on the sanitizer kernel: the driver of the ports through which scripts/vm gets
 * the results (virtio_console of 7.3) takes the host for gone after a suspend.
 *
 * selftest: timeout=240 memory=1G disk=64M kernel=stock
 */
#include "kselftest_harness.h"

#include <stdatomic.h>
#include <sys/prctl.h>

#include "../flusher/mark.h"

#define BYTES 65536
#define STRESS "stress dev=/dev/ram0 dev=/dev/ram1 clients=3 threads=2 ops=10000 timeout=200"
#define ALARM "/sys/class/rtc/rtc0/wakealarm"
#define CONTROL "/sys/kernel/debug/bufio_test_memscope/"

static struct shared {
	atomic_ulong done;
	atomic_bool stop;
} *shared;

/* In a hold, writes to the disk and reads again until it is told to stop. */
static int daemon_body(void)
{
	int dev = open_device(), disk = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	unsigned char *out, *in;
	unsigned int i;

	if (dev < 0 || disk < 0 || hold(dev, MEMSCOPE_IO_FLUSHER) ||
	    posix_memalign((void **)&out, BYTES, BYTES) || posix_memalign((void **)&in, BYTES, BYTES))
		return 1;
	for (i = 0; !atomic_load(&shared->stop); i++) {
		memset(out, i % 251, BYTES);
		if (pwrite(disk, out, BYTES, i % 512 * BYTES) != BYTES ||
		    pread(disk, in, BYTES, i % 512 * BYTES) != BYTES || memcmp(in, out, BYTES))
			return 2;
		atomic_fetch_add(&shared->done, 1);
	}
	return task_scopes() == MEMSCOPE_IO_FLUSHER && prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1 ?
		0 : 3;
}

/* Until the daemon has done more than it had. */
static bool goes_on(void)
{
	unsigned long before = atomic_load(&shared->done);
	int i;

	for (i = 0; i < 6000 && atomic_load(&shared->done) < before + 3; i++)
		sleep_ms(10);
	return atomic_load(&shared->done) >= before + 3;
}

/* A case of the bufio tests: contents against a shadow copy. */
static int stress_once(void)
{
	static char result[1 << 16];
	ssize_t len;
	int fd;

	if (write_text(CONTROL "run", STRESS))
		return 1;
	fd = open(CONTROL "result", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 2;
	len = read(fd, result, sizeof(result) - 1);
	close(fd);
	if (len <= 0)
		return 2;
	result[len] = '\0';
	if (!strstr(result, "end stress") || strstr(result, "\nerr "))
		return 3;
	/* Every row: name, got, wanted, verdict. */
	for (char *row = strstr(result, "row "); row; row = strstr(row + 1, "\nrow ")) {
		char verdict[16] = "";

		if (sscanf(row + (*row == '\n'), "row %*s %*s %*s %15s", verdict) != 1 ||
		    strcmp(verdict, "ok"))
			return 4;
	}
	return 0;
}

/* Once more until it is told to stop. */
static int stress(void)
{
	int ret;

	do {
		ret = stress_once();
	} while (!ret && !atomic_load(&shared->stop));
	return ret;
}

/* A process that is stopped. */
static pid_t stopped_process(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		raise(SIGSTOP);
		for (;;)
			pause();
	}
	return pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) ? pid : -1;
}

/* Marks a process, and waits as long as it takes. */
static int marker(pid_t pid)
{
	struct memscope_mark m = {
		.flags = MEMSCOPE_MARK_PROCESS | MEMSCOPE_MARK_PIDFD,
		.scopes = MEMSCOPE_IO_FLUSHER,
		.pidfd = pidfd_of(pid, 0),
		.timeout_ms = 600000,
	};

	return mark_ioctl(open_device(), &m) || m.done != 1 || m.remaining;
}

/* How long the machine was off, since its boot. */
static long slept_ms(void)
{
	struct timespec on, all;

	clock_gettime(CLOCK_MONOTONIC, &on);
	clock_gettime(CLOCK_BOOTTIME, &all);
	return (all.tv_sec - on.tv_sec) * 1000 + (all.tv_nsec - on.tv_nsec) / 1000000;
}

FIXTURE(suspend) {
	int unused;
};

FIXTURE_SETUP(suspend)
{
	ASSERT_EQ(0, system("modprobe -a dm-mod dm-bufio && modprobe brd rd_nr=2 rd_size=98304"));
	ASSERT_EQ(0, insert_built("ext/bufio/memscope_bufio_test.ko", ""));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_EQ(0, write_text("/sys/module/suspend/parameters/pm_test_delay", "1"));
}

FIXTURE_TEARDOWN(suspend)
{
	write_text("/sys/power/pm_test", "none");
	EXPECT_EQ(0, system("rmmod memscope_bufio_test brd"));
}

/* How far: tasks frozen; devices too; CPUs offline and the core suspended as well; off. */
FIXTURE_VARIANT(suspend) {
	const char *level;
	bool off;
};

FIXTURE_VARIANT_ADD(suspend, freezer) { "freezer" };
FIXTURE_VARIANT_ADD(suspend, devices) { "devices" };
FIXTURE_VARIANT_ADD(suspend, core) { "core" };
FIXTURE_VARIANT_ADD(suspend, memory) { "none", .off = true };

TEST_F(suspend, in_mid_io)
{
	long slept = slept_ms();
	pid_t daemon, stresser, stopped, waiter;
	int i, status;

	daemon = fork();
	if (!daemon) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(daemon_body());
	}
	stresser = fork();
	if (!stresser) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(stress());
	}
	stopped = stopped_process();
	ASSERT_LT(0, stopped);
	waiter = fork();
	if (!waiter) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(marker(stopped));
	}
	ASSERT_TRUE(wait_in_syscall(waiter, waiter, SYS_ioctl));
	ASSERT_TRUE(goes_on());
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, write_text("/sys/power/pm_test", variant->level));
		if (variant->off) {
			ASSERT_EQ(0, write_text("/sys/power/mem_sleep", "deep"));
			ASSERT_EQ(0, write_text(ALARM, "+3"));
		}
		ASSERT_EQ(0, write_text("/sys/power/state", "mem"));
		ASSERT_TRUE(goes_on());
	}
	if (variant->off)
		EXPECT_LE(slept + 1000, slept_ms());
	/* It still waits. */
	EXPECT_EQ(0, waitpid(waiter, &status, WNOHANG));
	EXPECT_EQ(0, kill(stopped, SIGCONT));
	EXPECT_EQ(waiter, waitpid(waiter, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(MEMSCOPE_IO_FLUSHER, wait_scopes_of(stopped, stopped, MEMSCOPE_IO_FLUSHER));
	kill(stopped, SIGKILL);
	EXPECT_EQ(stopped, waitpid(stopped, &status, 0));
	atomic_store(&shared->stop, true);
	ASSERT_EQ(daemon, waitpid(daemon, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(stresser, waitpid(stresser, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
