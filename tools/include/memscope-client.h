/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Client of /dev/memscope in one header, for daemons that serve a block device
 * or a filesystem from user space. C99 or C++11 with GNU extensions of the C
 * library; Linux; no library, and no header of memscope or of the kernel is
 * needed: the numbers are here, and <linux/memscope.h> may be included as well,
 * before or after.
 *
 *	struct memscope_client ms;
 *
 *	memscope_open(&ms);
 *	if (memscope_add(&ms, MEMSCOPE_IO_FLUSHER))
 *		fprintf(stderr, "%s\n", memscope_strerror(&ms, errno));
 *
 * Functions return 0, or what they say, and -1 with errno where they fail.
 * Where the device cannot be opened, those of the calling thread fall back to
 * prctl(PR_SET_IO_FLUSHER) as far as that goes, and the others fail with the
 * errno of the open: ENOENT without the module.
 */
#ifndef MEMSCOPE_CLIENT_H
#define MEMSCOPE_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As in <linux/memscope.h>, token by token: who includes both gets no warning. */
#define MEMSCOPE_SCOPE_NOIO		(1U << 0)
#define MEMSCOPE_SCOPE_NOFS		(1U << 1)
#define MEMSCOPE_SCOPE_LOCAL_THROTTLE	(1U << 2)

/* For a daemon that serves a block device: what the prctl sets. */
#define MEMSCOPE_IO_FLUSHER \
	(MEMSCOPE_SCOPE_NOIO | MEMSCOPE_SCOPE_LOCAL_THROTTLE)

/* For one that serves a filesystem, and not the swap device. */
#define MEMSCOPE_FS_FLUSHER \
	(MEMSCOPE_SCOPE_NOFS | MEMSCOPE_SCOPE_LOCAL_THROTTLE)

#define MEMSCOPE_MARK_HOLD		(1U << 0)
#define MEMSCOPE_MARK_PROCESS		(1U << 1)
#define MEMSCOPE_MARK_NO_INTERRUPT	(1U << 2)
#define MEMSCOPE_MARK_PIDFD		(1U << 3)

#define MEMSCOPE_CALL_READ		0
#define MEMSCOPE_CALL_WRITE		1
#define MEMSCOPE_CALL_FSYNC		2
#define MEMSCOPE_CALL_FALLOCATE		3

#define MEMSCOPE_FSYNC_DATASYNC		(1U << 0)

#define MEMSCOPE_REGISTER_REMOVE	(1U << 0)

/* Laid out as struct memscope_mark, struct memscope_call and struct memscope_register. */
struct memscope_client_mark {
	uint32_t flags;
	uint32_t scopes;
	int32_t pidfd;
	uint32_t timeout_ms;
	uint32_t done;
	uint32_t remaining;
	uint32_t stopped;
	uint32_t blocked;
};

struct memscope_client_call {
	uint32_t op;
	uint32_t scopes;
	int32_t fd;
	uint32_t flags;
	uint64_t iov;
	uint32_t iovcnt;
	uint32_t reserved;
	int64_t offset;
	int64_t len;
};

struct memscope_client_register {
	uint32_t flags;
	int32_t fd;
};

#define MEMSCOPE_CLIENT_SET_SCOPES	_IO(0xD5, 0x02)
#define MEMSCOPE_CLIENT_GET_SCOPES	_IO(0xD5, 0x03)
#define MEMSCOPE_CLIENT_GET_FEATURES	_IOR(0xD5, 0x04, uint64_t)
#define MEMSCOPE_CLIENT_MARK		_IOWR(0xD5, 0x05, struct memscope_client_mark)
#define MEMSCOPE_CLIENT_SUSPEND		_IO(0xD5, 0x06)
#define MEMSCOPE_CLIENT_RESUME		_IO(0xD5, 0x07)
#define MEMSCOPE_CLIENT_CALL		_IOW(0xD5, 0x08, struct memscope_client_call)
#define MEMSCOPE_CLIENT_REGISTER	_IOW(0xD5, 0x0c, struct memscope_client_register)

