// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every copy from and to user memory, that a command of
 * /dev/memscope, a function of bufio, its work in the background, or loading either
 * module makes fails once, one after the other, until the call gets through
 * without meeting the Nth. Rule: the error is one that the documentation names,
 * nothing is half-done, nothing is leaked (the runner looks for that at the end).
 *
 * selftest: timeout=600 kernel=sanitize memory=1G faults=yes
 */
#include "kselftest_harness.h"

#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "../flusher/mark.h"
#include "../flusher/module.h"
#include "bufio_faults.h"

/* More points than this in one call: it does not end. */
#define MOST 100000
/*
 * So many times in a row the Nth was not met: there is none. Not once: what the call before has
 * left to other threads may be what this one was spared.
 */
#define MISSES 3

#define CONSOLE "/proc/sys/kernel/printk"

/* Everything that sleeps may fail, and single pages; without a line each. */
static int set_up_faults(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" }, { "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" }, { "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" }, { "fail_make_request/verbose", "0" },
	};
	char path[128];
	int i, ret;

	for (i = 0; i < ARRAY_LEN(settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		ret = write_text(path, settings[i][1]);
		if (ret) {
			fprintf(stderr, "# %s: %s\n", path, strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int nth_fd = -1;

/* Of the very task that calls: not in a fixture, which may be another. */
static void use_own_faults(struct __test_metadata *_metadata)
{
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, nth_fd);
}

static int arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(nth_fd, text, len, 0) == len ? 0 : -1;
}

/* Whether the Nth was met. The look itself copies to user memory: it may be the Nth. */
static bool met(void)
{
	char text[16] = "";
	bool yes = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return yes;
}

#define ERRORS 4

/* One call whose points are visited. */
struct op {
	const char *name;
	int (*prepare)(void);		/* 0 */
	long (*act)(void);		/* a negative errno, or success */
	bool (*good)(long ret);		/* is the state right after this? undoes it */
	long errors[ERRORS];		/* what it returns, each at some point; 0 ends the list */
	long also;			/* and what it may */
	int least;			/* so many points */
	bool (*reached)(void);		/* what else has to come of it, at some point */
};

struct tally {
	int points, failed, wrong;
};

/* Visits each point once. */
static struct tally visit(const struct op *op, bool *seen)
{
	struct tally t = { 0 };
	int n, i, missed = 0;
	long ret = 0;
	bool hit;

	for (n = 1; missed < MISSES && n < MOST; n += hit) {
		if (op->prepare && op->prepare()) {
			fprintf(stderr, "# %s: cannot be prepared: %s\n", op->name, strerror(errno));
			t.wrong++;
			break;
		}
		if (arm(n)) {
			t.wrong++;
			break;
		}
		ret = op->act();
		hit = met();
		missed = hit ? 0 : missed + 1;
		t.points += hit;
		if (ret < 0 && hit) {
			t.failed++;
			for (i = 0; i < ERRORS && op->errors[i] != ret; i++)
				;
			if (i < ERRORS) {
				seen[i] = true;
			} else if (ret != op->also) {
				fprintf(stderr, "# %s, point %d: %s\n", op->name, n, strerror(-ret));
				t.wrong++;
			}
		} else if (ret < 0) {
			fprintf(stderr, "# %s, without a fault: %s\n", op->name, strerror(-ret));
			t.wrong++;
		}
		if (op->good && !op->good(ret)) {
			fprintf(stderr, "# %s, point %d, returned %ld: the state is wrong\n",
				op->name, n, ret);
			t.wrong++;
		}
		if (missed)
			sleep_ms(20);
	}
	if (n == MOST) {
		fprintf(stderr, "# %s: no end\n", op->name);
		t.wrong++;
	}
	return t;
}

/* How many of the errors that it has to return were not returned. */
static int unseen(const struct op *op, const bool *seen)
{
	int i, n = 0;

	for (i = 0; i < ERRORS && op->errors[i]; i++)
		n += !seen[i];
	return n;
}

/*
 * Rule as well: what it may return it does return at some point, else the sweep does not
 * reach what it is for. A slab that needs a page is a point more, in this pass and not in
 * the next, so that one may be passed over: not three times.
 */
static void sweep(const struct op *op, struct tally *total)
{
	bool seen[ERRORS] = { false };
	struct tally t;
	int i, round = 0;

	do {
		t = visit(op, seen);
	} while (++round < 3 && !t.wrong && (unseen(op, seen) || t.points < op->least ||
					     (op->reached && !op->reached())));
	for (i = 0; i < ERRORS && op->errors[i]; i++)
		if (!seen[i])
			fprintf(stderr, "# %s: never %s\n", op->name, strerror(-op->errors[i]));
	t.wrong += unseen(op, seen);
	if (op->reached && !op->reached()) {
		fprintf(stderr, "# %s: what it makes do with was never seen\n", op->name);
		t.wrong++;
	}
	if (t.points < op->least) {
		fprintf(stderr, "# %s: %d points, not %d\n", op->name, t.points, op->least);
		t.wrong++;
	}
	printf("# %-42s %4d points, %4d of them failed the call\n", op->name, t.points, t.failed);
	fflush(stdout);
	total->points += t.points;
	total->failed += t.failed;
	total->wrong += t.wrong;
}

/*
 * How many of what a header declares, @prefix NAME @follows, the list of names, one on
 * a line, lacks. The list may have words after a name.
 */
static int missing(const char *header, const char *prefix, const char *follows, const char *list)
{
	const char *build = getenv("MEMSCOPE_BUILD");
	char path[4096], line[512], name[128], *at;
	int declared = 0, absent = 0, len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/../../include/%s", build ? build : "", header);
	f = fopen(path, "r");
	if (!f) {
		fprintf(stderr, "# %s: %s\n", path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), f)) {
		/* Not a comment. */
		for (at = strchr(" \t/", line[0]) ? NULL : line; at; at += len) {
			at = strstr(at, prefix);
			if (!at)
				break;
			at += strlen(prefix);
			len = strcspn(at, "(), \t\n");
			if (!strncmp(at + len + strspn(at + len, "\t"), follows, strlen(follows)))
				break;
		}
		if (!at)
			continue;
		declared++;
		snprintf(name, sizeof(name), "\n%.*s", len, at);
		at = strstr(list, name);
		while (at && !strchr(" ,\n", at[strlen(name)]))
			at = strstr(at + 1, name);
		if (!at) {
			fprintf(stderr, "# not swept: %s%s\n", prefix, name + 1);
			absent++;
		}
	}
	fclose(f);
	return declared ? absent : -1;
}

FIXTURE(fail) {
	struct tally total;
};

FIXTURE_SETUP(fail)
{
	ASSERT_EQ(0, set_up_faults());
	/* The kernel tells of many of them: to the log, not to the console. */
	ASSERT_EQ(0, write_text(CONSOLE, "1"));
}

FIXTURE_TEARDOWN(fail)
{
	EXPECT_EQ(0, write_text(CONSOLE, "5"));
	if (!module_loaded())
		EXPECT_EQ(0, module_insert());
}

/* --- the device ---------------------------------------------------------------------- */

static int dev = -1, made = -1, file = -1, pidfd = -1;
static pid_t target;
static int threads = 1;
static char byte;
static struct iovec iov = { &byte, 1 };
static struct memscope_entry entries[8];

static bool closed(void)
{
	if (dev >= 0)
		close(dev);
	dev = -1;
	/* Whatever happened: nothing of it is left. */
	return task_scopes() == 0;
}

static int opened(void)
{
	closed();
	dev = open_device();
	return dev < 0 ? -1 : 0;
}

static int held(void)
{
	return opened() || hold(dev, NOIO);
}

static int suspended(void)
{
	return held() || raw_ioctl(dev, MEMSCOPE_IOC_SUSPEND, 0) ? -1 : 0;
}

static int delegated_as(__u32 flags)
{
	struct memscope_delegate d = { .flags = flags, .scopes = NOIO | NOFS };

	return opened() || raw_ioctl(dev, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d) ? -1 : 0;
}

static int delegated(void)
{
	return delegated_as(0);
}

static int delegated_first(void)
{
	return delegated_as(MEMSCOPE_DELEGATE_FIRST);
}

static int delegated_held(void)
{
	return delegated() || hold(dev, NOIO) ? -1 : 0;
}

/* The file has a page to be allocated. */
static int held_short(void)
{
	return held() || ftruncate(file, 1) ? -1 : 0;
}

static int delegated_short(void)
{
	return delegated_held() || ftruncate(file, 1) ? -1 : 0;
}

static int tied_held(void)
{
	return delegated_as(MEMSCOPE_DELEGATE_TIED) || hold(dev, NOIO) ? -1 : 0;
}

static long act_open(void)
{
	made = open(DEVICE, O_RDWR | O_CLOEXEC);
	return made < 0 ? -errno : 0;
}

static bool good_open(long ret)
{
	bool fine = ret < 0 || !raw_ioctl(made, MEMSCOPE_IOC_SET_SCOPES, 0);

	if (made >= 0)
		close(made);
	made = -1;
	return fine;
}

static long act_set(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, NOFS);
}

