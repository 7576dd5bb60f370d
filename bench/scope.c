// SPDX-License-Identifier: GPL-2.0
/* Scopes against the kernel's own inlines. */

#include <linux/ktime.h>
#include <linux/sched/mm.h>

#include <linux/memscope.h>

#include "bench.h"

/*
 * What is timed is the loop: the empty one is taken off by the reader of the
 * results. The asm statement is the body; it keeps the compiler from joining
 * two scopes, as any real body would.
 */
#define TIMED(b, what, body)						\
	do {								\
		unsigned int __n = bench_arg(b, "n", 10000);		\
		unsigned int __i, __r;					\
		u64 __ns = U64_MAX;					\
									\
		for (__r = 0; __r < 16; __r++) {			\
			u64 __start = ktime_get_ns();			\
									\
			for (__i = 0; __i < __n; __i++) {		\
				body;					\
			}						\
			__ns = min(__ns, ktime_get_ns() - __start);	\
		}							\
		bench_fig(b, what, __ns * 1000 / __n);			\
	} while (0)

static int cost(struct bench *b)
{
	unsigned int kinds = bench_arg(b, "kinds", MEMSCOPE_NOIO);

	TIMED(b, "empty_ps", barrier());
	TIMED(b, "inline_ps", {
		unsigned int flags = memalloc_noio_save();

		barrier();
		memalloc_noio_restore(flags);
	});
	TIMED(b, "memscope_ps", {
		unsigned int cookie = memscope_enter(MEMSCOPE_NOIO);

		barrier();
		memscope_leave(cookie);
	});
	TIMED(b, "inline_nested_ps", {
		unsigned int outer = memalloc_nofs_save();
		unsigned int flags;

		barrier();
		flags = memalloc_noio_save();
		barrier();
		memalloc_noio_restore(flags);
		barrier();
		memalloc_nofs_restore(outer);
	});
	TIMED(b, "memscope_nested_ps", {
		unsigned int outer = memscope_enter(MEMSCOPE_NOFS);
		unsigned int cookie;

		barrier();
		cookie = memscope_enter(MEMSCOPE_NOIO);
		barrier();
		memscope_leave(cookie);
		barrier();
		memscope_leave(outer);
	});
	OPTIMIZER_HIDE_VAR(kinds);
	TIMED(b, "memscope_variable_ps", {
		unsigned int cookie;

		OPTIMIZER_HIDE_VAR(kinds);
		cookie = memscope_enter(kinds);
		barrier();
		memscope_leave(cookie);
	});
	return 0;
}

const struct bench_case bench_scope[] = {
	{ "cost", cost },
	{ }
};
