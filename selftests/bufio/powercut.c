// SPDX-License-Identifier: GPL-2.0
/*
 * Power cut: what write_dirty_buffers returned 0 for is on the disk after the
 * machine was killed.
 *
 * dev= twice: the data disk, below the gate whose volatile cache loses at a
 * kill what was not flushed, but for a quarter of the writes (by seed=), of which
 * some sectors are there; and a disk for the number of the last durable round,
 * written directly. Round r writes a set of blocks that follows from r
 * alone, with r in each sector. After a kill at durable round D every sector
 * is of the last round <= D that wrote its block, or of round D + 1.
 */

#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "bufio_test.h"

#define MAGIC		0x6d656d73636f7065ULL
#define BLOCKS		2048
#define ROUND_BLOCKS	64

struct record {
	u64 magic, round;
};

static u32 blocks_of(u64 round, u16 *block)
{
	struct rnd_state rnd;
	u32 i, n;

	prandom_seed_state(&rnd, round * 2654435761ULL + 1);
	n = 1 + prandom_u32_state(&rnd) % ROUND_BLOCKS;
	for (i = 0; i < n; i++)
		block[i] = prandom_u32_state(&rnd) % BLOCKS;
	return n;
}

static int record_rw(struct bt *t, u64 *round, enum req_op op)
{
	struct record *r = t->buf;
	int e;

	if (op == REQ_OP_WRITE) {
		memset(r, 0, SECTOR_SIZE);
		r->magic = MAGIC;
		r->round = *round;
	}
	e = bdev_rw_virt(t->dev[1], 0, r, SECTOR_SIZE, op);
	if (!e && op == REQ_OP_WRITE)
		e = blkdev_issue_flush(t->dev[1]);
	if (!e && op == REQ_OP_READ) {
		*round = r->round;
		if (r->magic != MAGIC)
			e = -ENODATA;
	}
	return e;
}

/* Check the disk of the last boot, or set up a new one. */
static void powercut_verify(struct bt *t)
{
	u64 durable = 0, r, wrong = 0, newer = 0, torn = 0, written = 0;
	u16 block[ROUND_BLOCKS];
	u64 *last;
	u8 *next;
	u32 i, n, b, s, of_next;

	last = vcalloc(BLOCKS, sizeof(*last));
	next = vcalloc(BLOCKS, 1);
	if (!last || !next) {
		bt_fail(t, "no memory");
		goto out;
	}
	if (record_rw(t, &durable, REQ_OP_READ)) {
		for (s = 0; s < BLOCKS * BT_SPB; s += BT_BUF >> SECTOR_SHIFT) {
			bt_fill(t->buf, BT_BUF, 0, s);
			if (bdev_rw_virt(t->dev[0], s, t->buf, BT_BUF, REQ_OP_WRITE))
				wrong++;
		}
		durable = 0;
		bt_row(t, "set_up", wrong + !!record_rw(t, &durable, REQ_OP_WRITE), 0);
		goto out;
	}
	for (r = 1; r <= durable + 1; r++) {
		n = blocks_of(r, block);
		for (i = 0; i < n; i++) {
			if (r <= durable)
				last[block[i]] = r;
			else
				next[block[i]] = 1;
		}
		written += n;
	}
	for (b = 0; b < BLOCKS; b++) {
		if (bdev_rw_virt(t->dev[0], b * BT_SPB, t->buf, BT_BS, REQ_OP_READ)) {
			wrong += BT_SPB;
			continue;
		}
		of_next = 0;
		for (i = 0; i < BT_SPB; i++) {
			void *p = t->buf + i * SECTOR_SIZE;

			if (bt_is(p, SECTOR_SIZE, last[b], b * BT_SPB + i))
				continue;
			if (next[b] && bt_is(p, SECTOR_SIZE, durable + 1, b * BT_SPB + i))
				of_next++;
			else
				wrong++;
		}
		newer += of_next;
		torn += of_next && of_next < BT_SPB;
	}
	bt_fig(t, "durable_rounds", durable);
	bt_fig(t, "blocks_written", written);
	bt_fig(t, "sectors_of_next_round", newer);
	bt_fig(t, "torn_blocks", torn);
	bt_row(t, "wrong_sectors", wrong, 0);
out:
	vfree(last);
	vfree(next);
}

/*
 * Write rounds until the machine is killed. flush=0 is the control: it takes
 * as durable what has only been written.
 */
static void powercut_write(struct bt *t)
{
	u64 end = ktime_get_ns() + bt_arg(t, "seconds", 30) * NSEC_PER_SEC, round = 0;
	bool flush = bt_arg(t, "flush", 1);
	struct bufio_client *c;
	u16 block[ROUND_BLOCKS];
	u32 i, n;
	int r;

	if (!bt_row(t, "record", record_rw(t, &round, REQ_OP_READ), 0))
		return;
	t->gate = gate_create(t->back, 4096, false);
	if (IS_ERR(t->gate) || gate_volatile(t->gate, 4, bt_arg(t, "seed", 1))) {
		bt_fail(t, "gate");
		t->gate = NULL;
		return;
	}
	t->bdev = gate_bdev(t->gate);
	c = bt_client(t);
	if (!c)
		return;
	while (ktime_get_ns() < end) {
		round++;
		n = blocks_of(round, block);
		for (i = 0; i < n; i++) {
			r = bt_write(c, block[i], round);
			if (r)
				bt_fail(t, "write: %d", r);
		}
		/* In some rounds there is time to be killed in, written and not flushed. */
		if (!flush || round % 4 == 0) {
			bufio_write_dirty_async(c);
			gate_idle(t->gate, BT_SOON_MS);
			r = 0;
		}
		if (flush && round % 4 == 0)
			msleep(50);
		if (flush)
			r = bufio_write_dirty(c);
		if (!r)
			r = record_rw(t, &round, REQ_OP_WRITE);
		if (r) {
			bt_fail(t, "round %llu: %d", round, r);
			break;
		}
	}
	bt_fig(t, "rounds", round);
	bufio_client_destroy(c);
}

const struct bt_case bt_powercut[] = {
	{ "powercut_verify", "what was reported durable is on the disk", powercut_verify,
	  BT_RAW | BT_PARAMS },
	{ "powercut_write", "writes rounds until the machine is killed", powercut_write,
	  BT_RAW | BT_PARAMS },
	{ }
};
