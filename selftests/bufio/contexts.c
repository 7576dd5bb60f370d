// SPDX-License-Identifier: GPL-2.0
/* Callbacks, and calls from where not all of them may be made. */

#include <linux/bottom_half.h>
#include <linux/interrupt.h>

#include "bufio_test.h"

/* --- callbacks, aux ------------------------------------------------------ */

static struct {
	atomic_t allocs, writes, early, bad;
	struct bufio_client *c;
	struct gate *gate;
	sector_t last, named;
} cb;

static void cb_alloc(struct bufio_buffer *b)
{
	u64 *aux = bufio_get_aux_data(b);

	atomic_inc(&cb.allocs);
	cb.named = bufio_get_block_number(b);
	*aux = 0x1122334455667788ULL;
}

static void cb_write(struct bufio_buffer *b)
{
	atomic_inc(&cb.writes);
	if (bufio_get_client(b) != cb.c)
		atomic_inc(&cb.bad);
	cb.last = bufio_get_block_number(b);
	/* Its own write is not on the way yet, and what it does here is written. */
	if (!gate_count(cb.gate, GATE_WRITE, cb.last * BT_SPB, BT_SPB))
		atomic_inc(&cb.early);
	bt_fill(bufio_get_block_data(b), BT_BS, 77, cb.last * BT_SPB);
}

static struct bufio_client *cb_client(struct bt *t, unsigned int flags)
{
	memset(&cb, 0, sizeof(cb));
	cb.gate = t->gate;
	cb.c = bufio_client_create(t->bdev, BT_BS, 2, sizeof(u64), cb_alloc, cb_write, flags);
	if (bt_err(cb.c)) {
		bt_fail(t, "create: %ld", bt_err(cb.c));
		return NULL;
	}
	return cb.c;
}

static void callbacks(struct bt *t)
{
	struct bufio_client *c = cb_client(t, 0);
	struct bufio_buffer *b;
	unsigned int i;
	u64 *aux;

	if (!c)
		return;
	bt_row(t, "alloc_at_create", atomic_read(&cb.allocs), 0);
	bt_read_is(c, 1, BT_OLD);
	bt_row(t, "alloc_read_miss", atomic_read(&cb.allocs), 1);
	/* Not known to dm-bufio by then. */
	bt_row_ours(t, "alloc_block", cb.named, 1);
	bt_read_is(c, 1, BT_OLD);
	bt_row(t, "alloc_hit", atomic_read(&cb.allocs), 1);
	if (!bt_err(bufio_new(c, 2, &b))) {
		aux = bufio_get_aux_data(b);
		bt_row(t, "alloc_new", atomic_read(&cb.allocs), 2);
		bt_row(t, "aux_set", *aux == 0x1122334455667788ULL, 1);
		*aux = 5;
		bufio_release(b);
	}
	if (!bt_err(bufio_get(c, 2, &b))) {
		aux = bufio_get_aux_data(b);
		bt_row(t, "aux_kept", *aux, 5);
		bufio_release(b);
	}
	bufio_prefetch(c, 10, 5);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "alloc_prefetch", atomic_read(&cb.allocs), 7);
	/* Dropped and handed out again. */
	bufio_forget(c, 2);
	if (!bt_err(bufio_new(c, 2, &b))) {
		aux = bufio_get_aux_data(b);
		bt_row(t, "alloc_again", atomic_read(&cb.allocs), 8);
		bt_row(t, "aux_set_again", *aux == 0x1122334455667788ULL, 1);
		bufio_release(b);
	}
	bt_row(t, "write_none", atomic_read(&cb.writes), 0);
	bt_ballast(t, c);
	for (i = 20; i < 25; i++)
		bt_write(c, i, BT_NEW);
	bt_row(t, "write_not_at_mark", atomic_read(&cb.writes), 0);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "writes", atomic_read(&cb.writes), 5);
	bt_row(t, "write_before_io", atomic_read(&cb.early), 5);
	bt_row(t, "write_client", atomic_read(&cb.bad), 0);
	bt_row(t, "write_changes_data", bt_disk_is(t, 77, 20 * BT_SPB, 5 * BT_SPB), 1);
	bt_row(t, "write_clean", bufio_write_dirty(c), 0);
	bt_row(t, "write_clean_none", atomic_read(&cb.writes), 5);
	bt_write(c, 30, BT_NEW);
	bufio_client_destroy(c);
	bt_row(t, "write_at_destroy", atomic_read(&cb.writes), 6);
}

