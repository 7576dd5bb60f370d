// SPDX-License-Identifier: GPL-2.0
/*
 * What entering and leaving costs, against the kernel's inlines.
 *
 * For scripts/vm --icount, where a nanosecond is an instruction and two runs
 * agree; elsewhere they do not, and the test says so instead of judging.
 *
 * selftest: timeout=60 icount=yes
 */

#include "kselftest_harness.h"
#include "scope_kmod.h"

#define ITERATIONS	10000

/* Instructions that enter and leave may cost beyond the inlines, in C and in Rust. */
#define EXTRA_MAX	10

/* Where the compiler does not know the kinds. */
#define EXTRA_VARIABLE_MAX 40

/* Of scope_guard.ko. */
#define IOC_COST	_IO('h', 2)
#define IOC_COST_EMPTY	_IO('h', 3)
#define GUARD_ITERATIONS 1000

/*
 * Whole instructions: the clock rounds to its own tick, a few nanoseconds over
 * all iterations.
 */
static double per_iteration(__u64 ns, const struct st_cost *cost)
{
	return (ns - cost->ns_empty + cost->iterations / 2) / cost->iterations;
}

TEST(enter_and_leave)
{
	static const __u32 kinds[] = { NOIO, NOFS, NOWAIT, PIN, ALL_KINDS };
	struct st_constants c;
	int fd = open_scope_test(&c);
	double spread = 0, extra = 0, extra_variable = 0;

	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct st_cost first = { .iterations = ITERATIONS, .kinds = kinds[i] };
		struct st_cost cost = first;
		double memscope, constant, inl, again;

		ASSERT_EQ(0, ioctl(fd, ST_IOC_COST, &first));
		ASSERT_EQ(0, ioctl(fd, ST_IOC_COST, &cost));
		memscope = per_iteration(cost.ns_memscope, &cost);
		again = per_iteration(first.ns_memscope, &first);
		constant = per_iteration(cost.ns_constant, &cost);
		inl = per_iteration(cost.ns_inline, &cost);
		TH_LOG("inline %.1f; enter + leave: constant kind %.1f, kinds %#x from memory %.1f",
		       inl, constant, kinds[i], memscope);
		if (memscope - again > spread || again - memscope > spread)
			spread = memscope > again ? memscope - again : again - memscope;
		/* The loop really ran. */
		EXPECT_GT(inl, 1);
		if (constant - inl > extra)
			extra = constant - inl;
		if (memscope - inl > extra_variable)
			extra_variable = memscope - inl;
	}
	close(fd);
	TH_LOG("largest difference between two runs: %.2f", spread);
	if (spread > 1)
		SKIP(return, "no --icount");
	EXPECT_LE(extra, EXTRA_MAX);
	EXPECT_LE(extra_variable, EXTRA_VARIABLE_MAX);
}

/* The guard, with a kind that is known at compile time and with one that is not. */
TEST(guard)
{
	static const __u32 kinds[] = { NOIO, ALL_KINDS };
	int fd = open("/dev/scope_guard", O_RDWR | O_CLOEXEC);
	struct st_cost c_cost = { .iterations = ITERATIONS, .kinds = NOIO };
	double spread = 0, extra[ARRAY_LEN(kinds)], inl;
	struct st_constants c;
	int test = open_scope_test(&c);

	ASSERT_GE(fd, 0);
	ASSERT_GE(test, 0);
	ASSERT_EQ(0, ioctl(test, ST_IOC_COST, &c_cost));
	close(test);
	inl = per_iteration(c_cost.ns_inline, &c_cost);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		double cost[2];

		for (int j = 0; j < 2; j++) {
			int empty = ioctl(fd, IOC_COST_EMPTY, 0);
			int ns = ioctl(fd, IOC_COST, (unsigned long)kinds[i]);

			ASSERT_GT(empty, 0);
			ASSERT_GT(ns, empty);
			cost[j] = (ns - empty + GUARD_ITERATIONS / 2) / GUARD_ITERATIONS;
		}
		extra[i] = cost[1] - inl;
		TH_LOG("inline %.1f; guard: %s %.1f", inl,
		       i ? "kinds from memory" : "constant kind", cost[1]);
		if (cost[0] - cost[1] > spread || cost[1] - cost[0] > spread)
			spread = cost[0] > cost[1] ? cost[0] - cost[1] : cost[1] - cost[0];
	}
	close(fd);
	TH_LOG("largest difference between two runs: %.2f", spread);
	if (spread > 1)
		SKIP(return, "no --icount");
	EXPECT_LE(extra[0], EXTRA_MAX);
	EXPECT_LE(extra[1], EXTRA_VARIABLE_MAX);
}

int main(int argc, char **argv)
{
	need_modules();
	need_module("ext/scope_guard/scope_guard.ko");
	return test_harness_run(argc, argv);
}
