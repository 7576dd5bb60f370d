// SPDX-License-Identifier: GPL-2.0
/*
 * The gate: passes bios on to the device below, after it has logged them, and
 * holds or fails those that a case names.
 */

#include <linux/bio.h>
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "api.h"
#include "gate.h"

struct gate_rule {
	unsigned int ops;		/* 0: free */
	sector_t sector, n;
	bool hold, at_end;
	blk_status_t status;
	int times;
};

struct gate_io {
	struct gate *g;
	struct bio *orig;
	int rec;
	struct bio clone;		/* last: what the bio_set allocates */
};

struct gate {
	struct gendisk *disk;
	struct file *file;
	struct block_device *back;
	struct bio_set bs;
	spinlock_t lock;		/* protects what is below */
	struct gate_rule rules[GATE_RULES];
	struct bio_list held;
	unsigned int nr_held;
	unsigned int in_flight;		/* passed on and not ended */
	unsigned int clock;
	unsigned int nr_recs;
	unsigned int totals[4];
	void (*hook)(void *arg);
	void *hook_arg;
	struct gate_rec *recs;
	/* The volatile cache: what was written since the last flush. */
	void *cache;
	unsigned long *cached;		/* one bit a sector */
	unsigned int through;		/* one in so many writes goes below at once; 0: none */
	struct rnd_state rnd;
	struct bio_list work_bios;
	struct work_struct work;
};

static unsigned int gate_op(struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return GATE_READ;
	case REQ_OP_DISCARD:
		return GATE_DISCARD;
	case REQ_OP_FLUSH:
		return GATE_FLUSH;
	default:
		return bio->bi_iter.bi_size ? GATE_WRITE : GATE_FLUSH;
	}
}

static bool gate_touches(sector_t a, sector_t na, sector_t b, sector_t nb)
{
	return a < b + nb && b < a + na;
}

static int gate_record(struct gate *g, struct bio *bio, unsigned int op)
{
	struct gate_rec *r;

	g->totals[__ffs(op)]++;
	if (g->nr_recs == GATE_LOG)
		return -1;
	r = &g->recs[g->nr_recs];
	r->op = op;
	r->opf = bio->bi_opf;
	r->sector = bio->bi_iter.bi_sector;
	r->sectors = bio_sectors(bio);
	r->ioprio = bio->bi_ioprio;
	r->begin = ++g->clock;
	r->end = 0;
	r->pid = current->pid;
	r->hold_end = false;
	r->done = false;
	return g->nr_recs++;
}

/* In flight until its owner has been told, so that idle means settled. */
static void gate_endio(struct gate *g, struct bio *bio, int rec)
{
	unsigned long flags;

	spin_lock_irqsave(&g->lock, flags);
	if (rec >= 0 && rec < g->nr_recs && g->recs[rec].hold_end) {
		g->recs[rec].hold_end = false;
		g->recs[rec].done = true;
		bio_list_add(&g->held, bio);
		g->nr_held++;
		g->in_flight--;
		spin_unlock_irqrestore(&g->lock, flags);
		return;
	}
	if (rec >= 0 && rec < g->nr_recs)
		g->recs[rec].end = ++g->clock;
	spin_unlock_irqrestore(&g->lock, flags);
	bio_endio(bio);
	spin_lock_irqsave(&g->lock, flags);
	g->in_flight--;
	spin_unlock_irqrestore(&g->lock, flags);
}

/* --- volatile cache ------------------------------------------------------ */

static void gate_copy(struct gate *g, struct bio *bio, struct bvec_iter iter, bool in)
{
	struct bio_vec bv;
	sector_t s = iter.bi_sector;

	__bio_for_each_segment(bv, bio, iter, iter) {
		void *p = bvec_kmap_local(&bv);
		unsigned int off;

		for (off = 0; off < bv.bv_len; off += SECTOR_SIZE, s++) {
			void *c = g->cache + (s << SECTOR_SHIFT);

			if (in) {
				memcpy(c, p + off, SECTOR_SIZE);
				set_bit(s, g->cached);
			} else if (test_bit(s, g->cached)) {
				memcpy(p + off, c, SECTOR_SIZE);
			}
		}
		kunmap_local(p);
	}
}

/* Which sectors of a write, the first and the number, go below at once: 0, mostly. */
static unsigned int gate_through(struct gate *g, struct bio *bio, unsigned int *first)
{
	unsigned int n = bio_sectors(bio);

	if (!g->through || prandom_u32_state(&g->rnd) % g->through)
		return 0;
	*first = prandom_u32_state(&g->rnd) % n;
	return 1 + prandom_u32_state(&g->rnd) % (n - *first);
}

#define GATE_BOUNCE	65536

