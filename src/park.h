/* park and ready for gthreads: read src/proto/park_word.h first, it is the protocol.
 *
 * Owns: the sleeper's side.  Called by: wait.c, lot.c, hooks/thread.c.  Must not know: what is
 * waited for.
 */
#ifndef GHI_PARK_H
#define GHI_PARK_H

#include "src/gthread.h"

/* (P1) before the gthread becomes visible to any waker. */
static inline void ghi_park_arm(struct ghi_gthread *self, enum ghi_reason why, const void *object)
{
	self->reason = why;
	self->waits_for = object;
	self->parked_at = load_relaxed(&ghi_clock_coarse);
	self->deadline = GHI_NEVER;
	ghi_wake_arm(&self->wake);
}

/* Instead of parking, once none but a signaller can find it: its notify changes nothing. */
static inline void ghi_park_disarm(struct ghi_gthread *self)
{
	ghi_wake_take(&self->wake);
	self->reason = GHI_PARK_NONE;
}

/* (P3)-(P5) sleeps until notified; returns what ended it (enum ghi_wakeup). */
uint32_t ghi_park(struct ghi_gthread *self);

/* (W2),(W3) under the lock of the structure that names the sleeper.  True: this waker won.  When it
 * must also run the gthread, it is put in front of *ret_ready, to be readied after the unlock. */
static inline bool ghi_park_notify(struct ghi_gthread *g, enum ghi_wakeup why,
				   struct ghi_gthread **ret_ready)
{
	enum ghi_notify n = ghi_wake_notify(&g->wake, why);
	if (n == GHI_NOTIFY_WON_READY) {
		g->next = *ret_ready;
		*ret_ready = g;
	}
	return n != GHI_NOTIFY_LOST;
}

#endif
