// SPDX-License-Identifier: GPL-2.0
/*
 * What the allocator really did inside a scope while memory was short: the gfp
 * flags that its tracepoints show, and where the pages came from. Each case
 * first makes the same allocations without the scope and must see there what
 * the scope is to prevent.
 *
 * selftest: timeout=240 memory=384M disk=256M
 */

#include "kselftest_harness.h"
#include "scope_kmod.h"
#include "scope_disk.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MEMCG_CACHE_MIB	48
#define ROUNDS		32
#define WANT		4

#define report(name, p)								\
	TH_LOG("%-8s %u rounds: %u ok, %u failed, %u of %u pages from the reserves; "	\
	       "reclaim %u (any %#x), memcg %u (any %#x), compaction %u, page_alloc %u",	\
	       (name), (p)->done, (p)->ok, (p)->failed, (p)->pfmemalloc, (p)->pages,	\
	       (p)->seen.reclaim.count, (p)->seen.reclaim.any,			\
	       (p)->seen.memcg.count, (p)->seen.memcg.any,			\
	       (p)->seen.compact.count, (p)->seen.alloc.count)

static void set_up(struct __test_metadata *_metadata, int *fd, int *disk, struct st_constants *c)
{
	*fd = open_scope_test(c);
	ASSERT_GE(*fd, 0);
	*disk = open_disk();
	if (*disk < 0)
		SKIP(return, "no disk: scripts/vm --disk 256M");
	/* A kill by the OOM killer would be found in the log, not in the test. */
	ASSERT_EQ(0, write_text("/proc/self/oom_score_adj", "-1000"));
}

FIXTURE(press) {
	int fd;
	int disk;
	struct st_constants c;
};

FIXTURE_VARIANT(press) {
	__u32 what;
};

FIXTURE_VARIANT_ADD(press, alloc_page) { .what = ST_PAGE };
FIXTURE_VARIANT_ADD(press, alloc_pages_order_3) { .what = ST_PAGES };
FIXTURE_VARIANT_ADD(press, kmem_cache_alloc) { .what = ST_SLAB };
FIXTURE_VARIANT_ADD(press, kmalloc_large) { .what = ST_KMALLOC };
FIXTURE_VARIANT_ADD(press, kvmalloc) { .what = ST_KVMALLOC };
FIXTURE_VARIANT_ADD(press, vmalloc) { .what = ST_VMALLOC };
FIXTURE_VARIANT_ADD(press, percpu) { .what = ST_PERCPU };

FIXTURE_SETUP(press)
{
	set_up(_metadata, &self->fd, &self->disk, &self->c);
}

FIXTURE_TEARDOWN(press)
{
	close(self->disk);
	close(self->fd);
}

/* Fills the page cache, then presses. */
static void press(struct __test_metadata *_metadata, int fd, int disk,
		  const struct st_constants *c, const char *name, struct st_press *p)
{
	ASSERT_EQ(0, fill_cache(disk, CACHE_MIB));
	ASSERT_EQ(0, ioctl(fd, ST_IOC_PRESS, p));
	report(name, p);
	EXPECT_EQ(p->flags_before | flags_of(c, p->kinds), p->flags_inside);
	EXPECT_EQ(p->flags_before, p->flags_after);
	EXPECT_EQ(p->done, p->ok + p->failed);
}

/* Slabs and per-CPU chunks keep freed objects: only new ones need pages. */
static __u32 hold(__u32 what)
{
	return what == ST_SLAB || what == ST_PERCPU ? ST_HOLD : 0;
}

/*
 * The same without a scope: must show reclaim that may do I/O and enter filesystems. Returns
 * which of these it may. Since 7.3 per-CPU memory is GFP_NOIO itself (mm/percpu.c).
 */
static __u32 control(struct __test_metadata *_metadata, int fd, int disk,
		     const struct st_constants *c, __u32 what)
{
	struct st_press p = {
		.what = what, .gfp = c->gfp_kernel, .flags = ST_EAT | hold(what),
		.rounds = ROUNDS, .want = WANT,
	};
	__u32 all = c->gfp_io | c->gfp_fs, may;

	press(_metadata, fd, disk, c, "control", &p);
	EXPECT_GE(p.seen.reclaim.count, 1);
	may = p.seen.reclaim.any & all;
	EXPECT_TRUE(may == all || (what == ST_PERCPU && !may));
	EXPECT_EQ(may, p.seen.alloc.any & all);
	EXPECT_NE(0, p.seen.alloc.any & c->gfp_direct_reclaim);
	EXPECT_EQ(0, p.pfmemalloc);
	return may;
}

