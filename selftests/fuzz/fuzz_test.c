// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls of /dev/memscope: valid, nearly valid and garbage, from threads,
 * forks, programs that are executed, tasks that are stopped and killed in the
 * middle, with and without the capability. Rule: whatever is called, the kernel
 * logs no complaint (the runner reads that), every task can be killed, nothing
 * is held afterwards, and the module can be removed.
 *
 * Each round is a process with its threads, made from the seed, the worker and
 * the round: fuzz_test SEED [WORKER ROUND] repeats all of them, or one, up to
 * the order in which its tasks run. Each says in the kernel log that it starts, and
 * the console shows that meanwhile: after a panic the last ones are known.
 *
 * selftest: timeout=300 m32=yes
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../flusher/mark.h"
#include "../flusher/module.h"

#define WORKERS 4
#define FDS 6
#define CALLS_PER_THREAD 600
#define BLOCK_NODE "/tmp/fuzz-block"
/* On the sanitizer kernel; what the stock one gets is for make check's time. */
#define CALLS 1000000
#define CALLS_STOCK 200000
/* Of the 32-bit program, which differs in how its calls enter the kernel. */
#define CALLS_32 100000
/* From so many on, every event has happened. */
#define CALLS_FOR_EVENTS 100000
/* A round that takes longer is stopped where it is. */
#define ROUND_MS 3000

/* By command number; the last is everything else. */
#define KINDS 14

/* What happens beside them. */
enum { FORK, EXEC, KILL, STOP, SIGNAL, THREAD, PASS, REOPEN, EVENTS };
static const char *const events[EVENTS] = {
	"fork", "exec", "kill", "stop", "signal", "thread", "fd passed", "reopen",
};

/* The workers'. A round does not have it: its calls write to any of its memory. */
static struct shared {
	atomic_ulong calls, rounds, killed, good[KINDS], bad[KINDS], stuck;
	atomic_ulong happened[EVENTS];
	unsigned long target;
} *shared;

/*
 * A round tells its worker of each call and event, in a byte of a pipe: the command,
 * and whether it was refused; or the event. So do the programs that it has become.
 * The descriptor is one that no call comes upon.
 */
#define TOLD_FD 611
#define REFUSED 0x80
#define EVENT 0x40

static unsigned long seed;

/* --- random numbers: splitmix64 --------------------------------------------------- */

struct rng {
	unsigned long long state;
};

