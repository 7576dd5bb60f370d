// SPDX-License-Identifier: GPL-2.0
/*
 * Nesting and restore order of scopes, as current->flags shows them.
 *
 * selftest: timeout=60
 */

#include "kselftest_harness.h"
#include "scope_kmod.h"

static const __u32 kinds[] = { NOIO, NOFS, NOWAIT, NORECLAIM, PIN };

FIXTURE(nesting) {
	int fd;
	struct st_constants c;
	__u32 scopes;
};

FIXTURE_SETUP(nesting)
{
	self->fd = open_scope_test(&self->c);
	ASSERT_GE(self->fd, 0);
	self->scopes = flags_of(&self->c, ALL_KINDS);
	ASSERT_NE(0, self->c.pf_memalloc);
	ASSERT_EQ(4, __builtin_popcount(self->scopes));
}

FIXTURE_TEARDOWN(nesting)
{
	close(self->fd);
}

static void add(struct st_script *s, __u32 code, __u32 arg)
{
	s->op[s->nr].code = code;
	s->op[s->nr++].arg = arg;
}

/*
 * What the flags must be after each step: the set that was found, and what is
 * entered and not left, where a flag that is set already belongs to whoever set
 * it first.
 */
static void model(const struct st_constants *c, struct st_script *s)
{
	__u32 flags = s->flags_before;

	for (__u32 i = 0; i < s->nr; i++) {
		if (s->op[i].code == ST_ENTER) {
			__u32 f = flags_of(c, s->op[i].arg);

			s->step[i].ret = f & ~flags;
			flags |= f;
		} else {
			s->step[i].ret = 0;
			flags &= ~s->step[s->op[i].arg].ret;
		}
		s->step[i].flags = flags;
	}
}

/* Runs @s through memscope, the kernel's inlines (if @both) and the model. */
static void run(struct __test_metadata *_metadata, FIXTURE_DATA(nesting) * self,
		struct st_script *s, bool both)
{
	struct st_script inl = *s, expected = *s;

	s->how = ST_MEMSCOPE;
	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_SCRIPT, s));
	/* No scope is open in a program that was just started. */
	ASSERT_EQ(0, s->flags_before & self->scopes);
	expected.flags_before = s->flags_before;
	model(&self->c, &expected);
	for (__u32 i = 0; i < s->nr; i++) {
		EXPECT_EQ(expected.step[i].flags, s->step[i].flags) TH_LOG("step %u", i);
		EXPECT_EQ(expected.step[i].ret, s->step[i].ret) TH_LOG("step %u", i);
	}
	if (!both)
		return;
	inl.how = ST_INLINE;
	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_SCRIPT, &inl));
	for (__u32 i = 0; i < s->nr; i++) {
		EXPECT_EQ(inl.step[i].flags, s->step[i].flags) TH_LOG("step %u", i);
		EXPECT_EQ(inl.step[i].ret, s->step[i].ret) TH_LOG("step %u", i);
	}
}

static const int perm[][3] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

/*
 * Three kinds, entered in each order and left in each order: 5^3 kinds (the same
 * twice included), 6 orders of leaving. Leaving in another than the reverse
 * order must end at what was found too, as long as no flag is entered twice.
 */
TEST_F(nesting, three_kinds_all_orders)
{
	unsigned int scripts = 0;

	for (int n = 0; n < 125; n++) {
		const __u32 k[] = { kinds[n / 25], kinds[n / 5 % 5], kinds[n % 5] };

		for (size_t p = 0; p < ARRAY_LEN(perm); p++) {
			struct st_script s = {};
			__u32 open = 0;

			for (int i = 0; i < 3; i++)
				add(&s, ST_ENTER, k[i]);
			for (int i = 0; i < 3; i++)
				add(&s, ST_LEAVE, perm[p][i]);
			run(_metadata, self, &s, true);
			scripts++;
			for (int i = 0; i < 3; i++) {
				open |= flags_of(&self->c, k[i]);
				EXPECT_EQ(s.flags_before | open, s.step[i].flags);
			}
			EXPECT_EQ(s.flags_before, s.step[s.nr - 1].flags);
		}
	}
	TH_LOG("%u scripts, each through memscope, the kernel's inlines and the model", scripts);
}

/* In the reverse order each step must end at exactly what was found there. */
TEST_F(nesting, every_depth_in_reverse_order)
{
	for (__u32 depth = 1; depth <= ST_MAX_OPS / 2; depth++) {
		for (__u32 stride = 1; stride <= 4; stride++) {
			struct st_script s = {};

			for (__u32 i = 0; i < depth; i++)
				add(&s, ST_ENTER, kinds[i * stride % 5]);
			for (__u32 i = depth; i-- > 0;)
				add(&s, ST_LEAVE, i);
			run(_metadata, self, &s, true);
			for (__u32 i = 0; i < depth; i++) {
				__u32 found = i ? s.step[i - 1].flags : s.flags_before;

				EXPECT_EQ(found, s.step[2 * depth - 1 - i].flags);
			}
		}
	}
}

