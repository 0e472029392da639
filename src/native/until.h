/* Deadlines and cancellation, as the waits of the native API have them.
 *
 * Owns: nothing.  Included by: sync*.c, chan*.c, select*.c, net*.c.  Must not know: what is waited
 * for.
 */
#ifndef GHI_NATIVE_UNTIL_H
#define GHI_NATIVE_UNTIL_H

#include "src/cancel.h"
#include "src/kwait.h"
#include "src/native/native.h"
#include "src/sched.h"
#include "src/sync/word.h"

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
	if (__builtin_expect(!self, 0))
		return ghi_tls.kwait && ghi_kwait_requested(ghi_tls.kwait);
	return __builtin_expect(load_relaxed(&self->sig_pending), 0) && ghi_cancel_requested(self);
}

/* A deadline for a function that has tried already: is there any time to wait? */
static inline bool ghi_native_past(uint64_t deadline)
{
	return deadline != GHI_NEVER && deadline <= ghi_now();
}

/* First thing in a call that may be repeated for ever without waiting: the monitor's wish that the
 * caller yields. */
static inline void ghi_native_attention(void)
{
	struct ghi_gthread *self = ghi_self();
	if (__builtin_expect(self && (load_relaxed(&self->yield_please) & GHI_YIELD_ASKED), 0))
		ghi_yield();
}

/* After a lock was given up: who was overtaken there for long runs first.  Not where the caller is
 * about to park, nor in a handler. */
static inline void ghi_native_make_way(const void *word)
{
	struct ghi_gthread *self = ghi_self();
	if (__builtin_expect(ghi_word_overtaken(word), 0) && self && !ghi_tls.nosig &&
	    !self->handler_sp)
		ghi_yield();
}

/* Who owns a lock: not by thread-local storage, which a light task shares with others. */
static inline int32_t ghi_native_owner(void)
{
	struct ghi_gthread *self = ghi_self();
	return self ? self->tid : ghi_lock_owner();
}

#endif