static unsigned long long next(struct rng *r)
{
	unsigned long long z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* Without a division of 64 bits, which a 32-bit program has not. */
static unsigned int below(struct rng *r, unsigned int n)
{
	return (next(r) >> 32) * n >> 32;
}

static bool one_in(struct rng *r, unsigned int n)
{
	return below(r, n) == 0;
}

static unsigned long long edge(struct rng *r)
{
	static const unsigned long long edges[] = {
		0, 1, 2, 7, 8, 0xff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff,
		1ULL << 32, 1ULL << 63, -1ULL, -2ULL, -4096ULL, 0x7fffffffffffffffULL,
	};

	switch (below(r, 3)) {
	case 0:
		return edges[below(r, ARRAY_LEN(edges))];
	case 1:
		return 1ULL << below(r, 64);
	default:
		return next(r);
	}
}

/* --- what the calls are made with --------------------------------------------------- */

/* One for each round; its threads share it, races on it included. */
struct round {
	int device[FDS], files[5], socket[2];
	pid_t leader, parent, child;
	int pidfd;
	bool privileged;
};

static struct round round_state;
static struct round *const rs = &round_state;

static int some_device(struct rng *r)
{
	return rs->device[below(r, FDS)];
}

static int some_file(struct rng *r)
{
	switch (below(r, 8)) {
	case 0:
		return some_device(r);
	case 1:
		return (int)edge(r);
	default:
		return rs->files[below(r, ARRAY_LEN(rs->files))];
	}
}

static int some_pidfd(struct rng *r, bool *ours)
{
	pid_t pid, group;

	*ours = false;
	switch (below(r, 8)) {
	case 0:
		return (int)edge(r);
	case 1:
		return some_file(r);
	case 2:
		return rs->pidfd;
	case 3:
		pid = 1 + below(r, 2 * getpid());
		break;
	case 4 ... 5:
		pid = rs->child > 0 ? rs->child : rs->leader;
		break;
	default:
		pid = rs->leader;
	}
	/* Not the runner and init: only what is of a round, alive or dead, or of the kernel. */
	group = getpgid(pid);
	if (pid <= rs->parent || (group > 0 && group != getpgrp()))
		pid = rs->leader;
	*ours = true;
	return pidfd_of(pid, one_in(r, 2) ? 0 : O_EXCL);
}

static __u32 some_scopes(struct rng *r)
{
	return one_in(r, 10) ? (__u32)edge(r) : below(r, ALL_SCOPES + 1);
}

/* The structs; the largest one, and room behind it. */
union any {
	struct memscope_mark mark;
	struct memscope_call call;
	struct memscope_status status;
	struct memscope_delegate delegate;
	struct memscope_register reg;
	__u64 words[64];
};

struct buffers {
	union any arg;
	struct iovec iov[4];
	char data[4][512];
	struct memscope_entry entries[32];
};

static int fill_mark(struct rng *r, struct memscope_mark *m)
{
	bool ours = false;

	m->flags = below(r, 16);
	m->scopes = some_scopes(r);
	/* A long wait is ended by the round's end. */
	m->timeout_ms = one_in(r, 200) ? (__u32)edge(r) : below(r, 3);
	if (m->flags & MEMSCOPE_MARK_PIDFD)
		m->pidfd = some_pidfd(r, &ours);
	return ours ? m->pidfd : -1;
}

static void fill_call(struct rng *r, struct buffers *b)
{
	struct memscope_call *c = &b->arg.call;
	unsigned int i;

	c->op = below(r, 4);
	c->scopes = some_scopes(r);
	c->fd = some_file(r);
	if (c->op == MEMSCOPE_CALL_READ || c->op == MEMSCOPE_CALL_WRITE) {
		for (i = 0; i < ARRAY_LEN(b->iov); i++) {
			b->iov[i].iov_base = one_in(r, 20) ? (void *)(uintptr_t)edge(r) : b->data[i];
			b->iov[i].iov_len = below(r, sizeof(b->data[i]));
			/* A long read would go on over the stack. */
			if (c->op == MEMSCOPE_CALL_WRITE && one_in(r, 20))
				b->iov[i].iov_len = edge(r);
		}
		c->iov = one_in(r, 20) ? edge(r) : (uintptr_t)b->iov;
		c->iovcnt = one_in(r, 20) ? (__u32)edge(r) : below(r, ARRAY_LEN(b->iov) + 1);
		c->offset = one_in(r, 3) ? -1 : below(r, 1 << 16);
		c->flags = one_in(r, 4) ? 1U << below(r, 10) : 0;
	} else {
		c->offset = below(r, 1 << 16);
		c->len = below(r, 1 << 16);
		c->flags = below(r, 4);
	}
}

static void fill_status(struct rng *r, struct buffers *b)
{
	struct memscope_status *s = &b->arg.status;

	s->cursor = one_in(r, 4) ? edge(r) : 0;
	s->entries = one_in(r, 20) ? edge(r) : (uintptr_t)b->entries;
	s->entry_size = one_in(r, 10) ? (__u32)edge(r) : sizeof(b->entries[0]);
	s->count = one_in(r, 20) ? (__u32)edge(r) : below(r, ARRAY_LEN(b->entries) + 1);
	/* Larger entries than the array has. */
	if (s->entry_size > sizeof(b->entries[0]) && s->entry_size <= 4096)
		s->count = sizeof(b->entries) / s->entry_size;
	else if (s->count > ARRAY_LEN(b->entries) && s->entries == (uintptr_t)b->entries)
		s->entries = 0;
}

static int fill_delegate(struct rng *r, struct memscope_delegate *d)
{
	bool ours = false;

	d->flags = below(r, 16);
	d->scopes = some_scopes(r);
	if (d->flags & MEMSCOPE_DELEGATE_UID)
		d->uid = one_in(r, 2) ? 0 : NOBODY;
	if (d->flags & MEMSCOPE_DELEGATE_PIDFD)
		d->pidfd = some_pidfd(r, &ours);
	return ours ? d->pidfd : -1;
}

static void tell(unsigned char what)
{
	int error = errno;

	/* What a full pipe does not take is not counted. */
	if (write(TOLD_FD, &what, 1) != 1 && errno != EAGAIN)
		_exit(1);
	errno = error;
}

static void call(struct rng *r, struct buffers *b)
{
	static const unsigned int commands[] = {
		MEMSCOPE_IOC_SET_IO_FLUSHER, MEMSCOPE_IOC_GET_IO_FLUSHER, MEMSCOPE_IOC_SET_SCOPES,
		MEMSCOPE_IOC_GET_SCOPES, MEMSCOPE_IOC_GET_FEATURES, MEMSCOPE_IOC_MARK,
		MEMSCOPE_IOC_SUSPEND, MEMSCOPE_IOC_RESUME, MEMSCOPE_IOC_CALL, MEMSCOPE_IOC_STATUS,
		MEMSCOPE_IOC_DELEGATE, MEMSCOPE_IOC_REVOKE, MEMSCOPE_IOC_REGISTER,
	};
	unsigned int which = below(r, ARRAY_LEN(commands) + 1), cmd, i;
	unsigned long arg = (unsigned long)&b->arg;
	int pidfd = -1;
	long ret;

	/* Delegated files take no more of most commands. */
	if ((which == 10 || which == 11) && !one_in(r, 10))
		which = 5;
	if (which < ARRAY_LEN(commands)) {
		cmd = commands[which];
	} else {
		cmd = one_in(r, 2) ? (unsigned int)edge(r) :
			_IOC(below(r, 4), MEMSCOPE_IOC_MAGIC, below(r, 32), below(r, 256));
		/* What the VFS takes for itself, for every file, would change the round. */
		if (_IOC_TYPE(cmd) != MEMSCOPE_IOC_MAGIC)
			cmd |= 1U << 31;
	}
	memset(&b->arg, 0, sizeof(b->arg));
	switch (cmd) {
	case MEMSCOPE_IOC_MARK:
		pidfd = fill_mark(r, &b->arg.mark);
		break;
	case MEMSCOPE_IOC_CALL:
		fill_call(r, b);
		break;
	case MEMSCOPE_IOC_STATUS:
		fill_status(r, b);
		break;
	case MEMSCOPE_IOC_DELEGATE:
		pidfd = fill_delegate(r, &b->arg.delegate);
		break;
	case MEMSCOPE_IOC_REGISTER:
		b->arg.reg.flags = below(r, 3);
		b->arg.reg.fd = some_file(r);
		break;
	case MEMSCOPE_IOC_GET_FEATURES:
		break;
	case MEMSCOPE_IOC_SET_SCOPES:
		arg = some_scopes(r);
		break;
	default:
		arg = below(r, 2);
	}
	/* Nearly: one thing of it is wrong. */
	if (one_in(r, 6)) {
		switch (below(r, 4)) {
		case 0:
			i = below(r, sizeof(b->arg.words[0]) * 8 * 8);
			b->arg.words[i / 64] ^= 1ULL << i % 64;
			break;
		case 1:
			cmd ^= 1U << (below(r, 14) + _IOC_SIZESHIFT);
			break;
		case 2:
			arg = edge(r);
			break;
		default:
			arg += below(r, 64);
		}
	}
	ret = raw_ioctl(some_device(r), cmd, arg);
	tell(which | (ret < 0 ? REFUSED : 0));
	if (pidfd >= 0)
		close(pidfd);
}

/* --- what happens between the calls --------------------------------------------------- */

static void on_signal(int signal)
{
	tell(EVENT | SIGNAL);
}

static void calls(struct rng *r, int n);

static void exec_self(struct rng *r)
{
	char numbers[FDS + 1][24];
	char *argv[FDS + 4] = { "fuzz_test", "--exec" };
	int i;

	snprintf(numbers[FDS], sizeof(numbers[FDS]), "%llu", next(r));
	argv[2] = numbers[FDS];
	for (i = 0; i < FDS; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%d", rs->device[i]);
		argv[3 + i] = numbers[i];
	}
	execv("/proc/self/exe", argv);
	_exit(0);
}

static void child(struct rng *r)
{
	struct rng own = { next(r) };
	int how = below(r, 4), i;
	pid_t pid = fork();

	if (pid < 0)
		return;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (one_in(&own, 4))
			effective_resource(false);
		else if (one_in(&own, 4) && !setgroups(0, NULL))
			i = setresuid(NOBODY, NOBODY, NOBODY) ? 1 : 0;
		if (one_in(&own, 4))
			exec_self(&own);
		calls(&own, below(&own, 40));
		if (one_in(&own, 4))
			exec_self(&own);
		_exit(0);
	}
	tell(EVENT | FORK);
	rs->child = pid;
	switch (how) {
	case 0: /* killed where it is */
		if (!kill(pid, SIGKILL))
			tell(EVENT | KILL);
		break;
	case 1: /* stopped in the middle, marked while it is */
		if (!kill(pid, SIGSTOP))
			tell(EVENT | STOP);
		calls(r, 5);
		kill(pid, one_in(r, 2) ? SIGCONT : SIGKILL);
		break;
	default:
		calls(r, below(r, 20));
	}
	/* It may wait for something of this very thread. */
	for (i = 0; i < 20 && !waitpid(pid, NULL, WNOHANG); i++)
		sleep_ms(5);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void pass_on(struct rng *r)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
	int fd = some_device(r);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(rs->socket[0], &msg, MSG_DONTWAIT) != 1)
		return;
	/* Some stay in flight. */
	if (one_in(r, 4) || recvmsg(rs->socket[1], &msg, MSG_DONTWAIT) != 1)
		return;
	header = CMSG_FIRSTHDR(&msg);
	if (!header)
		return;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	tell(EVENT | PASS);
	dup3(fd, some_device(r), O_CLOEXEC);
	close(fd);
}

