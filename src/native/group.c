/* Groups of tasks; see include/greenhook/group.h.
 *
 * Owns: the list of a group's members, its first error.  Called by: programs, task.c.  Must not
 * know: how a task runs.
 *
 *   member: starts -> in `members`, counted -> leaves `members` by itself, when its function has
 *   returned -> counted no more, when its stack is left
 *
 * Lock order: a parent before its parts, a group before the tasks in it.
 */
#include <errno.h>
#include <limits.h>

#include <greenhook/error.h>
#include <greenhook/group.h>
#include "src/lot.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/renew.h"
#include "src/native/task_int.h"
#include "src/park.h"
#include "src/sanitizer.h"
#include "src/sched.h"
#include "src/signal.h"

#define GROUP_MAGIC 0x70756f72u

struct gh_group {
	uint32_t magic;
	unsigned flags; /* constant */
	struct ghi_native_lock lock;
	uint32_t count; /* members that have not ended; waited for by address; under the lock */
	bool cancelled;
	int error;	      /* the first one */
	struct gh_error *why; /* whose value this is; NULL: it gave none, or it was taken */
	struct ghi_list members;
	struct gh_group *parent;
	struct ghi_list parts, in_parent; /* under the parent's lock */
	uint32_t nparts; /* also those that are not in the list yet, in a fork's child */
};

struct member {
	gh_group_fn fn;
	void *arg;
};

static void lock(gh_group *g)
{
	ghi_nosig_enter();
	ghi_lock(&g->lock.word);
}

static void unlock(gh_group *g)
{
	ghi_native_unlock(&g->lock);
}

/* In a fork's child: its members are not there.  Its parent is in order already. */
static void renew(void *arg)
{
	gh_group *g = arg;
	ghi_list_init(&g->members);
	ghi_list_init(&g->parts);
	g->count = 0;
	g->in_parent.next = NULL;
}

/* Parents first; and a part finds its way back into the parent's new list. */
static void fresh(gh_group *g)
{
	if (!ghi_native_stale(&g->lock))
		return;
	if (g->parent)
		fresh(g->parent);
	ghi_nosig_enter();
	ghi_native_lock_renew(&g->lock, renew, g);
	if (g->parent) {
		ghi_lock(&g->parent->lock.word);
		ghi_lock(&g->lock.word);
		if (!g->in_parent.next) {
			ghi_list_append(&g->parent->parts, &g->in_parent);
			g->cancelled |= g->parent->cancelled;
		}
		ghi_unlock(&g->lock.word);
		ghi_unlock(&g->parent->lock.word);
	}
	ghi_nosig_leave();
}

static bool good(gh_group *g)
{
	if (!g || (uintptr_t)g % sizeof(void *) || load_acquire(&g->magic) != GROUP_MAGIC)
		return false;
	fresh(g);
	return true;
}

/* The members' gthreads stay while they are in the list.  Many members cost one fence. */
static void mark_locked(gh_group *g, uint64_t now)
{
	g->cancelled = true;
	for (struct ghi_list *l = g->members.next; l && l != &g->members; l = l->next) {
		gh_task *t = ghi_container(l, gh_task, in_group);
		ghi_lock(&t->lock);
		/* Whoever waits for the group may have the same deadline, and be first. */
		int why = t->deadline <= now ? ETIMEDOUT : 0;
		if (!t->g) /* on a kernel thread */
			ghi_task_cancel_locked(t, why);
		else if (!(load_relaxed(&t->cancel) & GHI_CANCEL_REQUESTED))
			t->why = why;
		t->hit = t->g && ghi_cancel_mark(t->g);
		ghi_unlock(&t->lock);
	}
	for (struct ghi_list *l = g->parts.next; l && l != &g->parts; l = l->next) {
		gh_group *part = ghi_container(l, gh_group, in_parent);
		ghi_lock(&part->lock.word);
		mark_locked(part, now);
	}
}

/* And unlocks the parts. */
static void notify_locked(gh_group *g, struct ghi_gthread **ready)
{
	for (struct ghi_list *l = g->members.next; l && l != &g->members; l = l->next) {
		gh_task *t = ghi_container(l, gh_task, in_group);
		if (t->hit)
			ghi_cancel_notify(t->g, ready);
		t->hit = false;
	}
	for (struct ghi_list *l = g->parts.next; l && l != &g->parts; l = l->next) {
		gh_group *part = ghi_container(l, gh_group, in_parent);
		notify_locked(part, ready);
		ghi_unlock(&part->lock.word);
	}
}

/* The caller has the group's lock, and readies *ready without it. */
static void cancel_locked(gh_group *g, struct ghi_gthread **ready)
{
	mark_locked(g, ghi_now());
	ghi_sig_fence_everywhere();
	notify_locked(g, ready);
}

gh_group *gh_group_new(gh_group *parent, unsigned flags)
{
	gh_group *g = NULL;
	if ((parent && !good(parent)) || (flags & ~(GH_GROUP_CANCEL_ON_ERROR | GH_GROUP_RECOVER))) {
		errno =
		    -GHI_MISUSE(-EINVAL, "the parent is no group, or there are no flags %x", flags);
		return NULL;
	}
	if (!(g = ghi_zalloc(sizeof(*g))))
		return NULL;
	g->flags = flags | (parent ? parent->flags & GH_GROUP_RECOVER : 0);
	g->parent = parent;
	ghi_native_lock_init(&g->lock);
	store_release(&g->magic, GROUP_MAGIC);
	if (parent) {
		lock(parent);
		ghi_list_append(&parent->parts, &g->in_parent);
		parent->nparts++;
		g->cancelled = parent->cancelled;
		unlock(parent);
	}
	return g;
}