static bool good_set(long ret)
{
	bool fine = task_scopes() == (ret < 0 ? 0 : NOFS);

	return !raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, 0) && fine;
}

static long act_get(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_GET_SCOPES, 0);
}

static long act_set_flusher(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_SET_IO_FLUSHER, 1);
}

static bool good_set_flusher(long ret)
{
	bool fine = task_scopes() == (ret < 0 ? 0 : MEMSCOPE_IO_FLUSHER);

	return !raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, 0) && fine;
}

static long act_get_flusher(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_GET_IO_FLUSHER, 0);
}

static long act_features(void)
{
	__u64 mask;

	return raw_ioctl(dev, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask);
}

static struct memscope_mark m;

static long act_mark_self(void)
{
	m = (struct memscope_mark){ .scopes = NOFS };
	return mark_ioctl(dev, &m);
}

/* EFAULT may come after it was done, when the result cannot be written. */
static bool good_mark(long ret)
{
	long now = task_scopes();
	bool fine = ret == -EFAULT ? now == 0 || now == NOFS : now == (ret < 0 ? 0 : NOFS);

	return !raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, 0) && closed() && fine;
}

static long act_hold(void)
{
	m = (struct memscope_mark){ .flags = MEMSCOPE_MARK_HOLD, .scopes = NOFS };
	return mark_ioctl(dev, &m);
}

