/* Futures; see include/greenhook/future.h.
 *
 * Owns: struct gh_future.  Called by: programs.  Must not know: how tasks run.
 *
 * `done` is set last and never taken back; whoever awaits one future waits on its address.  Whoever
 * awaits several puts a node into each and waits on a word of its own, so that one setter wakes it.
 */
#include <errno.h>
#include <greenhook/future.h>
#include <limits.h>

#include "src/lot.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/renew.h"
#include "src/native/task_int.h"
#include "src/sanitizer.h"

#define FUTURE_MAGIC 0x74757466u

struct gh_future {
	uint32_t magic;
	uint32_t refs;
	struct ghi_native_lock lock;
	uint32_t done; /* PENDING, CLAIMED by a setter, DONE */
	int status;
	void *value;
	struct ghi_list any; /* of struct node; under the lock */
	gh_task *task;	     /* holds a handle until it has set the future; under the lock */
	gh_fn fn;
	void *arg;
	gh_task *runner; /* by itself: the task that runs fn */
};
enum { PENDING, CLAIMED, DONE };
/* Instead of the handle: the task has set the future, or is about to end without a handle. */
#define NO_TASK ((gh_task *)1)

struct node {
	struct ghi_list link;
	uint32_t *word;
};

/* In a fork's child: nobody awaits it, and who would have set it may not be there. */
static void renew(void *arg)
{
	gh_future *f = arg;
	gh_task *r = f->runner;
	bool alone = f->fn && !(r && ghi_task_good(r) && ghi_task_here(r) && r->arg == f);

	ghi_list_init(&f->any);
	if (alone)
		f->task = NO_TASK;
	if (f->done == CLAIMED || (f->done == PENDING && alone)) {
		f->status = -ECANCELED;
		f->value = NULL;
		ghi_sanitizer_before(f);
		store_release(&f->done, (uint32_t)DONE);
	}
}

static bool good(gh_future *f)
{
	if (!f || (uintptr_t)f % sizeof(void *) || load_acquire(&f->magic) != FUTURE_MAGIC)
		return false;
	ghi_native_fresh(&f->lock, renew, f);
	return true;
}

static void lock(gh_future *f)
{
	ghi_nosig_enter();
	ghi_lock(&f->lock.word);
}

static void unlock(gh_future *f)
{
	ghi_native_unlock(&f->lock);
}

gh_future *gh_future_new(void)
{
	gh_future *f = ghi_zalloc(sizeof(*f));
	if (!f)
		return NULL;
	f->refs = 1;
	ghi_native_lock_init(&f->lock);
	store_release(&f->magic, FUTURE_MAGIC);
	return f;
}

gh_future *gh_future_ref(gh_future *f)
{
	if (!good(f)) {
		errno = -GHI_BAD(f, "future");
		return NULL;
	}
	fetch_add_relaxed(&f->refs, 1u);
	return f;
}

int gh_future_unref(gh_future *f)
{
	if (!f)
		return 0;
	if (!good(f))
		return GHI_BAD(f, "future");
	if (fetch_add_acq_rel(&f->refs, (uint32_t)-1) == 1) {
		store_release(&f->magic, 0u);
		ghi_free(f);
	}
	return 0;
}

int gh_future_set(gh_future *f, int status, void *value)
{
	uint32_t pending = PENDING;
	if (!good(f))
		return GHI_BAD(f, "future");
	if (status > 0)
		return GHI_MISUSE(-EINVAL, "a status is 0 or a negative errno, not %d", status);
	if (!cas_acq_rel(&f->done, &pending, (uint32_t)CLAIMED))
		return -EALREADY;
	gh_future_ref(f); /* who awaits it may drop the last one before we are out of here */
	f->status = status;
	f->value = value;
	lock(f);
	ghi_sanitizer_before(f);
	store_release(&f->done, (uint32_t)DONE);
	/* Whoever awaits several cannot leave while we have the lock: its word is there. */
	for (struct ghi_list *l = f->any.next; l && l != &f->any; l = l->next) {
		uint32_t *word = ghi_container(l, struct node, link)->word;
		store_release(word, 1u);
		ghi_lot_wake(word, 1, 0, NULL, NULL);
	}
	ghi_unlock(&f->lock.word);
	ghi_lot_wake(&f->done, INT_MAX, 0, NULL, NULL);
	ghi_nosig_leave();
	gh_future_unref(f);
	return 0;
}

int gh_future_done(gh_future *f)
{
	if (!good(f))
		return GHI_BAD(f, "future");
	bool done = load_acquire(&f->done) == DONE;
	if (done)
		ghi_sanitizer_after(f);
	return done;
}

static bool pending(void *arg)
{
	return load_acquire((uint32_t *)arg) != DONE;
}

