/* SPDX-License-Identifier: GPL-2.0 */
/* Small files, read and written whole, debugfs, and modules. Errors are negative errnos. */
#ifndef MEMSCOPE_SELFTESTS_FILES_H
#define MEMSCOPE_SELFTESTS_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The whole of a small file; returns its length. */
static inline int read_file(const char *path, char *buf, int size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), len = 0, n = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	if (n < 0)
		n = -errno;
	buf[len] = '\0';
	close(fd);
	return n < 0 ? n : len;
}

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

#define DEBUGFS "/sys/kernel/debug"

static inline int need_debugfs(void)
{
	if (!access(DEBUGFS "/memscope", F_OK))
		return 0;
	return mount("debugfs", DEBUGFS, "debugfs", 0, NULL) ? -errno : 0;
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
