/* Protocol 5: who starts a gthread that has not run yet, on one word per gthread.
 *
 * Owns: the transitions of ghi_gthread.start.  Called by: handover.c.  Must not know: rings, what a
 * gthread is.  Explored by tests/model_start.c.
 *
 * A new gthread is put into its creator's ring as an *offer*, an entry with its low bit set, and
 * may be started from there, by the holder or by a thief, or at once by whoever waits for its end.
 * The offer then stays behind and counts for nothing.
 *
 *   creator                        somebody takes the offer        somebody waits for its end
 *   (B1) makes the gthread         (B3) OFFERED -> 0, acquire:     (B4) OFFERED -> 0, acquire:
 *   (B2) OFFERED, release;              he alone starts it              he alone starts it
 *        then the offer is put          it was 0: nothing to do         it was 0: he waits
 *
 * The memory of a gthread is used again and never unmapped, so an offer may meet a later life than
 * its own.  The word counts the lives, and the offer carries the lowest bits of its own life's
 * number: it counts for nothing then, too.  Should these be the same, it starts that life, which is
 * complete (B2 and the acquires), and that life's own offer counts for nothing.  Who waits may meet
 * a later life, too, and starts it.  So each B2 is followed by exactly one start, whatever offers
 * are left from before; a gthread that was started is put into rings as itself, without the bit.
 *
 * One that finds no room in the ring stands in the inbox, under whose lock the word is QUEUED (B5)
 * and 0 again (B6): by whoever takes it from the front, or by who waits for its end, from anywhere.
 * On its way from there into a ring it is offered anew.
 */
#ifndef GHI_PROTO_START_WORD_H
#define GHI_PROTO_START_WORD_H

#include "src/base/atomic.h"

enum { GHI_START_OFFERED = 1, GHI_START_QUEUED = 2, GHI_START_STATE = 3, GHI_START_LIFE = 4 };

/* The low bits of an entry: gthreads are aligned to 64 bytes. */
enum { GHI_OFFER = 1, GHI_OFFER_BITS = 63 };
#ifndef GHI_OFFER_LIVES
#define GHI_OFFER_LIVES 32u /* the explorer uses 2 */
#endif

/* What its offers carry. */
static inline unsigned ghi_start_tag(uint32_t word)
{
	return word / GHI_START_LIFE % GHI_OFFER_LIVES * 2 + GHI_OFFER;
}

/* (B2) The low bits of the offer that is to be put. */
static inline unsigned ghi_start_offer(uint32_t *start)
{
	uint32_t word =
	    (load_relaxed(start) & ~(uint32_t)GHI_START_STATE) + GHI_START_LIFE + GHI_START_OFFERED;
	store_release(start, word); /* pairs with the swap below */
	return ghi_start_tag(word);
}

/* An offer with these low bits is worth something. */
static inline bool ghi_start_offered(const uint32_t *start, unsigned tag)
{
	uint32_t word = load_relaxed(start);
	return (word & GHI_START_STATE) == GHI_START_OFFERED && ghi_start_tag(word) == tag;
}

/* (B3), (B4) True: the caller starts it.  tag: of the offer; 0: he has none. */
static inline bool ghi_start_take(uint32_t *start, unsigned tag)
{
	uint32_t seen = load_relaxed(start);
	return (seen & GHI_START_STATE) == GHI_START_OFFERED &&
	       (!tag || ghi_start_tag(seen) == tag) &&
	       cas_acq_rel(start, &seen, seen - GHI_START_OFFERED);
}

/* (B5) */
static inline void ghi_start_queue(uint32_t *start)
{
	store_release(start, load_relaxed(start) + GHI_START_QUEUED);
}

static inline bool ghi_start_queued(const uint32_t *start)
{
	return (load_relaxed(start) & GHI_START_STATE) == GHI_START_QUEUED;
}

/* (B6) True: it is in the queue, and the caller takes it out. */
static inline bool ghi_start_withdraw(uint32_t *start)
{
	if (!ghi_start_queued(start))
		return false;
	store_relaxed(start, load_relaxed(start) - GHI_START_QUEUED);
	return true;
}

/* In a new life, before anybody knows of it: in a fork's child it may have been on offer. */
static inline void ghi_start_forget(uint32_t *start)
{
	store_relaxed(start, load_relaxed(start) & ~(uint32_t)GHI_START_STATE);
}

#endif