static void *short_thread(void *arg)
{
	struct rng r = { (unsigned long long)(uintptr_t)arg };

	tell(EVENT | THREAD);
	calls(&r, below(&r, 10));
	return NULL;
}

static void event(struct rng *r)
{
	int slot = below(r, FDS), fd;
	struct itimerval soon = { .it_value.tv_usec = 1 + below(r, 2000) };
	pthread_t thread;

	switch (below(r, 16)) {
	case 0 ... 3: /* the last descriptor of a file, perhaps: what it holds ends */
		fd = open(DEVICE, O_RDWR | (one_in(r, 2) ? O_CLOEXEC : 0));
		if (fd >= 0 && fd != rs->device[slot]) {
			if (dup3(fd, rs->device[slot], O_CLOEXEC) >= 0)
				tell(EVENT | REOPEN);
			close(fd);
		}
		break;
	case 4:
		dup2(some_device(r), some_device(r));
		break;
	case 5:
		close(some_device(r));
		break;
	case 6:
		pass_on(r);
		break;
	case 7 ... 8:
		setitimer(ITIMER_REAL, &soon, NULL);
		break;
	case 9:
		kill(rs->leader, SIGUSR1);
		break;
	case 10 ... 11:
		if (!pthread_create(&thread, NULL, short_thread, (void *)(uintptr_t)next(r)))
			pthread_detach(thread);
		break;
	case 12:
		prctl(PR_SET_IO_FLUSHER, below(r, 2), 0, 0, 0);
		break;
	case 13:
		effective_resource(one_in(r, 4) ? false : rs->privileged);
		break;
	case 14:
		if (one_in(r, 4))
			child(r);
		break;
	case 15:
		if (one_in(r, 15))
			exec_self(r);
		break;
	}
}