static void aux_per_buffer(struct bt *t)
{
	struct bufio_client *c = cb_client(t, 0);
	struct bufio_buffer *b;
	unsigned int i, good = 0;

	if (!c)
		return;
	for (i = 0; i < 64; i++) {
		if (bt_err(bufio_read(c, i, &b)))
			continue;
		*(u64 *)bufio_get_aux_data(b) = i + 100;
		bufio_release(b);
	}
	for (i = 0; i < 64; i++) {
		if (bt_err(bufio_get(c, i, &b)))
			continue;
		good += *(u64 *)bufio_get_aux_data(b) == i + 100;
		bufio_release(b);
	}
	bt_row(t, "kept", good, 64);
	bufio_client_destroy(c);
}

/* --- inside a submission ------------------------------------------------- */

struct in_request {
	struct bt *t;
	struct bufio_client *c;
	bool ran;
};

static void in_request_hook(void *arg)
{
	struct in_request *q = arg;
	struct bufio_client *c = q->c;
	struct bt *t = q->t;
	struct bufio_buffer *b = (void *)1;

	q->ran = true;
	bt_row(t, "in_submission", !!current->bio_list, 1);
	bt_row(t, "read", bt_err(bufio_read(c, 50, &b)), -EINVAL);
	bt_row(t, "read_hit", bt_err(bufio_read(c, 1, &b)), -EINVAL);
	bt_row(t, "read_with_ioprio", bt_err(bufio_read_with_ioprio(c, 50, &b, 0)), -EINVAL);
	bt_row(t, "new", bt_err(bufio_new(c, 50, &b)), -EINVAL);
	bufio_prefetch(c, 50, 2);
	bufio_prefetch_with_ioprio(c, 52, 2, 0);
	bufio_write_dirty_async(c);
	bt_row(t, "issue_flush", bufio_issue_flush(c), -EINVAL);
	bt_row(t, "issue_discard", bufio_issue_discard(c, 50, 1), -EINVAL);
	/* The hook's own read is all that has been submitted. */
	bt_row(t, "no_io", gate_total(t->gate, GATE_ANY), 1);

	bt_row(t, "get_miss", bt_err(bufio_get(c, 51, &b)), 1);
	if (bt_row(t, "get_hit", bt_err(bufio_get(c, 1, &b)), 0)) {
		bufio_mark_dirty(b);
		bufio_mark_partial_dirty(b, 0, 8);
		bufio_release(b);
	}
	bufio_forget(c, 2);
	bt_row(t, "forget", bt_cached(c, 2), 0);
	bufio_forget_buffers(c, 3, 2);
	bt_row(t, "forget_buffers", bt_cached(c, 3) + bt_cached(c, 4), 0);
	bt_row(t, "block_size", bufio_get_block_size(c), BT_BS);
}

static void in_request(struct bt *t)
{
	struct in_request q = { .t = t, .c = bt_client(t) };
	unsigned int i;

	if (!q.c)
		return;
	for (i = 1; i < 6; i++)
		bt_read_is(q.c, i, BT_OLD);
	gate_reset(t->gate);
	gate_hook(t->gate, in_request_hook, &q);
	bdev_rw_virt(t->bdev, 0, t->buf, 512, REQ_OP_READ);
	bt_row(t, "ran", q.ran, 1);
	bt_row(t, "prefetched_none", bt_cached_in(q.c, 50, 54), 0);
	gate_reset(t->gate);
	bt_row(t, "mark_kept", bufio_write_dirty(q.c), 0);
	bt_row(t, "mark_written", gate_total(t->gate, GATE_WRITE), 1);
	bufio_client_destroy(q.c);
}

/* --- the scope of an eviction ---------------------------------------------- */

static struct {
	struct task_struct *task;
	unsigned int calls, noio;
} evictor;

static void note_scope(struct bufio_buffer *b)
{
	if (current != READ_ONCE(evictor.task))
		return;
	evictor.calls++;
	evictor.noio += !!(current->flags & PF_MEMALLOC_NOIO);
}