/* Closing undoes it, as far as it went. */
static bool good_hold(long ret)
{
	bool fine = ret < 0 || task_scopes() == NOFS;

	return closed() && fine;
}

static long act_hold_process(void)
{
	m = (struct memscope_mark){
		.flags = MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, .scopes = NOFS,
		.timeout_ms = 20000,
	};
	return mark_ioctl(dev, &m);
}

static long act_mark_process(void)
{
	m = (struct memscope_mark){
		.flags = MEMSCOPE_MARK_PROCESS, .scopes = NOFS, .timeout_ms = 20000,
	};
	return mark_ioctl(dev, &m);
}

static bool good_mark_process(long ret)
{
	m = (struct memscope_mark){ .flags = MEMSCOPE_MARK_PROCESS, .timeout_ms = 20000 };
	return !mark_ioctl(dev, &m) && closed();
}

static long hold_target(__u32 flags)
{
	m = (struct memscope_mark){
		.flags = MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PIDFD | flags,
		.scopes = NOIO, .pidfd = pidfd, .timeout_ms = 20000,
	};
	return mark_ioctl(dev, &m);
}

static long act_hold_target(void)
{
	return hold_target(MEMSCOPE_MARK_PROCESS);
}

static long act_hold_thread(void)
{
	return hold_target(0);
}

static bool good_hold_target(long ret)
{
	bool fine = ret < 0 || wait_scopes_of(target, target, NOIO) == NOIO;

	return closed() && wait_scopes_of(target, target, 0) == 0 && fine;
}

static long act_suspend(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_SUSPEND, 0);
}

static bool good_suspend(long ret)
{
	bool fine = task_scopes() == (ret < 0 ? NOIO : 0);

	if (ret >= 0 && raw_ioctl(dev, MEMSCOPE_IOC_RESUME, 0))
		return false;
	return task_scopes() == NOIO && closed() && fine;
}