static void calls(struct rng *r, int n)
{
	struct buffers b;
	int i;

	memset(&b, 0, sizeof(b));
	for (i = 0; i < n; i++) {
		call(r, &b);
		if (one_in(r, 20) && n > 50)
			event(r);
	}
}

static void *thread(void *arg)
{
	struct rng r = { *(unsigned long long *)arg };

	calls(&r, CALLS_PER_THREAD);
	return NULL;
}

static void __attribute__((noreturn)) run_round(int worker, int round)
{
	struct rng r = { seed ^ (unsigned long long)worker << 48 ^ (unsigned long long)round << 16 };
	unsigned long long seeds[3];
	pthread_t threads[ARRAY_LEN(seeds)];
	int n = 1 + below(&r, ARRAY_LEN(threads)), i;

	signal(SIGALRM, on_signal);
	signal(SIGUSR1, on_signal);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	rs->privileged = !one_in(&r, 5);
	rs->leader = getpid();
	rs->parent = getppid();
	rs->pidfd = pidfd_of(rs->leader, 0);
	rs->files[0] = open("/dev/zero", O_RDWR);
	rs->files[1] = syscall(SYS_memfd_create, "fuzz", 0);
	rs->files[2] = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	rs->files[3] = open("/dev/null", O_RDWR | O_NONBLOCK);
	rs->files[4] = open(BLOCK_NODE, O_PATH);
	/* Not to the runner. */
	for (i = 0; i < 3; i++)
		dup2(rs->files[3], i);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, rs->socket))
		_exit(1);
	for (i = 0; i < FDS; i++)
		rs->device[i] = open(DEVICE, O_RDWR | (i & 1 ? O_CLOEXEC : 0));
	/* What an earlier round has left on the worker. */
	raw_ioctl(rs->device[0], MEMSCOPE_IOC_SET_SCOPES, 0);
	if (!rs->privileged)
		effective_resource(false);
	for (i = 0; i < n; i++) {
		seeds[i] = next(&r);
		if (pthread_create(&threads[i], NULL, thread, &seeds[i]))
			_exit(1);
	}
	/* The others end with this one, wherever they are. */
	if (one_in(&r, 8))
		sleep_ms(below(&r, 200));
	else
		for (i = 0; i < n; i++)
			pthread_join(threads[i], NULL);
	_exit(0);
}

