// SPDX-License-Identifier: GPL-2.0
/*
 * The Rust guards, in the kernel: runs the tests of scope_guard.ko, from a
 * thread without scopes and from one that has some, and its allocations under
 * pressure that scope_test.ko makes and watches.
 *
 * selftest: timeout=120 memory=384M disk=256M
 */

#include "kselftest_harness.h"
#include "scope_kmod.h"
#include "scope_disk.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define TEXT_BYTES	256
#define IOC_RUN(n)	_IOC(_IOC_READ, 'g', n, TEXT_BYTES)
#define IOC_LEAKS	_IO('h', 0)
#define IOC_ALLOCATE	_IO('h', 1)

/* What scope_guard allocates. */
enum { PAGE, KVEC, VVEC, KVVEC, BUDGET };
#define OWN_GFP		0x80

#define ROUNDS		8
/* Between eating and allocating others may free or make memory be freed: so often at most. */
#define MOST_ROUNDS	32

FIXTURE(guards) {
	int fd;
};

FIXTURE_VARIANT(guards) {
	bool flusher;
};

FIXTURE_VARIANT_ADD(guards, thread_without_scopes) { .flusher = false };
FIXTURE_VARIANT_ADD(guards, io_flusher) { .flusher = true };

FIXTURE_SETUP(guards)
{
	self->fd = open("/dev/scope_guard", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0);
	if (variant->flusher)
		ASSERT_EQ(0, prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
}

FIXTURE_TEARDOWN(guards)
{
	close(self->fd);
}

TEST_F(guards, all)
{
	int nr, flusher = variant->flusher;

	for (nr = 0; nr < 256; nr++) {
		char text[TEXT_BYTES] = "";
		int ret = ioctl(self->fd, IOC_RUN(nr), text);

		if (ret < 0 && errno == ENOENT)
			break;
		ASSERT_GE(ret, 0);
		EXPECT_EQ(0, ret) TH_LOG("%s", text);
		if (!ret)
			TH_LOG("%s: ok", text);
		EXPECT_EQ(flusher, prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0)) TH_LOG("after %s", text);
	}
	EXPECT_GE(nr, 20);
	/* Those that forget guards on purpose. */
	EXPECT_GE(ioctl(self->fd, IOC_LEAKS), 1);
}

FIXTURE(containers) {
	int fd;
	int test;
	int disk;
	struct st_constants c;
};

FIXTURE_VARIANT(containers) {
	__u32 what;
};

FIXTURE_VARIANT_ADD(containers, Page) { .what = PAGE };
FIXTURE_VARIANT_ADD(containers, KVec) { .what = KVEC };
FIXTURE_VARIANT_ADD(containers, VVec) { .what = VVEC };
FIXTURE_VARIANT_ADD(containers, KVVec) { .what = KVVEC };

