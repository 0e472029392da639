/* Deadlines and cancellation, as the waits of the native API have them.
 *
 * Owns: nothing.  Included by: sync*.c, chan*.c, select*.c, net*.c.  Must not know: what is waited
 * for.
 */
#ifndef GHI_NATIVE_UNTIL_H
#define GHI_NATIVE_UNTIL_H

#include "src/cancel.h"
#include "src/native/native.h"
#include "src/sync/sync.h"

/* The deadline of a function that src/sync has in pthread's terms. */
struct ghi_native_until {
	struct timespec at;
	struct ghi_until until;
};

static inline const struct ghi_until *ghi_native_until(struct ghi_native_until *u, gh_time at)
{
	u->at = ghi_ns_to_ts(at < 0 ? 0 : (uint64_t)at);
	u->until = (struct ghi_until){CLOCK_MONOTONIC, at == GH_FOREVER ? NULL : &u->at};
	return &u->until;
}

/* A cancellation point that may not have to wait: a request counts all the same. */
static inline bool ghi_native_cancelled(void)
{
	struct ghi_gthread *self = ghi_self();
	return __builtin_expect(self && load_relaxed(&self->sig_pending), 0) &&
	       ghi_cancel_requested(self);
}

/* Who owns a lock: not by thread-local storage, which a light task shares with others. */
static inline int32_t ghi_native_owner(void)
{
	struct ghi_gthread *self = ghi_self();
	return self ? self->tid : ghi_lock_owner();
}

#endif
