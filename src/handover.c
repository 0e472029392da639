/* See handover.h. */
#include "src/handover.h"
#include "src/lot.h"

/* So many offers that were taken elsewhere are swept out of a ring that is full. */
enum { SWEEP = GHI_RING_SIZE / 4 };

static bool counts_for_nothing(const void *entry)
{
	unsigned tag = (uintptr_t)entry & GHI_OFFER_BITS;
	const struct ghi_gthread *g = (void *)((uintptr_t)entry - tag); // NOLINT
	return tag && !ghi_start_offered(&g->start_word, tag);
}

/* Once around: what is left keeps its order. */
static void sweep(struct ghi_slot *s)
{
	void *entry;

	s->taken = 0;
	for (uint32_t n = ghi_ring_length(&s->ring); n && (entry = ghi_ring_get(&s->ring)); n--)
		if (!counts_for_nothing(entry))
			ghi_ring_put(&s->ring, entry); /* there is room: only we put */
}

void ghi_handover_offer(struct ghi_slot *s, struct ghi_gthread *g)
{
	/* (B2) */
	void *offer = (void *)((uintptr_t)g + ghi_start_offer(&g->start_word)); // NOLINT

	if (ghi_ring_put(&s->ring, offer))
		return;
	if (s->taken >= SWEEP) {
		sweep(s);
		if (ghi_ring_put(&s->ring, offer))
			return;
	}
	if (ghi_start_take(&g->start_word, 0)) /* or an offer from another life did */
		ghi_queues_push_first(g);
}

void ghi_handover_to(struct ghi_gthread *self, struct ghi_gthread *g)
{
	if (self->worker->slot && !self->hands_to &&
	    (ghi_start_take(&g->start_word, 0) || ghi_queues_withdraw(g))) /* (B4), (B6) */
		self->hands_to = g;
}

/* Two may hand the slot to and fro, and nobody else is kept waiting for long. */
static bool may_go_on(struct ghi_slot *s)
{
	if (__builtin_expect(load_relaxed(&ghi_queues_hint.apart), 0))
		return false; /* somebody above them, or pinned here */
	if ((int32_t)(s->tick - s->next_poll) < 0)
		return true;
	ghi_sched_look_around(s);
	if (!ghi_sched_others_wait(s))
		s->turn_at = s->looked_at;
	return s->looked_at - s->turn_at < GHI_HANDS_NS;
}

/* What lies in front and counts for nothing: most often the offer that has just been taken. */
static void drop_first(struct ghi_slot *s)
{
	uint32_t h;
	void *entry;

	while ((h = load_acquire(&s->ring.head)) != s->ring.tail &&
	       counts_for_nothing(load_relaxed(&s->ring.buf[h % GHI_RING_SIZE])) &&
	       (entry = ghi_ring_get(&s->ring))) {
		if (!counts_for_nothing(entry))
			ghi_ring_put(&s->ring, entry); /* a thief was faster with the one we saw */
		else if (s->taken)
			s->taken--;
	}
}

struct ghi_gthread *ghi_handover_next(struct ghi_slot *s, struct ghi_gthread *self)
{
	struct ghi_gthread *g = self->hands_to;

	s->taken++;
	drop_first(s);
	if (may_go_on(s)) {
		self->hands_to = NULL;
		s->handed++;
		return g;
	}
	ghi_handover_give_up(self);
	return NULL;
}

void ghi_handover_give_up(struct ghi_gthread *self)
{
	struct ghi_gthread *g = self->hands_to;
	self->hands_to = NULL;
	ghi_ready(g);
}

struct ghi_gthread *ghi_handover_to_joiner(struct ghi_slot *s, const struct ghi_gthread *self)
{
	struct ghi_gthread *g = may_go_on(s) ? ghi_lot_take(self->joined_at) : NULL;
	s->handed += g != NULL;
	return g;
}
