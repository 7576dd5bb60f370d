/* SPDX-License-Identifier: GPL-2.0 */
/* Loads and unloads memscope.ko without kmod, for tests that do it often. */
#ifndef MEMSCOPE_SELFTESTS_MODULE_H
#define MEMSCOPE_SELFTESTS_MODULE_H

#include <dirent.h>
#include <sys/stat.h>

#include "../files.h"

static inline const char *ko_path(void)
{
	const char *path = getenv("MEMSCOPE_KO");

	return path ? path : "";
}

/* 0 or a negative errno. */
static inline int module_insert(void)
{
	return insert_ko(ko_path(), "");
}

/* As rmmod does: refused, not waited for, while something holds it. */
static inline int module_remove(void)
{
	return syscall(SYS_delete_module, "memscope", O_NONBLOCK) ? -errno : 0;
}

/* The same, where a thread's work or a file that keeps the module may just be ending. */
static inline int module_remove_soon(void)
{
	int ret = module_remove();

	for (int i = 0; i < 600 && ret == -EAGAIN; i++) {
		usleep(100000);
		ret = module_remove();
	}
	return ret;
}

static inline bool module_loaded(void)
{
	return !access("/sys/module/memscope", F_OK);
}

/* The kernel's messages, from the time of the call on. */
static inline int kernel_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* Prints what the kernel has logged since with this in it, and returns how many lines. */
static inline int kernel_log_lines(int fd, const char *with)
{
	char record[8192];
	ssize_t len;
	int lines = 0;

	while ((len = read(fd, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		/* It starts with level + 8 * facility; 0 is the kernel's. */
		if (strtoul(record, NULL, 10) >> 3 || !strstr(record, with))
			continue;
		fprintf(stderr, "# logged: %.*s\n", (int)strcspn(record, "\n"), record);
		lines++;
	}
	return lines;
}

#endif
