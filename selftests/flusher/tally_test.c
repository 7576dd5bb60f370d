// SPDX-License-Identifier: GPL-2.0
/*
 * What marked threads meet in the allocator is counted, for them alone; and an
 * unmarked thread that serves a device and reclaims is told of.
 *
 * selftest: timeout=120 m32=yes memory=512M disk=64M
 */
#include "kselftest_harness.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "status.h"
#include "module.h"

#define DISK "/dev/vda"
#define CGROUP "/tmp/memscope-cgroup"
#define GROUP CGROUP "/tally"
#define MB (1024 * 1024)

/* A child that does something over and over, in a control group of 8 MB. */
struct worker {
	pid_t pid;
	int control[2], answer[2];
};

/* Reads the whole disk through the page cache, which does not fit. */
static int read_disk(void)
{
	static char block[256 * 1024];
	int fd = open(DISK, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while (read(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	return 0;
}

static int write_disk(void)
{
	static char block[MB];
	int fd = open(DISK, O_WRONLY | O_CLOEXEC), i;

	if (fd < 0)
		return -1;
	for (i = 0; i < 32; i++)
		if (write(fd, block, sizeof(block)) != sizeof(block))
			return -1;
	close(fd);
	return 0;
}

static int register_fd(int dev, __u32 flags, int fd)
{
	struct memscope_register r = { flags, fd };

	return raw_ioctl(dev, MEMSCOPE_IOC_REGISTER, (unsigned long)&r);
}

static int register_disk(int dev, __u32 flags)
{
	int fd = open(DISK, O_PATH | O_CLOEXEC), ret;

	ret = register_fd(dev, flags, fd);
	close(fd);
	return ret;
}

static int worker_start(struct worker *w)
{
	if (pipe2(w->control, O_CLOEXEC) || pipe2(w->answer, O_CLOEXEC))
		return -1;
	w->pid = fork();
	if (!w->pid) {
		int dev = open_device();
		char what, answer;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "tally worker");
		close(w->control[1]);
		if (write_text(GROUP "/cgroup.procs", "0"))
			_exit(1);
		while (read(w->control[0], &what, 1) == 1) {
			switch (what) {
			case 'r':
				answer = read_disk();
				break;
			case 'w':
				answer = write_disk();
				break;
			case 'm':
				answer = hold(dev, NOIO);
				break;
			case 'f':
				answer = hold(dev, NOFS);
				break;
			case 'u':
				answer = hold(dev, 0);
				break;
			case 'o':
				answer = raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, MEMSCOPE_FS_FLUSHER);
				break;
			case 'p':
				answer = raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, 0);
				break;
			case 's':
				answer = register_disk(dev, 0);
				break;
			case 'x':
				answer = register_disk(dev, MEMSCOPE_REGISTER_REMOVE);
				break;
			case 'c':
				close(dev);
				dev = open_device();
				answer = 0;
				break;
			default:
				answer = 99;
			}
			if (write(w->answer[1], &answer, 1) != 1)
				break;
		}
		_exit(0);
	}
	return w->pid < 0 ? -1 : 0;
}

static int worker_do(struct worker *w, char what)
{
	char answer = 98;

	if (write(w->control[1], &what, 1) != 1 || read(w->answer[0], &answer, 1) != 1)
		return 97;
	return answer;
}

static void worker_stop(struct worker *w)
{
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	close(w->control[0]);
	close(w->control[1]);
	close(w->answer[0]);
	close(w->answer[1]);
}

static __u64 unmarked(int dev)
{
	struct memscope_status s = { .entry_size = sizeof(struct memscope_entry) };

	return raw_ioctl(dev, MEMSCOPE_IOC_STATUS, (unsigned long)&s) ? ~0ULL : s.unmarked;
}

FIXTURE(tally)
{
	int fd;
	struct worker worker;
};

FIXTURE_SETUP(tally)
{
	__u64 features = 0;

	self->fd = open_device();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&features));
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_ACCOUNTING);
	ASSERT_TRUE(features & MEMSCOPE_FEATURE_REGISTER);
	mkdir(CGROUP, 0700);
	if (access(CGROUP "/cgroup.controllers", F_OK))
		ASSERT_EQ(0, mount("cgroup", CGROUP, "cgroup2", 0, NULL));
	ASSERT_EQ(0, write_text(CGROUP "/cgroup.subtree_control", "+memory"));
	mkdir(GROUP, 0700);
	ASSERT_EQ(0, write_text(GROUP "/memory.max", "8M"));
	ASSERT_EQ(0, need_debugfs());
	ASSERT_EQ(0, worker_start(&self->worker));
}