/* The program that a round has become, with the round's descriptors. */
static int executed(int argc, char **argv)
{
	struct rng r = { strtoull(argv[2], NULL, 10) };
	int i;

	signal(SIGALRM, on_signal);
	signal(SIGUSR1, on_signal);
	rs->leader = getpid();
	rs->parent = getppid();
	for (i = 0; i < FDS && i + 3 < argc; i++)
		rs->device[i] = atoi(argv[i + 3]);
	tell(EVENT | EXEC);
	/* Those that were close-on-exec are what errors are for. */
	calls(&r, 50);
	return 0;
}

static void kill_tree(pid_t pid)
{
	/* A session of its own: what the round has started, too. */
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
}

/* Counts what a round has told. */
static void count(int fd)
{
	unsigned char told[4096];
	ssize_t n, i;

	while ((n = read(fd, told, sizeof(told))) > 0) {
		for (i = 0; i < n; i++) {
			unsigned char what = told[i] & ~(REFUSED | EVENT);

			if (told[i] & EVENT && what < EVENTS) {
				atomic_fetch_add(&shared->happened[what], 1);
			} else if (!(told[i] & EVENT) && what < KINDS) {
				atomic_fetch_add(told[i] & REFUSED ? &shared->bad[what] :
						 &shared->good[what], 1);
				atomic_fetch_add(&shared->calls, 1);
			}
		}
	}
}

/* At a level that is no warning. Opened each time: each open file may say only so much. */
static void log_round(int worker, int round)
{
	char text[80];

	snprintf(text, sizeof(text), "<7>fuzz: worker %d round %d", worker, round);
	if (write_text("/dev/kmsg", text))
		fprintf(stderr, "# /dev/kmsg: cannot be written\n");
}

/* One round, and its end. */
static void one_round(int worker, int round)
{
	struct pollfd end = { .events = POLLIN };
	int n, told[2];
	pid_t pid;

	if (pipe2(told, O_NONBLOCK | O_CLOEXEC))
		return;
	log_round(worker, round);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(told[1], TOLD_FD) < 0 || munmap(shared, sizeof(*shared)))
			_exit(1);
		close(told[0]);
		close(told[1]);
		run_round(worker, round);
	}
	close(told[1]);
	if (pid < 0) {
		close(told[0]);
		return;
	}
	setpgid(pid, pid);
	end.fd = pidfd_of(pid, 0);
	n = poll(&end, 1, ROUND_MS);
	kill_tree(pid);
	if (n == 0)
		atomic_fetch_add(&shared->killed, 1);
	/* Rule: every task can be killed. */
	if (poll(&end, 1, 60000) != 1) {
		fprintf(stderr, "# worker %d, round %d, pid %d cannot be killed\n", worker, round, pid);
		atomic_fetch_add(&shared->stuck, 1);
		_exit(1);
	}
	close(end.fd);
	waitpid(pid, NULL, 0);
	count(told[0]);
	close(told[0]);
	atomic_fetch_add(&shared->rounds, 1);
}

static void worker(int number)
{
	int round;

	for (round = 0; atomic_load(&shared->calls) < shared->target; round++)
		one_round(number, round);
}

static void __attribute__((constructor)) set_up(void)
{
	struct timespec now;
	char *text = getenv("SEED");

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	seed = text && *text ? strtoul(text, NULL, 0) : (unsigned long)now.tv_nsec ^ now.tv_sec;
	/* What only the sanitizer kernel has. */
	shared->target = sizeof(long) == 4 ? CALLS_32 :
			 access("/sys/kernel/debug/kmemleak", F_OK) ? CALLS_STOCK : CALLS;
	text = getenv("CALLS");
	if (text && *text)
		shared->target = strtoul(text, NULL, 0);
}

