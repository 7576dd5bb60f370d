// SPDX-License-Identifier: GPL-2.0
/*
 * What a task without privilege, which somebody has given a descriptor of
 * /dev/memscope, cannot do with it: learn addresses of the kernel, make it use
 * more and more memory, or keep others waiting.
 *
 * selftest: timeout=120
 */
#include "kselftest_harness.h"

#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../flusher/status.h"
#include "../flusher/module.h"

/* --- addresses ---------------------------------------------------------------- */

/* A number in the upper half of the address space, other than small negative ones. */
static bool is_address(unsigned long long n)
{
	return n >= 0xff00000000000000ULL && n < 0xffffffffffff0000ULL;
}

/* Prints and counts the words of a text that are addresses. */
static int addresses_in(const char *what, const char *text)
{
	const char *p = text;
	int found = 0;

	while (*p) {
		size_t len = strspn(p, "0123456789abcdefABCDEF");

		if (len == 16 && is_address(strtoull(p, NULL, 16))) {
			fprintf(stderr, "# %s: %.16s\n", what, p);
			found++;
		}
		p += len ? len : 1;
	}
	return found;
}

static int files, found;

static int search_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static char text[1 << 20];

	/* The kernel's own for every module, for root only. */
	if (type != FTW_F || strstr(path, "/sections/") || strstr(path, "/notes/"))
		return 0;
	if (read_file(path, text, sizeof(text)) < 0)
		return 0;
	files++;
	found += addresses_in(path, text);
	return 0;
}

/* Rule: no address in what the module shows of itself and its files, whoever reads it. */
TEST(no_address_in_files)
{
	char path[64];
	int fd = open_device();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, need_debugfs());
	ASSERT_EQ(0, hold(fd, NOIO));
	/* Control: the search finds what is there. */
	ASSERT_EQ(1, addresses_in("control", "at ffff888004d3c000 or 0000000012345678"));
	nftw("/sys/module/memscope", search_file, 16, FTW_PHYS);
	nftw(DEBUGFS "/memscope", search_file, 16, FTW_PHYS);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	search_file(path, NULL, FTW_F, NULL);
	EXPECT_LT(5, files);
	EXPECT_EQ(0, found);
	close(fd);
}

#define NODE "/tmp/memscope-node"
#define CGROUP "/tmp/memscope-cgroup"
#define GROUP CGROUP "/limits"

/* A descriptor of the node of a block device, whether or not there is one. */
static int open_node(void)
{
	int fd;

	unlink(NODE);
	if (mknod(NODE, S_IFBLK | 0600, makedev(7, 0)))
		return -1;
	fd = open(NODE, O_PATH | O_CLOEXEC);
	unlink(NODE);
	return fd;
}

static long serve(int fd, int node)
{
	struct memscope_register r = { 0, node };

	return raw_ioctl(fd, MEMSCOPE_IOC_REGISTER, (unsigned long)&r);
}

/*
 * Rule: nor in a line of the kernel log that is from memscope, from insmod to rmmod; here what it
 * says of a server without a mark. The runner looks at the lines of all tests.
 */
TEST(no_address_in_log)
{
	int log = kernel_log_open(), fd, i, node = open_node(), lines = 0;
	static char record[8192];
	ssize_t len;

	ASSERT_LE(0, log);
	ASSERT_LE(0, node);
	ASSERT_EQ(0, module_remove_soon());
	ASSERT_EQ(0, module_insert());
	fd = open_device();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, serve(fd, node));
	mkdir(CGROUP, 0700);
	ASSERT_EQ(0, mount("cgroup", CGROUP, "cgroup2", 0, NULL));
	ASSERT_EQ(0, write_text(CGROUP "/cgroup.subtree_control", "+memory"));
	mkdir(GROUP, 0700);
	/* The kernel allows ten such lines in five seconds, and others may have had them. */
	for (i = 0; i < PATIENCE / 10 && !lines; i++) {
		if (i)
			sleep_ms(100);
		/* This thread reclaims. EAGAIN: there is not that much. */
		write_text(GROUP "/memory.reclaim", "1M");
		while ((len = read(log, record, sizeof(record) - 1)) > 0) {
			record[len] = '\0';
			if (!strstr(record, "memscope"))
				continue;
			EXPECT_EQ(0, addresses_in("log", record));
			lines += strstr(record, " serves block device 7:0, ") != NULL;
		}
	}
	EXPECT_LT(0, lines);
	rmdir(GROUP);
	umount2(CGROUP, MNT_DETACH);
	close(node);
	close(fd);
	close(log);
}

