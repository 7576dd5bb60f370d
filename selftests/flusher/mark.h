/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of MEMSCOPE_IOC_MARK share. */
#ifndef MEMSCOPE_SELFTESTS_MARK_H
#define MEMSCOPE_SELFTESTS_MARK_H

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "flusher.h"

#define NOIO MEMSCOPE_SCOPE_NOIO
#define NOFS MEMSCOPE_SCOPE_NOFS
#define LOCAL MEMSCOPE_SCOPE_LOCAL_THROTTLE

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static inline int pidfd_of(pid_t pid, unsigned int flags)
{
	return syscall(SYS_pidfd_open, pid, flags);
}

static inline int open_device(void)
{
	return open(DEVICE, O_RDWR | O_CLOEXEC);
}

static inline long mark_ioctl(int fd, struct memscope_mark *mark)
{
	return raw_ioctl(fd, MEMSCOPE_IOC_MARK, (unsigned long)mark);
}

/* Marks the calling thread, or with flags its process; waits up to a minute. */
static inline long mark(int fd, __u32 flags, __u32 scopes)
{
	struct memscope_mark m = { .flags = flags, .scopes = scopes, .timeout_ms = 60000 };

	return mark_ioctl(fd, &m);
}

static inline long hold(int fd, __u32 scopes)
{
	return mark(fd, MEMSCOPE_MARK_HOLD, scopes);
}

static inline long thread_scopes(pid_t tid)
{
	unsigned int flags = task_flags_of(getpid(), tid);

	return flags ? scopes_of_flags(flags) : -1;
}

static inline void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* All that waits here waits so long at most, in steps of 10 ms: a guest may be slow. */
#define PATIENCE 6000

/* Waits until a thread of any process sleeps in the system call. */
static inline bool wait_in_syscall(pid_t pid, pid_t tid, long number)
{
	int i;

	for (i = 0; i < PATIENCE && !is_in_syscall(pid, tid, number); i++)
		sleep_ms(10);
	return i < PATIENCE;
}

/* Waits for a thread of any process to have the set; returns what it has. */
static inline long wait_scopes_of(pid_t pid, pid_t tid, long want)
{
	long have = -1;
	int i;

	for (i = 0; i < PATIENCE; i++) {
		have = scopes_of_flags(task_flags_of(pid, tid));
		if (have == want)
			break;
		sleep_ms(10);
	}
	return have;
}

static inline long wait_scopes(pid_t tid, long want)
{
	return wait_scopes_of(getpid(), tid, want);
}

/* Runs f in a fork and returns its exit status, or -1. */
#define IN_CHILD(body)							\
	({								\
		int status_ = -1;					\
		pid_t pid_ = fork();					\
									\
		if (!pid_)						\
			_exit(body);					\
		if (pid_ < 0 || waitpid(pid_, &status_, 0) != pid_)	\
			status_ = -1;					\
		status_ < 0 || !WIFEXITED(status_) ? -1 : WEXITSTATUS(status_); \
	})

#endif