FIXTURE_TEARDOWN(tally)
{
	worker_stop(&self->worker);
	close(self->fd);
	rmdir(GROUP);
	umount2(CGROUP, MNT_DETACH);
}

/* Rule: entries into reclaim, the time in there and constrained allocations are counted. */
TEST_F(tally, reclaim)
{
	struct memscope_entry first, *e;
	int scope;

	for (scope = 0; scope < 2; scope++) {
		ASSERT_EQ(0, worker_do(&self->worker, scope ? 'f' : 'm'));
		e = status_of(self->fd, self->worker.pid, 0);
		ASSERT_NE(NULL, e);
		EXPECT_TRUE(e->flags & MEMSCOPE_ENTRY_COUNTED);
		first = *e;
		EXPECT_EQ(0, first.pauses | first.pause_ns);
		ASSERT_EQ(0, worker_do(&self->worker, 'r'));
		e = status_of(self->fd, self->worker.pid, 0);
		ASSERT_NE(NULL, e);
		TH_LOG("%llu reclaims, %llu ns, %llu constrained", e->reclaims - first.reclaims,
		       e->reclaim_ns - first.reclaim_ns, e->constrained - first.constrained);
		EXPECT_LT(first.reclaims, e->reclaims);
		EXPECT_LT(first.reclaim_ns, e->reclaim_ns);
		EXPECT_LT(first.constrained, e->constrained);
		/* In the order of its page cache, page by page; that is read again where reclaim took it. */
		EXPECT_GE(64 * MB / 4096 * 16, e->constrained - first.constrained);
		ASSERT_EQ(0, worker_do(&self->worker, 'u'));
		EXPECT_EQ(NULL, status_of(self->fd, self->worker.pid, 0));
	}
}

/* Rule: of each thread its own: another marked one that does nothing has nothing. */
TEST_F(tally, of_each_thread)
{
	struct worker other;
	struct memscope_entry *e;

	ASSERT_EQ(0, worker_start(&other));
	ASSERT_EQ(0, worker_do(&other, 'm'));
	ASSERT_TRUE(wait_in_syscall(other.pid, other.pid, SYS_read));
	ASSERT_EQ(0, worker_do(&self->worker, 'm'));
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	e = status_of(self->fd, other.pid, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(0, e->reclaims | e->reclaim_ns);
	e = status_of(self->fd, self->worker.pid, 0);
	ASSERT_NE(NULL, e);
	EXPECT_LT(0, e->reclaims);
	worker_stop(&other);
}

/* Rule: pauses of a thread that dirties pages too fast are counted. */
TEST_F(tally, pauses)
{
	struct memscope_entry *e = NULL;
	char old[32], old_background[32];
	int i;

	ASSERT_LT(0, read_file("/proc/sys/vm/dirty_ratio", old, sizeof(old)));
	ASSERT_LT(0, read_file("/proc/sys/vm/dirty_background_ratio", old_background,
			       sizeof(old_background)));
	ASSERT_EQ(0, write_text("/proc/sys/vm/dirty_bytes", "1048576"));
	ASSERT_EQ(0, write_text("/proc/sys/vm/dirty_background_bytes", "524288"));
	ASSERT_EQ(0, worker_do(&self->worker, 'f'));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, worker_do(&self->worker, 'w'));
		e = status_of(self->fd, self->worker.pid, 0);
		ASSERT_NE(NULL, e);
		if (e->pauses)
			break;
	}
	TH_LOG("%llu pauses, %llu ns", e->pauses, e->pause_ns);
	EXPECT_LT(0, e->pauses);
	EXPECT_LT(0, e->pause_ns);
	/* A pause is at least a tick, and at most 200 ms (MAX_PAUSE). */
	EXPECT_LE(e->pauses * 1000000ULL, e->pause_ns);
	EXPECT_GE(e->pauses * 200000000ULL, e->pause_ns);
	write_text("/proc/sys/vm/dirty_ratio", old);
	write_text("/proc/sys/vm/dirty_background_ratio", old_background);
}

/* The lines about unmarked threads since log was opened; the last of them is left in line. */
static char line[8192];

