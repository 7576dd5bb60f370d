// SPDX-License-Identifier: GPL-2.0
/*
 * Scopes carried to a worker.
 */

#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <linux/memscope.h>

#include "internal.h"

struct job {
	struct memscope_work scoped;
	struct work_struct plain;
	struct work_struct blocker;
	struct completion go;
	struct workqueue_struct *wq;
	struct task_struct *submitter;
	struct st_work *w;
	unsigned int captured;
	u32 requeued;
};

/* What the item does in its scopes. */
static void job_body(struct job *job)
{
	struct st_work *w = job->w;
	struct eaten eaten = { LIST_HEAD_INIT(eaten.pages) };

	if (w->runs < ST_MAX_RUNS)
		w->run[w->runs].inside = current->flags;
	if (current == job->submitter)
		w->same_task = 1;

	for (u32 i = 0; i < w->rounds; i++) {
		struct page *page;

		if (eat(&eaten))
			break;
		watch_start(&w->seen);
		page = alloc_page((__force gfp_t)w->gfp);
		watch_stop();
		if (page)
			__free_page(page);
	}
	spit_out(&eaten);
}

static void scoped_fn(struct memscope_work *scoped)
{
	struct job *job = container_of(scoped, struct job, scoped);

	job_body(job);
	if (job->w->flags & ST_WORK_LEAVE_OPEN)
		(void)memscope_enter(MEMSCOPE_NOIO | MEMSCOPE_PIN);
	if (job->requeued < job->w->requeue) {
		job->requeued++;
		memscope_queue_work(job->wq, scoped);
	}
}

/* In the place of memscope_work_run(), to see the worker's flags around it. */
static void observe_scoped(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, scoped.work);
	struct st_work *w = job->w;

	if (w->runs < ST_MAX_RUNS)
		w->run[w->runs].before = current->flags;
	memscope_work_run(work);
	if (w->runs < ST_MAX_RUNS)
		w->run[w->runs].after = current->flags;
	w->runs++;
}

static void plain_fn(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, plain);
	struct st_work *w = job->w;
	unsigned int cookie;

	if (w->runs < ST_MAX_RUNS)
		w->run[w->runs].before = current->flags;
	cookie = memscope_enter(job->captured);
	job_body(job);
	memscope_leave(cookie);
	if (w->runs < ST_MAX_RUNS)
		w->run[w->runs].after = current->flags;
	w->runs++;
}

static void blocker_fn(struct work_struct *work)
{
	wait_for_completion(&container_of(work, struct job, blocker)->go);
}

int st_work(struct st_work *w)
{
	struct job *job;
	bool own = w->flags & ST_WORK_OWN_WQ;

	if (w->nr_submit > ST_MAX_SUBMIT || w->rounds > ST_MAX_ROUNDS ||
	    w->requeue > ST_MAX_RUNS)
		return -EINVAL;
	if ((w->flags & ST_WORK_BLOCK && !own) ||
	    (w->flags & ST_WORK_CANCEL && !(w->flags & ST_WORK_BLOCK)))
		return -EINVAL;

	job = kzalloc_obj(*job);
	if (!job)
		return -ENOMEM;
	job->w = w;
	job->submitter = current;
	init_completion(&job->go);
	memscope_init_work(&job->scoped, scoped_fn);
	job->scoped.work.func = observe_scoped;
	INIT_WORK(&job->plain, plain_fn);
	INIT_WORK(&job->blocker, blocker_fn);
	job->wq = own ? alloc_ordered_workqueue("scope_test", WQ_MEM_RECLAIM) : system_percpu_wq;
	if (!job->wq) {
		kfree(job);
		return -ENOMEM;
	}
	if (w->flags & ST_WORK_BLOCK)
		queue_work(job->wq, &job->blocker);

	w->flags_submit_before = current->flags;
	for (u32 i = 0; i < w->nr_submit; i++) {
		unsigned int cookie = memscope_enter(w->kinds[i]);

		w->captured[i] = memscope_capture();
		if (w->flags & ST_WORK_MANUAL) {
			job->captured = w->captured[i];
			w->queued[i] = queue_work(job->wq, &job->plain);
		} else {
			w->queued[i] = memscope_queue_work(job->wq, &job->scoped);
		}
		memscope_leave(cookie);
		if (i == 0 && w->flags & ST_WORK_CANCEL)
			w->cancelled = cancel_work_sync(&job->scoped.work);
		/* Without the blocker each submission is a run of its own. */
		if (!(w->flags & ST_WORK_BLOCK)) {
			flush_work(&job->plain);
			flush_work(&job->scoped.work);
		}
	}
	w->flags_submit_after = current->flags;
	complete(&job->go);

	/* An item that queues itself is drained only by this. */
	if (own) {
		drain_workqueue(job->wq);
		destroy_workqueue(job->wq);
	} else {
		while (flush_work(&job->scoped.work) || work_pending(&job->scoped.work))
			cond_resched();
	}
	kfree(job);
	return 0;
}
