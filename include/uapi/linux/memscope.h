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
 * %MEMSCOPE_FEATURE_CALL: CALL.
 * %MEMSCOPE_FEATURE_STATUS: STATUS.
 * %MEMSCOPE_FEATURE_DELEGATE: DELEGATE and REVOKE.
 * %MEMSCOPE_FEATURE_ACCOUNTING: the counters of &struct memscope_entry.
 * %MEMSCOPE_FEATURE_REGISTER: REGISTER.
 */
#define MEMSCOPE_FEATURE_IO_FLUSHER	(1ULL << 0)
#define MEMSCOPE_FEATURE_SCOPES		(1ULL << 1)
#define MEMSCOPE_FEATURE_MARK		(1ULL << 2)
#define MEMSCOPE_FEATURE_SUSPEND	(1ULL << 3)
#define MEMSCOPE_FEATURE_CALL		(1ULL << 4)
#define MEMSCOPE_FEATURE_STATUS		(1ULL << 5)
#define MEMSCOPE_FEATURE_DELEGATE	(1ULL << 6)
#define MEMSCOPE_FEATURE_ACCOUNTING	(1ULL << 7)
#define MEMSCOPE_FEATURE_REGISTER	(1ULL << 8)

/**
 * MEMSCOPE_MAX_PER_TASK - how much is remembered for one task
 *
 * The open files that may hold or suspend one thread, that may hold one process
 * as a whole, and the devices that one process may register. This bounds what the
 * kernel remembers by the number of threads, which %RLIMIT_NPROC bounds.
 */
#define MEMSCOPE_MAX_PER_TASK		64

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
 * Which descriptor is the last one is seen by the table of the thread that closes
 * it. A thread with a table of its own (unshare(2), CLONE_FILES) closes for its
 * whole process; a table that a process shares with another one stays open when
 * the process dies, and so does what it holds.
 *
 * What a thread has of its own is told from what is held by looking when the
 * hold begins: a bit that is held already and is then also set with prctl() or
 * SET_SCOPES goes with the hold. One that these clear is off until the thread's
 * marks, holds or suspensions change next.
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
 * * %EINVAL: the struct is smaller than the one above
 * * %EFAULT: the argument cannot be read
 * * %E2BIG: the struct is larger, and has a non-zero byte there
 * * %EKEYREVOKED: the file was delegated, and that has been revoked
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER, unless the file is delegated to
 *   the caller
 * * %EINVAL: an unknown flag or scope; an output field, or @pidfd without its
 *   flag, is not 0
 * * %EPERM: the file is delegated, and not for this
 * * %EBADF: @pidfd is no pidfd
 * * %EINVAL: the caller's pid namespace does not have it
 * * %ESRCH: no thread of it is alive
 * * %EPERM: the caller may not send it signals; or it is a kernel thread
 * * %ENODEV: HOLD, and the kernel has no tracepoints
 * * %ENOSPC: HOLD, and %MEMSCOPE_MAX_PER_TASK files hold the thread or the process;
 *   as below
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
 * * %EKEYREVOKED: the file was delegated, and that has been revoked
 * * %EINVAL: the argument is not 0
 * * %ENODEV: the kernel has no tracepoints
 * * %ENOSPC: suspended by %MEMSCOPE_MAX_PER_TASK files, or 2^32 - 1 times
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
 * * %EKEYREVOKED: the file was delegated, and that has been revoked
 * * %EINVAL: the argument is not 0, or the calling thread has not suspended
 *   with this open file
 */
#define MEMSCOPE_IOC_RESUME	_IO(MEMSCOPE_IOC_MAGIC, 0x07)

/**
 * DOC: one call under a set of scopes
 *
 * The operations of %MEMSCOPE_IOC_CALL, and what each takes from the struct:
 *
 * %MEMSCOPE_CALL_READ: preadv2(fd, iov, iovcnt, offset, flags); flags are RWF_*
 * and an offset of -1 is the current position, which moves.
 * %MEMSCOPE_CALL_WRITE: the same for pwritev2().
 * %MEMSCOPE_CALL_FSYNC: fsync(fd), or with %MEMSCOPE_FSYNC_DATASYNC in flags
 * fdatasync(fd); of @len bytes from @offset on, where the filesystem can do less
 * than all. A @len of 0 is up to the end.
 * %MEMSCOPE_CALL_FALLOCATE: fallocate(fd, flags, offset, len).
 */
