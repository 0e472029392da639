/* Protocol 5: channels; who meets whom, under locks.  docs/channels.md is the description.
 *
 * Owns: the transitions of a channel and of the claim word.  Included by: src/native/chan.h, and by
 * tests/model_chan.c, which runs it through all interleavings.  Must not know: parking, memory, how
 * a party is woken.  Every function here is called under the channel's lock.
 *
 * Before it is included:
 *   struct ghi_party          with a field `uint32_t claimed`, 0 at first
 *   GHI_CHAN_COPY(to, from, n)
 *   GHI_CHAN_WAKE(party, arg) (P4), the last touch of the party
 */
#ifndef GHI_PROTO_CHAN_CORE_H
#define GHI_PROTO_CHAN_CORE_H

#include "src/base/atomic.h"
#include "src/base/list.h"

struct ghi_chan_node {
	struct ghi_list link; /* next NULL: in no queue */
	struct ghi_party *party;
	void *slot;	/* to copy from (senders) or to (receivers; NULL: dropped) */
	uint32_t index; /* below 2^32 - 1 */
	bool closed;	/* answer: it was served by a close */
};

struct ghi_chan_core {
	size_t size;  /* of an element */
	size_t limit; /* elements that it may hold */
	size_t room;  /* elements that the ring has place for, at most limit */
	size_t head, count;
	char *ring;
	bool closed;
	struct ghi_list senders, receivers;
};

enum ghi_chan_did {
	GHI_CHAN_DONE,
	GHI_CHAN_CLOSED,
	GHI_CHAN_WAIT, /* nobody to meet; for senders: no place */
	GHI_CHAN_GROW, /* it may hold more than its ring has place for */
};

/* (P2) True: the caller serves it, and nobody else will. */
static inline bool ghi_party_claim(struct ghi_party *p, uint32_t index)
{
	uint32_t open = 0;
	return cas_acq_rel(&p->claimed, &open, index + 1);
}

/* (S7) after the nodes are out of all queues: 1 + the node that was served, or 0. */
static inline uint32_t ghi_party_claimed(const struct ghi_party *p)
{
	return load_acquire(&p->claimed);
}

/* (P1), (P2) The first that can be served, out of its queue and claimed; NULL: nobody. */
static inline struct ghi_chan_node *ghi_chan_meet(struct ghi_list *queue)
{
	while (!ghi_list_empty(queue)) {
		struct ghi_chan_node *n = ghi_container(queue->next, struct ghi_chan_node, link);
		struct ghi_party *party = n->party;
		uint32_t index = n->index;
		ghi_list_remove(&n->link);
		if (ghi_party_claim(party, index))
			return n;
	}
	return NULL;
}

static inline char *ghi_chan_place(struct ghi_chan_core *c, size_t i)
{
	size_t at = c->head + i;
	return c->ring + (at < c->room ? at : at - c->room) * c->size;
}

static inline void ghi_chan_put(struct ghi_chan_core *c, const void *from)
{
	GHI_CHAN_COPY(ghi_chan_place(c, c->count), from, c->size);
	c->count++;
}

static inline void ghi_chan_get(struct ghi_chan_core *c, void *to)
{
	if (to)
		GHI_CHAN_COPY(to, ghi_chan_place(c, 0), c->size);
	c->head = c->head + 1 == c->room ? 0 : c->head + 1;
	c->count--;
}

static inline enum ghi_chan_did ghi_chan_send(struct ghi_chan_core *c, const void *from, void *arg)
{
	struct ghi_chan_node *n;

	if (c->closed)
		return GHI_CHAN_CLOSED;
	if ((n = ghi_chan_meet(&c->receivers))) {
		if (n->slot)
			GHI_CHAN_COPY(n->slot, from, c->size); /* (P3) */
		GHI_CHAN_WAKE(n->party, arg);
		return GHI_CHAN_DONE;
	}
	if (c->count >= c->limit)
		return GHI_CHAN_WAIT;
	if (c->count == c->room)
		return GHI_CHAN_GROW;
	ghi_chan_put(c, from);
	return GHI_CHAN_DONE;
}

static inline enum ghi_chan_did ghi_chan_recv(struct ghi_chan_core *c, void *to, void *arg)
{
	struct ghi_chan_node *n;

	if (c->count) {
		ghi_chan_get(c, to);
		if ((n = ghi_chan_meet(&c->senders))) { /* its turn, before any newcomer */
			ghi_chan_put(c, n->slot);
			GHI_CHAN_WAKE(n->party, arg);
		}
		return GHI_CHAN_DONE;
	}
	if ((n = ghi_chan_meet(&c->senders))) {
		if (to)
			GHI_CHAN_COPY(to, n->slot, c->size); /* (P3) */
		GHI_CHAN_WAKE(n->party, arg);
		return GHI_CHAN_DONE;
	}
	return c->closed ? GHI_CHAN_CLOSED : GHI_CHAN_WAIT;
}

static inline void ghi_chan_close(struct ghi_chan_core *c, void *arg)
{
	struct ghi_chan_node *n;

	c->closed = true;
	while ((n = ghi_chan_meet(&c->senders)) || (n = ghi_chan_meet(&c->receivers))) {
		n->closed = true;
		GHI_CHAN_WAKE(n->party, arg);
	}
}

/* (S4) */
static inline void ghi_chan_join(struct ghi_chan_core *c, struct ghi_chan_node *n, bool sends)
{
	ghi_list_append(sends ? &c->senders : &c->receivers, &n->link);
}

/* (S6) */
static inline void ghi_chan_part(struct ghi_chan_node *n)
{
	if (n->link.next)
		ghi_list_remove(&n->link);
}

#endif
