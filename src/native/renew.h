/* The lock of an object of the native API that lives in memory of the program's, and so also in a
 * fork's child, where whoever held it is not.
 *
 * Owns: nothing.  Called by: src/native/.  Must not know: what is behind the lock.
 *
 * A fork's child raises ghi_once_generation.  Whoever locks an object of another generation makes
 * the lock new first and has renew() put the rest in order, once: nobody waits there any more, and
 * what somebody was about to change is as he left it.
 */
#ifndef GHI_NATIVE_RENEW_H
#define GHI_NATIVE_RENEW_H

#include "src/gthread.h"
#include "src/sync/sync.h"

struct ghi_native_lock {
	ghi_lock_t word;
	uint32_t generation;
};

static inline void ghi_native_lock_init(struct ghi_native_lock *l)
{
	l->word = 0;
	l->generation = load_relaxed(&ghi_once_generation);
}

void ghi_native_lock_renew(struct ghi_native_lock *l, void (*renew)(void *), void *object);

/* Signals deferred by the caller. */
static inline void ghi_native_lock_raw(struct ghi_native_lock *l, void (*renew)(void *),
				       void *object)
{
	if (__builtin_expect(load_acquire(&l->generation) != load_relaxed(&ghi_once_generation), 0))
		ghi_native_lock_renew(l, renew, object);
	ghi_lock(&l->word);
}

static inline void ghi_native_lock(struct ghi_native_lock *l, void (*renew)(void *), void *object)
{
	ghi_nosig_enter();
	ghi_native_lock_raw(l, renew, object);
}

static inline void ghi_native_unlock(struct ghi_native_lock *l)
{
	ghi_unlock(&l->word);
	ghi_nosig_leave();
}

#endif
