// SPDX-License-Identifier: GPL-2.0
/*
 * Scopes that a work item carries to its worker: the worker's task flags, and
 * the gfp flags that the allocator's tracepoints show there.
 *
 * selftest: timeout=120 memory=384M disk=256M
 */

#include "kselftest_harness.h"
#include "scope_kmod.h"
#include "scope_disk.h"

#define ROUNDS		8

FIXTURE(work) {
	int fd;
	struct st_constants c;
	__u32 scopes;
};

FIXTURE_VARIANT(work) {
	__u32 flags;
};

FIXTURE_VARIANT_ADD(work, memscope_queue_work) { .flags = 0 };
FIXTURE_VARIANT_ADD(work, memscope_queue_work_own_queue) { .flags = ST_WORK_OWN_WQ };
FIXTURE_VARIANT_ADD(work, capture_and_enter) { .flags = ST_WORK_MANUAL };
FIXTURE_VARIANT_ADD(work, capture_and_enter_own_queue) {
	.flags = ST_WORK_MANUAL | ST_WORK_OWN_WQ,
};

FIXTURE_SETUP(work)
{
	self->fd = open_scope_test(&self->c);
	ASSERT_GE(self->fd, 0);
	self->scopes = flags_of(&self->c, ALL_KINDS);
}

FIXTURE_TEARDOWN(work)
{
	close(self->fd);
}

static __u32 captured(__u32 kinds)
{
	return (kinds & (NOIO | NOFS | PIN)) | (kinds & (NOWAIT | NORECLAIM) ? NOWAIT : 0);
}

/* The worker has no scope of its own before, exactly @kinds inside, none after. */
static void expect_run(struct __test_metadata *_metadata, const struct st_constants *c,
		       const struct st_work *w, int run, __u32 kinds)
{
	__u32 scopes = flags_of(c, ALL_KINDS);

	EXPECT_EQ(0, w->run[run].before & scopes);
	EXPECT_EQ(w->run[run].before | flags_of(c, kinds), w->run[run].inside)
		TH_LOG("run %d, kinds %#x", run, kinds);
	EXPECT_EQ(w->run[run].before, w->run[run].after);
}

/* Every set of kinds, one submission after the other: each sees its own. */
TEST_F(work, every_set)
{
	for (__u32 k = 0; k <= ALL_KINDS; k++) {
		struct st_work w = {
			.flags = variant->flags, .nr_submit = 3, .kinds = { k, 0, ALL_KINDS & ~k },
		};

		ASSERT_EQ(0, ioctl(self->fd, ST_IOC_WORK, &w));
		ASSERT_EQ(3, w.runs);
		EXPECT_EQ(0, w.same_task);
		EXPECT_EQ(w.flags_submit_before, w.flags_submit_after);
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(1, w.queued[i]);
			EXPECT_EQ(captured(w.kinds[i]), w.captured[i]);
			expect_run(_metadata, &self->c, &w, i, w.kinds[i]);
		}
	}
}

/* The worker's allocations are made under the submitter's scopes. */
TEST_F(work, pressure)
{
	const struct st_constants *c = &self->c;
	int disk = open_disk();

	if (disk < 0)
		SKIP(return, "no disk: scripts/vm --disk 256M");
	ASSERT_EQ(0, write_text("/proc/self/oom_score_adj", "-1000"));
	for (int i = 0; i < 4; i++) {
		static const __u32 kinds[] = { 0, NOIO, NOFS, NOWAIT };
		const struct st_work work = {
			.flags = variant->flags, .nr_submit = 1, .kinds = { kinds[i] },
			.gfp = c->gfp_kernel, .rounds = ROUNDS,
		};
		struct st_work w;
		__u32 any;

		/* The worker may be interrupted where memory is short, and others make some free. */
		for (int j = 0; j < 4; j++) {
			w = work;
			ASSERT_EQ(0, fill_cache(disk, CACHE_MIB));
			ASSERT_EQ(0, ioctl(self->fd, ST_IOC_WORK, &w));
			ASSERT_EQ(1, w.runs);
			if (kinds[i] == NOWAIT || w.seen.reclaim.count)
				break;
		}
		expect_run(_metadata, c, &w, 0, kinds[i]);
		any = w.seen.reclaim.any & (c->gfp_io | c->gfp_fs);
		TH_LOG("kinds %#x: reclaim %u (any %#x)", kinds[i], w.seen.reclaim.count,
		       w.seen.reclaim.any);
		EXPECT_EQ(ROUNDS, w.seen.alloc.count);
		if (kinds[i] == NOWAIT) {
			EXPECT_EQ(0, w.seen.reclaim.count);
			continue;
		}
		EXPECT_GE(w.seen.reclaim.count, 1);
		EXPECT_EQ(kinds[i] == NOIO ? 0 :
			  kinds[i] == NOFS ? c->gfp_io : c->gfp_io | c->gfp_fs, any);
	}
	close(disk);
}