FIXTURE_SETUP(containers)
{
	self->test = open_scope_test(&self->c);
	ASSERT_GE(self->test, 0);
	self->fd = open("/dev/scope_guard", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0);
	self->disk = open_disk();
	if (self->disk < 0)
		SKIP(return, "no disk: scripts/vm --disk 256M");
	ASSERT_EQ(0, write_text("/proc/self/oom_score_adj", "-1000"));
	/* The watched task must not fault its own pages in. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
}

FIXTURE_TEARDOWN(containers)
{
	close(self->disk);
	close(self->fd);
	close(self->test);
}

/* What has to be met at least once, in ROUNDS rounds or a few more. */
enum until { ANYTHING, RECLAIM, FAILURE };

/* Returns how many allocations failed; *rounds is how many were made. */
static int press_rounds(struct __test_metadata *_metadata, FIXTURE_DATA(containers) * self,
			__u32 arg, struct st_watch *seen, enum until until, int *rounds)
{
	int failed = 0, i;

	memset(seen, 0, sizeof(*seen));
	EXPECT_EQ(0, fill_cache(self->disk, CACHE_MIB));
	for (i = 0; i < ROUNDS || (i < MOST_ROUNDS &&
	     ((until == RECLAIM && !seen->reclaim.count) || (until == FAILURE && !failed))); i++) {
		int ret;

		EXPECT_EQ(0, ioctl(self->test, ST_IOC_EAT));
		EXPECT_EQ(0, ioctl(self->test, ST_IOC_WATCH, seen));
		ret = ioctl(self->fd, IOC_ALLOCATE, (unsigned long)arg);
		if (ret)
			failed += errno == ENOMEM ? 1 : MOST_ROUNDS;
		EXPECT_EQ(0, ioctl(self->test, ST_IOC_UNWATCH, seen));
	}
	EXPECT_EQ(0, ioctl(self->test, ST_IOC_SPIT_OUT));
	*rounds = i;
	TH_LOG("%#x: %d of %d failed, reclaim %u (any %#x), page_alloc %u (any %#x, all %#x)",
	       arg, failed, i, seen->reclaim.count, seen->reclaim.any,
	       seen->alloc.count, seen->alloc.any, seen->alloc.all);
	return failed;
}

static int press(struct __test_metadata *_metadata, FIXTURE_DATA(containers) * self, __u32 arg,
		 struct st_watch *seen, enum until until)
{
	int rounds;

	return press_rounds(_metadata, self, arg, seen, until, &rounds);
}

TEST_F(containers, under_pressure)
{
	int rounds;
	const struct st_constants *c = &self->c;
	const __u32 io_fs = c->gfp_io | c->gfp_fs, what = variant->what << 8;
	const __u32 promised = c->gfp_noretry | c->gfp_nomemalloc | c->gfp_nowarn;
	struct st_watch seen;

	EXPECT_EQ(0, press(_metadata, self, what, &seen, RECLAIM));
	ASSERT_GE(seen.reclaim.count, 1);
	EXPECT_EQ(io_fs, seen.reclaim.any & io_fs);

	EXPECT_EQ(0, press(_metadata, self, what | NOIO, &seen, RECLAIM));
	EXPECT_GE(seen.reclaim.count, 1);
	EXPECT_EQ(0, seen.reclaim.any & io_fs);
	EXPECT_EQ(0, seen.alloc.any & io_fs);

	EXPECT_EQ(0, press(_metadata, self, what | NOFS, &seen, RECLAIM));
	EXPECT_GE(seen.reclaim.count, 1);
	EXPECT_EQ(c->gfp_io, seen.reclaim.any & io_fs);
	EXPECT_EQ(0, seen.alloc.any & c->gfp_fs);

	/* GFP_KERNEL in a nowait scope: from the reserves. */
	EXPECT_EQ(0, press(_metadata, self, what | NOWAIT, &seen, ANYTHING));
	EXPECT_EQ(0, seen.reclaim.count);
	EXPECT_EQ(0, seen.compact.count);

	/* With the flags of gfp::current(): not from the reserves, so not at all. */
	int failed = press_rounds(_metadata, self, what | NOWAIT | OWN_GFP, &seen, FAILURE,
				  &rounds);

	EXPECT_GE(failed, 1);
	EXPECT_EQ(0, seen.reclaim.count);
	EXPECT_EQ(0, seen.compact.count);
	EXPECT_GE(seen.alloc.count, 1);
	/* Where vmalloc got its pages, its page tables followed, which are a callee's. */
	if (failed == rounds) {
		EXPECT_EQ(0, seen.alloc.any & c->gfp_direct_reclaim);
		EXPECT_EQ(promised, seen.alloc.all & promised);
	}
}

/* charge() of a noreclaim scope does give from the reserves. */
TEST_F(containers, budget)
{
	struct st_watch seen;

	EXPECT_EQ(0, press(_metadata, self, BUDGET << 8, &seen, ANYTHING));
	EXPECT_EQ(0, seen.reclaim.count);
	EXPECT_EQ(ROUNDS, seen.alloc.count);
}

int main(int argc, char **argv)
{
	need_modules();
	need_module("ext/scope_guard/scope_guard.ko");
	return test_harness_run(argc, argv);
}