/* noio: reclaim happens, and none of it with __GFP_IO or __GFP_FS. */
TEST_F(press, noio)
{
	const struct st_constants *c = &self->c;
	struct st_press p = {
		.kinds = NOIO, .what = variant->what, .gfp = c->gfp_kernel,
		.flags = ST_EAT | hold(variant->what), .rounds = ROUNDS, .want = WANT,
	};

	control(_metadata, self->fd, self->disk, c, variant->what);
	press(_metadata, self->fd, self->disk, c, "noio", &p);
	EXPECT_GE(p.seen.reclaim.count, 1);
	EXPECT_EQ(0, p.seen.reclaim.any & (c->gfp_io | c->gfp_fs));
	EXPECT_EQ(0, p.seen.compact.any & (c->gfp_io | c->gfp_fs));
	EXPECT_GE(p.seen.alloc.count, 1);
	EXPECT_EQ(0, p.seen.alloc.any & (c->gfp_io | c->gfp_fs));
	EXPECT_EQ(0, p.failed);
	EXPECT_EQ(0, p.pfmemalloc);
}

/* nofs: reclaim happens, may do I/O, and none of it with __GFP_FS. */
TEST_F(press, nofs)
{
	const struct st_constants *c = &self->c;
	struct st_press p = {
		.kinds = NOFS, .what = variant->what, .gfp = c->gfp_kernel,
		.flags = ST_EAT | hold(variant->what), .rounds = ROUNDS, .want = WANT,
	};
	__u32 may;

	may = control(_metadata, self->fd, self->disk, c, variant->what);
	press(_metadata, self->fd, self->disk, c, "nofs", &p);
	EXPECT_GE(p.seen.reclaim.count, 1);
	EXPECT_EQ(0, p.seen.reclaim.any & c->gfp_fs);
	EXPECT_EQ(may & c->gfp_io, p.seen.reclaim.any & c->gfp_io);
	EXPECT_EQ(0, p.seen.compact.any & c->gfp_fs);
	EXPECT_GE(p.seen.alloc.count, 1);
	EXPECT_EQ(0, p.seen.alloc.any & c->gfp_fs);
	EXPECT_EQ(0, p.failed);
	EXPECT_EQ(0, p.pfmemalloc);
}

/* nowait around a callee that says GFP_KERNEL: no direct reclaim, no compaction. */
TEST_F(press, nowait_callee)
{
	const struct st_constants *c = &self->c;
	struct st_press p = {
		.kinds = NOWAIT, .what = variant->what, .gfp = c->gfp_kernel,
		.flags = ST_EAT | hold(variant->what), .rounds = ROUNDS,
	};

	control(_metadata, self->fd, self->disk, c, variant->what);
	press(_metadata, self->fd, self->disk, c, "nowait", &p);
	EXPECT_EQ(ROUNDS, p.done);
	EXPECT_EQ(0, p.seen.reclaim.count);
	EXPECT_EQ(0, p.seen.compact.count);
	EXPECT_GE(p.seen.alloc.count, 1);
	/* What the documentation warns of, and why memscope_gfp() exists. */
	if (p.pages)
		EXPECT_GE(p.pfmemalloc, 1);
}

/*
 * Allocations of a scope's owner. Not vmalloc: __vmalloc() accepts no
 * __GFP_NOMEMALLOC, kvmalloc() does. Not per-CPU memory: where it may not block
 * it uses only pages that it has already.
 */
FIXTURE(own) {
	int fd;
	int disk;
	struct st_constants c;
};

FIXTURE_VARIANT(own) {
	__u32 what;
};

FIXTURE_VARIANT_ADD(own, alloc_page) { .what = ST_PAGE };
FIXTURE_VARIANT_ADD(own, alloc_pages_order_3) { .what = ST_PAGES };
FIXTURE_VARIANT_ADD(own, kmem_cache_alloc) { .what = ST_SLAB };
FIXTURE_VARIANT_ADD(own, kmalloc_large) { .what = ST_KMALLOC };
FIXTURE_VARIANT_ADD(own, kvmalloc) { .what = ST_KVMALLOC };

