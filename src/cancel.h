/* Cancellation requests.
 *
 * Owns: gthread.cancel.  Called by: hooks (request, state, act), wait.c (is one due?).  The request
 * wakes a parked gthread; the hook it wakes in acts, on the target's own stack and TCB, by libc's
 * pthread_exit(PTHREAD_CANCELED), so that cleanup handlers and destructors run as natively.
 */
#ifndef GHI_CANCEL_H
#define GHI_CANCEL_H

#include "src/gthread.h"

enum {
	GHI_CANCEL_REQUESTED = 1,
	GHI_CANCEL_DISABLED = 2,
	GHI_CANCEL_ASYNC = 4,
	GHI_CANCEL_EXITING = 8
};

/* Due now: requested, enabled, not exiting already. */
static inline bool ghi_cancel_requested(const struct ghi_gthread *g)
{
	return (load_relaxed(&g->cancel) & (GHI_CANCEL_REQUESTED | GHI_CANCEL_DISABLED |
					    GHI_CANCEL_EXITING)) == GHI_CANCEL_REQUESTED;
}

void ghi_cancel_request(struct ghi_gthread *target);
/* A cancellation point: does not return when a request is due.  Signals not deferred. */
void ghi_cancel_point(struct ghi_gthread *self);

#endif