/* Rule: an output field is a number of the UAPI: none is left as it was, none is an address. */
TEST(no_address_in_structs)
{
	struct memscope_mark m = { .flags = MEMSCOPE_MARK_HOLD, .scopes = NOIO };
	static struct memscope_entry entries[16];
	struct memscope_status s = {
		.entries = (unsigned long)entries, .entry_size = sizeof(entries[0]),
		.count = ARRAY_LEN(entries),
	};
	int fd = open_device(), i;
	unsigned long long word;
	long n;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mark_ioctl(fd, &m));
	EXPECT_EQ(1, m.done);
	EXPECT_EQ(0, m.remaining | m.stopped | m.blocked);
	memset(entries, 0xa5, sizeof(entries));
	n = raw_ioctl(fd, MEMSCOPE_IOC_STATUS, (unsigned long)&s);
	if (n != -ENOTTY) {
		ASSERT_LE(1, n);
		for (i = 0; i < n; i++)
			EXPECT_EQ(0, entries[i].reserved);
		for (i = 0; i < n * sizeof(entries[0]) / sizeof(word); i++) {
			memcpy(&word, (char *)entries + i * sizeof(word), sizeof(word));
			EXPECT_NE(0xa5a5a5a5a5a5a5a5ULL, word);
			EXPECT_FALSE(is_address(word));
		}
		/* The cursor is opaque, and may not be an address for that. */
		EXPECT_FALSE(is_address(s.cursor));
	}
	close(fd);
}

/* --- memory --------------------------------------------------------------------- */