static long act_resume(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_RESUME, 0);
}

static bool good_resume(long ret)
{
	bool fine = task_scopes() == (ret < 0 ? 0 : NOIO);

	return closed() && fine;
}

static long act_close(void)
{
	int ret = close(dev) ? -errno : 0;

	dev = -1;
	return ret;
}

/* In a hold: the new process starts without it. */
static long act_fork(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid < 0)
		return -errno;
	return waitpid(pid, &status, 0) == pid || errno == EFAULT ? 0 : -errno;
}

static bool good_fork(long ret)
{
	/* A look at the status may be what has failed. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return task_scopes() == NOIO && closed();
}

static long call(__u32 op, int fd, __s64 offset, __s64 len)
{
	struct memscope_call c = { .op = op, .scopes = NOFS, .fd = fd, .offset = offset,
				   .len = len };

	if (op == MEMSCOPE_CALL_READ || op == MEMSCOPE_CALL_WRITE) {
		c.iov = (unsigned long)&iov;
		c.iovcnt = 1;
	}
	return raw_ioctl(dev, MEMSCOPE_IOC_CALL, (unsigned long)&c);
}

static long act_call_read(void)
{
	return call(MEMSCOPE_CALL_READ, file, 0, 0);
}

static long act_call_write(void)
{
	return call(MEMSCOPE_CALL_WRITE, file, 0, 0);
}

static long act_call_fsync(void)
{
	return call(MEMSCOPE_CALL_FSYNC, file, 0, 0);
}

static long act_call_fallocate(void)
{
	return call(MEMSCOPE_CALL_FALLOCATE, file, 0, 1 << 16);
}

static bool good_call(long ret)
{
	/* As before, whatever the call came to. */
	return task_scopes() == NOIO && closed();
}

static long act_status(void)
{
	struct memscope_status s = {
		.entries = (unsigned long)entries, .entry_size = sizeof(entries[0]),
		.count = ARRAY_LEN(entries),
	};

	return raw_ioctl(dev, MEMSCOPE_IOC_STATUS, (unsigned long)&s);
}

/* One thread, held by more files than STATUS takes at a time (CHUNK in rust/dev/status.rs). */
static int crowd[40], gathered;

static int crowded(void)
{
	for (; gathered < ARRAY_LEN(crowd); gathered++) {
		int fd = open_device();

		crowd[gathered] = fd;
		if (fd < 0 || mark(fd, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, NOIO))
			return -1;
	}
	if (dev < 0)
		dev = open_device();
	return dev < 0 ? -1 : 0;
}

static struct memscope_entry many[1024];

static long act_status_many(void)
{
	struct memscope_status s = {
		.entries = (unsigned long)many, .entry_size = sizeof(many[0]),
		.count = ARRAY_LEN(many),
	};

	return raw_ioctl(dev, MEMSCOPE_IOC_STATUS, (unsigned long)&s);
}

/* Each hold of each thread, or an error. */
static bool good_status_many(long ret)
{
	return ret < 0 || ret == threads * (long)ARRAY_LEN(crowd);
}

static bool dispersed(void)
{
	while (gathered)
		close(crowd[--gathered]);
	return closed();
}

static long delegate_as(__u32 flags)
{
	struct memscope_delegate d = {
		.flags = flags, .scopes = NOIO, .pidfd = flags & MEMSCOPE_DELEGATE_PIDFD ? pidfd : 0,
	};

	return raw_ioctl(dev, MEMSCOPE_IOC_DELEGATE, (unsigned long)&d);
}

static long act_delegate(void)
{
	return delegate_as(0);
}

static long act_delegate_uid(void)
{
	return delegate_as(MEMSCOPE_DELEGATE_UID);
}

static long act_delegate_pidfd(void)
{
	return delegate_as(MEMSCOPE_DELEGATE_PIDFD);
}

static long act_delegate_first(void)
{
	return delegate_as(MEMSCOPE_DELEGATE_FIRST);
}

static long act_delegate_tied(void)
{
	return delegate_as(MEMSCOPE_DELEGATE_TIED);
}

