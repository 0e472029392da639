/* Where gthreads wait for a slot, but for the rings.
 *
 * Owns: the inbox, those that compute, the levels above and below normal, and the queues of those
 * that are pinned to a slot.  Called by: sched.c, worker.c, monitor.c.  Must not know: switching,
 * who sleeps.
 *
 * A ring holds gthreads of level normal that any slot may run; all others stand in queues under
 * locks: those of a level, which all slots share, and those of a slot, of the gthreads pinned to
 * it, by level as well.  src/proto/turns.h says which has the turn.
 */
#ifndef GHI_QUEUES_H
#define GHI_QUEUES_H

#include <stddef.h>

#include "src/base/atomic.h"
#include "src/base/lock.h"
#include "src/proto/turns.h"

struct ghi_gthread;
struct ghi_slot;

struct ghi_queue {
	ghi_lock_t lock;
	struct ghi_gthread *head, *tail;
	size_t length; /* read without the lock as a hint */
};

enum { GHI_LEVEL_MIN = -2, GHI_LEVEL_MAX = 2 };

/* How many wait that are not of level normal or are pinned, anywhere. */
extern struct ghi_queues_hint {
	uint32_t apart; /* above normal, or pinned: the scheduler has to look beyond the ring */
	uint32_t below; /* below normal */
	char pad[56];	/* read at each switch, hardly ever written */
} ghi_queues_hint;

/* To where it belongs. */
void ghi_queues_push(struct ghi_gthread *g);
/* The same for one that has never run: whoever waits for its end may take it out of the inbox. */
void ghi_queues_push_first(struct ghi_gthread *g);
/* True: it was in the inbox, and is the caller's. */
bool ghi_queues_withdraw(struct ghi_gthread *g);
/* One of a class, not pinned; NULL: somebody was faster.  From anywhere. */
struct ghi_gthread *ghi_queues_take(unsigned turn);
/* One of a class that is pinned to the slot.  This and the next by the holder. */
struct ghi_gthread *ghi_queues_take_pinned(struct ghi_slot *s, unsigned turn);
/* One of the inbox; a share of the others goes to the slot's ring. */
struct ghi_gthread *ghi_queues_inbox(struct ghi_slot *s);
extern struct ghi_queue ghi_queues_shared[GHI_TURNS]; /* for the next one */
unsigned ghi_queues_waiting_beside(const struct ghi_slot *s);
/* The classes in which somebody waits that this slot may run, a bit for each; rings aside. */
static inline unsigned ghi_queues_waiting(const struct ghi_slot *s)
{
	unsigned waiting =
	    load_relaxed(&ghi_queues_shared[GHI_TURN_INBOX].length) ? 1u << GHI_TURN_INBOX : 0;
	if (load_relaxed(&ghi_queues_shared[GHI_TURN_HOGS].length) ||
	    load_relaxed(&ghi_queues_hint.apart) || load_relaxed(&ghi_queues_hint.below))
		waiting |= ghi_queues_waiting_beside(s);
	return waiting;
}
/* Somebody waits whom any slot may run; rings aside. */
bool ghi_queues_any(void);
/* Somebody pinned to the slot waits; a hint. */
bool ghi_queues_pinned_wait(const struct ghi_slot *s);
/* One that computes lets others run, itself. */
void ghi_queues_hog_leaves(struct ghi_gthread *self);
/* Lengths, as hints: of all that is shared, those that compute. */
void ghi_queues_lengths(size_t *ret_inbox, size_t *ret_hogs);
void ghi_queues_after_fork(void);

#endif