/* Bring the volatile cache to the device below, in runs of sectors. */
static blk_status_t gate_write_back(struct gate *g)
{
	sector_t size = bdev_nr_sectors(g->back), s = 0, e;
	void *bounce;
	int r = 0;

	bounce = kmalloc(GATE_BOUNCE, GFP_NOIO);
	if (!bounce)
		return BLK_STS_RESOURCE;
	while (!r) {
		s = find_next_bit(g->cached, size, s);
		if (s >= size)
			break;
		e = find_next_zero_bit(g->cached, size, s);
		e = min_t(sector_t, e, s + (GATE_BOUNCE >> SECTOR_SHIFT));
		spin_lock_irq(&g->lock);
		memcpy(bounce, g->cache + (s << SECTOR_SHIFT), (e - s) << SECTOR_SHIFT);
		bitmap_clear(g->cached, s, e - s);
		spin_unlock_irq(&g->lock);
		r = bdev_rw_virt(g->back, s, bounce, (e - s) << SECTOR_SHIFT, REQ_OP_WRITE);
		s = e;
	}
	kfree(bounce);
	if (!r)
		r = blkdev_issue_flush(g->back);
	return errno_to_blk_status(r);
}

static void gate_work(struct work_struct *work)
{
	struct gate *g = container_of(work, struct gate, work);
	struct bio *bio;

	for (;;) {
		spin_lock_irq(&g->lock);
		bio = bio_list_pop(&g->work_bios);
		spin_unlock_irq(&g->lock);
		if (!bio)
			break;
		bio->bi_status = gate_write_back(g);
		gate_endio(g, bio, -1);
	}
}

/* --- passing on ---------------------------------------------------------- */

static void gate_end_io(struct bio *clone)
{
	struct gate_io *io = container_of(clone, struct gate_io, clone);
	struct gate *g = io->g;
	struct bio *bio = io->orig;
	unsigned long flags;
	int rec;

	bio->bi_status = clone->bi_status;
	if (g->cache && bio_op(bio) == REQ_OP_READ) {
		spin_lock_irqsave(&g->lock, flags);
		gate_copy(g, bio, bio->bi_iter, false);
		spin_unlock_irqrestore(&g->lock, flags);
	}
	rec = io->rec;
	bio_put(clone);
	gate_endio(g, bio, rec);
}

static void gate_pass(struct gate *g, struct bio *bio, int rec)
{
	struct gate_io *io;
	struct bio *clone;
	unsigned int op = gate_op(bio), first = 0, n = 0;

	if (g->cache && op == GATE_WRITE) {
		spin_lock_irq(&g->lock);
		gate_copy(g, bio, bio->bi_iter, true);
		n = gate_through(g, bio, &first);
		spin_unlock_irq(&g->lock);
		if (!n) {
			gate_endio(g, bio, rec);
			return;
		}
	}
	if (g->cache && op == GATE_FLUSH) {
		spin_lock_irq(&g->lock);
		bio_list_add(&g->work_bios, bio);
		spin_unlock_irq(&g->lock);
		schedule_work(&g->work);
		return;
	}

	clone = bio_alloc_clone(g->back, bio, GFP_NOIO, &g->bs);
	if (n)
		bio_trim(clone, first, n);
	io = container_of(clone, struct gate_io, clone);
	io->g = g;
	io->orig = bio;
	io->rec = rec;
	clone->bi_end_io = gate_end_io;
	submit_bio_noacct(clone);
}

static void gate_submit_bio(struct bio *bio)
{
	struct gate *g = bio->bi_bdev->bd_disk->private_data;
	unsigned int op = gate_op(bio), i;
	blk_status_t status = BLK_STS_OK;
	void (*hook)(void *arg);
	unsigned long flags;
	bool hold = false;
	int rec;

	spin_lock_irqsave(&g->lock, flags);
	hook = g->hook;
	g->hook = NULL;
	rec = gate_record(g, bio, op);
	for (i = 0; i < GATE_RULES; i++) {
		struct gate_rule *r = &g->rules[i];

		if (!(r->ops & op) || !r->times)
			continue;
		if (op != GATE_FLUSH &&
		    !gate_touches(bio->bi_iter.bi_sector, bio_sectors(bio), r->sector, r->n))
			continue;
		if (r->at_end && rec >= 0)
			g->recs[rec].hold_end = true;
		if (r->hold)
			hold = true;
		if (r->hold || r->at_end)
			continue;
		if (r->times > 0)
			r->times--;
		status = r->status;
	}
	/* A held bio carries its fate in fields that are ours until it ends. */
	if (hold) {
		bio->bi_status = status;
		bio_list_add(&g->held, bio);
		g->nr_held++;
	} else {
		g->in_flight++;
	}
	spin_unlock_irqrestore(&g->lock, flags);

	if (hook)
		hook(g->hook_arg);
	if (hold)
		return;
	if (status) {
		bio->bi_status = status;
		gate_endio(g, bio, rec);
		return;
	}
	gate_pass(g, bio, rec);
}