/* Not by half: what is refused on a delegated file is refused, or all is as before. */
static bool good_delegate(long ret)
{
	long set = raw_ioctl(dev, MEMSCOPE_IOC_SET_SCOPES, 0);

	return closed() && set == (ret < 0 ? 0 : -EPERM);
}

static long act_revoke(void)
{
	return raw_ioctl(dev, MEMSCOPE_IOC_REVOKE, 0);
}

static bool good_revoke(long ret)
{
	bool fine = task_scopes() == (ret < 0 ? NOIO : 0);

	return closed() && fine;
}

static int node = -1;

static long register_as(__u32 flags)
{
	struct memscope_register r = { .flags = flags, .fd = node };

	return raw_ioctl(dev, MEMSCOPE_IOC_REGISTER, (unsigned long)&r);
}

static long act_register(void)
{
	return register_as(0);
}

static long act_register_remove(void)
{
	return register_as(MEMSCOPE_REGISTER_REMOVE);
}

static bool good_register(long ret)
{
	return act_register_remove() == (ret < 0 ? -ENOENT : 0) && closed();
}

static bool good_register_remove(long ret)
{
	return act_register_remove() == (ret < 0 ? 0 : -ENOENT) && closed();
}

static int registered(void)
{
	return opened() || act_register() ? -1 : 0;
}

static bool good_closed(long ret)
{
	return closed();
}

/* The first hold after loading begins to listen for new threads. */
static int reloaded(void)
{
	closed();
	return module_remove() || module_insert() || opened() ? -1 : 0;
}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static pid_t start_target(void)
{
	int ready[2];
	pthread_t t;
	pid_t pid;
	char c;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&t, NULL, idle, NULL) || write(ready[1], "", 1) != 1)
			_exit(1);
		idle(NULL);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

#define FAULT { -ENOMEM, -EFAULT }