int ghi_group_enter(gh_group *g, gh_task *t)
{
	if (g->flags & GH_GROUP_RECOVER)
		t->recover = true;
	lock(g);
	int r = g->cancelled ? -ECANCELED : 0;
	if (!r) {
		ghi_list_append(&g->members, &t->in_group);
		g->count++;
	}
	unlock(g);
	return r;
}

struct gh_error *ghi_group_leave(gh_task *t, int r)
{
	gh_group *g = t->group;
	struct ghi_gthread *ready = NULL;
	struct gh_error *dropped = t->error;

	t->error = NULL;
	ghi_sanitizer_before(g);
	lock(g);
	ghi_list_remove(&t->in_group);
	if (r < 0 && !g->error) {
		struct gh_error *old = g->why; /* of an earlier use, which nobody took */
		g->error = r;
		g->why = dropped;
		dropped = old;
		if (g->flags & GH_GROUP_CANCEL_ON_ERROR)
			cancel_locked(g, &ready);
	}
	ghi_unlock(&g->lock.word);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return dropped;
}

void ghi_group_ended(gh_group *g)
{
	lock(g);
	bool last = --g->count == 0;
	unlock(g);
	if (last) /* an address: the group may be gone */
		ghi_lot_wake(&g->count, INT_MAX, 0, NULL, NULL);
}

gh_error *gh_group_error(gh_group *g)
{
	if (!good(g))
		return NULL;
	lock(g);
	gh_error *e = g->why;
	g->why = NULL;
	unlock(g);
	return e;
}

static void *member_main(void *arg)
{
	struct member m = *(struct member *)arg;
	ghi_free(arg);
	return (void *)(intptr_t)m.fn(m.arg);
}

int gh_group_spawn(gh_group *g, gh_group_fn fn, void *arg, const gh_task_opts *opts)
{
	gh_task *t;
	if (!good(g))
		return GHI_BAD(g, "group");
	if (!fn)
		return GHI_NULL("function");
	struct member *m = ghi_malloc(sizeof(*m));
	if (!m)
		return -EAGAIN;
	*m = (struct member){fn, arg};
	int r = ghi_task_start(
	    &(struct ghi_task_start){.fn = member_main, .arg = m, .opts = opts, .group = g}, &t);
	if (r)
		ghi_free(m);
	return r;
}

static bool busy(void *arg)
{
	return load_acquire(&((gh_group *)arg)->count) != 0;
}

static int wait_for(gh_group *g, uint64_t deadline, bool cancellable)
{
	struct ghi_lot_wait w = {.key = &g->count,
				 .validate = busy,
				 .arg = g,
				 .deadline = deadline,
				 .why = GHI_PARK_JOIN,
				 .uninterruptible = !cancellable};
	int r = 0;
	while (busy(g) && r != -ETIMEDOUT && r != -ECANCELED) {
		r = ghi_lot_wait(&w);
		fresh(g); /* a handler may have forked */
	}
	return busy(g) ? r : 0;
}

int gh_group_wait_until(gh_group *g, gh_time at)
{
	gh_task *self = ghi_task_running();
	if (!good(g))
		return GHI_BAD(g, "group");
	if (self && self->group == g)
		return GHI_MISUSE(-EDEADLK, "a member waits for its own group");
	int r = wait_for(g, ghi_native_deadline(at), true), error;
	if (r == -ECANCELED) {
		gh_group_cancel(g);
		if (at == GH_FOREVER)
			wait_for(g, GHI_NEVER, false);
	}
	lock(g); /* the last member may still be about to let it go */
	error = g->error;
	if (r == 0)
		g->error = 0;
	unlock(g);
	ghi_sanitizer_after(g);
	return r == -ETIMEDOUT ? r : error ? error : r;
}

int gh_group_wait(gh_group *g)
{
	return gh_group_wait_until(g, GH_FOREVER);
}

int gh_group_cancel(gh_group *g)
{
	if (!good(g))
		return GHI_BAD(g, "group");
	struct ghi_gthread *ready = NULL;
	lock(g);
	cancel_locked(g, &ready);
	ghi_unlock(&g->lock.word);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return 0;
}

int gh_group_count(gh_group *g)
{
	return good(g) ? (int)load_acquire(&g->count) : GHI_BAD(g, "group");
}

int gh_group_free(gh_group *g)
{
	gh_task *self = ghi_task_running();
	if (!g)
		return 0;
	if (!good(g))
		return GHI_BAD(g, "group");
	if (self && self->group == g)
		return GHI_MISUSE(-EDEADLK, "a member waits for its own group");
	lock(g);
	bool parts = g->nparts;
	unlock(g);
	if (parts)
		return -EBUSY;
	gh_group_cancel(g);
	wait_for(g, GHI_NEVER, false);
	lock(g); /* the last member has let it go */
	unlock(g);
	if (g->parent) {
		lock(g->parent);
		if (g->in_parent.next)
			ghi_list_remove(&g->in_parent);
		g->parent->nparts--;
		unlock(g->parent);
	}
	store_release(&g->magic, 0u);
	gh_error_unref(g->why);
	ghi_free(g);
	return 0;
}