static const struct block_device_operations gate_fops = {
	.owner		= THIS_MODULE,
	.submit_bio	= gate_submit_bio,
};

/* --- control ------------------------------------------------------------- */

static struct gate_rule *gate_rule(struct gate *g)
{
	unsigned int i;

	for (i = 0; i < GATE_RULES; i++)
		if (!g->rules[i].ops)
			return &g->rules[i];
	WARN(1, "bufio test: too many gate rules\n");
	return &g->rules[0];
}

static void gate_add_rule(struct gate *g, struct gate_rule rule)
{
	spin_lock_irq(&g->lock);
	*gate_rule(g) = rule;
	spin_unlock_irq(&g->lock);
}

void gate_hold(struct gate *g, unsigned int ops, sector_t sector, sector_t n)
{
	gate_add_rule(g, (struct gate_rule) {
		.ops = ops, .sector = sector, .n = n, .hold = true, .times = -1,
	});
}

void gate_hold_end(struct gate *g, unsigned int ops, sector_t sector, sector_t n)
{
	gate_add_rule(g, (struct gate_rule) {
		.ops = ops, .sector = sector, .n = n, .at_end = true, .times = -1,
	});
}

void gate_fail(struct gate *g, unsigned int ops, sector_t sector, sector_t n,
	       blk_status_t status, int times)
{
	gate_add_rule(g, (struct gate_rule) {
		.ops = ops, .sector = sector, .n = n, .status = status, .times = times,
	});
}

/* The log entry of a bio that was held: the last one like it without an end. */
static int gate_find_rec(struct gate *g, struct bio *bio)
{
	int i;

	for (i = g->nr_recs - 1; i >= 0; i--) {
		struct gate_rec *r = &g->recs[i];

		if (!r->end && r->op == gate_op(bio) && r->sectors == bio_sectors(bio) &&
		    (r->op == GATE_FLUSH || r->sector == bio->bi_iter.bi_sector))
			return i;
	}
	return -1;
}

/* Those that are held now: what the end of one makes others submit is not meant. */
void gate_let(struct gate *g, sector_t sector, sector_t n)
{
	struct bio_list go = BIO_EMPTY_LIST, stay = BIO_EMPTY_LIST;
	struct bio *bio;
	bool done;
	int rec;

	spin_lock_irq(&g->lock);
	while ((bio = bio_list_pop(&g->held))) {
		if (n != GATE_ALL &&
		    !gate_touches(bio->bi_iter.bi_sector, bio_sectors(bio), sector, n)) {
			bio_list_add(&stay, bio);
			continue;
		}
		bio_list_add(&go, bio);
		g->nr_held--;
		g->in_flight++;
	}
	g->held = stay;
	spin_unlock_irq(&g->lock);
	while ((bio = bio_list_pop(&go))) {
		spin_lock_irq(&g->lock);
		rec = gate_find_rec(g, bio);
		done = bio->bi_status || (rec >= 0 && g->recs[rec].done);
		spin_unlock_irq(&g->lock);
		if (done)
			gate_endio(g, bio, rec);
		else
			gate_pass(g, bio, rec);
	}
}

void gate_open(struct gate *g)
{
	unsigned int i;

	spin_lock_irq(&g->lock);
	for (i = 0; i < GATE_RULES; i++)
		if (g->rules[i].hold || g->rules[i].at_end)
			g->rules[i].ops = 0;
	spin_unlock_irq(&g->lock);
	gate_let(g, 0, GATE_ALL);
}

void gate_clear(struct gate *g)
{
	gate_open(g);
	spin_lock_irq(&g->lock);
	memset(g->rules, 0, sizeof(g->rules));
	g->hook = NULL;
	spin_unlock_irq(&g->lock);
}

unsigned int gate_held(struct gate *g)
{
	return READ_ONCE(g->nr_held);
}

void gate_reset(struct gate *g)
{
	spin_lock_irq(&g->lock);
	g->nr_recs = 0;
	memset(g->totals, 0, sizeof(g->totals));
	spin_unlock_irq(&g->lock);
}

unsigned int gate_count(struct gate *g, unsigned int ops, sector_t sector, sector_t n)
{
	unsigned int i, found = 0;

	spin_lock_irq(&g->lock);
	for (i = 0; i < g->nr_recs; i++) {
		struct gate_rec *r = &g->recs[i];

		if ((r->op & ops) && (r->op == GATE_FLUSH ||
				      gate_touches(r->sector, r->sectors, sector, n)))
			found++;
	}
	spin_unlock_irq(&g->lock);
	return found;
}

unsigned int gate_total(struct gate *g, unsigned int ops)
{
	unsigned int i, sum = 0;

	for (i = 0; i < ARRAY_SIZE(g->totals); i++)
		if (ops & BIT(i))
			sum += READ_ONCE(g->totals[i]);
	return sum;
}