/* glibc before 2.36 does not have these. */
#define MEMSCOPE_CLIENT_PR_SET_IO_FLUSHER	57
#define MEMSCOPE_CLIENT_PR_GET_IO_FLUSHER	58

/* The device, or why there is none. */
struct memscope_client {
	int fd;		/* -1: prctl */
	int error;	/* errno of the open, or 0 */
};

/*
 * What systemd has opened by OpenFile=/dev/memscope:memscope, as in
 * sd_listen_fds_with_names(3); -1 if there is nothing, or it was closed.
 */
static inline int memscope_client_systemd_(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *name = getenv("LISTEN_FDNAMES");
	int fd, end;
	size_t len;

	if (!pid || !count || !name || atol(pid) != (long)getpid())
		return -1;
	end = 3 + atoi(count);
	for (fd = 3; fd < end; fd++) {
		len = strcspn(name, ":");
		if (len == 8 && !memcmp(name, "memscope", 8))
			return fcntl(fd, F_SETFD, FD_CLOEXEC) ? -1 : fd;
		name += len;
		if (!*name++)
			break;
	}
	return -1;
}

/*
 * Opens /dev/memscope, or takes the descriptor that systemd has opened (call it
 * once then). Returns 0, or -1 with errno where only the fallback is left; the
 * client can be used in either case.
 */
static inline int memscope_open(struct memscope_client *ms)
{
	ms->fd = memscope_client_systemd_();
	if (ms->fd < 0)
		ms->fd = open("/dev/memscope", O_RDWR | O_CLOEXEC);
	ms->error = ms->fd < 0 ? errno : 0;
	return ms->fd < 0 ? -1 : 0;
}

/* Ends what this open file holds, too. */
static inline void memscope_close(struct memscope_client *ms)
{
	if (ms->fd >= 0)
		close(ms->fd);
	ms->fd = -1;
	ms->error = EBADF;
}

/* The flags of the calling thread as scopes, by /proc; -1 where it is not there. */
static inline int memscope_client_proc_(void)
{
	char text[512];
	const char *p;
	unsigned long flags;
	ssize_t n;
	unsigned int scopes = 0;
	int fd = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* The name may have parentheses and blanks. */
	p = strrchr(text, ')');
	if (!p || sscanf(p, ") %*c %*d %*d %*d %*d %*d %lu", &flags) != 1)
		return -1;
	if (flags & 0x40000)
		scopes |= MEMSCOPE_SCOPE_NOFS;
	if (flags & 0x80000)
		scopes |= MEMSCOPE_SCOPE_NOIO;
	if (flags & 0x100000)
		scopes |= MEMSCOPE_SCOPE_LOCAL_THROTTLE;
	return (int)scopes;
}

/*
 * The scopes of the calling thread, 0 or a positive number; -1 with errno: EPERM
 * without CAP_SYS_RESOURCE.
 */
static inline int memscope_get(const struct memscope_client *ms)
{
	int both, scopes;

	if (ms->fd >= 0)
		return ioctl(ms->fd, MEMSCOPE_CLIENT_GET_SCOPES, 0);
	both = prctl(MEMSCOPE_CLIENT_PR_GET_IO_FLUSHER, 0L, 0L, 0L, 0L);
	if (both < 0)
		return -1;
	/* The prctl does not tell of one bit without the other, nor of NOFS. */
	scopes = memscope_client_proc_();
	if (scopes < 0)
		scopes = both ? (int)MEMSCOPE_IO_FLUSHER : 0;
	return scopes;
}

/*
 * Replaces the scopes of the calling thread, for good. -1 with errno: EPERM
 * without CAP_SYS_RESOURCE, EINVAL for an unknown scope; and what the open said
 * where that needs the device.
 */
