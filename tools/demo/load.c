// SPDX-License-Identifier: GPL-2.0
/*
 * The processes around the daemon in the demo: those that need memory, those
 * that hold it, and those that read and write its device.
 *
 * Each prints "ready" or "finished" as a line of its own when it gets there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "demo.h"

#define BLOCK	4096UL
#define MIB	(1UL << 20)

/* Block n's contents: every word depends on n and on its place. */
static void fill_block(uint64_t *p, uint64_t n)
{
	size_t i;

	for (i = 0; i < BLOCK / sizeof(*p); i++)
		p[i] = (n * 512 + i + 1) * 0x9e3779b97f4a7c15ULL;
}

static void check_block(const uint64_t *p, uint64_t n)
{
	static uint64_t want[BLOCK / sizeof(*p)];

	fill_block(want, n);
	if (memcmp(p, want, BLOCK)) {
		fprintf(stderr, "load: block %llu has other data than was written\n",
			(unsigned long long)n);
		exit(1);
	}
}

/* Clean page cache of FILE, read twice: in use as far as reclaim can tell. */
static void hold(const char *file, size_t bytes)
{
	char *buf = map(MIB);
	int fd = open(file, O_RDONLY), pass;
	size_t pos;

	if (fd < 0)
		die("open %s", file);
	for (pass = 0; pass < 2; pass++)
		for (pos = 0; pos < bytes; pos += MIB)
			if (pread(fd, buf, MIB, pos) != MIB)
				die("read %s", file);
	munmap(buf, MIB);
	printf("ready\n");
	/* The last close of a device would drop its page cache. */
	for (;;)
		pause();
}

/* Anonymous memory that nobody touches again. */
static void cold(size_t bytes)
{
	char *p = map(bytes);
	size_t n;

	for (n = 0; n < bytes / BLOCK; n++)
		fill_block((uint64_t *)(p + n * BLOCK), n);
	printf("ready\n");
	for (;;)
		pause();
}

/* More anonymous memory than the group may have: it goes through swap. */
static void swap(size_t bytes)
{
	char *p = map(bytes);
	size_t n;

	for (n = 0; n < bytes / BLOCK; n++)
		fill_block((uint64_t *)(p + n * BLOCK), n);
	for (n = 0; n < bytes / BLOCK; n++)
		check_block((uint64_t *)(p + n * BLOCK), n);
	printf("finished\n");
}

/* Reads every file of a folder: its inode is in memory, with a new atime. */
static void visit(const char *dir)
{
	struct dirent *e;
	unsigned int n = 0;
	DIR *d = opendir(dir);
	char byte;
	int fd;

	if (!d)
		die("open %s", dir);
	while ((e = readdir(d))) {
		if (e->d_type != DT_REG)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY);
		if (fd < 0 || read(fd, &byte, 1) < 0)
			die("read %s/%s", dir, e->d_name);
		close(fd);
		n++;
	}
	printf("visited %u\n", n);
	printf("finished\n");
}

/* Blocks of a device past the page cache, `batch` of them in a request. */
static void blocks(const char *dev, bool write, uint64_t first, uint64_t count,
		   uint64_t batch)
{
	int fd = open(dev, (write ? O_WRONLY : O_RDONLY) | O_DIRECT);
	char *buf = map(batch * BLOCK);
	uint64_t n, i;

	if (fd < 0)
		die("open %s", dev);
	for (n = first; n < first + count; n += batch) {
		ssize_t ret;

		if (write) {
			for (i = 0; i < batch; i++)
				fill_block((uint64_t *)(buf + i * BLOCK), n + i);
			ret = pwrite(fd, buf, batch * BLOCK, n * BLOCK);
		} else {
			ret = pread(fd, buf, batch * BLOCK, n * BLOCK);
		}
		if (ret != (ssize_t)(batch * BLOCK))
			die("block %llu of %s", (unsigned long long)n, dev);
		if (!write)
			for (i = 0; i < batch; i++)
				check_block((uint64_t *)(buf + i * BLOCK), n + i);
	}
	printf("finished\n");
}

/* Dirties the page cache of a device; on SIGUSR1 has it written. */
static void dirty(const char *dev, size_t bytes)
{
	uint64_t *buf = map(BLOCK), n;
	int fd = open(dev, O_RDWR), sig;
	sigset_t set;

	if (fd < 0)
		die("open %s", dev);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (n = 0; n < bytes / BLOCK; n++) {
		fill_block(buf, n);
		if (pwrite(fd, buf, BLOCK, n * BLOCK) != BLOCK)
			die("write %s", dev);
	}
	printf("ready\n");
	sigwait(&set, &sig);
	if (fsync(fd))
		die("fsync %s", dev);
	printf("finished\n");
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
"Usage: load hold FILE MIB          hold MIB of FILE's page cache\n"
"       load cold MIB               hold MIB of anonymous memory\n"
"       load swap MIB               write MIB of anonymous memory and check it\n"
"       load visit DIR              read every file of DIR\n"
"       load write DEV FIRST COUNT BATCH  write blocks of 4 KiB, O_DIRECT,\n"
"                                   BATCH blocks a request (divides COUNT)\n"
"       load check DEV FIRST COUNT BATCH  read and check them\n"
"       load dirty DEV MIB          write MIB to the page cache; SIGUSR1: fsync\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(verb, "hold") && argc == 4)
		hold(argv[2], strtoul(argv[3], NULL, 0) * MIB);
	else if (!strcmp(verb, "cold") && argc == 3)
		cold(strtoul(argv[2], NULL, 0) * MIB);
	else if (!strcmp(verb, "swap") && argc == 3)
		swap(strtoul(argv[2], NULL, 0) * MIB);
	else if (!strcmp(verb, "visit") && argc == 3)
		visit(argv[2]);
	else if ((!strcmp(verb, "write") || !strcmp(verb, "check")) && argc == 6)
		blocks(argv[2], *verb == 'w', strtoull(argv[3], NULL, 0),
		       strtoull(argv[4], NULL, 0), strtoull(argv[5], NULL, 0));
	else if (!strcmp(verb, "dirty") && argc == 4)
		dirty(argv[2], strtoul(argv[3], NULL, 0) * MIB);
	else
		usage();
	return 0;
}
