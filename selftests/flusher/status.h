/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of MEMSCOPE_IOC_STATUS share. */
#ifndef MEMSCOPE_SELFTESTS_STATUS_H
#define MEMSCOPE_SELFTESTS_STATUS_H

#include <sys/prctl.h>

#include "mark.h"

#define MAX_ENTRIES 1024
#define FLUSHERS DEBUGFS "/memscope/flushers"

static struct memscope_entry entries[MAX_ENTRIES];

/* Fills entries, room at a time, and returns how many there are. */
static inline long status_by(int fd, int room)
{
	struct memscope_status status = { .entry_size = sizeof(entries[0]) };
	long ret, count = 0;

	do {
		status.entries = (unsigned long)&entries[count];
		status.count = room < MAX_ENTRIES - count ? room : MAX_ENTRIES - count;
		status.missed = 0;
		status.unmarked = 0;
		ret = raw_ioctl(fd, MEMSCOPE_IOC_STATUS, (unsigned long)&status);
		if (ret < 0)
			return ret;
		if (ret != status.count)
			return -EBADMSG;
		count += ret;
	} while (ret == room && count < MAX_ENTRIES);
	return count;
}

/* The nth entry of a thread, or NULL. */
static inline struct memscope_entry *status_of(int fd, pid_t tid, int nth)
{
	long count = status_by(fd, MAX_ENTRIES), i;

	for (i = 0; i < count; i++) {
		if (entries[i].tid == tid && !nth--)
			return &entries[i];
	}
	return NULL;
}

/* What debugfs tells of the probes of page allocation, fork and exit: "on" or "off". */
static inline bool probes_are(const char *state)
{
	static char text[65536];
	char line[32];

	snprintf(line, sizeof(line), "# probes %s ", state);
	return read_file(FLUSHERS, text, sizeof(text)) > 0 && strstr(text, line);
}

/* They are left some time after nobody is marked any more. */
static inline bool wait_probes_off(void)
{
	int i;

	for (i = 0; i < PATIENCE / 10 && !probes_are("off"); i++)
		sleep_ms(100);
	return i < PATIENCE / 10;
}

static inline __u64 boottime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

#endif