TEST_F(fail, ioctls)
{
	static const struct op ops[] = {
		{ "open", NULL, act_open, good_open, { -ENOMEM }, -EFAULT },
		{ "SET_IO_FLUSHER", opened, act_set_flusher, good_set_flusher, { 0 } },
		{ "GET_IO_FLUSHER", opened, act_get_flusher, good_closed, { 0 } },
		{ "SET_SCOPES", opened, act_set, good_set, { 0 } },
		{ "GET_SCOPES", opened, act_get, good_closed, { 0 } },
		{ "GET_FEATURES", opened, act_features, good_closed, { -EFAULT } },
		{ "MARK", opened, act_mark_self, good_mark, FAULT },
		{ "MARK HOLD", opened, act_hold, good_hold, FAULT },
		{ "MARK HOLD, the first", reloaded, act_hold, good_hold, FAULT },
		{ "MARK HOLD in a hold", held, act_hold, good_hold, FAULT },
		{ "MARK PROCESS", opened, act_mark_process, good_mark_process, FAULT },
		{ "MARK HOLD PROCESS", opened, act_hold_process, good_hold, FAULT },
		{ "MARK HOLD PIDFD", opened, act_hold_thread, good_hold_target, FAULT },
		{ "MARK HOLD PROCESS PIDFD", opened, act_hold_target, good_hold_target, FAULT },
		{ "SUSPEND", held, act_suspend, good_suspend, { -ENOMEM } },
		{ "RESUME", suspended, act_resume, good_resume, { 0 } },
		{ "close, with a hold", held, act_close, good_closed, { 0 } },
		{ "fork, with a hold", held, act_fork, good_fork, { -ENOMEM } },
		{ "CALL READ", held, act_call_read, good_call, { -EFAULT } },
		{ "CALL WRITE", held, act_call_write, good_call, { -EFAULT } },
		{ "CALL FSYNC", held, act_call_fsync, good_call, { -EFAULT } },
		{ "CALL FALLOCATE", held_short, act_call_fallocate, good_call, FAULT },
		{ "STATUS", held, act_status, good_closed, FAULT },
		{ "DELEGATE", opened, act_delegate, good_delegate, { -EFAULT } },
		{ "DELEGATE UID", opened, act_delegate_uid, good_delegate, { -EFAULT } },
		{ "DELEGATE PIDFD", opened, act_delegate_pidfd, good_delegate, { -EFAULT } },
		{ "DELEGATE FIRST", opened, act_delegate_first, good_delegate, { -EFAULT } },
		{ "DELEGATE TIED", opened, act_delegate_tied, good_delegate, { -EFAULT } },
		{ "MARK HOLD, delegated", delegated, act_hold, good_hold, FAULT },
		{ "MARK HOLD, delegated to the first", delegated_first, act_hold, good_hold, FAULT },
		{ "MARK HOLD PROCESS, delegated", delegated, act_hold_process, good_hold, FAULT },
		{ "CALL READ, delegated", delegated_held, act_call_read, good_call, { -EFAULT } },
		{ "CALL WRITE, delegated", delegated_held, act_call_write, good_call, { -EFAULT } },
		{ "CALL FSYNC, delegated", delegated_held, act_call_fsync, good_call, { -EFAULT } },
		{ "CALL FALLOCATE, delegated", delegated_short, act_call_fallocate, good_call, FAULT },
		{ "REVOKE", delegated, act_revoke, good_closed, { 0 } },
		{ "REVOKE, with a hold", delegated_held, act_revoke, good_revoke, { 0 } },
		{ "close, tied, with a hold", tied_held, act_close, good_closed, { 0 } },
		{ "REGISTER", opened, act_register, good_register, FAULT },
		{ "REGISTER, delegated", delegated, act_register, good_register, FAULT },
		{ "REGISTER REMOVE", registered, act_register_remove, good_register_remove, { -EFAULT } },
		/* The last: the crowd stays. */
		{ "STATUS of many", crowded, act_status_many, good_status_many, FAULT },
	};
	char names[4096] = "\n";
	pthread_t thread;
	int i;

	use_own_faults(_metadata);
	file = syscall(SYS_memfd_create, "fail-nth", 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(1, write(file, "x", 1));
	for (i = 0; i < 3; i++, threads++)
		ASSERT_EQ(0, pthread_create(&thread, NULL, idle, NULL));
	target = start_target();
	ASSERT_LT(0, target);
	pidfd = pidfd_of(target, 0);
	ASSERT_LE(0, pidfd);
	mknod("/tmp/fail-nth-block", S_IFBLK | 0600, makedev(1, 0));
	node = open("/tmp/fail-nth-block", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, node);
	for (i = 0; i < ARRAY_LEN(ops); i++) {
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s\n", ops[i].name);
		sweep(&ops[i], &self->total);
	}
	EXPECT_TRUE(dispersed());
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	printf("# ioctls: %d failure points visited, %d calls failed\n", self->total.points,
	       self->total.failed);
	EXPECT_EQ(0, missing("uapi/linux/memscope.h", "#define MEMSCOPE_IOC_", "_IO", names));
	EXPECT_EQ(0, self->total.wrong);
}

/* --- bufio ----------------------------------------------------------------------------- */

#define ALL "0xffffffffffffffff"

static int faults = -1;
static unsigned long number, device_fails;

static int bufio_prepare(void)
{
	return raw_ioctl(faults, BUFIO_FAULTS_PREPARE, number) ? -1 : 0;
}

static long bufio_act(void)
{
	return raw_ioctl(faults, BUFIO_FAULTS_ACT, number);
}

static bool bufio_good(long ret)
{
	long verdict = raw_ioctl(faults, BUFIO_FAULTS_JUDGE, number | device_fails);

	if (verdict)
		fprintf(stderr, "# %s\n", strerror(-verdict));
	return !verdict;
}

/* What a client of bufio is made of: slabs, pages and vmalloc, of one page and of more. */
static const struct {
	unsigned long bytes, flags;
} clients[] = {
	{ 4096, 0 }, { 4096, BUFIO_FAULTS_ALL_FLAGS },
	{ 512, 0 }, { 512, BUFIO_FAULTS_ALL_FLAGS },
	{ 12288, 0 }, { 12288, BUFIO_FAULTS_ALL_FLAGS },
	{ 65536, 0 }, { 65536, BUFIO_FAULTS_ALL_FLAGS },
};

/* With which of them: the first, all without flags, all. */
enum { ONE, SIZES, ALL_CLIENTS };

/* What the functions meet; those that are not in here, nothing. */
struct meets {
	const char *name;
	int clients;
	bool allocates;		/* or reads or writes, which allocates */
	long no_memory;		/* what it returns then; 0: it makes do */
	bool transfers;
	long io_error;		/* 0: it has nobody to tell, or tells later */
};

static const struct meets functions[] = {
	/* Flags change nothing in the first two, which have most of the points. */
	{ "client_create", SIZES, true, -ENOMEM },
	{ "prefetch", SIZES, true, 0, true },
	{ "client_destroy", ALL_CLIENTS, true, 0, true },
	{ "read", ALL_CLIENTS, true, 0, true, -EIO },
	{ "read_async", ALL_CLIENTS, true, -ENOMEM, true, -EIO },
	{ "new", ALL_CLIENTS, true },
	{ "write_dirty_buffers", ALL_CLIENTS, true, 0, true, -EIO },
	{ "background", ALL_CLIENTS, true, 0, true },
	{ "client_reset", ONE, true, 0, true },
	{ "read_with_ioprio", ONE, true, 0, true, -EIO },
	{ "prefetch_with_ioprio", ONE, true, 0, true },
	{ "write_dirty_buffers_async", ONE, true, 0, true },
	{ "issue_flush", ONE, false, 0, true, -EIO },
	{ "issue_discard", ONE, true, 0, true, -EIO },
	{ "get_dm_io_client", ONE, true, -ENOMEM },
};

static struct meets meets(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_LEN(functions); i++)
		if (!strcmp(functions[i].name, name))
			return functions[i];
	return (struct meets){ name, ONE };
}