static inline int memscope_set(const struct memscope_client *ms, unsigned int scopes)
{
	unsigned int both = MEMSCOPE_IO_FLUSHER, change;
	int now;

	if (ms->fd >= 0)
		return ioctl(ms->fd, MEMSCOPE_CLIENT_SET_SCOPES, (unsigned long)scopes);
	now = memscope_get(ms);
	if (now < 0)
		return -1;
	if (scopes & ~(MEMSCOPE_IO_FLUSHER | MEMSCOPE_SCOPE_NOFS)) {
		errno = EINVAL;
		return -1;
	}
	change = scopes ^ (unsigned int)now;
	if (!change)
		return 0;
	if ((change & ~both) || ((scopes & both) && (scopes & both) != both)) {
		errno = ms->error;
		return -1;
	}
	return prctl(MEMSCOPE_CLIENT_PR_SET_IO_FLUSHER, (scopes & both) ? 1L : 0L, 0L, 0L, 0L);
}

/*
 * Adds scopes to what the calling thread has, until memscope_leave() with what
 * this has stored in *before. Pairs nest; the inner ends first.
 */
static inline int memscope_enter(const struct memscope_client *ms, unsigned int scopes,
				 unsigned int *before)
{
	int now = memscope_get(ms);

	if (now < 0)
		return -1;
	*before = (unsigned int)now;
	return memscope_set(ms, *before | scopes);
}

static inline int memscope_leave(const struct memscope_client *ms, unsigned int before)
{
	return memscope_set(ms, before);
}

static inline int memscope_client_need_(const struct memscope_client *ms)
{
	if (ms->fd >= 0)
		return 0;
	errno = ms->error;
	return -1;
}

/*
 * Marks threads: MEMSCOPE_MARK_* say whom and for how long, see ioctl_memscope(2).
 * Returns on how many threads it is not in force yet, 0 if on all.
 */
static inline int memscope_mark(const struct memscope_client *ms, unsigned int flags,
				unsigned int scopes, int pidfd, unsigned int timeout_ms)
{
	struct memscope_client_mark mark;

	if (memscope_client_need_(ms))
		return -1;
	memset(&mark, 0, sizeof(mark));
	mark.flags = flags;
	mark.scopes = scopes;
	mark.pidfd = pidfd;
	mark.timeout_ms = timeout_ms;
	return ioctl(ms->fd, MEMSCOPE_CLIENT_MARK, &mark);
}

/*
 * Adds scopes to what the calling thread has, for good: by a mark, of which the status
 * tells who set it and when, or else as memscope_set() does.
 */
static inline int memscope_add(const struct memscope_client *ms, unsigned int scopes)
{
	int now = memscope_get(ms);

	if (now < 0)
		return -1;
	scopes |= (unsigned int)now;
	if (ms->fd >= 0 && !memscope_mark(ms, 0, scopes, 0, 0))
		return 0;
	return memscope_set(ms, scopes);
}

/*
 * Every thread of this process, those to come included, until memscope_close()
 * or the end of the process. The usual choice of a daemon with threads.
 */
static inline int memscope_hold_process(const struct memscope_client *ms, unsigned int scopes)
{
	return memscope_mark(ms, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, scopes, 0, 1000);
}

/* The calling thread leaves every scope, until memscope_resume(). Nests. */
static inline int memscope_suspend(const struct memscope_client *ms)
{
	return memscope_client_need_(ms) ? -1 : ioctl(ms->fd, MEMSCOPE_CLIENT_SUSPEND, 0);
}

static inline int memscope_resume(const struct memscope_client *ms)
{
	return memscope_client_need_(ms) ? -1 : ioctl(ms->fd, MEMSCOPE_CLIENT_RESUME, 0);
}

