/* A kernel thread that waits in the lot and may be cancelled: a task of the native API where there
 * are no gthreads.
 *
 * Owns: struct ghi_kwait.  Called by: lot.c (the wait), src/native/ (the request).  Must not know:
 * what a task is.
 *
 * Under the lock a request is seen by the waiter before it sleeps, or finds its word.
 */
#ifndef GHI_KWAIT_H
#define GHI_KWAIT_H

#include "src/base/clock.h"
#include "src/cancel.h"

struct ghi_kwait {
	ghi_lock_t lock;
	const uint32_t *cancel_word; /* GHI_CANCEL_* */
	uint32_t *waits_on;	     /* park_word.h */
	uint64_t deadline;	     /* no wait is longer, and then expired() makes a request */
	void (*expired)(struct ghi_kwait *);
};

/* For its own thread, between waits: no alarm tells of a deadline while it does something else. */
static inline void ghi_kwait_look(struct ghi_kwait *k)
{
	uint64_t deadline = load_relaxed(&k->deadline);
	if (deadline != GHI_NEVER && deadline <= ghi_now())
		k->expired(k);
}

/* True: a request is due. */
static inline bool ghi_kwait_requested(struct ghi_kwait *k)
{
	ghi_kwait_look(k);
	return (load_relaxed(k->cancel_word) & GHI_CANCEL_ANY) == GHI_CANCEL_REQUESTED;
}

/* False: a request is due. */
static inline bool ghi_kwait_begin(struct ghi_kwait *k, uint32_t *word)
{
	ghi_lock(&k->lock);
	bool due = (load_relaxed(k->cancel_word) & GHI_CANCEL_ANY) == GHI_CANCEL_REQUESTED;
	if (!due)
		k->waits_on = word;
	ghi_unlock(&k->lock);
	return !due;
}

static inline void ghi_kwait_end(struct ghi_kwait *k)
{
	ghi_lock(&k->lock);
	k->waits_on = NULL;
	ghi_unlock(&k->lock);
}

/* After the word says so. */
static inline void ghi_kwait_cancel(struct ghi_kwait *k)
{
	ghi_lock(&k->lock);
	if (k->waits_on && !(load_relaxed(k->cancel_word) & GHI_CANCEL_DISABLED) &&
	    ghi_wake_notify(k->waits_on, GHI_WOKEN_CANCEL) != GHI_NOTIFY_LOST)
		sys_futex_wake(k->waits_on, 1);
	ghi_unlock(&k->lock);
}

#endif