static int told(int log)
{
	static char record[8192];
	ssize_t len;
	int lines = 0;

	while ((len = read(log, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		if (strstr(record, "memscope: ") && strstr(record, " serves block device ")) {
			strcpy(line, record);
			lines++;
		}
	}
	return lines;
}

/* The kernel allows so many lines in so many seconds. */
#define LINES 10
#define INTERVAL 5

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Rule: an unmarked thread of a process that serves a device is told of; a marked one is not. */
TEST_F(tally, unmarked_server)
{
	int log = kernel_log_open(), lines, i;
	char want[100];
	time_t start;
	__u64 before;
	struct stat st;

	ASSERT_LE(0, log);
	ASSERT_EQ(0, stat(DISK, &st));
	/* It serves nothing. */
	before = unmarked(self->fd);
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	EXPECT_EQ(before, unmarked(self->fd));
	EXPECT_EQ(0, told(log));
	/* It serves, unmarked. */
	ASSERT_EQ(0, worker_do(&self->worker, 's'));
	ASSERT_EQ(0, worker_do(&self->worker, 's'));
	start = seconds();
	/* Others may have had the lines of an interval; and more times than there may be lines. */
	for (i = 0, lines = 0; i < 100 && (!lines || unmarked(self->fd) - before <= LINES); i++) {
		if (i)
			sleep_ms(INTERVAL * 1000 / 10);
		ASSERT_EQ(0, worker_do(&self->worker, 'r'));
		lines += told(log);
	}
	EXPECT_LT(before + LINES, unmarked(self->fd));
	/* However often, it is not said as often. */
	EXPECT_LE(1, lines);
	EXPECT_GE(LINES * ((seconds() - start) / INTERVAL + 2), lines);
	TH_LOG("%llu times, %d lines", unmarked(self->fd) - before, lines);
	snprintf(want, sizeof(want), "memscope: tally worker[%d] serves block device %u:%u, ",
		 self->worker.pid, major(st.st_rdev), minor(st.st_rdev));
	EXPECT_NE(NULL, strstr(line, want)) {
		TH_LOG("%s", line);
	}
	/* Readahead is without filesystems by itself. */
	EXPECT_NE(NULL, strstr(line, "reclaims memory with I/O"));
	/* From here on every line is allowed. */
	sleep_ms(INTERVAL * 1000 + 500);
	/* Marked, with either. */
	before = unmarked(self->fd);
	ASSERT_EQ(0, worker_do(&self->worker, 'm'));
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	ASSERT_EQ(0, worker_do(&self->worker, 'f'));
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	EXPECT_EQ(before, unmarked(self->fd));
	/* A flusher by its own doing, of which there is no record. */
	ASSERT_EQ(0, worker_do(&self->worker, 'u'));
	ASSERT_EQ(0, worker_do(&self->worker, 'c'));
	ASSERT_EQ(0, worker_do(&self->worker, 's'));
	ASSERT_EQ(0, worker_do(&self->worker, 'o'));
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	EXPECT_EQ(before, unmarked(self->fd));
	ASSERT_EQ(0, worker_do(&self->worker, 'p'));
	/* Serves no longer. */
	ASSERT_EQ(0, worker_do(&self->worker, 'x'));
	ASSERT_EQ(-ENOENT, worker_do(&self->worker, 'x'));
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	EXPECT_EQ(before, unmarked(self->fd));
	/* Nor when the file is closed. */
	ASSERT_EQ(0, worker_do(&self->worker, 's'));
	ASSERT_EQ(0, worker_do(&self->worker, 'c'));
	ASSERT_EQ(0, worker_do(&self->worker, 'r'));
	EXPECT_EQ(before, unmarked(self->fd));
	EXPECT_EQ(0, told(log));
	close(log);
}

/* Rule: it is of the process, seen in fdinfo and debugfs, and not of its children. */
TEST_F(tally, registered_is_seen)
{
	static char text[65536];
	char path[64], want[100];
	struct stat st;
	pid_t pid;
	int i;

	ASSERT_EQ(0, stat(DISK, &st));
	ASSERT_EQ(0, register_disk(self->fd, 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	snprintf(want, sizeof(want), "memscope-serves:\t%u:%u process %d\n", major(st.st_rdev),
		 minor(st.st_rdev), getpid());
	EXPECT_NE(NULL, strstr(text, want));
	ASSERT_LT(0, read_file(FLUSHERS, text, sizeof(text)));
	snprintf(want, sizeof(want), "# serves %u:%u process %d\n", major(st.st_rdev),
		 minor(st.st_rdev), getpid());
	EXPECT_NE(NULL, strstr(text, want));
	EXPECT_EQ(0, IN_CHILD(register_disk(self->fd, MEMSCOPE_REGISTER_REMOVE) != -ENOENT));
	/* Nor is it of a program that the process has become. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int dev = open_device();

		if (!register_disk(dev, 0))
			execl("/bin/sleep", "sleep", "600", NULL);
		_exit(1);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	for (i = 0; i < PATIENCE && (read_file(path, text, sizeof(text)) <= 0 ||
				     strcmp(text, "sleep\n")); i++)
		sleep_ms(10);
	ASSERT_LT(0, read_file(FLUSHERS, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, want));
	snprintf(want, sizeof(want), " process %d\n", pid);
	EXPECT_EQ(NULL, strstr(text, want));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &i, 0));
	EXPECT_TRUE(WIFSIGNALED(i));
	/* A child that closes its descriptor ends nothing. */
	EXPECT_EQ(0, IN_CHILD(close(self->fd)));
	EXPECT_EQ(0, register_disk(self->fd, MEMSCOPE_REGISTER_REMOVE));
}

/* Registers and removes, and removes what is not there; 1 at the first wrong answer. */
static int come_and_go(void)
{
	int dev = open_device(), disk = open(DISK, O_PATH | O_CLOEXEC), i;

	for (i = 0; i < 20000; i++) {
		if (register_fd(dev, 0, disk) ||
		    register_fd(dev, MEMSCOPE_REGISTER_REMOVE, disk) ||
		    register_fd(dev, MEMSCOPE_REGISTER_REMOVE, disk) != -ENOENT)
			return 1;
	}
	return 0;
}

/* Rule: what a process removes, or finds it has not, does not depend on what others do meanwhile. */
TEST_F(tally, others_at_the_same_time)
{
	pid_t pids[2];
	int i, status;

	for (i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			_exit(come_and_go());
	}
	for (i = 0; i < ARRAY_LEN(pids); i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* Rule: arguments, the order of errors, and the limit. */
TEST_F(tally, arguments)
{
	struct {
		struct memscope_register r;
		char beyond[16];
	} large = { };
	int disk = open(DISK, O_PATH | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int bit, size, i, fds[MEMSCOPE_MAX_PER_TASK + 1];

	for (bit = 1; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, register_fd(self->fd, 1U << bit, disk));
	EXPECT_EQ(-EBADF, register_fd(self->fd, 0, -1));
	EXPECT_EQ(-EBADF, register_fd(self->fd, 0, 12345));
	EXPECT_EQ(-ENOTBLK, register_fd(self->fd, 0, null));
	EXPECT_EQ(-ENOTBLK, register_fd(self->fd, 0, self->fd));
	EXPECT_EQ(-ENOENT, register_fd(self->fd, MEMSCOPE_REGISTER_REMOVE, disk));
	EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_REGISTER, 8));
	for (size = 0; size <= sizeof(large); size++) {
		unsigned int cmd = _IOC(_IOC_WRITE, MEMSCOPE_IOC_MAGIC,
					_IOC_NR(MEMSCOPE_IOC_REGISTER), size);

		large.r.fd = null;
		EXPECT_EQ(size < sizeof(large.r) ? -EINVAL : -ENOTBLK,
			  raw_ioctl(self->fd, cmd, (unsigned long)&large));
		for (i = sizeof(large.r); i < size; i++) {
			((char *)&large)[i] = 1;
			EXPECT_EQ(-E2BIG, raw_ioctl(self->fd, cmd, (unsigned long)&large));
			((char *)&large)[i] = 0;
		}
	}
	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(-EPERM, register_fd(self->fd, ~0U, -1));
	/* Nothing is said of the machine to who may not know. */
	EXPECT_EQ(0, unmarked(self->fd));
	ASSERT_EQ(0, effective_resource(true));
	for (i = 0; i <= MEMSCOPE_MAX_PER_TASK; i++) {
		fds[i] = open_device();
		EXPECT_EQ(i < MEMSCOPE_MAX_PER_TASK ? 0 : -ENOSPC, register_disk(fds[i], 0));
		if (i < MEMSCOPE_MAX_PER_TASK)
			EXPECT_EQ(0, register_disk(fds[i], 0));
	}
	for (i = 0; i <= MEMSCOPE_MAX_PER_TASK; i++)
		close(fds[i]);
	close(disk);
	close(null);
}

/* Rule: delegated, it can be registered without the capability, until revoked. */
TEST_F(tally, delegated)
{
	struct memscope_delegate d = { .scopes = NOIO };

	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d));
	EXPECT_EQ(0, IN_CHILD(setresuid(NOBODY, NOBODY, NOBODY) || register_disk(self->fd, 0)));
	ASSERT_EQ(0, register_disk(self->fd, 0));
	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_REVOKE, 0));
	EXPECT_EQ(-EKEYREVOKED, register_disk(self->fd, 0));
	EXPECT_EQ(-EKEYREVOKED, register_disk(self->fd, MEMSCOPE_REGISTER_REMOVE));
}

TEST_HARNESS_MAIN
