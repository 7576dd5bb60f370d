/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User-space interface of /dev/memscope.
 *
 * The SET and GET commands act on the calling thread. Threads and processes
 * that it creates later inherit the state, and execve() keeps it, as with
 * prctl(PR_SET_IO_FLUSHER). %MEMSCOPE_IOC_MARK has other choices.
 */
#ifndef _UAPI_LINUX_MEMSCOPE_H
#define _UAPI_LINUX_MEMSCOPE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: scopes of a thread
 *
 * A thread's state is a set of the bits below. The memory allocations that the
 * kernel makes on behalf of the thread, at any depth, obey it.
 *
 * %MEMSCOPE_SCOPE_NOIO: reclaim starts no I/O and enters no filesystem.
 * %MEMSCOPE_SCOPE_NOFS: reclaim enters no filesystem; it may still start I/O,
 * for instance write to swap. Ignored by the allocator where NOIO is set too.
 * %MEMSCOPE_SCOPE_LOCAL_THROTTLE: buffered writes of this thread are throttled
 * by the dirty pages of the device that it writes to, not by those of others.
 */
#define MEMSCOPE_SCOPE_NOIO		(1U << 0)
#define MEMSCOPE_SCOPE_NOFS		(1U << 1)
#define MEMSCOPE_SCOPE_LOCAL_THROTTLE	(1U << 2)

/**
 * MEMSCOPE_IO_FLUSHER - what prctl(PR_SET_IO_FLUSHER, 1) sets
 *
 * For a daemon that serves a block device.
 */
#define MEMSCOPE_IO_FLUSHER \
	(MEMSCOPE_SCOPE_NOIO | MEMSCOPE_SCOPE_LOCAL_THROTTLE)

/**
 * MEMSCOPE_FS_FLUSHER - the same for a daemon that serves a filesystem
 *
 * Reclaim may still swap, so the daemon must not serve the swap device.
 */
#define MEMSCOPE_FS_FLUSHER \
	(MEMSCOPE_SCOPE_NOFS | MEMSCOPE_SCOPE_LOCAL_THROTTLE)

/**
 * DOC: feature bits
 *
 * %MEMSCOPE_FEATURE_IO_FLUSHER: SET_IO_FLUSHER and GET_IO_FLUSHER.
 * %MEMSCOPE_FEATURE_SCOPES: SET_SCOPES and GET_SCOPES.
 * %MEMSCOPE_FEATURE_MARK: MARK.
 * %MEMSCOPE_FEATURE_SUSPEND: SUSPEND and RESUME.
 */
#define MEMSCOPE_FEATURE_IO_FLUSHER	(1ULL << 0)
#define MEMSCOPE_FEATURE_SCOPES		(1ULL << 1)
#define MEMSCOPE_FEATURE_MARK		(1ULL << 2)
#define MEMSCOPE_FEATURE_SUSPEND	(1ULL << 3)

/* Not in the kernel's ioctl-number.rst; no row there uses this letter. */
#define MEMSCOPE_IOC_MAGIC		0xD5

/**
 * MEMSCOPE_IOC_SET_IO_FLUSHER - set or clear the IO_FLUSHER state
 *
 * The argument is passed by value: 1 sets %MEMSCOPE_IO_FLUSHER and leaves NOFS
 * as it is, 0 clears those two bits. The same as prctl(PR_SET_IO_FLUSHER, arg,
 * 0, 0, 0): either sees what the other has set.
 *
 * Return: 0; or -1 with errno, checked in this order:
 *
 * * %EPERM: the caller has no %CAP_SYS_RESOURCE in the initial user namespace
 *   (being root of another user namespace is not enough)
 * * %EINVAL: the argument is neither 0 nor 1
 */
#define MEMSCOPE_IOC_SET_IO_FLUSHER	_IO(MEMSCOPE_IOC_MAGIC, 0x00)

