/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SCOPE_TEST_INTERNAL_H
#define SCOPE_TEST_INTERNAL_H

#include <linux/gfp.h>
#include <linux/list.h>

#include "scope_test.h"

/* watch.c */
int watch_init(void);
void watch_exit(void);
void watch_start(struct st_watch *seen);
void watch_stop(void);

/* press.c */
struct eaten {
	struct list_head pages;
};

int eat(struct eaten *eaten);
void spit_out(struct eaten *eaten);
int st_press(struct st_press *p);
int st_inline_save(u32 kinds, unsigned int *cookie);

/* work.c */
int st_work(struct st_work *w);

#endif /* SCOPE_TEST_INTERNAL_H */
