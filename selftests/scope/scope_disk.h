/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page cache for reclaim to find. Included after scope_kmod.h.
 */
#ifndef SCOPE_DISK_H
#define SCOPE_DISK_H

/* Enough for the rounds of a press, with a guest of 384 MiB. */
#define CACHE_MIB	64

/* Opens the empty disk that `scripts/vm --disk` made. */
static inline int open_disk(void)
{
	for (char d = 'a'; d <= 'z'; d++) {
		char path[64], serial[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/block/vd%c/serial", d);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%31s", serial) != 1)
			serial[0] = '\0';
		fclose(f);
		if (strcmp(serial, "disk0"))
			continue;
		snprintf(path, sizeof(path), "/dev/vd%c", d);
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	return -1;
}

/* Clean page cache: what reclaim can free under any scope, without I/O. */
static inline int fill_cache(int disk, int mib)
{
	static char buf[1 << 20];

	if (posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED))
		return -1;
	for (int i = 0; i < mib; i++) {
		if (pread(disk, buf, sizeof(buf), (off_t)i << 20) != sizeof(buf))
			return -1;
	}
	return 0;
}

#endif /* SCOPE_DISK_H */