/* -EINTR: a handler forked, and this is the child; look again. */
static int wait_on(uint32_t *word, bool (*still)(void *), gh_time at)
{
	struct ghi_lot_wait w = {.key = word,
				 .validate = still,
				 .arg = word,
				 .deadline = ghi_native_deadline(at),
				 .why = GHI_PARK_COND};
	uint32_t generation = load_relaxed(&ghi_native_generation);
	int r = 0;
	while (still(word) && r != -ETIMEDOUT && r != -ECANCELED) {
		r = ghi_lot_wait(&w);
		if (generation != load_relaxed(&ghi_native_generation))
			return -EINTR;
	}
	return still(word) ? r : 0;
}

int gh_await_until(gh_future *f, void **value, gh_time at)
{
	if (!good(f))
		return GHI_BAD(f, "future");
	int r;
	while ((r = wait_on(&f->done, pending, at)) == -EINTR)
		if (!good(f))
			return -EINVAL;
	if (r)
		return r;
	ghi_sanitizer_after(f);
	if (value)
		*value = f->value;
	return f->status;
}

int gh_await(gh_future *f, void **value)
{
	return gh_await_until(f, value, GH_FOREVER);
}

static bool silent(void *arg)
{
	return !load_acquire((uint32_t *)arg);
}

static int first_done(gh_future *const futures[], int n)
{
	for (int i = 0; i < n; i++)
		if (load_acquire(&futures[i]->done) == DONE) {
			ghi_sanitizer_after(futures[i]);
			return i;
		}
	return -1;
}

static int await_some(gh_future *const futures[], struct node *nodes, int n, gh_time at)
{
	uint32_t word = 0, generation = load_relaxed(&ghi_native_generation);
	for (int i = 0; i < n; i++) {
		nodes[i].word = &word;
		lock(futures[i]);
		ghi_list_append(&futures[i]->any, &nodes[i].link);
		if (load_relaxed(&futures[i]->done) == DONE)
			store_relaxed(&word, 1u);
		unlock(futures[i]);
	}
	int r = wait_on(&word, silent, at);
	/* A handler that forked has come back here in the child: their lists are new. */
	for (int i = 0; i < n && generation == load_relaxed(&ghi_native_generation); i++) {
		lock(futures[i]);
		ghi_list_remove(&nodes[i].link);
		unlock(futures[i]);
	}
	int found = first_done(futures, n);
	return found >= 0 ? found : r;
}

int gh_await_any(gh_future *const futures[], int n, gh_time at)
{
	struct node few[8], *nodes = few;
	if (!futures || n < 1 || n > 1024)
		return GHI_MISUSE(-EINVAL, "no futures, or %d of them", n);
	for (int i = 0; i < n; i++)
		if (!good(futures[i]))
			return GHI_BAD(futures[i], "future");
	int r = first_done(futures, n);
	if (r >= 0)
		return r;
	if (n > 8 && !(nodes = ghi_malloc((size_t)n * sizeof(*nodes))))
		return -ENOMEM;
	while ((r = await_some(futures, nodes, n, at)) == -EINTR)
		for (int i = 0; i < n; i++)
			good(futures[i]);
	if (nodes != few)
		ghi_free(nodes);
	return r;
}

/* ---- gh_async ------------------------------------------------------------------------------- */

/* The one of the two that comes second detaches. */
static gh_task *swap_task(gh_future *f, gh_task *t)
{
	lock(f);
	gh_task *old = f->task;
	f->task = old == NO_TASK ? NO_TASK : t;
	unlock(f);
	return old;
}

static void *async_main(void *arg)
{
	gh_future *f = arg;
	f->runner = gh_task_self();
	gh_future_set(f, 0, f->fn(f->arg));
	return NULL;
}

/* Also when the function did not return. */
static void async_end(void *arg, bool failed)
{
	gh_future *f = arg;
	gh_future_set(f, failed ? -ENOTRECOVERABLE : -ECANCELED, NULL); /* unless it is set */
	gh_task *t = swap_task(f, NO_TASK);
	if (t)
		gh_task_detach(t);
	gh_future_unref(f);
}

gh_future *gh_async(gh_fn fn, void *arg)
{
	gh_future *f = fn ? gh_future_new() : NULL;
	gh_task *t;
	if (!f) {
		errno = fn ? EAGAIN : -GHI_NULL("function");
		return NULL;
	}
	f->fn = fn;
	f->arg = arg;
	f->refs = 2;
	if (ghi_task_start(
		&(struct ghi_task_start){.fn = async_main, .arg = f, .at_end = async_end}, &t)) {
		f->refs = 1;
		gh_future_unref(f);
		errno = EAGAIN;
		return NULL;
	}
	if (swap_task(f, t) == NO_TASK)
		gh_task_detach(t);
	return f;
}

int gh_future_cancel(gh_future *f)
{
	int r = gh_future_set(f, -ECANCELED, NULL);
	if (r)
		return r;
	lock(f);
	if (f->task && f->task != NO_TASK)
		gh_task_cancel(f->task);
	unlock(f);
	return 0;
}