#define MEMSCOPE_CALL_READ		0
#define MEMSCOPE_CALL_WRITE		1
#define MEMSCOPE_CALL_FSYNC		2
#define MEMSCOPE_CALL_FALLOCATE		3

#define MEMSCOPE_FSYNC_DATASYNC		(1U << 0)

/**
 * struct memscope_call - argument of MEMSCOPE_IOC_CALL
 * @op: MEMSCOPE_CALL_*
 * @scopes: MEMSCOPE_SCOPE_*, in addition to what the thread has
 * @fd: on which descriptor
 * @flags: the flags of the call: RWF_*, MEMSCOPE_FSYNC_*, or the mode of
 *	fallocate()
 * @iov: READ, WRITE: the address of an array of &struct iovec, of the caller's
 *	word size as for the plain call; else 0
 * @iovcnt: READ, WRITE: how many; else 0
 * @reserved: 0
 * @offset: where, in bytes
 * @len: FSYNC, FALLOCATE: how many bytes; else 0
 */
struct memscope_call {
	__u32 op;
	__u32 scopes;
	__s32 fd;
	__u32 flags;
	__u64 iov;
	__u32 iovcnt;
	__u32 reserved;
	__s64 offset;
	__s64 len;
};

/**
 * MEMSCOPE_IOC_CALL - read, write, fsync or fallocate under a set of scopes
 *
 * The argument points to a &struct memscope_call; the number carries its size. A
 * larger struct is taken where what is beyond this module's is zero. It is not
 * written.
 *
 * The calling thread has the scopes in addition to those it has, for the time of
 * the call; afterwards it has what it had before. While it is suspended it has
 * just these. The call is interrupted, and restarted, as the plain one is.
 *
 * Return: what the plain call returns; or -1 with errno, checked in this order:
 *
 * * %EINVAL: the struct is smaller than the one above
 * * %EFAULT: the argument cannot be read
 * * %E2BIG: the struct is larger, and has a non-zero byte there
 * * %EKEYREVOKED: the file was delegated, and that has been revoked
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER, unless the file is delegated to
 *   the caller
 * * %EINVAL: an unknown operation, scope or MEMSCOPE_FSYNC_* flag; a field that
 *   the operation does not take is not 0; FSYNC: @offset or @len is negative, or
 *   their sum is out of range
 * * %EPERM: the file is delegated, and not with these scopes
 * * any errno of the plain call
 */
#define MEMSCOPE_IOC_CALL	_IOW(MEMSCOPE_IOC_MAGIC, 0x08, struct memscope_call)

/**
 * DOC: entries of the status
 *
 * There is one for each mark of each thread. How the thread was marked:
 *
 * %MEMSCOPE_HOW_OWN: by prctl(), SET_IO_FLUSHER or SET_SCOPES, or by inheriting
 * from a thread that was. The kernel keeps no record of these: @by_pid and
 * @since_ns are 0, @by_uid is 0xffffffff. A thread that is in a CALL, or for which
 * the kernel itself has set scopes for a while (NOFS for readahead), is seen like
 * this as well; so is, for a moment, a thread that is being created or ends.
 * %MEMSCOPE_HOW_MARK: for good, by MARK.
 * %MEMSCOPE_HOW_HOLD: by MARK with HOLD.
 * %MEMSCOPE_HOW_DELEGATED: the same through a delegated file.
 *
 * Flags of an entry:
 *
 * %MEMSCOPE_ENTRY_PENDING: the thread has still to change its state.
 * %MEMSCOPE_ENTRY_SUSPENDED: the thread has suspended its scopes.
 * %MEMSCOPE_ENTRY_INHERITED: set on a thread that created this one.
 * %MEMSCOPE_ENTRY_PROCESS: set on the whole process.
 * %MEMSCOPE_ENTRY_SETTER_GONE: the process @by_pid has ended; its number may by
 * now be that of another.
 * %MEMSCOPE_ENTRY_COUNTED: the counters are kept for this thread.
 */
