/* SPDX-License-Identifier: GPL-2.0 */
/* What the cases of the bufio test module share. */

#ifndef BUFIO_TEST_H
#define BUFIO_TEST_H

#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "api.h"
#include "gate.h"

/* A flag of clients; dm-bufio is so without one. */
#ifdef BT_MEMSCOPE
#define DROP_FAILED	MEMSCOPE_BUFIO_CLIENT_DROP_FAILED
#else
#define DROP_FAILED	0
#endif

struct bt;

/**
 * struct bt_case - one case.
 * @name: name in the output.
 * @rule: the rule that it checks, in one line.
 * @fn: the case; runs in a kthread of its own unless BT_INLINE is set.
 * @flags: BT_* bits.
 */
struct bt_case {
	const char *name;
	const char *rule;
	void (*fn)(struct bt *t);
	unsigned int flags;
};

#define BT_INLINE	0x1	/* run in the task that wrote to "run" */
#define BT_WARNS	0x2	/* dm-bufio warns in the kernel log here */
#define BT_WARNS_OURS	0x4	/* so does memscope */
#define BT_FATAL	0x8	/* a thread may oops: last of all, on request */
#define BT_RAW		0x10	/* works on the device itself, no gate, no fill */
#define BT_PARAMS	0x20	/* only on request, with parameters */
#define BT_SLEEPS	0x40	/* dm-bufio sleeps with a spin lock held; debug kernels say so */

extern const struct bt_case bt_clients[], bt_reads[], bt_writes[], bt_contexts[];
extern const struct bt_case bt_async[], bt_errors[], bt_weak[], bt_wake[];
extern const struct bt_case bt_shrink[], bt_hot[], bt_calls[], bt_stats[];
extern const struct bt_case bt_stress[], bt_pressure[], bt_powercut[];

/**
 * struct bt_intended - a difference from dm-bufio that is meant.
 * @row: "case.row".
 * @ours: what memscope has to give there.
 * @why: the reason, in one line.
 */
struct bt_intended {
	const char *row;
	long long ours;
	const char *why;
};

extern const struct bt_intended bt_intended[];
extern const unsigned int bt_nr_intended;

#define BT_DEVS		8
#define BT_ARGS		8

/* One run of one case. */
struct bt {
	const struct bt_case *cs;
	struct gate *gate;
	struct block_device *bdev;		/* of the gate; the device itself for BT_RAW */
	struct block_device *back;		/* what is below the gate */
	struct file *dev_file[BT_DEVS];
	struct block_device *dev[BT_DEVS];	/* dev= arguments, in order */
	unsigned int nr_devs;
	struct { char key[24]; char val[40]; } arg[BT_ARGS];
	unsigned int nr_args;
	void *buf;				/* BT_BUF bytes for disk access */
	struct completion done;
	spinlock_t lock;			/* protects what is below */
	char *out;
	size_t len;
	unsigned int rows, failed;
	bool finished;
};

#define BT_BUF		65536
#define BT_OUT		(512 << 10)
#define BT_AREA		8192	/* sectors filled with BT_OLD before a case */
#define BT_OLD		1	/* seed of what is on the device */
#define BT_NEW		2	/* seed of what a case writes */
#define BT_BALLAST	64	/* clean blocks, from block BT_BALLAST_AT on */
#define BT_BALLAST_AT	900
#define BT_BS		4096	/* default block size */
#define BT_SPB		(BT_BS >> SECTOR_SHIFT)
#define BT_SOON_MS	30000	/* longer than anything that is not stuck */
#define BT_STUCK_MS	700	/* not done by then: it waits for us */

__printf(2, 3) void bt_print(struct bt *t, const char *fmt, ...);
__printf(2, 3) void bt_fail(struct bt *t, const char *fmt, ...);
/* A result that must be @want on dm-bufio, and on memscope unless listed. */
bool bt_row(struct bt *t, const char *row, long long got, long long want);
/* A figure: printed for both, not judged. */
void bt_fig(struct bt *t, const char *name, long long value);
/* A result with no fixed value on dm-bufio; memscope must give @want. */
bool bt_row_ours(struct bt *t, const char *row, long long got, long long want);
/* The reverse: what only dm-bufio can show. */
bool bt_row_theirs(struct bt *t, const char *row, long long got, long long want);
u64 bt_arg(struct bt *t, const char *key, u64 dflt);

/* Contents: each sector has its own pattern for each seed. */
void bt_fill(void *data, size_t bytes, u64 seed, sector_t sector);
bool bt_is(const void *data, size_t bytes, u64 seed, sector_t sector);
int bt_disk_fill(struct bt *t, u64 seed, sector_t sector, sector_t n);
bool bt_disk_is(struct bt *t, u64 seed, sector_t sector, sector_t n);

/* Parameters of the module under test. */
/* As filp_open(), from the root of who runs the cases. */
struct file *bt_file_open(const char *path, int flags);
int bt_param_set(const char *name, u64 value);
s64 bt_param_get(const char *name);

/* Of memscope's debugfs; for BT_INLINE cases. */
void bt_stat_client(struct bt *t);
s64 bt_stat(struct bt *t, const char *key);

/* Threads. */
struct bt_worker {
	struct task_struct *task;
	int (*fn)(void *arg);
	void *arg;
	struct completion done;
	int ret;
};

void bt_spawn(struct bt_worker *w, int (*fn)(void *arg), void *arg);
bool bt_done(struct bt_worker *w, unsigned int ms);
int bt_join(struct bt_worker *w);

/* A thread calls bt_stop_me() to be stopped at the nth lock of memscope's that it takes then. */
int bt_stops(bool on);
void bt_stop_me(unsigned int nth);
bool bt_stopped(unsigned int ms);

/* Clients. */
struct bufio_client *bt_client_bs(struct bt *t, unsigned int block_size);
struct bufio_client *bt_client(struct bt *t);
void bt_ballast(struct bt *t, struct bufio_client *c);
long bt_err(const void *p);
int bt_read_is(struct bufio_client *c, sector_t block, u64 seed);
int bt_cached(struct bufio_client *c, sector_t block);
unsigned int bt_cached_in(struct bufio_client *c, sector_t from, sector_t to);
int bt_write(struct bufio_client *c, sector_t block, u64 seed);

/* For bt_spawn(): bt_read_is() of what was on the device. */
struct bt_reader {
	struct bufio_client *c;
	sector_t block;
};

int bt_read_fn(void *reader);

#endif