/**
 * MEMSCOPE_IOC_GET_IO_FLUSHER - read the IO_FLUSHER state
 *
 * The argument must be 0. The same as prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0).
 *
 * Return: 1 if both bits of %MEMSCOPE_IO_FLUSHER are set, 0 if not; or -1 with
 * errno, checked in this order:
 *
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER
 * * %EINVAL: the argument is not 0
 */
#define MEMSCOPE_IOC_GET_IO_FLUSHER	_IO(MEMSCOPE_IOC_MAGIC, 0x01)

/**
 * MEMSCOPE_IOC_SET_SCOPES - replace the set of scopes
 *
 * The argument is the new set, by value: MEMSCOPE_SCOPE_* or'ed together, 0 for
 * none. Bits that are not in it are cleared.
 *
 * Return: 0; or -1 with errno, checked in this order:
 *
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER
 * * %EINVAL: the argument has a bit that is not a MEMSCOPE_SCOPE_*
 */
#define MEMSCOPE_IOC_SET_SCOPES		_IO(MEMSCOPE_IOC_MAGIC, 0x02)

/**
 * MEMSCOPE_IOC_GET_SCOPES - read the set of scopes
 *
 * The argument must be 0.
 *
 * Return: the set (0 or a positive number); or -1 with errno, checked in this
 * order:
 *
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER
 * * %EINVAL: the argument is not 0
 */
#define MEMSCOPE_IOC_GET_SCOPES		_IO(MEMSCOPE_IOC_MAGIC, 0x03)

/**
 * MEMSCOPE_IOC_GET_FEATURES - what this module can do
 *
 * The argument points to a __u64 that receives the MEMSCOPE_FEATURE_* mask. No
 * capability is needed. A program tests the bits that it needs and ignores the
 * others; there is no version number.
 *
 * Return: 0; or -1 with errno:
 *
 * * %EFAULT: the argument does not point to writable memory
 */
#define MEMSCOPE_IOC_GET_FEATURES	_IOR(MEMSCOPE_IOC_MAGIC, 0x04, __u64)

/**
 * DOC: flags of a mark
 *
 * %MEMSCOPE_MARK_HOLD: the scopes are held by this open file, in addition to
 * what a thread has of its own and what other files hold. The hold ends when
 * the process that set it closes its last descriptor of the file: by close(),
 * by execve() if the descriptor is close-on-exec, or by its death; and at the
 * latest when nobody has the file open any more. A thread then has again what
 * it had without the hold. A thread that a held thread creates is held too; a
 * process that it creates is not, and starts with what the thread has without
 * any hold. Without this flag the scopes replace the thread's own, for good, as
 * with SET_SCOPES.
 *
 * What a thread has of its own is told from what is held by looking when the
 * hold begins: a bit that is held already and is then also set with prctl() or
 * SET_SCOPES goes with the hold.
 *
 * %MEMSCOPE_MARK_PROCESS: every thread of the process, workers that io_uring
 * runs in it included. Threads that are created while the command runs are
 * marked too; with HOLD, so are all later ones.
 *
 * %MEMSCOPE_MARK_PIDFD: the process, or without PROCESS the one thread, that the
 * pidfd refers to. For one thread that may be a pidfd made with PIDFD_THREAD.
 * The caller must be allowed to send it signals, as by kill(2), and must see it
 * in its pid namespace. A hold is the caller's: it ends when the caller closes
 * the file, and not when the marked process calls execve().
 *
 * %MEMSCOPE_MARK_NO_INTERRUPT: a thread that sleeps in a system call is left to
 * finish it. Without this flag its sleep is interrupted as by SIGSTOP and
 * SIGCONT: most calls are restarted by the kernel, some (epoll_wait(), see
 * signal(7)) return %EINTR. Also applies to the end of a hold. A worker of
 * io_uring is never interrupted in a request: it changes before the next one.
 */
#define MEMSCOPE_MARK_HOLD		(1U << 0)
#define MEMSCOPE_MARK_PROCESS		(1U << 1)
#define MEMSCOPE_MARK_NO_INTERRUPT	(1U << 2)
#define MEMSCOPE_MARK_PIDFD		(1U << 3)

