/* Gthreads that have a kernel thread of their own; see own.h.
 *
 * The worker's wake word is 1 from the wake until the worker has seen it.  A gthread is readied
 * once per park, after its stack was left, so the word needs no count.
 */
#include <errno.h>

#include "src/own.h"

int ghi_own_thread(struct ghi_gthread *self)
{
	int r = 0;

	if (self->own)
		return 0;
	ghi_nosig_enter();
	if (self->flags & GHI_G_MAIN && self->worker->initial)
		ghi_worker_keep(self);
	else if (ghi_worker_start_own(self))
		ghi_sched_move(self);
	else
		r = -EAGAIN;
	ghi_nosig_leave();
	return r;
}

void ghi_own_wake(struct ghi_gthread *g)
{
	struct ghi_worker *w = g->own;
	store_release(&w->wake, 1u); /* pairs with the exchange in ghi_own_turn */
	sys_futex_wake(&w->wake, 1);
}

void ghi_own_turn(struct ghi_worker *w)
{
	if (w->leaving && !w->initial)
		ghi_worker_end_own(w);
	while (!xchg_acq_rel(&w->wake, 0u)) /* for good, when it is leaving */
		sys_futex_wait(&w->wake, 0, NULL);
	ghi_sched_resume(w, w->own);
}

void ghi_own_end(struct ghi_gthread *self)
{
	if (!self->own)
		return;
	self->own->leaving = true;
	self->own->own = NULL;
}
