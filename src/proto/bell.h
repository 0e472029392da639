/* Protocol 6: requests for one server that sleeps, a stack and a word.
 *
 * Owns: the transitions of struct ghi_bell.  Called by: disk.c (both sides).  Must not know: what a
 * request is, how the server sleeps.  Compiled twice, see base/atomic.h; explored by
 * tests/model_bell.c.
 *
 *   who asks (any kernel thread)                the server
 *   (A1) pushes the request                     (B1) w = word
 *   (A2) the stack was empty: word + 1          (B2) takes the whole stack
 *   (A3) and wakes who sleeps on the word       (B3) sleeps on the word, unless it is not w
 *
 * B3 is the kernel's: it looks at the word after it has queued the sleeper, and A3 comes after A2,
 * so one of them sees the other (as in any futex).
 *
 * Why no request is left behind: one that the last B2 did not take was pushed after it.  The first
 * of those found the stack empty, so its A2 follows, and changes the word after B1 read it: B3 does
 * not sleep, or A3 finds the sleeper.  Had B1 read what A2 wrote, B2, which is later, would have
 * taken what A1 pushed.
 *
 * Only the first after each take pays for a wake: while the server is busy, the others' requests
 * wait for its next B2.
 */
#ifndef GHI_PROTO_BELL_H
#define GHI_PROTO_BELL_H

#include "src/base/atomic.h"

struct ghi_bell_node {
	struct ghi_bell_node *next;
};

struct ghi_bell {
	struct ghi_bell_node *stack; /* newest first */
	uint32_t word;
};

/* (A1), (A2) True: the caller has to wake the server (A3).  The node is the server's from here on.
 */
static inline bool ghi_bell_push(struct ghi_bell *b, struct ghi_bell_node *n)
{
	struct ghi_bell_node *old = load_relaxed(&b->stack);
	do
		store_relaxed(&n->next, old);
	while (!cas_acq_rel(&b->stack, &old, n));
	if (old)
		return false;
	fetch_add_acq_rel(&b->word, 1u);
	return true;
}

/* (B1) */
static inline uint32_t ghi_bell_read(struct ghi_bell *b)
{
	return load_acquire(&b->word);
}

/* (B2) What came since the last time, newest first. */
static inline struct ghi_bell_node *ghi_bell_take(struct ghi_bell *b)
{
	return xchg_acq_rel(&b->stack, (struct ghi_bell_node *)NULL);
}

#endif
