/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests that drive scope_test.ko have in common. Included after
 * kselftest_harness.h.
 */
#ifndef SCOPE_KMOD_H
#define SCOPE_KMOD_H

#include <sys/ioctl.h>

#include "../files.h"
#include "scope_test.h"

/* enum memscope_kind of include/linux/memscope.h, which needs kernel headers. */
enum {
	NOIO		= 1 << 0,
	NOFS		= 1 << 1,
	NOWAIT		= 1 << 2,
	NORECLAIM	= 1 << 3,
	PIN		= 1 << 4,
	ALL_KINDS	= NOIO | NOFS | NOWAIT | NORECLAIM | PIN,
};

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Inserts $MEMSCOPE_BUILD/@path, unless it is there already. */
static inline int insert_module(const char *path)
{
	int err = insert_built(path, "");

	return err == -EEXIST ? 0 : err;
}

static inline void need_module(const char *path)
{
	int err = insert_module(path);

	if (err)
		ksft_exit_skip("cannot insert $MEMSCOPE_BUILD/%s: %s\n", path, strerror(-err));
}

/* Before the harness starts: the modules, or "skip" with the reason. */
static inline void need_modules(void)
{
	need_module("memscope.ko");
	need_module("ext/scope_test/scope_test.ko");
}

static inline int open_scope_test(struct st_constants *c)
{
	int fd = open("/dev/scope_test", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, ST_IOC_CONSTANTS, c)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The task flags that a set of kinds stands for. */
static inline __u32 flags_of(const struct st_constants *c, __u32 kinds)
{
	return (kinds & NOIO ? c->pf_noio : 0) |
	       (kinds & NOFS ? c->pf_nofs : 0) |
	       (kinds & (NOWAIT | NORECLAIM) ? c->pf_memalloc : 0) |
	       (kinds & PIN ? c->pf_pin : 0);
}

#endif /* SCOPE_KMOD_H */