/* A reserve for which there were no adjacent pages. */
static bool fallback_seen(void)
{
	return raw_ioctl(faults, BUFIO_FAULTS_FALLBACKS, 0) > 0;
}

static void sweep_one(const struct meets *f, unsigned long bytes, unsigned long flags,
		      struct tally *total)
{
	char name[64];
	struct op op = {
		name, bufio_prepare, bufio_act, bufio_good,
		{ device_fails ? f->io_error : f->no_memory },
		.least = device_fails ? f->transfers : f->allocates,
	};

	if (!device_fails && bytes == 65536 && !strcmp(f->name, "client_create"))
		op.reached = fallback_seen;
	snprintf(name, sizeof(name), "%s", f->name);
	if (f->clients != ONE)
		snprintf(name, sizeof(name), "%s, %lu bytes, flags %lu", f->name, bytes, flags);
	sweep(&op, total);
}

static void sweep_bufio(struct __test_metadata *_metadata, struct tally *total)
{
	char names[2048] = "\n", *name, *rest = names + 1;
	ssize_t len = pread(faults, rest, sizeof(names) - 2, 0);
	long count = raw_ioctl(faults, BUFIO_FAULTS_COUNT, 0);
	int op, i;

	ASSERT_LT(0, len);
	rest[len] = '\0';
	EXPECT_EQ(0, missing("linux/memscope-bufio.h", "memscope_bufio_", "(", names));
	for (op = 0; op < count; op++) {
		struct meets f;

		name = strsep(&rest, "\n");
		ASSERT_NE(NULL, name);
		f = meets(name);
		for (i = 0; i < (f.clients == ONE ? 1 : ARRAY_LEN(clients)); i++) {
			if (f.clients == SIZES && clients[i].flags)
				continue;
			number = op | BUFIO_FAULTS_CLIENT(clients[i].bytes, clients[i].flags);
			sweep_one(&f, clients[i].bytes, clients[i].flags, total);
		}
	}
}

static void bufio_set_up(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, system("modprobe dm-mod && modprobe brd rd_nr=1 rd_size=65536"));
	ASSERT_EQ(0, write_text("/sys/kernel/rcu_expedited", "1"));
	ASSERT_EQ(0, insert_built("ext/sanitize/bufio_faults.ko", ""));
	faults = open("/dev/bufio_faults", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, faults);
}