FIXTURE_SETUP(own)
{
	set_up(_metadata, &self->fd, &self->disk, &self->c);
}

FIXTURE_TEARDOWN(own)
{
	close(self->disk);
	close(self->fd);
}

/*
 * nowait with memscope_gfp(): with free memory all succeed, with none they fail
 * instead of taking from the reserves; the flags are the promised ones.
 */
TEST_F(own, nowait)
{
	const struct st_constants *c = &self->c;
	const __u32 promised = c->gfp_noretry | c->gfp_nomemalloc | c->gfp_nowarn;
	struct st_press p = {
		.kinds = NOWAIT, .what = variant->what, .gfp = c->gfp_kernel,
		.flags = ST_EAT | ST_OWN_GFP | hold(variant->what), .rounds = ROUNDS,
	};
	struct st_press free_memory = p;

	free_memory.flags &= ~ST_EAT;

	press(_metadata, self->fd, self->disk, c, "free", &free_memory);
	EXPECT_EQ(ROUNDS, free_memory.ok);
	EXPECT_EQ(0, free_memory.pfmemalloc);

	press(_metadata, self->fd, self->disk, c, "nowait", &p);
	EXPECT_EQ(ROUNDS, p.done);
	EXPECT_GE(p.failed, 1);
	EXPECT_EQ(0, p.pfmemalloc);
	EXPECT_EQ(0, p.seen.reclaim.count);
	EXPECT_EQ(0, p.seen.compact.count);
	EXPECT_GE(p.seen.alloc.count, 1);
	/* Where vmalloc gets its pages, its page tables follow, which are a callee's. */
	if (!p.ok) {
		EXPECT_EQ(0, p.seen.alloc.any & c->gfp_direct_reclaim);
		EXPECT_EQ(promised, p.seen.alloc.all & promised);
	}
}

/* noreclaim: reaches the reserves where a plain GFP_NOWAIT fails. */
TEST_F(own, noreclaim)
{
	const struct st_constants *c = &self->c;
	struct st_press plain = {
		.what = variant->what, .gfp = c->gfp_nowait,
		.flags = ST_EAT | hold(variant->what), .rounds = ROUNDS,
	};
	struct st_press p = plain;

	p.kinds = NORECLAIM;
	press(_metadata, self->fd, self->disk, c, "control", &plain);
	EXPECT_GE(plain.failed, 1);
	EXPECT_EQ(0, plain.pfmemalloc);

	press(_metadata, self->fd, self->disk, c, "noreclaim", &p);
	EXPECT_EQ(0, p.failed);
	EXPECT_EQ(0, p.seen.reclaim.count);
	EXPECT_EQ(0, p.seen.compact.count);
	if (p.pages)
		EXPECT_GE(p.pfmemalloc, 1);
}

FIXTURE(pin) {
	int fd;
	struct st_constants c;
};

FIXTURE_SETUP(pin)
{
	self->fd = open_scope_test(&self->c);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(pin)
{
	close(self->fd);
}

/* pin: no page is asked for as movable. */
TEST_F(pin, not_movable)
{
	const struct st_constants *c = &self->c;
	struct st_press p = {
		.what = ST_PAGE, .gfp = c->gfp_highuser_movable, .rounds = ROUNDS,
	};
	struct st_press pinned = p;

	pinned.kinds = PIN;
	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_PRESS, &p));
	EXPECT_EQ(ROUNDS, p.seen.alloc.count);
	EXPECT_EQ(c->gfp_movable, p.seen.alloc.all & c->gfp_movable);
	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_PRESS, &pinned));
	EXPECT_EQ(ROUNDS, pinned.seen.alloc.count);
	EXPECT_EQ(0, pinned.seen.alloc.any & c->gfp_movable);
}

/* The same in a memory cgroup without headroom. */
#define CGROUP_MNT "/run/scope_test_cgroup"
#define CGROUP CGROUP_MNT "/scope_test"

FIXTURE(memcg) {
	int fd;
	int disk;
	struct st_constants c;
};

FIXTURE_VARIANT(memcg) {
	__u32 what;
};

