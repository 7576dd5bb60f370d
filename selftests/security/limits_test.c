// SPDX-License-Identifier: GPL-2.0
/*
 * What a task without privilege, which somebody has given a descriptor of
 * /dev/memscope, cannot do with it: learn addresses of the kernel, make it use
 * more and more memory, or keep others waiting.
 *
 * selftest: timeout=180
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

/* What is in use, without what the caches keep for the next time, or KASAN from it. */
static long exact_slab(void)
{
	glob_t caches;
	size_t i;

	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches))
		return -1;
	for (i = 0; i < caches.gl_pathc; i++)
		write_text(caches.gl_pathv[i], "1");
	globfree(&caches);
	return slab_bytes();
}

/* Once it falls no more: what is freed may wait for a grace period. */
static long settled_exactly(void)
{
	long last, now = exact_slab();
	int i = 0;

	do {
		last = now;
		usleep(300000);
		now = exact_slab();
	} while (now < last - NOISE / 8 && ++i < 100);
	return now;
}

static int pipe_wait[2], pipe_done[2];

/* Measured while the child has done it and waits, and when it is gone. */
static long child_uses(int fd, int (*f)(int), long *after)
{
	long before, during;
	pid_t pid;
	char byte;
	int status;

	if (pipe2(pipe_wait, O_CLOEXEC) || pipe2(pipe_done, O_CLOEXEC))
		return LONG_MAX;
	before = settled_exactly();
	/* The kernel says it, and root may read it. */
	if (before <= 0)
		return LONG_MAX;
	pid = fork();
	if (!pid) {
		if (become_nobody() || f(fd) || write(pipe_done[1], "", 1) != 1)
			_exit(1);
		close(pipe_wait[1]);
		/* Until the parent closes it. */
		_exit(read(pipe_wait[0], &byte, 1) != 0);
	}
	close(pipe_done[1]);
	during = read(pipe_done[0], &byte, 1) == 1 ? settled_exactly() - before : LONG_MAX;
	close(pipe_wait[1]);
	close(pipe_wait[0]);
	close(pipe_done[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		return LONG_MAX;
	*after = settled_exactly() - before;
	return during;
}

/* Rule: SUSPEND, which needs no capability, counts its nesting and keeps nothing for each. */
TEST(suspend_nests_without_memory)
{
	int fd = open(DEVICE, O_RDWR);
	long used, after;

	ASSERT_LE(0, fd);
	used = child_uses(fd, nest, &after);
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
	used = child_uses(fd, many_threads, &after);
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

/* --- one user -------------------------------------------------------------------- */

#define USER_THREADS 48
#define USER_FILES MEMSCOPE_MAX_PER_TASK
#define AGAIN 6
/* What a thread may pin by each file that it has, and beside that. */
#define PER_FILE 256
#define PER_THREAD 1024

/* The most that threads may pin; where the kernel's checks add to each object, as much more. */
static long most_of(int threads)
{
	unsigned long size = 64;
	char line[1024];
	FILE *f;

	f = fopen("/proc/slabinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "kmalloc-64 %*u %*u %lu", &size) == 1)
			break;
	if (f)
		fclose(f);
	return threads * (PER_THREAD + USER_FILES * PER_FILE) * size / 64 + NOISE;
}

static int user_files[USER_FILES];
static int user_go[2], user_done[2], user_begin[2];

/* All that one thread may do with its files, over and over. */
static int do_the_worst(void)
{
	int i, j;

	for (i = 0; i < USER_FILES; i++) {
		for (j = 0; j < AGAIN; j++) {
			if (hold(user_files[i], j & 1 ? NOIO : NOFS) ||
			    raw_ioctl(user_files[i], MEMSCOPE_IOC_SUSPEND, 0))
				return 1;
		}
	}
	return 0;
}

#define CHAINS 4

/* A thread that holds itself by one file more than who made it, and is followed by another. */
static void *link_of_chain(void *number)
{
	long i = (long)number;
	pthread_t next;

	pthread_detach(pthread_self());
	if (hold(user_files[i], NOIO))
		_exit(1);
	if (i + 1 < USER_FILES) {
		if (pthread_create(&next, NULL, link_of_chain, (void *)(i + 1)))
			_exit(1);
		return NULL;
	}
	if (write(user_done[1], "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* Some threads, each of which has a hold by every thread that was there before it. */
static void chains_process(void)
{
	pthread_t thread;
	char byte;
	int i;

	close(user_go[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (become_nobody() || write(user_done[1], "\4", 1) != 1 || read(user_go[0], &byte, 1) != 0)
		_exit(1);
	for (i = 0; i < CHAINS; i++)
		if (pthread_create(&thread, NULL, link_of_chain, NULL))
			_exit(1);
	for (;;)
		pause();
}

static void *user_thread(void *arg)
{
	char byte;

	/* Until the first thread closes it: what that does would replace what they have. */
	if (read(user_begin[0], &byte, 1) != 0 || do_the_worst() ||
	    write(user_done[1], "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return arg;
}

/* Threads up to the limit, all of which do the worst when they are told to. */
static void user_process(int node)
{
	const struct rlimit processes = { USER_THREADS, USER_THREADS };
	const struct rlimit nofile = { USER_FILES + 16, USER_FILES + 16 };
	unsigned char threads = 1;
	pthread_t thread;
	char byte;
	int i;

	close(user_go[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setrlimit(RLIMIT_NPROC, &processes) || setrlimit(RLIMIT_NOFILE, &nofile) ||
	    become_nobody() || pipe(user_begin))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (threads <= USER_THREADS && !pthread_create(&thread, NULL, user_thread, NULL))
		threads++;
	if (write(user_done[1], &threads, 1) != 1 || read(user_go[0], &byte, 1) != 0)
		_exit(1);
	/* That of the process as a whole, and the devices. */
	for (i = 0; i < USER_FILES; i++)
		if (mark(user_files[i], MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, NOIO) ||
		    serve(user_files[i], node))
			_exit(1);
	close(user_begin[1]);
	user_thread(NULL);
}

/* Starts the user, and returns how much more there is when all is done; kills him. */
static long user_uses(bool chains, int node, long *after)
{
	long before, during = 0, idle;
	unsigned char threads = 0;
	pid_t pid;
	char byte;
	int i;

	if (pipe2(user_go, O_CLOEXEC) || pipe2(user_done, O_CLOEXEC))
		return LONG_MAX;
	before = settled_exactly();
	/* The kernel says it, and root may read it. */
	if (before <= 0)
		return LONG_MAX;
	pid = fork();
	if (!pid && chains)
		chains_process();
	if (!pid)
		user_process(node);
	close(user_done[1]);
	if (read(user_done[0], &threads, 1) != 1 || threads != (chains ? CHAINS : USER_THREADS))
		during = LONG_MAX;
	/* With its threads, but for what they do. */
	idle = settled_exactly();
	close(user_go[1]);
	for (i = 0; i < threads && during != LONG_MAX; i++)
		if (read(user_done[0], &byte, 1) != 1)
			during = LONG_MAX;
	if (during != LONG_MAX)
		during = settled_exactly() - idle;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(user_go[0]);
	close(user_done[0]);
	*after = settled_exactly() - before;
	return during;
}

static void delegate_user_files(struct __test_metadata *_metadata)
{
	struct memscope_delegate d = { .scopes = ALL_SCOPES };
	int i;

	for (i = 0; i < USER_FILES; i++) {
		user_files[i] = open(DEVICE, O_RDWR);
		ASSERT_LE(0, user_files[i]);
		ASSERT_EQ(0, raw_ioctl(user_files[i], MEMSCOPE_IOC_DELEGATE, (unsigned long)&d));
	}
}

/*
 * Rule: one user, with as many threads as RLIMIT_NPROC gives him, each of which does all that it
 * may with every file, pins so much for each thread and file, and nothing when they have ended.
 */
TEST(one_user_is_bounded)
{
	const long most = most_of(USER_THREADS);
	int node = open_node();
	long used, after;

	ASSERT_LE(0, node);
	delegate_user_files(_metadata);
	used = user_uses(false, node, &after);
	TH_LOG("%d threads, %d files: %ld bytes of slab more, of %ld; %ld afterwards",
	       USER_THREADS, USER_FILES, used, most, after);
	EXPECT_GT(most, used);
	/* It is measured at all: a hold and its origin have this. */
	EXPECT_LT(USER_THREADS * USER_FILES * 64, used);
	EXPECT_GT(NOISE, after);
	close(node);
}

/* Rule: nor does a hold keep the thread that set it, which counts no more once it has ended. */
TEST(dead_setters_are_let_go)
{
	const long most = most_of(CHAINS);
	long used, after;

	delegate_user_files(_metadata);
	used = user_uses(true, -1, &after);
	TH_LOG("%d threads, %d holds of dead ones each: %ld bytes of slab more, of %ld; %ld afterwards",
	       CHAINS, USER_FILES - 1, used, most, after);
	EXPECT_GT(most, used);
	EXPECT_GT(NOISE, after);
}

/* --- processes that share a table of descriptors ----------------------------------- */

#define GENERATIONS 20

/* How many devices are said to be served. */
static int served(void)
{
	static char text[1 << 20];
	const char *p = text;
	int n = 0;

	if (read_file(FLUSHERS, text, sizeof(text)) <= 0)
		return -1;
	while ((p = strstr(p, "\n# serves "))) {
		p++;
		n++;
	}
	return n;
}

/*
 * Rule: a process that dies while another one has its table of descriptors serves nothing any more:
 * one after the other they have no more than one of them may, and soon nothing.
 */
TEST(dead_servers_are_let_go)
{
	int fd = open(DEVICE, O_RDWR), nodes[MEMSCOPE_MAX_PER_TASK], i, n, most = 0, status;
	struct memscope_delegate d = { .scopes = NOIO };
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, need_debugfs());
	ASSERT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d));
	for (i = 0; i < MEMSCOPE_MAX_PER_TASK; i++) {
		unlink(NODE);
		ASSERT_EQ(0, mknod(NODE, S_IFBLK | 0600, makedev(7, i)));
		nodes[i] = open(NODE, O_PATH | O_CLOEXEC);
		ASSERT_LE(0, nodes[i]);
	}
	unlink(NODE);
	for (n = 0; n < GENERATIONS; n++) {
		pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
		ASSERT_LE(0, pid);
		if (!pid) {
			int bad = become_nobody();

			for (i = 0; i < MEMSCOPE_MAX_PER_TASK && !bad; i++)
				bad = serve(fd, nodes[i]);
			_exit(bad);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
		i = served();
		most = i > most ? i : most;
	}
	TH_LOG("at most %d devices of %d dead processes", most, GENERATIONS);
	EXPECT_EQ(MEMSCOPE_MAX_PER_TASK, most);
	for (i = 0; i < PATIENCE / 10 && served(); i++)
		sleep_ms(100);
	EXPECT_EQ(0, served());
	for (i = 0; i < MEMSCOPE_MAX_PER_TASK; i++)
		close(nodes[i]);
	close(fd);
}

/* --- others ---------------------------------------------------------------------- */

#define ROUNDS 50
#define CROWD 100
#define ATTACKERS 4

static void *hammer(void *device)
{
	struct memscope_status s = { .entry_size = sizeof(struct memscope_entry) };
	struct memscope_entry room[16];
	char path[64], text[65536];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", thread_fd);
	for (;;) {
		if (!device) {
			getppid();
			continue;
		}
		if (raw_ioctl(thread_fd, MEMSCOPE_IOC_SUSPEND, 0))
			_exit(1);
		/* Every thread of the machine is looked at. */
		s.entries = (unsigned long)room;
		s.count = ARRAY_LEN(room);
		s.cursor = s.missed = s.unmarked = 0;
		if (raw_ioctl(thread_fd, MEMSCOPE_IOC_STATUS, (unsigned long)&s) < 0 ||
		    read_file(path, text, sizeof(text)) <= 0 || !strstr(text, "memscope-suspended:"))
			_exit(2);
		if (raw_ioctl(thread_fd, MEMSCOPE_IOC_RESUME, 0))
			_exit(3);
	}
	return NULL;
}

static void *suspended(void *arg)
{
	if (raw_ioctl(thread_fd, MEMSCOPE_IOC_SUSPEND, 0))
		_exit(4);
	for (;;)
		pause();
	return arg;
}

static int by_size(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* How long rounds take, in ascending order, while another user does system calls all the time. */
static int time_rounds(int fd, int own, bool device, __u64 ns[ROUNDS])
{
	pthread_t thread;
	pid_t pid, child;
	int i, status, bad = 0;
	__u64 start;

	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		thread_fd = fd;
		if (become_nobody() || prctl(PR_SET_DUMPABLE, 1))
			_exit(5);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < CROWD; i++)
			if (pthread_create(&thread, NULL, suspended, NULL))
				_exit(6);
		for (i = 0; i < ATTACKERS; i++)
			if (pthread_create(&thread, NULL, hammer, device ? &thread_fd : NULL))
				_exit(7);
		for (;;)
			pause();
	}
	if (pid < 0)
		return -1;
	for (i = 0; i < ROUNDS && !bad; i++) {
		start = boottime_ns();
		bad |= mark(own, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, NOIO) != 0;
		child = fork();
		if (!child) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		bad |= waitpid(child, &status, 0) != child || status;
		bad |= mark(own, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, 0) != 0;
		ns[i] = boottime_ns() - start;
	}
	/* It was at it all the time. */
	bad |= waitpid(pid, &status, WNOHANG) != 0;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	qsort(ns, ROUNDS, sizeof(ns[0]), by_size);
	return bad;
}

#define MS 1000000ULL

/*
 * Rule: a task without privilege that calls all the time keeps others, who mark, fork and execute,
 * waiting hardly longer than one that is as busy without the device: in the middle ten times, and
 * never ten times and two seconds.
 */
TEST(others_go_on)
{
	int fd = open(DEVICE, O_RDWR), own = open_device();
	static __u64 busy[ROUNDS], attacked[ROUNDS];

	ASSERT_LE(0, fd);
	ASSERT_LE(0, own);
	ASSERT_EQ(0, time_rounds(fd, own, false, busy));
	ASSERT_EQ(0, time_rounds(fd, own, true, attacked));
	TH_LOG("a round takes %llu ms, at most %llu; under attack %llu, at most %llu",
	       busy[ROUNDS / 2] / MS, busy[ROUNDS - 1] / MS,
	       attacked[ROUNDS / 2] / MS, attacked[ROUNDS - 1] / MS);
	EXPECT_GT(10 * busy[ROUNDS / 2], attacked[ROUNDS / 2]);
	EXPECT_GT(10 * busy[ROUNDS - 1] + 2000 * MS, attacked[ROUNDS - 1]);
}

TEST_HARNESS_MAIN
