// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations inside a scope while memory is short.
 */

#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <linux/memscope.h>

#include "internal.h"

#define PAGES_ORDER	3
#define SLAB_SIZE	SZ_8K
#define KMALLOC_SIZE	SZ_16K
#define VMALLOC_SIZE	SZ_256K
#define PERCPU_SIZE	SZ_32K

/*
 * Takes free pages until the page allocator says that only the reserves are
 * left. Neither reclaims nor wakes kswapd, so the page cache that reclaim will
 * find stays as it was.
 */
int eat(struct eaten *eaten)
{
	const gfp_t gfp = __GFP_NOWARN | __GFP_NORETRY | __GFP_NOMEMALLOC;

	for (int order = MAX_PAGE_ORDER; order >= 0; order--) {
		struct page *page;

		while ((page = alloc_pages(gfp, order))) {
			set_page_private(page, order);
			list_add(&page->lru, &eaten->pages);
			cond_resched();
			if (fatal_signal_pending(current))
				return -EINTR;
		}
	}
	return 0;
}

void spit_out(struct eaten *eaten)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &eaten->pages, lru) {
		unsigned int order = page_private(page);

		list_del(&page->lru);
		set_page_private(page, 0);
		__free_pages(page, order);
		cond_resched();
	}
}

int st_inline_save(u32 kinds, unsigned int *cookie)
{
	switch (kinds) {
	case MEMSCOPE_NOIO:
		*cookie = memalloc_noio_save();
		return 0;
	case MEMSCOPE_NOFS:
		*cookie = memalloc_nofs_save();
		return 0;
	case MEMSCOPE_NOWAIT:
	case MEMSCOPE_NORECLAIM:
		*cookie = memalloc_noreclaim_save();
		return 0;
	case MEMSCOPE_PIN:
		*cookie = memalloc_pin_save();
		return 0;
	default:
		return -EINVAL;
	}
}

struct object {
	void *p;
	void __percpu *percpu;
};

/* Of its own, so that no other user's free objects are found in it. */
static struct kmem_cache *cache;

static void count_pages(struct st_press *p, struct page *page, unsigned int nr)
{
	p->pages += nr;
	/* The mark is on the first page of what was allocated at once. */
	if (page_is_pfmemalloc(page))
		p->pfmemalloc += nr;
}

static bool allocate(struct st_press *p, struct object *o, gfp_t gfp)
{
	switch (p->what) {
	case ST_PAGE:
		o->p = alloc_page(gfp);
		if (o->p)
			count_pages(p, o->p, 1);
		break;
	case ST_PAGES:
		o->p = alloc_pages(gfp, PAGES_ORDER);
		if (o->p)
			count_pages(p, o->p, 1 << PAGES_ORDER);
		break;
	case ST_SLAB:
		o->p = kmem_cache_alloc(cache, gfp);
		break;
	case ST_KMALLOC:
		o->p = kmalloc(KMALLOC_SIZE, gfp);
		if (o->p)
			count_pages(p, virt_to_page(o->p), KMALLOC_SIZE / PAGE_SIZE);
		break;
	case ST_KVMALLOC:
		o->p = kvmalloc(VMALLOC_SIZE, gfp);
		if (o->p && !is_vmalloc_addr(o->p))
			count_pages(p, virt_to_page(o->p), VMALLOC_SIZE / PAGE_SIZE);
		break;
	case ST_VMALLOC:
		o->p = __vmalloc(VMALLOC_SIZE, gfp);
		break;
	case ST_PERCPU:
		o->percpu = __alloc_percpu_gfp(PERCPU_SIZE, sizeof(u64), gfp);
		break;
	}
	if (o->p && is_vmalloc_addr(o->p)) {
		for (int i = 0; i < VMALLOC_SIZE / PAGE_SIZE; i++)
			count_pages(p, vmalloc_to_page(o->p + i * PAGE_SIZE), 1);
	}
	return o->p || o->percpu;
}

static void release(struct st_press *p, struct object *o)
{
	switch (p->what) {
	case ST_PAGE:
		if (o->p)
			__free_page(o->p);
		break;
	case ST_PAGES:
		if (o->p)
			__free_pages(o->p, PAGES_ORDER);
		break;
	case ST_SLAB:
		if (o->p)
			kmem_cache_free(cache, o->p);
		break;
	case ST_PERCPU:
		free_percpu(o->percpu);
		break;
	default:
		kvfree(o->p);
	}
	*o = (struct object){};
}

int st_press(struct st_press *p)
{
	struct eaten eaten = { LIST_HEAD_INIT(eaten.pages) };
	struct object *objects;
	int err = 0;

	if (p->what >= ST_NR_WHAT || p->rounds > ST_MAX_ROUNDS)
		return -EINVAL;
	objects = kcalloc(ST_MAX_ROUNDS, sizeof(*objects), GFP_KERNEL);
	cache = kmem_cache_create("scope_test", SLAB_SIZE, 0, SLAB_NO_MERGE, NULL);
	if (!objects || !cache) {
		err = -ENOMEM;
		goto out;
	}

	p->flags_before = current->flags;
	while (p->done < p->rounds) {
		struct object *o = &objects[p->done];
		unsigned int cookie = 0;
		gfp_t gfp = (__force gfp_t)p->gfp;

		if (p->flags & ST_EAT) {
			err = eat(&eaten);
			if (err)
				break;
		}
		if (p->how == ST_MEMSCOPE)
			cookie = memscope_enter(p->kinds);
		else
			err = st_inline_save(p->kinds, &cookie);
		if (err)
			break;
		p->flags_inside = current->flags;
		if (p->flags & ST_OWN_GFP)
			gfp = memscope_gfp(gfp);

		watch_start(&p->seen);
		if (allocate(p, o, gfp))
			p->ok++;
		else
			p->failed++;
		watch_stop();

		if (p->how == ST_MEMSCOPE)
			memscope_leave(cookie);
		else
			memalloc_flags_restore(cookie);
		p->flags_after = current->flags;
		if (!(p->flags & ST_HOLD))
			release(p, o);
		p->done++;
		if (p->want && p->seen.reclaim.count + p->seen.memcg.count >= p->want)
			break;
	}

	for (int i = 0; i < ST_MAX_ROUNDS; i++)
		release(p, &objects[i]);
	spit_out(&eaten);
out:
	kmem_cache_destroy(cache);
	kfree(objects);
	return err;
}