static inline ssize_t memscope_client_call_(const struct memscope_client *ms, unsigned int op,
					    unsigned int scopes, int fd, unsigned int flags,
					    const struct iovec *iov, int iovcnt, int64_t offset,
					    int64_t len)
{
	struct memscope_client_call call;

	if (memscope_client_need_(ms))
		return -1;
	memset(&call, 0, sizeof(call));
	call.op = op;
	call.scopes = scopes;
	call.fd = fd;
	call.flags = flags;
	call.iov = (uint64_t)(uintptr_t)iov;
	call.iovcnt = (uint32_t)iovcnt;
	call.offset = offset;
	call.len = len;
	return ioctl(ms->fd, MEMSCOPE_CLIENT_CALL, &call);
}

/*
 * preadv2(), pwritev2(), fsync(), fdatasync() and fallocate() with these scopes in
 * addition, for this one call. An offset of -1 is the current position.
 */
static inline ssize_t memscope_preadv2(const struct memscope_client *ms, unsigned int scopes,
				       int fd, const struct iovec *iov, int iovcnt,
				       int64_t offset, int flags)
{
	return memscope_client_call_(ms, MEMSCOPE_CALL_READ, scopes, fd, (unsigned int)flags,
				     iov, iovcnt, offset, 0);
}

static inline ssize_t memscope_pwritev2(const struct memscope_client *ms, unsigned int scopes,
					int fd, const struct iovec *iov, int iovcnt,
					int64_t offset, int flags)
{
	return memscope_client_call_(ms, MEMSCOPE_CALL_WRITE, scopes, fd, (unsigned int)flags,
				     iov, iovcnt, offset, 0);
}

static inline int memscope_fsync(const struct memscope_client *ms, unsigned int scopes, int fd)
{
	return (int)memscope_client_call_(ms, MEMSCOPE_CALL_FSYNC, scopes, fd, 0, NULL, 0, 0, 0);
}

static inline int memscope_fdatasync(const struct memscope_client *ms, unsigned int scopes,
				     int fd)
{
	return (int)memscope_client_call_(ms, MEMSCOPE_CALL_FSYNC, scopes, fd,
					  MEMSCOPE_FSYNC_DATASYNC, NULL, 0, 0, 0);
}

static inline int memscope_fallocate(const struct memscope_client *ms, unsigned int scopes,
				     int fd, int mode, int64_t offset, int64_t len)
{
	return (int)memscope_client_call_(ms, MEMSCOPE_CALL_FALLOCATE, scopes, fd,
					  (unsigned int)mode, NULL, 0, offset, len);
}

static inline int memscope_client_register_(const struct memscope_client *ms, unsigned int flags,
					    int fd)
{
	struct memscope_client_register reg;

	if (memscope_client_need_(ms))
		return -1;
	memset(&reg, 0, sizeof(reg));
	reg.flags = flags;
	reg.fd = fd;
	return ioctl(ms->fd, MEMSCOPE_CLIENT_REGISTER, &reg);
}

/*
 * Says that this process serves the block device whose node fd is of (O_PATH, which
 * does not open the device, suffices): the kernel then logs when a thread of it
 * without scopes enters reclaim. Until memscope_unregister(), memscope_close() or
 * the end of the process.
 */
static inline int memscope_register(const struct memscope_client *ms, int fd)
{
	return memscope_client_register_(ms, 0, fd);
}

static inline int memscope_unregister(const struct memscope_client *ms, int fd)
{
	return memscope_client_register_(ms, MEMSCOPE_REGISTER_REMOVE, fd);
}

/* What to do about an errno of the functions above. */
static inline const char *memscope_strerror(const struct memscope_client *ms, int error)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		if (ms->fd < 0)
			return "no /dev/memscope, and the prctl does not suffice: modprobe memscope";
		break;
	case EACCES:
		if (ms->fd < 0)
			return "/dev/memscope may not be opened: be root or in its group";
		break;
	case EPERM:
		return "CAP_SYS_RESOURCE is needed, and in the initial user namespace";
	case ENOTTY:
		return "the loaded memscope.ko does not have this: load a newer one";
	case EKEYREVOKED:
		return "the delegation of this file was revoked";
	}
	return strerror(error);
}

#ifdef __cplusplus
}
#endif

#endif /* MEMSCOPE_CLIENT_H */