/* Slab that is in use, of all caches, in bytes. What others do meanwhile is in it. */
static long slab_bytes(void)
{
	unsigned long active, size, sum = 0;
	char line[1024];
	FILE *f;

	f = fopen("/proc/slabinfo", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %lu %*u %lu", &active, &size) == 2)
			sum += active * size;
	fclose(f);
	return sum;
}

#define NESTED 100000
#define THREADS 500
/* Less than eight bytes for each of the former, 200 for each of the latter. */
#define NOISE (512 << 10)

static int nest(int fd)
{
	int i;

	for (i = 0; i < NESTED; i++)
		if (raw_ioctl(fd, MEMSCOPE_IOC_SUSPEND, 0))
			return 1;
	return 0;
}

/* Once it falls no more. */
static long settled_slab(void)
{
	long last, now = slab_bytes();
	int i = 0;

	do {
		last = now;
		usleep(300000);
		now = slab_bytes();
	} while (now < last - NOISE / 8 && ++i < 100);
	return now;
}

/*
 * How much more there is than before, once it is little: what only waits to be freed on
 * a busy machine goes, what is kept stays.
 */
static long grown(long before, long little)
{
	long now = LONG_MAX;
	int i;

	for (i = 0; i < 300 && now - before >= little; i++) {
		usleep(100000);
		now = slab_bytes();
		if (now < 0)
			return LONG_MAX;
	}
	return now - before;
}

static int pipe_wait[2], pipe_done[2];

/*
 * Measured while the child has done it and waits, where it may have so much more, and when it
 * is gone.
 */
static long child_uses(int fd, int (*f)(int), long little, long *after)
{
	long before, during;
	pid_t pid;
	char byte;
	int status;

	if (pipe2(pipe_wait, O_CLOEXEC) || pipe2(pipe_done, O_CLOEXEC))
		return LONG_MAX;
	/* The least of what is there: what is about to be freed would hide what is kept. */
	before = settled_slab();
	pid = fork();
	if (!pid) {
		if (become_nobody() || f(fd) || write(pipe_done[1], "", 1) != 1)
			_exit(1);
		close(pipe_wait[1]);
		/* Until the parent closes it. */
		_exit(read(pipe_wait[0], &byte, 1) != 0);
	}
	close(pipe_done[1]);
	during = read(pipe_done[0], &byte, 1) == 1 ? grown(before, little) : LONG_MAX;
	close(pipe_wait[1]);
	close(pipe_wait[0]);
	close(pipe_done[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		return LONG_MAX;
	*after = grown(before, NOISE);
	return during;
}

/* Rule: SUSPEND, which needs no capability, counts its nesting and keeps nothing for each. */
TEST(suspend_nests_without_memory)
{
	int fd = open(DEVICE, O_RDWR);
	long used, after;

	ASSERT_LE(0, fd);
	/* Once for what is set up at the first time. */
	ASSERT_NE(LONG_MAX, child_uses(fd, nest, NOISE, &after));
	used = child_uses(fd, nest, NOISE, &after);
	TH_LOG("%d times: %ld bytes of slab more, %ld afterwards", NESTED, used, after);
	EXPECT_GT(NOISE, used);
	EXPECT_GT(NOISE, after);
}

static int thread_fd;

static void *suspend_and_end(void *arg)
{
	return raw_ioctl(thread_fd, MEMSCOPE_IOC_SUSPEND, 0) ? arg : NULL;
}

/* One after the other: what they leave behind would add up. */
static int many_threads(int fd)
{
	pthread_t thread;
	void *bad;
	int i;

	thread_fd = fd;
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, suspend_and_end, &thread_fd) ||
		    pthread_join(thread, &bad) || bad)
			return 1;
	return 0;
}

/* Rule: a thread that ends takes along what the kernel kept for it. */
TEST(dead_threads_leave_nothing)
{
	int fd = open(DEVICE, O_RDWR);
	long used, after;

	ASSERT_LE(0, fd);
	ASSERT_NE(LONG_MAX, child_uses(fd, many_threads, THREADS * 200 + NOISE, &after));
	used = child_uses(fd, many_threads, THREADS * 200 + NOISE, &after);
	TH_LOG("%d threads: %ld bytes of slab more, %ld afterwards", THREADS, used, after);
	EXPECT_GT(THREADS * 200 + NOISE, used);
	EXPECT_GT(NOISE, after);
}

/* Rule: the kernel keeps something for MEMSCOPE_MAX_PER_TASK files of a thread, not more. */
TEST(files_per_thread)
{
	int fds[MEMSCOPE_MAX_PER_TASK + 1], i;
	__u64 mask = 0;

	for (i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = open_device();
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_EQ(0, raw_ioctl(fds[0], MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask));
	/* The limit came with the features of its header. */
	if (!(mask & MEMSCOPE_FEATURE_DELEGATE))
		return;
	ASSERT_EQ(0, effective_resource(false));
	for (i = 0; i < MEMSCOPE_MAX_PER_TASK; i++)
		EXPECT_EQ(0, raw_ioctl(fds[i], MEMSCOPE_IOC_SUSPEND, 0));
	EXPECT_EQ(-ENOSPC, raw_ioctl(fds[i], MEMSCOPE_IOC_SUSPEND, 0));
	EXPECT_EQ(0, raw_ioctl(fds[0], MEMSCOPE_IOC_RESUME, 0));
	EXPECT_EQ(0, raw_ioctl(fds[i], MEMSCOPE_IOC_SUSPEND, 0));
}

/* --- others ---------------------------------------------------------------------- */

#define ROUNDS 100

static void *hammer(void *arg)
{
	struct memscope_status s = { .entry_size = sizeof(struct memscope_entry) };

	for (;;) {
		raw_ioctl(thread_fd, MEMSCOPE_IOC_SUSPEND, 0);
		raw_ioctl(thread_fd, MEMSCOPE_IOC_STATUS, (unsigned long)&s);
		raw_ioctl(thread_fd, MEMSCOPE_IOC_RESUME, 0);
	}
	return NULL;
}

/*
 * Rule: a task without privilege that calls all the time keeps nobody waiting for ever: others
 * mark, fork and execute, and each such round ends.
 */
TEST(others_go_on)
{
	int fd = open(DEVICE, O_RDWR), own = open_device(), i, status;
	pthread_t thread[4];
	pid_t pid, child;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, own);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		thread_fd = fd;
		if (become_nobody())
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < ARRAY_LEN(thread); i++)
			if (pthread_create(&thread[i], NULL, hammer, NULL))
				_exit(1);
		for (;;)
			pause();
	}
	ASSERT_LT(0, pid);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, mark(own, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, NOIO));
		child = fork();
		if (!child) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
		ASSERT_EQ(0, mark(own, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, 0));
	}
	/* It was at it all the time. */
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

TEST_HARNESS_MAIN
