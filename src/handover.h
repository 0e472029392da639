/* Hand-over: from who waits for the end of a gthread to that gthread, and from one that ends to who
 * waits for it, without a turn for anybody between.
 *
 * Owns: offers of gthreads that have not run yet, and how long two may hand the slot to and fro.
 * Called by: sched.c, life.c, those who wait for an end (hooks/thread.c, native/task.c).  Must not
 * know: what a task is.
 *
 * A program that splits its work and waits for the parts runs them depth first this way, with as
 * many stacks as its tree is deep; in turn it would run breadth first, with a stack for each leaf.
 * The others wait no longer for that than for one that computes: after GHI_HANDS_NS it is their
 * turn.  Events and timers are looked at as often as ever.
 */
#ifndef GHI_HANDOVER_H
#define GHI_HANDOVER_H

#include "src/proto/start_word.h"
#include "src/sched.h"

#define GHI_HANDS_NS (2 * GHI_MS)

static inline bool ghi_entry_is_offer(const void *entry)
{
	return (uintptr_t)entry & GHI_OFFER;
}

/* What an entry of a ring stands for; NULL: nothing, any more. */
static inline struct ghi_gthread *ghi_entry_gthread(void *entry)
{
	unsigned tag = (uintptr_t)entry & GHI_OFFER_BITS;
	struct ghi_gthread *g = (struct ghi_gthread *)((uintptr_t)entry - tag); // NOLINT
	return !tag || ghi_start_take(&g->start_word, tag) ? g : NULL;
}

/* The next one of the holder's ring. */
static inline struct ghi_gthread *ghi_entries_get(struct ghi_slot *s)
{
	void *entry;
	struct ghi_gthread *g = NULL;
	while ((entry = ghi_ring_get(&s->ring)) && !(g = ghi_entry_gthread(entry)))
		;
	return g;
}

/* By the holder, when there is room: into the ring, as an offer when it has not run yet. */
static inline void ghi_entry_put(struct ghi_slot *s, struct ghi_gthread *g)
{
	unsigned offer = 0;
	if (ghi_start_withdraw(&g->start_word))
		offer = ghi_start_offer(&g->start_word);	/* (B2) */
	ghi_ring_put(&s->ring, (void *)((uintptr_t)g | offer)); // NOLINT
}

/* By the holder, of one that has never run: into the ring as an offer, or to the queues. */
void ghi_handover_offer(struct ghi_slot *s, struct ghi_gthread *g);
/* By a gthread that is about to park until g has ended: g runs next, if it has not begun. */
void ghi_handover_to(struct ghi_gthread *self, struct ghi_gthread *g);
/* By the holder, when self leaves: the one that it hands over to; NULL: it had its time, and both
 * stand in the queue. */
struct ghi_gthread *ghi_handover_next(struct ghi_slot *s, struct ghi_gthread *self);
/* The same without a slot, or when it does not leave after all. */
void ghi_handover_give_up(struct ghi_gthread *self);
/* By the holder, of one that ends: who joins it, taken out of the lot and notified; NULL: nobody,
 * or he is not to be handed to. */
struct ghi_gthread *ghi_handover_to_joiner(struct ghi_slot *s, const struct ghi_gthread *self);

#endif