/* Random walks: enter any set of kinds, or leave the innermost. */
TEST_F(nesting, random_sets)
{
	const char *env = getenv("SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : 1;

	TH_LOG("SEED=%u", seed);
	for (int n = 0; n < 2000; n++) {
		struct st_script s = {};
		__u32 stack[ST_MAX_OPS];
		__u32 top = 0;

		while (s.nr + top < ST_MAX_OPS) {
			if (top && rand_r(&seed) % 2) {
				add(&s, ST_LEAVE, stack[--top]);
			} else {
				stack[top++] = s.nr;
				add(&s, ST_ENTER, rand_r(&seed) & ALL_KINDS);
			}
		}
		while (top && s.nr < ST_MAX_OPS)
			add(&s, ST_LEAVE, stack[--top]);
		run(_metadata, self, &s, false);
		if (!top)
			EXPECT_EQ(s.flags_before, s.step[s.nr - 1].flags);
	}
}

/* "unknown bits are ignored": each of them, alone and beside a kind. */
TEST_F(nesting, enter_unknown_bits)
{
	for (int bit = 0; bit < 32; bit++) {
		struct st_script s = {};

		if (ALL_KINDS & 1U << bit)
			continue;
		add(&s, ST_ENTER, 1U << bit);
		add(&s, ST_ENTER, 1U << bit | NOFS);
		add(&s, ST_LEAVE, 1);
		add(&s, ST_LEAVE, 0);
		ASSERT_EQ(0, ioctl(self->fd, ST_IOC_SCRIPT, &s));
		EXPECT_EQ(0, s.step[0].ret);
		EXPECT_EQ(s.flags_before, s.step[0].flags);
		EXPECT_EQ(self->c.pf_nofs, s.step[1].ret);
		EXPECT_EQ(s.flags_before | self->c.pf_nofs, s.step[1].flags);
		EXPECT_EQ(s.flags_before, s.step[3].flags);
	}
}

/* "Bits of the cookie that are no scope flags are ignored." */
TEST_F(nesting, leave_garbage)
{
	struct st_script s = {};

	add(&s, ST_LEAVE_RAW, 0);
	add(&s, ST_LEAVE_RAW, ~self->scopes);
	add(&s, ST_ENTER, ALL_KINDS);
	add(&s, ST_LEAVE_RAW, ~self->scopes);
	add(&s, ST_LEAVE_RAW, ~self->scopes | self->c.pf_noio);
	add(&s, ST_LEAVE_RAW, ~0U);
	ASSERT_EQ(0, ioctl(self->fd, ST_IOC_SCRIPT, &s));
	EXPECT_EQ(s.flags_before, s.step[0].flags);
	EXPECT_EQ(s.flags_before, s.step[1].flags);
	EXPECT_EQ(s.flags_before | self->scopes, s.step[2].flags);
	EXPECT_EQ(s.step[2].flags, s.step[3].flags);
	EXPECT_EQ(s.step[2].flags & ~self->c.pf_noio, s.step[4].flags);
	/* A process is never without any other flag, so this can fail. */
	EXPECT_NE(0, s.flags_before);
	EXPECT_EQ(s.flags_before, s.step[5].flags);
}

/* memscope_capture() names what is open; PF_MEMALLOC comes out as nowait. */
TEST_F(nesting, capture)
{
	for (__u32 k = 0; k <= ALL_KINDS; k++) {
		__u32 expected = k & (NOIO | NOFS | PIN);
		struct st_script s = {};

		if (k & (NOWAIT | NORECLAIM))
			expected |= NOWAIT;
		add(&s, ST_CAPTURE, 0);
		add(&s, ST_ENTER, k);
		add(&s, ST_CAPTURE, 0);
		add(&s, ST_LEAVE, 1);
		add(&s, ST_CAPTURE, 0);
		ASSERT_EQ(0, ioctl(self->fd, ST_IOC_SCRIPT, &s));
		EXPECT_EQ(0, s.step[0].ret);
		EXPECT_EQ(expected, s.step[2].ret);
		EXPECT_EQ(0, s.step[4].ret);
	}
}

/* memscope_gfp(): the promise of each scope, on each kind of flags. */
TEST_F(nesting, gfp)
{
	const struct st_constants *c = &self->c;
	const __u32 nowait = c->gfp_noretry | c->gfp_nomemalloc | c->gfp_nowarn;
	const __u32 bases[] = {
		c->gfp_kernel, c->gfp_kernel_account, c->gfp_noio, c->gfp_nofs, c->gfp_nowait,
		c->gfp_atomic, c->gfp_highuser_movable, c->gfp_kernel | c->gfp_nofail,
	};

	for (__u32 k = 0; k <= ALL_KINDS; k++) {
		for (size_t b = 0; b < ARRAY_LEN(bases); b++) {
			__u32 expected = bases[b], got;
			struct st_script s = {};

			if (k & NOIO)
				expected &= ~(c->gfp_io | c->gfp_fs);
			if (k & NOFS)
				expected &= ~c->gfp_fs;
			if (k & PIN)
				expected &= ~c->gfp_movable;
			add(&s, ST_ENTER, k);
			add(&s, ST_GFP, bases[b]);
			add(&s, ST_LEAVE, 0);
			ASSERT_EQ(0, ioctl(self->fd, ST_IOC_SCRIPT, &s));
			got = s.step[1].ret;
			if (k & (NOWAIT | NORECLAIM)) {
				EXPECT_EQ(0, got & (c->gfp_direct_reclaim | c->gfp_nofail));
				EXPECT_EQ(nowait, got & nowait);
				/* What has nothing to do with waiting stays. */
				EXPECT_EQ(expected & (c->gfp_io | c->gfp_fs | c->gfp_movable),
					  got & (c->gfp_io | c->gfp_fs | c->gfp_movable));
			} else {
				EXPECT_EQ(expected, got) TH_LOG("kinds %#x base %#x", k, bases[b]);
			}
		}
	}
}

int main(int argc, char **argv)
{
	need_modules();
	return test_harness_run(argc, argv);
}