FIXTURE_VARIANT_ADD(memcg, alloc_pages_order_3) { .what = ST_PAGES };
FIXTURE_VARIANT_ADD(memcg, kmalloc_large) { .what = ST_KMALLOC };
FIXTURE_VARIANT_ADD(memcg, kvmalloc) { .what = ST_KVMALLOC };
FIXTURE_VARIANT_ADD(memcg, vmalloc) { .what = ST_VMALLOC };
FIXTURE_VARIANT_ADD(memcg, percpu) { .what = ST_PERCPU };

FIXTURE_SETUP(memcg)
{
	set_up(_metadata, &self->fd, &self->disk, &self->c);
	if (self->disk < 0)
		return;
	mkdir(CGROUP_MNT, 0700);
	ASSERT_EQ(0, mount("none", CGROUP_MNT, "cgroup2", 0, NULL));
	write_text(CGROUP_MNT "/cgroup.subtree_control", "+memory");
	ASSERT_TRUE(mkdir(CGROUP, 0700) == 0 || errno == EEXIST);
	/* What the cache holds from before is charged to somebody else. */
	ASSERT_EQ(0, posix_fadvise(self->disk, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, write_text(CGROUP "/cgroup.procs", "0"));
}

FIXTURE_TEARDOWN(memcg)
{
	write_text(CGROUP "/memory.max", "max");
	write_text(CGROUP_MNT "/cgroup.procs", "0");
	posix_fadvise(self->disk, 0, 0, POSIX_FADV_DONTNEED);
	rmdir(CGROUP);
	umount2(CGROUP_MNT, MNT_DETACH);
	close(self->disk);
	close(self->fd);
}

static void press_memcg(struct __test_metadata *_metadata, FIXTURE_DATA(memcg) * self,
			const char *name, struct st_press *p)
{
	char current[32] = "";
	int fd;

	ASSERT_EQ(0, write_text(CGROUP "/memory.max", "max"));
	ASSERT_EQ(0, fill_cache(self->disk, MEMCG_CACHE_MIB));
	fd = open(CGROUP "/memory.current", O_RDONLY);
	ASSERT_GE(fd, 0);
	ASSERT_GT(read(fd, current, sizeof(current) - 1), 0);
	close(fd);
	/* The cache must be in this cgroup, or there is nothing to reclaim. */
	ASSERT_GE(strtoul(current, NULL, 10), (unsigned long)MEMCG_CACHE_MIB << 20);
	ASSERT_EQ(0, write_text(CGROUP "/memory.max", current));
	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_PRESS, p));
	report(name, p);
	EXPECT_EQ(p->flags_before, p->flags_after);
}

TEST_F(memcg, scopes)
{
	const struct st_constants *c = &self->c;
	const struct st_press base = {
		.what = variant->what, .gfp = c->gfp_kernel_account, .flags = ST_HOLD,
		.rounds = ST_MAX_ROUNDS,
	};
	struct st_press control = base, noio = base, nofs = base, nowait = base;

	press_memcg(_metadata, self, "control", &control);
	ASSERT_GE(control.seen.memcg.count, 1);
	EXPECT_EQ(c->gfp_io | c->gfp_fs, control.seen.memcg.any & (c->gfp_io | c->gfp_fs));

	noio.kinds = NOIO;
	press_memcg(_metadata, self, "noio", &noio);
	EXPECT_GE(noio.seen.memcg.count, 1);
	EXPECT_EQ(0, noio.seen.memcg.any & (c->gfp_io | c->gfp_fs));
	EXPECT_EQ(0, noio.failed);

	nofs.kinds = NOFS;
	press_memcg(_metadata, self, "nofs", &nofs);
	EXPECT_GE(nofs.seen.memcg.count, 1);
	EXPECT_EQ(0, nofs.seen.memcg.any & c->gfp_fs);
	EXPECT_NE(0, nofs.seen.memcg.any & c->gfp_io);
	EXPECT_EQ(0, nofs.failed);

	/* The limit is exceeded instead. */
	nowait.kinds = NOWAIT;
	press_memcg(_metadata, self, "nowait", &nowait);
	EXPECT_EQ(0, nowait.seen.memcg.count);
	EXPECT_EQ(0, nowait.seen.reclaim.count);
	EXPECT_EQ(0, nowait.failed);
}

int main(int argc, char **argv)
{
	need_modules();
	return test_harness_run(argc, argv);
}
