/* Protocol 1 of 4: park and ready, on one word per gthread.
 *
 * Owns: the transitions of gthread.wake.  Called by: park.c (both sides).  Must not know: queues,
 * locks, descriptors.  Compiled twice, see base/atomic.h; explored by tests/model_park.c.
 *
 * A gthread that wants to sleep may be woken by many parties at once (a lock's owner, a timer, the
 * poller, a signal, a canceller) and may be woken before it sleeps.  Exactly one of them wins, and
 * exactly one party makes it run again.
 *
 *        arm (self)            commit (the other side of the switch)
 *   IDLE ---------> ARMED ------------------------------> PARKED
 *     ^               |                                      |
 *     |        notify | WON_EARLY                     notify | WON_READY: the notifier must
 *     |               v                                      v            make it runnable
 *     +---------- NOTIFIED(reason) <-------------------------+
 *      take (self)
 *
 * Who owns the stack:  IDLE, ARMED: the gthread runs on it.  PARKED: nobody.  NOTIFIED: the gthread
 * still (WON_EARLY), or whoever makes it runnable, until it runs (WON_READY).
 *
 *   sleeper                                     waker
 *   (P1) arm: ARMED                             (W1) finds the sleeper in its structure, under
 *   (P2) puts itself into lists, each under          that structure's lock
 *        the lock of its structure              (W2) notify: compare-and-swap to NOTIFIED,
 *   (P3) leaves its stack                            still under that lock
 *   (P4) commit: ARMED -> PARKED, on the        (W3) WON_READY: ready() it
 *        stack of whoever runs next                  WON_EARLY: nothing, P4 will see it
 *   (P5) commit failed: ready() it there             LOST: somebody else woke it; never touch it
 *                                                     again, it may be gone
 *
 * Why no wake-up is lost: P4 and W2 are read-modify-writes of one word, so one of them is first.
 * W2 first: P4 fails and P5 makes it runnable.  P4 first: W2 sees PARKED and W3 does.
 * Why none is doubled: only one notify leaves ARMED or PARKED; WON_EARLY hands the duty to P5.
 * Why the stack is free when another worker runs it: P4 is a release, executed after P3; W2 is an
 * acquire of the same word, so what P3 saved is visible to whoever W3 gives the gthread to.
 */
#ifndef GHI_PROTO_PARK_WORD_H
#define GHI_PROTO_PARK_WORD_H

#include "src/base/atomic.h"

enum {
	GHI_WAKE_IDLE = 0,
	GHI_WAKE_ARMED = 1,
	GHI_WAKE_PARKED = 2,
	GHI_WAKE_NOTIFIED = 3, /* reason in the bits above GHI_WAKE_SHIFT */
	GHI_WAKE_MASK = 3,
	GHI_WAKE_SHIFT = 8,
};

enum ghi_notify {
	GHI_NOTIFY_LOST,      /* another waker was first, or nobody sleeps */
	GHI_NOTIFY_WON_EARLY, /* won; the sleeper has not left its stack, its commit will see it */
	GHI_NOTIFY_WON_READY, /* won; the caller must make the gthread runnable */
};

/* (P1) by the gthread itself, before it becomes visible to any waker. */
static inline void ghi_wake_arm(uint32_t *word)
{
	/* Relaxed: the locks taken in P2 publish it before a waker can find the gthread. */
	store_relaxed(word, (uint32_t)GHI_WAKE_ARMED);
}

/* (P4) True: it sleeps.  False: it was notified already and the caller must make it runnable. */
static inline bool ghi_wake_commit(uint32_t *word)
{
	uint32_t seen = GHI_WAKE_ARMED;
	/* Release: publishes the saved context (P3); pairs with the acquire in notify (W2). */
	return cas_acq_rel(word, &seen, (uint32_t)GHI_WAKE_PARKED);
}

/* (W2) reason: non-zero, below 2^24. */
static inline enum ghi_notify ghi_wake_notify(uint32_t *word, uint32_t reason)
{
	uint32_t seen = load_relaxed(word);

	for (;;) {
		uint32_t state = seen & GHI_WAKE_MASK;
		if (state != GHI_WAKE_ARMED && state != GHI_WAKE_PARKED)
			return GHI_NOTIFY_LOST;
		/* Acquire: pairs with commit (P4).  Release: what the waker wrote for the sleeper.
		 */
		if (cas_acq_rel(word, &seen,
				(uint32_t)GHI_WAKE_NOTIFIED | reason << GHI_WAKE_SHIFT))
			return state == GHI_WAKE_PARKED ? GHI_NOTIFY_WON_READY
							: GHI_NOTIFY_WON_EARLY;
	}
}

/* True when a notify came already; lets a sleeper that has not switched yet stay on its stack. */
static inline bool ghi_wake_notified(const uint32_t *word)
{
	return (load_acquire(word) & GHI_WAKE_MASK) == GHI_WAKE_NOTIFIED;
}

/* By the gthread when it runs again: the reason; the word is IDLE afterwards. */
static inline uint32_t ghi_wake_take(uint32_t *word)
{
	uint32_t seen = load_acquire(word);
	store_relaxed(word, (uint32_t)GHI_WAKE_IDLE);
	return seen >> GHI_WAKE_SHIFT;
}

#endif