/* Who writes a block to have its buffer is in a noio scope as far as the device's driver. */
static void evict_scope(struct bt *t)
{
	s64 old = bt_param_get("max_cache_size_bytes");
	struct bufio_client *c;

	if (!bt_row(t, "set", bt_param_set("max_cache_size_bytes", 1), 0))
		return;
	c = bufio_client_create(t->bdev, BT_BS, 1, 0, NULL, note_scope, 0);
	if (bt_row(t, "create", bt_err(c), 0)) {
		bt_write(c, 1, BT_NEW);
		evictor.calls = 0;
		evictor.noio = 0;
		WRITE_ONCE(evictor.task, current);
		bt_row(t, "read", bt_read_is(c, 2, BT_OLD), 1);
		WRITE_ONCE(evictor.task, NULL);
		bt_row(t, "written", bt_disk_is(t, BT_NEW, BT_SPB, BT_SPB), 1);
		bt_row(t, "calls", evictor.calls, 1);
		bt_row_ours(t, "noio", evictor.noio, 1);
		bt_row(t, "flags_after", !!(current->flags & PF_MEMALLOC_NOIO), 0);
		bufio_client_destroy(c);
	}
	bt_param_set("max_cache_size_bytes", old);
}

/* --- NO_SLEEP ------------------------------------------------------------ */

struct soft {
	struct tasklet_struct tasklet;
	struct bufio_client *c;
	struct completion done;
	int miss, hit, contents, released, in_softirq;
};

static void soft_fn(struct tasklet_struct *tasklet)
{
	struct soft *s = container_of(tasklet, struct soft, tasklet);
	struct bufio_buffer *b;
	void *p;

	s->in_softirq = !!in_serving_softirq();
	p = bufio_get(s->c, 60, &b);
	s->miss = bt_err(p);
	p = bufio_get(s->c, 6, &b);
	s->hit = bt_err(p);
	if (!bt_err(p)) {
		s->contents = bt_is(p, BT_BS, BT_OLD, 6 * BT_SPB);
		bufio_release(b);
		s->released = 1;
	}
	complete(&s->done);
}

static void no_sleep(struct bt *t)
{
	struct bufio_client *c;
	struct soft s = { };
	unsigned int i, good = 0;

	c = cb_client(t, BUFIO_NO_SLEEP);
	if (!c)
		return;
	for (i = 0; i < 20; i++)
		good += bt_read_is(c, i, BT_OLD);
	bt_row(t, "read", good, 20);
	bufio_prefetch(c, 20, 10);
	gate_idle(t->gate, BT_SOON_MS);
	bt_row(t, "prefetch", bt_cached_in(c, 20, 30), 10);

	s.c = c;
	init_completion(&s.done);
	tasklet_setup(&s.tasklet, soft_fn);
	tasklet_schedule(&s.tasklet);
	wait_for_completion(&s.done);
	tasklet_kill(&s.tasklet);
	bt_row(t, "in_softirq", s.in_softirq, 1);
	bt_row(t, "get_miss", s.miss, 1);
	bt_row(t, "get_hit", s.hit, 0);
	bt_row(t, "contents", s.contents, 1);
	bt_row(t, "released", s.released, 1);
	bufio_forget(c, 6);
	bt_row(t, "hold_dropped", bt_cached(c, 6), 0);

	local_bh_disable();
	good = bt_cached(c, 7);
	local_bh_enable();
	bt_row(t, "get_bh_disabled", good, 1);
	bufio_client_reset(c);
	bt_row(t, "reset", bt_cached_in(c, 0, 30), 0);
	bufio_client_destroy(c);
}

static void no_sleep_write(struct bt *t)
{
	struct bufio_client *c = cb_client(t, BUFIO_NO_SLEEP);

	if (!c)
		return;
	bt_row(t, "write", bt_write(c, 8, BT_NEW), 0);
	bt_row(t, "flush", bufio_write_dirty(c), 0);
	bt_row(t, "on_disk", bt_disk_is(t, 77, 8 * BT_SPB, BT_SPB), 1);
	bufio_client_destroy(c);
}

const struct bt_case bt_contexts[] = {
	{ "callbacks", "alloc at each hand-out, write before each write", callbacks },
	{ "aux_per_buffer", "survives as long as the block is cached", aux_per_buffer },
	{ "in_request", "what works and what fails inside submit_bio", in_request,
	  BT_WARNS | BT_WARNS_OURS },
	{ "evict_scope", "who writes to have a buffer is in a noio scope", evict_scope },
	{ "no_sleep", "get and release from softirq", no_sleep },
	{ "no_sleep_write", "the same client writes", no_sleep_write, BT_SLEEPS },
	{ }
};
