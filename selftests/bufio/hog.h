/* SPDX-License-Identifier: GPL-2.0 */
/* Pages that are taken so that memory is short; some go back when the OOM killer would come. */

#ifndef BUFIO_TEST_HOG_H
#define BUFIO_TEST_HOG_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/spinlock.h>

#define HOG_AT_OOM	4096	/* pages */

static struct {
	spinlock_t lock;	/* protects what is below */
	struct list_head pages;
	unsigned long nr, most;
	unsigned long given;	/* back, since the OOM killer was last kept away */
} hog;

static void hog_add(struct page *page)
{
	spin_lock(&hog.lock);
	list_add(&page->lru, &hog.pages);
	hog.nr++;
	hog.most = max(hog.most, hog.nr);
	spin_unlock(&hog.lock);
}

/* Gives up to @n pages back. */
static void hog_free(unsigned long n)
{
	struct page *page;

	while (n--) {
		spin_lock(&hog.lock);
		page = list_first_entry_or_null(&hog.pages, struct page, lru);
		if (page) {
			list_del(&page->lru);
			hog.nr--;
			hog.given++;
		}
		spin_unlock(&hog.lock);
		if (!page)
			break;
		__free_page(page);
	}
}

static int hog_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	hog_free(HOG_AT_OOM);
	/* Also what another gave back since this task has found no page. */
	spin_lock(&hog.lock);
	*(unsigned long *)freed += hog.given;
	hog.given = 0;
	spin_unlock(&hog.lock);
	return NOTIFY_OK;
}

static struct notifier_block hog_nb = { .notifier_call = hog_oom };

static void hog_init(void)
{
	spin_lock_init(&hog.lock);
	INIT_LIST_HEAD(&hog.pages);
	hog.nr = 0;
	hog.most = 0;
	hog.given = 0;
	register_oom_notifier(&hog_nb);
}

static void hog_exit(void)
{
	/* Memory is short until all is back. */
	hog_free(ULONG_MAX);
	unregister_oom_notifier(&hog_nb);
}

#endif