static void report(void)
{
	static const char *const names[KINDS] = {
		"SET_IO_FLUSHER", "GET_IO_FLUSHER", "SET_SCOPES", "GET_SCOPES", "GET_FEATURES",
		"MARK", "SUSPEND", "RESUME", "CALL", "STATUS", "DELEGATE", "REVOKE", "REGISTER",
		"unknown",
	};
	int i;

	printf("# fuzz: %lu calls in %lu rounds, %lu of them cut off; SEED=%lu repeats them\n",
	       atomic_load(&shared->calls), atomic_load(&shared->rounds),
	       atomic_load(&shared->killed), seed);
	for (i = 0; i < KINDS; i++)
		printf("#   %-14s %8lu done, %8lu refused\n", names[i],
		       atomic_load(&shared->good[i]), atomic_load(&shared->bad[i]));
	for (i = 0; i < EVENTS; i++)
		printf("#   %-14s %8lu\n", events[i], atomic_load(&shared->happened[i]));
	fflush(stdout);
}

/* Rule: with every task gone nothing holds the module, and it works when it is back. */
static int module_is_free(void)
{
	int ret = -EBUSY, i, fd;

	/* The last files are closed a moment after their tasks are gone. */
	for (i = 0; i < 600 && (ret == -EBUSY || ret == -EAGAIN); i++) {
		sleep_ms(100);
		ret = module_remove();
	}
	if (ret || module_insert())
		return 1;
	fd = open_device();
	ret = fd < 0 || hold(fd, NOIO) || task_scopes() != NOIO;
	close(fd);
	return ret || task_scopes() != 0;
}

/* Whether the module has the command: it may be older than the header. */
static bool offered(int command)
{
	static const __u64 features[KINDS - 1] = {
		[8] = MEMSCOPE_FEATURE_CALL, [9] = MEMSCOPE_FEATURE_STATUS,
		[10] = MEMSCOPE_FEATURE_DELEGATE, [11] = MEMSCOPE_FEATURE_DELEGATE,
		[12] = MEMSCOPE_FEATURE_REGISTER,
	};
	int fd = open_device();
	__u64 mask = 0;

	raw_ioctl(fd, MEMSCOPE_IOC_GET_FEATURES, (unsigned long)&mask);
	close(fd);
	return (mask & features[command]) == features[command];
}

static int result(int number, bool ok, const char *name)
{
	printf("%s %d %s\n", ok ? "ok" : "not ok", number, name);
	fflush(stdout);
	return !ok;
}

/* A round that has written over its own stack is killed; the kernel's line on that is no complaint. */
static void log_killed_programs(const char *on)
{
	int fd = open("/proc/sys/debug/exception-trace", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, on, 1) != 1)
		fprintf(stderr, "# exception-trace: %s\n", strerror(errno));
	close(fd);
}

static int run_all(void)
{
	static const char levels[] = "/proc/sys/kernel/printk";
	bool all_events = shared->target >= CALLS_FOR_EVENTS;
	int i, failed = 0, every = 1, happened = 1;
	char was[80] = "";
	pid_t pid[WORKERS];

	mknod(BLOCK_NODE, S_IFBLK | 0600, makedev(1, 0));
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%d\n# fuzz: SEED=%lu\n", 4 + all_events, seed);
	fflush(stdout);
	log_killed_programs("0");
	if (read_file(levels, was, sizeof(was)) < 0 || write_text(levels, "8"))
		fprintf(stderr, "# %s: cannot be changed\n", levels);
	for (i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			worker(i);
			_exit(0);
		}
	}
	for (i = 0; i < WORKERS; i++)
		waitpid(pid[i], NULL, 0);
	log_killed_programs("1");
	write_text(levels, was);
	report();
	/* A command that was never done, or never refused, was not tested. */
	for (i = 0; i < KINDS - 1; i++)
		if (offered(i) && !(atomic_load(&shared->good[i]) && atomic_load(&shared->bad[i])))
			every = 0;
	failed += result(1, atomic_load(&shared->calls) >= shared->target, "calls");
	failed += result(2, every, "every_command_was_done");
	failed += result(3, !atomic_load(&shared->stuck), "every_task_can_be_killed");
	failed += result(4, !module_is_free(), "module_is_free");
	for (i = 0; i < EVENTS; i++)
		happened = happened && atomic_load(&shared->happened[i]);
	if (all_events)
		failed += result(5, happened, "every_event_happened");
	return failed != 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "--exec"))
		return executed(argc, argv);
	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	if (argc > 3) {
		one_round(atoi(argv[2]), atoi(argv[3]));
		report();
		return 0;
	}
	return run_all();
}