static void bufio_tear_down(struct __test_metadata *_metadata)
{
	close(faults);
	EXPECT_EQ(0, system("rmmod bufio_faults brd"));
	EXPECT_EQ(0, write_text("/sys/kernel/rcu_expedited", "0"));
}

/* Rule: one allocation that fails is made up for, or reported; no data is lost. */
TEST_F(fail, bufio)
{
	use_own_faults(_metadata);
	bufio_set_up(_metadata);
	sweep_bufio(_metadata, &self->total);
	printf("# bufio: %d failure points visited, %d calls failed\n", self->total.points,
	       self->total.failed);
	bufio_tear_down(_metadata);
	EXPECT_EQ(0, self->total.wrong);
}

/* Rule: the same where it is not the allocations but the requests to the device that fail. */
TEST_F(fail, device_of_bufio)
{
	use_own_faults(_metadata);
	bufio_set_up(_metadata);
	/* No stack is in there: they do not count. */
	ASSERT_EQ(0, write_text("/sys/kernel/debug/failslab/require-end", "0"));
	ASSERT_EQ(0, write_text("/sys/kernel/debug/fail_page_alloc/require-end", "0"));
	ASSERT_EQ(0, write_text("/sys/block/ram0/make-it-fail", "1"));
	device_fails = BUFIO_FAULTS_DEVICE;
	sweep_bufio(_metadata, &self->total);
	printf("# device of bufio: %d failure points visited, %d calls failed\n",
	       self->total.points, self->total.failed);
	bufio_tear_down(_metadata);
	EXPECT_EQ(0, write_text("/sys/kernel/debug/failslab/require-end", ALL));
	EXPECT_EQ(0, write_text("/sys/kernel/debug/fail_page_alloc/require-end", ALL));
	EXPECT_EQ(0, self->total.wrong);
	EXPECT_LT(0, self->total.failed);
}

/* --- insmod ------------------------------------------------------------------------------ */

static int insmod_fd = -1;
static const char *module;

static bool inserted(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	return !access(path, F_OK);
}

static int unloaded(void)
{
	return inserted() && syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

static long act_insmod(void)
{
	return syscall(SYS_finit_module, insmod_fd, "", 0) ? -errno : 0;
}

/* All of it or nothing. */
static bool good_insmod(long ret)
{
	return inserted() == (ret >= 0) && !access(DEVICE, F_OK) == (ret >= 0);
}

static bool good_insmod_dm(long ret)
{
	return inserted() == (ret >= 0);
}

static void sweep_insmod(struct __test_metadata *_metadata, const struct op *op, const char *path,
			 struct tally *total)
{
	char command[4200];

	use_own_faults(_metadata);
	/* Without debug information: the kernel reads the file each time. */
	snprintf(command, sizeof(command), "strip --strip-debug -o /tmp/memscope-fail.ko %s", path);
	ASSERT_EQ(0, system(command));
	insmod_fd = open("/tmp/memscope-fail.ko", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, insmod_fd);
	ASSERT_EQ(0, write_text("/sys/kernel/rcu_expedited", "1"));
	sweep(op, total);
	write_text("/sys/kernel/rcu_expedited", "0");
	printf("# %s: %d failure points visited, %d calls failed\n", op->name, total->points,
	       total->failed);
	EXPECT_EQ(0, total->wrong);
}

TEST_F(fail, insmod)
{
	static const struct op op = {
		"insmod", unloaded, act_insmod, good_insmod, { -ENOMEM }, -EFAULT
	};

	module = "memscope";
	sweep_insmod(_metadata, &op, "\"$MEMSCOPE_KO\"", &self->total);
}

TEST_F(fail, insmod_of_dm_bufio)
{
	static const struct op op = {
		"insmod of memscope-dm-bufio", unloaded, act_insmod, good_insmod_dm,
		{ -ENOMEM }, -EFAULT
	};

	ASSERT_EQ(0, system("modprobe dm-mod"));
	module = "memscope_dm_bufio";
	sweep_insmod(_metadata, &op, "\"$MEMSCOPE_BUILD/memscope-dm-bufio.ko\"", &self->total);
	EXPECT_EQ(0, unloaded());
}

TEST_HARNESS_MAIN
