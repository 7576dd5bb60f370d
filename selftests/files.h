/* SPDX-License-Identifier: GPL-2.0 */
/* Small files that are written whole, and modules. Errors are negative errnos. */
#ifndef MEMSCOPE_SELFTESTS_FILES_H
#define MEMSCOPE_SELFTESTS_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;
	ssize_t len = strlen(text), done;

	if (fd < 0)
		return -errno;
	done = write(fd, text, len);
	if (done != len)
		ret = done < 0 ? -errno : -EIO;
	close(fd);
	return ret;
}

static inline int insert_ko(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Inserts $MEMSCOPE_BUILD/@path. */
static inline int insert_built(const char *path, const char *params)
{
	const char *build = getenv("MEMSCOPE_BUILD");
	char full[4096];

	snprintf(full, sizeof(full), "%s/%s", build ? build : "", path);
	return insert_ko(full, params);
}

#endif