#define MEMSCOPE_HOW_OWN		0
#define MEMSCOPE_HOW_MARK		1
#define MEMSCOPE_HOW_HOLD		2
#define MEMSCOPE_HOW_DELEGATED		3

#define MEMSCOPE_ENTRY_PENDING		(1U << 0)
#define MEMSCOPE_ENTRY_SUSPENDED	(1U << 1)
#define MEMSCOPE_ENTRY_INHERITED	(1U << 2)
#define MEMSCOPE_ENTRY_PROCESS		(1U << 3)
#define MEMSCOPE_ENTRY_SETTER_GONE	(1U << 4)
#define MEMSCOPE_ENTRY_COUNTED		(1U << 5)

/**
 * struct memscope_entry - one mark of one thread
 * @tid: the thread, in the caller's pid namespace
 * @tgid: its process
 * @uid: its real user id, in the caller's user namespace
 * @scopes: MEMSCOPE_SCOPE_* that are in force on the thread now
 * @mark: MEMSCOPE_SCOPE_* of this mark
 * @how: MEMSCOPE_HOW_*
 * @flags: MEMSCOPE_ENTRY_*
 * @by_pid: the process that set it, in the caller's pid namespace; 0 if it is not
 *	in there, or not known
 * @by_uid: its real user id at that time, in the caller's user namespace;
 *	0xffffffff if not known
 * @reserved: 0
 * @since_ns: when, in nanoseconds of %CLOCK_BOOTTIME
 * @reclaims: how often the thread has entered direct reclaim, of the machine or
 *	of its memory control group, since it is counted
 * @reclaim_ns: how long it was in there, in nanoseconds
 * @constrained: how many of its page allocations that could have reclaimed were
 *	without I/O or without filesystems
 * @pauses: how often it was made to pause for having dirtied pages
 *	(balance_dirty_pages())
 * @pause_ns: for how long, in nanoseconds
 * @comm: the thread's name, ended by a NUL
 * @by_comm: the name of the thread that set it, at that time
 *
 * The counters are those of the thread, the same in each of its entries.
 */
struct memscope_entry {
	__u32 tid;
	__u32 tgid;
	__u32 uid;
	__u32 scopes;
	__u32 mark;
	__u32 how;
	__u32 flags;
	__u32 by_pid;
	__u32 by_uid;
	__u32 reserved;
	__u64 since_ns;
	__u64 reclaims;
	__u64 reclaim_ns;
	__u64 constrained;
	__u64 pauses;
	__u64 pause_ns;
	char comm[16];
	char by_comm[16];
};

/**
 * struct memscope_status - argument of MEMSCOPE_IOC_STATUS
 * @cursor: in: 0 to begin, then what the last call left here; out: where to go
 *	on, opaque
 * @entries: in: the address of an array of &struct memscope_entry
 * @entry_size: in: the size of one in the array, in bytes; what is beyond this
 *	module's is set to zero
 * @count: in: how many the array has room for; out: how many were filled. Less
 *	than asked for, 0 included, only where there are no more
 * @flags: in: 0
 * @reserved: in: 0
 * @missed: in: 0; out: how many new threads did not get what they should have
 *	inherited, for want of memory, since the module was loaded
 * @unmarked: in: 0; out: how often an unmarked thread of a process that serves a
 *	device (%MEMSCOPE_IOC_REGISTER) has entered reclaim with I/O or
 *	filesystems allowed. 0 without the capability
 */
struct memscope_status {
	__u64 cursor;
	__u64 entries;
	__u32 entry_size;
	__u32 count;
	__u32 flags;
	__u32 reserved;
	__u64 missed;
	__u64 unmarked;
};

