/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A block device on top of another one that logs bios, and holds or fails
 * those that a case names.
 */

#ifndef BUFIO_TEST_GATE_H
#define BUFIO_TEST_GATE_H

#include <linux/blkdev.h>

#define GATE_READ	0x1
#define GATE_WRITE	0x2
#define GATE_FLUSH	0x4
#define GATE_DISCARD	0x8
#define GATE_ANY	0xf

#define GATE_ALL	((sector_t)1 << 40)	/* more sectors than any device here has */

#define GATE_LOG	4096
#define GATE_RULES	4

struct gate_rec {
	unsigned int op;	/* GATE_* */
	blk_opf_t opf;
	sector_t sector;
	unsigned int sectors;
	unsigned short ioprio;
	unsigned int begin;	/* one clock for begins and ends; 0: not ended */
	unsigned int end;
	pid_t pid;
	bool hold_end;		/* to be held when it has been done */
	bool done;		/* held since */
};

struct gate;

struct gate *gate_create(struct block_device *back, unsigned int pbs, bool discard);
void gate_destroy(struct gate *g);
struct block_device *gate_bdev(struct gate *g);
/* Hold bios of @ops that touch the sectors, until gate_open(). */
void gate_hold(struct gate *g, unsigned int ops, sector_t sector, sector_t n);
/* The same, but do first what they ask for: only their end is held. */
void gate_hold_end(struct gate *g, unsigned int ops, sector_t sector, sector_t n);
/* Let held bios that touch the sectors go, in order; the rules stay. */
void gate_let(struct gate *g, sector_t sector, sector_t n);
/* Let all of them go, and hold no more. */
void gate_open(struct gate *g);
unsigned int gate_held(struct gate *g);
/* Fail the next @times bios (-1: all) of @ops that touch the sectors. */
void gate_fail(struct gate *g, unsigned int ops, sector_t sector, sector_t n,
	       blk_status_t status, int times);
/* Drop all rules. */
void gate_clear(struct gate *g);
/* Forget the log. */
void gate_reset(struct gate *g);
/* Bios of @ops logged that touch the sectors. */
unsigned int gate_count(struct gate *g, unsigned int ops, sector_t sector, sector_t n);
unsigned int gate_total(struct gate *g, unsigned int ops);
/* The nth (from 0) of these, or NULL. */
struct gate_rec *gate_nth(struct gate *g, unsigned int ops, unsigned int nth);
/* Wait until nothing is in flight but held bios. */
bool gate_idle(struct gate *g, unsigned int ms);
bool gate_wait_held(struct gate *g, unsigned int n, unsigned int ms);
/* Call @fn once, inside the next submit_bio on the gate. */
void gate_hook(struct gate *g, void (*fn)(void *arg), void *arg);
/*
 * Keep writes in memory until a flush, as a volatile write cache does. As it also
 * writes what it likes when it likes: one in @through writes (0: none), by @seed,
 * goes to the device at once as well, or some of its sectors.
 */
int gate_volatile(struct gate *g, unsigned int through, u64 seed);

#endif
