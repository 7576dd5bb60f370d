/* SPDX-License-Identifier: GPL-2.0 */
/* What the cases of the bench module share. */

#ifndef MEMSCOPE_BENCH_H
#define MEMSCOPE_BENCH_H

#include <linux/blkdev.h>
#include <linux/types.h>

#define BENCH_ARGS	12
#define BENCH_OUT	65536
#define BENCH_ROUNDS	64

/* One run of one case. */
struct bench {
	struct block_device *bdev;	/* dev=PATH */
	struct file *file;
	struct { char key[16]; char val[40]; } arg[BENCH_ARGS];
	unsigned int nr_args;
	char *out;
	size_t len;
};

/**
 * struct bench_case - one case.
 * @name: what is written to the "run" file.
 * @fn: the case; 0 or -errno.
 */
struct bench_case {
	const char *name;
	int (*fn)(struct bench *b);
};

extern const struct bench_case bench_dm[], bench_memscope[], bench_scope[];

u64 bench_arg(struct bench *b, const char *key, u64 dflt);
/* A result: one line "NAME VALUE". */
void bench_fig(struct bench *b, const char *name, s64 value);
/* Median, least and greatest of @n times of @ops operations, in thousandths of a nanosecond for one. */
void bench_rounds(struct bench *b, u64 *ns, unsigned int n, unsigned int ops);
/* p50, p99, p99.9 and the greatest of @n times. */
void bench_quantiles(struct bench *b, const char *prefix, u32 *ns, unsigned int n);

/* profile=NS: where a case spends its time, looked at each so many nanoseconds. */
int bench_profile_start(u64 period_ns);
void bench_profile_stop(struct bench *b);

/*
 * How long the current task holds a lock, by the functions that take it and give
 * it back; of each of @ops operations.
 */
int bench_lock_start(const char *take, const char *give);
void bench_lock_stop(struct bench *b, unsigned int ops);

/* A memory hog that leaves @pages pages free. */
int bench_hog_start(unsigned long pages);
void bench_hog_stop(void);
unsigned long bench_hog_pages(void);

#endif