FIXTURE(pending) {
	int fd;
	struct st_constants c;
};

FIXTURE_SETUP(pending)
{
	self->fd = open_scope_test(&self->c);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(pending)
{
	close(self->fd);
}

/* Queued again while pending: one run, under the union. */
TEST_F(pending, union)
{
	static const __u32 pairs[][2] = {
		{ NOIO, NOFS }, { NOFS, NOIO }, { 0, PIN }, { PIN, 0 }, { NOWAIT, NOIO },
		{ NOIO | PIN, NOFS | NOWAIT },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct st_work w = {
			.flags = ST_WORK_OWN_WQ | ST_WORK_BLOCK, .nr_submit = 2,
			.kinds = { pairs[i][0], pairs[i][1] },
		};

		ASSERT_EQ(0, ioctl(self->fd, ST_IOC_WORK, &w));
		EXPECT_EQ(1, w.queued[0]);
		EXPECT_EQ(0, w.queued[1]);
		ASSERT_EQ(1, w.runs);
		expect_run(_metadata, &self->c, &w, 0, pairs[i][0] | pairs[i][1]);
	}
}

/* An item that queues itself hands its scopes to its next run, and to no other. */
TEST_F(pending, queues_itself)
{
	for (int own = 0; own < 2; own++) {
		struct st_work w = {
			.flags = own ? ST_WORK_OWN_WQ : 0, .nr_submit = 1, .kinds = { NOIO | PIN },
			.requeue = 5,
		};

		ASSERT_EQ(0, ioctl(self->fd, ST_IOC_WORK, &w));
		ASSERT_EQ(6, w.runs);
		for (int i = 0; i < 6; i++)
			expect_run(_metadata, &self->c, &w, i, NOIO | PIN);
	}
}

/* What a cancelled submission captured may stay, what the next one did must. */
TEST_F(pending, cancelled)
{
	struct st_work w = {
		.flags = ST_WORK_OWN_WQ | ST_WORK_BLOCK | ST_WORK_CANCEL, .nr_submit = 2,
		.kinds = { NOIO, NOFS },
	};
	__u32 inside;

	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_WORK, &w));
	EXPECT_EQ(1, w.cancelled);
	EXPECT_EQ(1, w.queued[1]);
	ASSERT_EQ(1, w.runs);
	inside = w.run[0].inside & flags_of(&self->c, ALL_KINDS);
	EXPECT_EQ(self->c.pf_nofs, inside & self->c.pf_nofs);
	EXPECT_EQ(0, inside & ~(self->c.pf_nofs | self->c.pf_noio));
	EXPECT_EQ(w.run[0].before, w.run[0].after);
	TH_LOG("flags inside %#x", inside);
}

/* Scopes that the function leaves open are put right before the worker goes on. */
TEST_F(pending, left_open)
{
	struct st_work w = {
		.flags = ST_WORK_OWN_WQ | ST_WORK_LEAVE_OPEN, .nr_submit = 2,
		.kinds = { NOFS, 0 },
	};

	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_WORK, &w));
	ASSERT_EQ(2, w.runs);
	expect_run(_metadata, &self->c, &w, 0, NOFS);
	expect_run(_metadata, &self->c, &w, 1, 0);
}

int main(int argc, char **argv)
{
	need_modules();
	return test_harness_run(argc, argv);
}
