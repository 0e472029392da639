/* The runtime's own lock: a word, held for a few dozen instructions, never over a park.
 *
 * Owns: nothing.  Called by: all of src/.  Must not know: gthreads.  A holder may be suspended by
 * the kernel, so waiters spin briefly and then sleep in the kernel; the holder is always another
 * kernel thread, because a gthread never parks and no signal handler runs while it holds one
 * (ghi_nosig_enter in gthread.h).
 */
#ifndef GHI_BASE_LOCK_H
#define GHI_BASE_LOCK_H

#include "src/base/atomic.h"
#include "src/base/sys.h"

/* 0 free, 1 held, 2 held and somebody sleeps */
typedef uint32_t ghi_lock_t;

extern int ghi_lock_spin; /* rounds before a waiter sleeps; 0 on one CPU */

void ghi_lock_slow(ghi_lock_t *l);

/* The caller has signals deferred.  Prefer ghi_lock() of gthread.h. */
static inline void ghi_lock_raw(ghi_lock_t *l)
{
	uint32_t free = 0;
	if (__builtin_expect(!cas_acquire(l, &free, 1u), 0))
		ghi_lock_slow(l);
}

static inline void ghi_unlock_raw(ghi_lock_t *l)
{
	/* Release: pairs with the acquire of the next holder. */
	if (__builtin_expect(xchg_acq_rel(l, 0u) == 2, 0))
		sys_futex_wake(l, 1);
}

#endif
