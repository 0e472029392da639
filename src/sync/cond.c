/* Condition variables: waiters in the lot under the condition's address; a signal moves a waiter to
 * its mutex when that is held, so it wakes only when it can have it (wait morphing).
 *
 * Of pthread_cond_t only two words are used: the first says "maybe somebody waits" (written under
 * the bucket lock), and __wrefs, where pthread_cond_init stores shared and clock flags.  A waiter
 * that was woken never touches the condition again, so it may be destroyed after a broadcast.
 */
#include <errno.h>
#include <limits.h>

#include "src/lot.h"
#include "src/sync/word.h"

enum { WREFS_SHARED = 1, WREFS_MONOTONIC = 2 };

static uint32_t *maybe_waiters(pthread_cond_t *c)
{
	return (uint32_t *)c;
}

bool ghi_cond_ours(const pthread_cond_t *c)
{
	return !ghi_sync_native && !(c->__data.__wrefs & WREFS_SHARED);
}

clockid_t ghi_cond_clock(const pthread_cond_t *c)
{
	return c->__data.__wrefs & WREFS_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

/* ---- the queue, for pthread's and native ones ------------------------------------------------ */

static bool join_queue(void *arg)
{
	store_relaxed(((struct ghi_cond_sleep *)arg)->cond, 1u);
	return true;
}

static void release_once(void *arg)
{
	struct ghi_cond_sleep *s = arg;
	s->release(s->arg);
	s->released = true;
}

int ghi_cond_sleep(struct ghi_cond_sleep *s)
{
	struct ghi_lot_wait w = {.key = s->cond,
				 .validate = join_queue,
				 .before_park = release_once,
				 .arg = s,
				 .deadline = s->deadline,
				 .why = GHI_PARK_COND,
				 .delivered = true,
				 .token = s->mutex};
	int r;

	s->released = false;
	do /* -EINTR: handlers were due before the wait began, and have run */
		r = ghi_lot_wait(&w);
	while (!s->released && r == -EINTR);
	if (!s->released && r != -ECANCELED)
		release_once(s); /* its time was over: others get their chance all the same */
	return r;
}

static void note_rest(void *arg, bool remain)
{
	if (!remain)
		store_relaxed((uint32_t *)arg, 0u);
}

void ghi_cond_wake(uint32_t *cond, int n)
{
	/* A waiter stored this before it released the mutex; a signaller that is ordered after that
	 * by the mutex sees it.  POSIX promises nothing to the others. */
	if (load_relaxed(cond))
		ghi_lot_morph(cond, n, ghi_word_hold_for_waiter, note_rest, cond);
}

/* ---- pthread_cond_t ---------------------------------------------------------------------------
 */

struct waiting {
	pthread_mutex_t *m;
	int (*unlock)(pthread_mutex_t *);
	bool ours, held;
};

static void unlock_mutex(void *arg)
{
	struct waiting *w = arg;
	if (w->ours)
		w->held = !ghi_mutex_cond_unlock(w->m);
	else
		w->unlock(w->m);
}

int ghi_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, const struct ghi_until *until,
		  int (*lock)(pthread_mutex_t *), int (*unlock)(pthread_mutex_t *))
{
	struct waiting state = {.m = m, .unlock = unlock, .ours = ghi_mutex_ours(m)};
	struct ghi_cond_sleep sleep = {
	    .cond = maybe_waiters(c), .release = unlock_mutex, .arg = &state};
	int r = ghi_until_deadline(until, &sleep.deadline), locked = 0;

	/* What unlocking would say: nothing must be queued then. */
	if (r || (r = ghi_mutex_cond_check(m)))
		return r;
	/* A mutex that one unlock leaves held is not waited for: whoever comes back has it. */
	bool twice = m->__data.__count > 1;
	sleep.mutex = state.ours && !twice ? m : NULL;
	r = ghi_cond_sleep(&sleep);
	if (!sleep.released)
		return r;
	if (state.ours)
		ghi_mutex_cond_relock(m, state.held);
	else
		locked = lock(m);
	/* EOWNERDEAD and its like come before ETIMEDOUT; a cancelled pthread ends all the same. */
	struct ghi_gthread *self = ghi_self();
	if (locked && !(r == -ECANCELED && self && !self->task))
		return locked;
	if (r == -ETIMEDOUT) {
		/* Early by the wall clock, which was set back: a spurious wake-up, which is
		 * allowed. */
		if (!ghi_until_deadline(until, &sleep.deadline) && sleep.deadline != GHI_PASSED)
			return 0;
		return ETIMEDOUT;
	}
	return r == -ECANCELED ? r : 0;
}

int ghi_cond_signal(pthread_cond_t *c, int n)
{
	ghi_cond_wake(maybe_waiters(c), n);
	return 0;
}