/**
 * struct memscope_mark - argument of MEMSCOPE_IOC_MARK
 * @flags: in: MEMSCOPE_MARK_*
 * @scopes: in: MEMSCOPE_SCOPE_*; 0 clears, or ends this file's hold
 * @pidfd: in: with %MEMSCOPE_MARK_PIDFD, whom; else 0
 * @timeout_ms: in: how long to wait for other threads to change, in
 *	milliseconds; 0: not at all
 * @done: out: how many threads have it in force
 * @remaining: out: how many do not; they change when they next return to user
 *	mode, without being asked again
 * @stopped: out: how many of @remaining are stopped
 * @blocked: out: how many of @remaining are in a sleep that is not interrupted
 */
struct memscope_mark {
	__u32 flags;
	__u32 scopes;
	__s32 pidfd;
	__u32 timeout_ms;
	__u32 done;
	__u32 remaining;
	__u32 stopped;
	__u32 blocked;
};

/**
 * MEMSCOPE_IOC_MARK - mark threads, for good or while a file is open
 *
 * The argument points to a &struct memscope_mark; the number carries its size.
 * A larger struct is taken where what is beyond this module's is zero.
 *
 * No thread's state is written by another: each changes its own on its way to
 * user mode, the calling one at once. A thread that exits meanwhile is not
 * counted.
 *
 * Return: the number of threads on which it is not in force (@remaining), 0 if
 * it is on all; or -1 with errno, checked in this order:
 *
 * * %EFAULT: the argument cannot be read
 * * %EINVAL: the struct is smaller than the one above
 * * %E2BIG: the struct is larger, and has a non-zero byte there
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER
 * * %EINVAL: an unknown flag or scope; an output field, or @pidfd without its
 *   flag, is not 0
 * * %EBADF: @pidfd is no pidfd
 * * %EINVAL: the caller's pid namespace does not have it
 * * %ESRCH: no thread of it is alive
 * * %EPERM: the caller may not send it signals; or it is a kernel thread
 * * %ENODEV: HOLD, and the kernel has no tracepoints
 * * %ENOMEM: some threads may be marked; with HOLD, closing the file undoes it
 * * %EINTR: a fatal signal; as above
 * * %EFAULT: the argument cannot be written; the marks are set
 */
#define MEMSCOPE_IOC_MARK	_IOWR(MEMSCOPE_IOC_MAGIC, 0x05, struct memscope_mark)

/**
 * MEMSCOPE_IOC_SUSPEND - leave every scope for a while
 *
 * The argument must be 0. The calling thread has no scope from here on, whoever
 * set what it had, until %MEMSCOPE_IOC_RESUME on the same open file, or until
 * that file is closed. Nests: as many RESUMEs are needed. What is marked or
 * ended meanwhile takes effect at the end. No capability is needed: what the
 * thread can get back is what it had.
 *
 * What it creates meanwhile starts without scopes; a thread, with what the
 * whole process is held in.
 *
 * Return: 0; or -1 with errno:
 *
 * * %EINVAL: the argument is not 0
 * * %ENODEV: the kernel has no tracepoints
 * * %ENOMEM
 */
#define MEMSCOPE_IOC_SUSPEND	_IO(MEMSCOPE_IOC_MAGIC, 0x06)

/**
 * MEMSCOPE_IOC_RESUME - end the last SUSPEND
 *
 * The argument must be 0.
 *
 * Return: 0; or -1 with errno:
 *
 * * %EINVAL: the argument is not 0, or the calling thread has not suspended
 *   with this open file
 */
#define MEMSCOPE_IOC_RESUME	_IO(MEMSCOPE_IOC_MAGIC, 0x07)

/* Any other command: -1 with errno %ENOTTY. */

#endif /* _UAPI_LINUX_MEMSCOPE_H */
