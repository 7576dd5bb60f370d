/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of /dev/memscope share. */
#ifndef MEMSCOPE_SELFTESTS_FLUSHER_H
#define MEMSCOPE_SELFTESTS_FLUSHER_H

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/memscope.h>
#include <linux/prctl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../files.h"
#include "pf.h" /* PF_*, taken from the kernel's include/linux/sched.h */

#define DEVICE "/dev/memscope"
#define NOBODY 65534
#define ALL_SCOPES (MEMSCOPE_SCOPE_NOIO | MEMSCOPE_SCOPE_NOFS | \
		    MEMSCOPE_SCOPE_LOCAL_THROTTLE)
#define PF_SCOPES (PF_MEMALLOC_NOIO | PF_MEMALLOC_NOFS | PF_LOCAL_THROTTLE)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LONG_BITS (8 * (int)sizeof(long))

/*
 * System calls without libc in between: the argument reaches the kernel as a
 * whole register. An error is returned as a negative errno.
 */

static inline long raw_ioctl(int fd, unsigned int cmd, unsigned long arg)
{
	long ret = syscall(SYS_ioctl, fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static inline long raw_prctl(int op, unsigned long arg)
{
	long ret = syscall(SYS_prctl, op, arg, 0UL, 0UL, 0UL);

	return ret < 0 ? -errno : ret;
}

/* The arguments by value that differ in how they could be misread. */
static const unsigned long value_args[] = {
	0, 1, 2, 3, 4, 7, 8, 0x10, 0xff, 0x100, 0x10000, 0x7fffffff, 0x80000000,
	0x80000001, 0xfffffffe, 0xffffffff,
	(unsigned long)-1, (unsigned long)-2,
	(unsigned long)(1ULL << 32), (unsigned long)(1ULL << 32 | 1),
	(unsigned long)(1ULL << 63), (unsigned long)(1ULL << 63 | 1),
	(unsigned long)(-1ULL << 32), (unsigned long)(-1ULL << 32 | 1),
};

/* Field 9 of /proc/self/task/TID/stat, or 0 on failure: it is never 0 there. */
static inline unsigned int task_flags_of(pid_t pid, pid_t tid)
{
	char path[64], buf[1024], *p;
	unsigned int flags;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return 0;
	/* The name, field 2, may hold anything; field 3 follows its last ')'. */
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		return 0;
	return flags;
}

/* Whether a thread sleeps in this system call: /proc says its number only then. */
static inline bool is_in_syscall(pid_t pid, pid_t tid, long number)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	if (read_file(path, text, sizeof(text)) <= 0)
		return false;
	return text[0] >= '0' && text[0] <= '9' && strtol(text, NULL, 10) == number;
}

static inline unsigned int task_flags(void)
{
	return task_flags_of(getpid(), syscall(SYS_gettid));
}

/* The MEMSCOPE_SCOPE_* set that the kernel's task flags say. */
static inline long scopes_of_flags(unsigned int flags)
{
	return (flags & PF_MEMALLOC_NOIO ? MEMSCOPE_SCOPE_NOIO : 0) |
	       (flags & PF_MEMALLOC_NOFS ? MEMSCOPE_SCOPE_NOFS : 0) |
	       (flags & PF_LOCAL_THROTTLE ? MEMSCOPE_SCOPE_LOCAL_THROTTLE : 0);
}

static inline long task_scopes(void)
{
	return scopes_of_flags(task_flags());
}

static inline bool is_io_flusher(long scopes)
{
	return (scopes & MEMSCOPE_IO_FLUSHER) == MEMSCOPE_IO_FLUSHER;
}

struct caps {
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3];
};

static inline int get_caps(struct caps *caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return syscall(SYS_capget, &header, caps->set);
}

static inline int set_caps(struct caps *caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return syscall(SYS_capset, &header, caps->set);
}

/* Another user, without capabilities, whose /proc files are root's: it is not dumpable. */
static inline int become_nobody(void)
{
	return setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	       setresuid(NOBODY, NOBODY, NOBODY);
}

/* Adds CAP_SYS_RESOURCE to the effective set, or takes it out. */
static inline int effective_resource(bool on)
{
	struct caps caps;
	__u32 *word = &caps.set[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective;

	if (get_caps(&caps))
		return -1;
	if (on)
		*word |= CAP_TO_MASK(CAP_SYS_RESOURCE);
	else
		*word &= ~CAP_TO_MASK(CAP_SYS_RESOURCE);
	return set_caps(&caps);
}

/* Another process that has this one's files open, until let_go() or this one ends. */
struct keeper {
	pid_t pid;
	int go;
};

static inline int keep_files(struct keeper *keeper)
{
	int go[2];
	char byte;

	if (pipe2(go, O_CLOEXEC))
		return -1;
	keeper->pid = fork();
	if (!keeper->pid) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	close(go[0]);
	keeper->go = go[1];
	return keeper->pid < 0 ? -1 : 0;
}

/* Returns 0 if it was there until now. */
static inline int let_go(struct keeper *keeper)
{
	int status;

	close(keeper->go);
	return waitpid(keeper->pid, &status, 0) == keeper->pid ? status : -1;
}

#endif