struct gate_rec *gate_nth(struct gate *g, unsigned int ops, unsigned int nth)
{
	struct gate_rec *found = NULL;
	unsigned int i;

	spin_lock_irq(&g->lock);
	for (i = 0; i < g->nr_recs && !found; i++)
		if ((g->recs[i].op & ops) && !nth--)
			found = &g->recs[i];
	spin_unlock_irq(&g->lock);
	return found;
}

static bool gate_until(struct gate *g, bool (*cond)(struct gate *g, unsigned int n),
		       unsigned int n, unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);

	while (!cond(g, n)) {
		if (time_after(jiffies, end))
			return false;
		usleep_range(500, 1000);
	}
	return true;
}

static bool gate_is_idle(struct gate *g, unsigned int n)
{
	return !READ_ONCE(g->in_flight);
}

bool gate_idle(struct gate *g, unsigned int ms)
{
	return gate_until(g, gate_is_idle, 0, ms);
}

static bool gate_holds(struct gate *g, unsigned int n)
{
	return gate_held(g) >= n;
}

bool gate_wait_held(struct gate *g, unsigned int n, unsigned int ms)
{
	return gate_until(g, gate_holds, n, ms);
}

void gate_hook(struct gate *g, void (*fn)(void *arg), void *arg)
{
	spin_lock_irq(&g->lock);
	g->hook_arg = arg;
	g->hook = fn;
	spin_unlock_irq(&g->lock);
}

int gate_volatile(struct gate *g, unsigned int through, u64 seed)
{
	sector_t size = bdev_nr_sectors(g->back);

	g->through = through;
	prandom_seed_state(&g->rnd, seed);

	g->cached = bitmap_zalloc(size, GFP_KERNEL);
	g->cache = vzalloc(size << SECTOR_SHIFT);
	return g->cached && g->cache ? 0 : -ENOMEM;
}

struct block_device *gate_bdev(struct gate *g)
{
	return file_bdev(g->file);
}

struct gate *gate_create(struct block_device *back, unsigned int pbs, bool discard)
{
	struct queue_limits lim = {
		.logical_block_size	= bdev_logical_block_size(back),
		.physical_block_size	= pbs,
		.features		= BLK_FEAT_WRITE_CACHE,
	};
	struct gate *g;
	int r = -ENOMEM;

	if (discard) {
		lim.max_hw_discard_sectors = UINT_MAX;
		lim.max_discard_segments = 1;
		lim.discard_granularity = SECTOR_SIZE;
	}
	g = kzalloc_obj(*g);
	if (!g)
		return ERR_PTR(-ENOMEM);
	g->recs = vcalloc(GATE_LOG, sizeof(*g->recs));
	if (!g->recs)
		goto err_free;
	g->back = back;
	spin_lock_init(&g->lock);
	bio_list_init(&g->held);
	bio_list_init(&g->work_bios);
	INIT_WORK(&g->work, gate_work);
	r = bioset_init(&g->bs, 64, offsetof(struct gate_io, clone), 0);
	if (r)
		goto err_recs;
	g->disk = blk_alloc_disk(&lim, NUMA_NO_NODE);
	if (IS_ERR(g->disk)) {
		r = PTR_ERR(g->disk);
		goto err_bs;
	}
	g->disk->fops = &gate_fops;
	g->disk->private_data = g;
	g->disk->flags |= GENHD_FL_NO_PART;
	snprintf(g->disk->disk_name, DISK_NAME_LEN, BT_IMPL "_gate");
	set_capacity(g->disk, bdev_nr_sectors(back));
	r = add_disk(g->disk);
	if (r)
		goto err_disk;
	g->file = bdev_file_open_by_dev(disk_devt(g->disk), BLK_OPEN_READ | BLK_OPEN_WRITE,
					NULL, NULL);
	if (IS_ERR(g->file)) {
		r = PTR_ERR(g->file);
		goto err_added;
	}
	gate_reset(g);
	return g;

err_added:
	del_gendisk(g->disk);
err_disk:
	put_disk(g->disk);
err_bs:
	bioset_exit(&g->bs);
err_recs:
	vfree(g->recs);
err_free:
	kfree(g);
	return ERR_PTR(r);
}

void gate_destroy(struct gate *g)
{
	gate_clear(g);
	WARN(!gate_idle(g, 60000), "bufio test: I/O is stuck in the gate\n");
	spin_lock_irq(&g->lock);	/* the last gate_endio() is out */
	spin_unlock_irq(&g->lock);
	bdev_fput(g->file);
	del_gendisk(g->disk);
	put_disk(g->disk);
	flush_work(&g->work);
	bioset_exit(&g->bs);
	bitmap_free(g->cached);
	vfree(g->cache);
	vfree(g->recs);
	kfree(g);
}
