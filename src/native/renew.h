/* The lock of an object of the native API that lives in memory of the program's, and so also in a
 * fork's child, where whoever held it is not.
 *
 * Owns: nothing.  Called by: src/native/.  Must not know: what is behind the lock.
 *
 * A fork's child, however it was made, raises ghi_native_generation.  Whoever locks an object of
 * another generation makes the lock new first and has renew() put the rest in order, once: nobody
 * waits there any more, and what somebody was about to change is as he left it.
 */
#ifndef GHI_NATIVE_RENEW_H
#define GHI_NATIVE_RENEW_H

#include "src/gthread.h"

extern uint32_t ghi_native_generation;

struct ghi_native_lock {
	ghi_lock_t word;
	uint32_t generation;
};

static inline void ghi_native_lock_init(struct ghi_native_lock *l)
{
	l->word = 0;
	l->generation = load_relaxed(&ghi_native_generation);
}

void ghi_native_lock_renew(struct ghi_native_lock *l, void (*renew)(void *), void *object);

static inline bool ghi_native_stale(const struct ghi_native_lock *l)
{
	return load_acquire(&l->generation) != load_relaxed(&ghi_native_generation);
}

/* For objects that have to be in order before they are locked. */
static inline void ghi_native_fresh(struct ghi_native_lock *l, void (*renew)(void *), void *object)
{
	if (__builtin_expect(ghi_native_stale(l), 0))
		ghi_native_lock_renew(l, renew, object);
}

static inline void ghi_native_lock(struct ghi_native_lock *l, void (*renew)(void *), void *object)
{
	ghi_nosig_enter();
	ghi_native_fresh(l, renew, object);
	ghi_lock(&l->word);
}

static inline void ghi_native_unlock(struct ghi_native_lock *l)
{
	ghi_unlock(&l->word);
	ghi_nosig_leave();
}

#endif