/**
 * MEMSCOPE_IOC_STATUS - who is marked
 *
 * The argument points to a &struct memscope_status; the number carries its size.
 * A larger struct is taken where what is beyond this module's is zero.
 *
 * Iterates in the order of thread ids over the threads in the caller's pid
 * namespace that have scopes, whoever set them. Without %CAP_SYS_RESOURCE in the
 * initial user namespace: over those whose real user id is the caller's
 * effective one. A thread that is marked or ends between two calls may be missed;
 * none is reported twice.
 *
 * Return: the number of entries (@count); or -1 with errno, checked in this
 * order:
 *
 * * %EINVAL: the struct is smaller than the one above
 * * %EFAULT: the argument cannot be read
 * * %E2BIG: the struct is larger, and has a non-zero byte there
 * * %EINVAL: @flags, @reserved, @missed or @unmarked is not 0, @entry_size is less
 *   than that of the struct above or more than a page, or @cursor is beyond any
 *   that is given out
 * * %ENOMEM
 * * %EFAULT: the array or the argument cannot be written
 * * %EINTR: a fatal signal
 */
#define MEMSCOPE_IOC_STATUS	_IOWR(MEMSCOPE_IOC_MAGIC, 0x09, struct memscope_status)

/**
 * DOC: delegation
 *
 * %MEMSCOPE_DELEGATE_UID: only to processes whose effective user id is @uid.
 *
 * %MEMSCOPE_DELEGATE_PIDFD: only to the process that @pidfd refers to; not to its
 * children.
 *
 * %MEMSCOPE_DELEGATE_FIRST: only to the first process that uses it for MARK, CALL
 * or REGISTER, by a command that is not refused for its arguments. For a file that
 * is inherited, or passed to whom one does not know yet.
 *
 * %MEMSCOPE_DELEGATE_TIED: it is revoked when the process that has delegated it
 * closes its last descriptor of it: by close(), by execve() or by its death.
 */
#define MEMSCOPE_DELEGATE_UID		(1U << 0)
#define MEMSCOPE_DELEGATE_PIDFD		(1U << 1)
#define MEMSCOPE_DELEGATE_FIRST		(1U << 2)
#define MEMSCOPE_DELEGATE_TIED		(1U << 3)

/**
 * struct memscope_delegate - argument of MEMSCOPE_IOC_DELEGATE
 * @flags: MEMSCOPE_DELEGATE_*
 * @scopes: MEMSCOPE_SCOPE_*: the most that may be set through the file
 * @uid: with %MEMSCOPE_DELEGATE_UID, whose; in the caller's user namespace; else 0
 * @pidfd: with %MEMSCOPE_DELEGATE_PIDFD, of which process; else 0
 */
struct memscope_delegate {
	__u32 flags;
	__u32 scopes;
	__u32 uid;
	__s32 pidfd;
};

/**
 * MEMSCOPE_IOC_DELEGATE - let who has this open file mark itself
 *
 * The argument points to a &struct memscope_delegate; the number carries its
 * size. A larger struct is taken where what is beyond this module's is zero.
 *
 * From here on the open file, by whatever descriptor and in whatever process
 * (inherited, sent over a socket), is good for this, with and without
 * %CAP_SYS_RESOURCE:
 *
 * * MARK with HOLD of the calling thread or of its process, with scopes out of
 *   the set; and its end. The hold ends as any does, and when the delegation is
 *   revoked.
 * * CALL with scopes out of the set.
 * * REGISTER.
 * * SUSPEND, RESUME, STATUS, GET_FEATURES as on any file.
 *
 * and for nothing else: SET_IO_FLUSHER, GET_IO_FLUSHER, SET_SCOPES, GET_SCOPES,
 * MARK without HOLD or with PIDFD are %EPERM. Whoever is given the file
 * can only mark itself. It cannot be undone or changed, only revoked; opening the
 * device again, or its node in /proc/PID/fd, gives a file that is not delegated.
 *
 * Return: 0; or -1 with errno, checked in this order:
 *
 * * %EINVAL: the struct is smaller than the one above
 * * %EFAULT: the argument cannot be read
 * * %E2BIG: the struct is larger, and has a non-zero byte there
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER
 * * %EINVAL: an unknown flag or scope; no scope; both PIDFD and FIRST; @uid or
 *   @pidfd without its flag is not 0; @uid is not in the caller's user namespace
 * * %EBADF: @pidfd is no pidfd
 * * %EINVAL: the caller's pid namespace does not have it
 * * %ESRCH: the process has been reaped; or the pidfd is of a thread
 * * %EBUSY: the file is delegated, or the delegation was revoked
 */
#define MEMSCOPE_IOC_DELEGATE	_IOW(MEMSCOPE_IOC_MAGIC, 0x0a, struct memscope_delegate)

/**
 * MEMSCOPE_IOC_REVOKE - end a delegation
 *
 * The argument must be 0. By any descriptor of the delegated file: one that who
 * delegates it has kept, or one that pidfd_getfd(2) takes from a process that has
 * it. What was marked, suspended and registered through
 * the file ends, as if it was closed; sleeping threads are interrupted as their
 * MARK said. On return none of it is in force on the calling thread, and it ends
 * on the others when they next return to user mode; a CALL that is under way ends
 * as it would have. From then on MARK, CALL, REGISTER, SUSPEND and RESUME on the
 * file are %EKEYREVOKED.
 *
 * Return: 0, also where it was revoked before; or -1 with errno, checked in this
 * order:
 *
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER
 * * %EINVAL: the argument is not 0, or the file is not delegated
 */
#define MEMSCOPE_IOC_REVOKE	_IO(MEMSCOPE_IOC_MAGIC, 0x0b)

/**
 * DOC: devices that a process serves
 *
 * %MEMSCOPE_REGISTER_REMOVE: no longer.
 */
#define MEMSCOPE_REGISTER_REMOVE	(1U << 0)

/**
 * struct memscope_register - argument of MEMSCOPE_IOC_REGISTER
 * @flags: MEMSCOPE_REGISTER_*
 * @fd: a descriptor of the block device's node; %O_PATH, which does not open the
 *	device, suffices
 */
struct memscope_register {
	__u32 flags;
	__s32 fd;
};

/**
 * MEMSCOPE_IOC_REGISTER - say which block device the calling process serves
 *
 * The argument points to a &struct memscope_register; the number carries its
 * size. A larger struct is taken where what is beyond this module's is zero.
 *
 * When a thread of the process that MARK has not marked, and that has no
 * LOCAL_THROTTLE by other means, then enters direct reclaim with I/O or filesystems
 * allowed, the kernel logs a line (not more than 10 in 5 seconds) with the thread and
 * the device. Marks nobody. Ends when the process
 * closes its last descriptor of the file, as a hold does, and within some
 * seconds of its death; a child does not have it.
 *
 * Return: 0, also where it was so before; or -1 with errno, checked in this
 * order:
 *
 * * %EINVAL: the struct is smaller than the one above
 * * %EFAULT: the argument cannot be read
 * * %E2BIG: the struct is larger, and has a non-zero byte there
 * * %EKEYREVOKED: the file was delegated, and that has been revoked
 * * %EPERM: as for %MEMSCOPE_IOC_SET_IO_FLUSHER, unless the file is delegated to
 *   the caller
 * * %EINVAL: an unknown flag
 * * %EBADF: @fd is no descriptor
 * * %ENOTBLK: @fd is not of a block device
 * * %ENOENT: REMOVE, and the process has not registered it with this file
 * * %ENOSPC: the process has registered %MEMSCOPE_MAX_PER_TASK already
 * * %ENODEV: the kernel has no tracepoints
 * * %ENOMEM
 */
#define MEMSCOPE_IOC_REGISTER	_IOW(MEMSCOPE_IOC_MAGIC, 0x0c, struct memscope_register)

/* Any other command: -1 with errno %ENOTTY. */

#endif /* _UAPI_LINUX_MEMSCOPE_H */
