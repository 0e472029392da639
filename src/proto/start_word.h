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
 * Who finds OFFERED may meet another life of the gthread than the one that he was told of: its
 * memory is used again and never unmapped.  He starts that life, which is complete (B2 and the
 * acquires), and its own offer counts for nothing then.  So each B2 is followed by exactly one
 * start, whatever offers are left from before; a gthread that was started is put into rings as
 * itself, without the bit.
 *
 * One that finds no room in the ring stands in the inbox, under whose lock the word is QUEUED (B5)
 * and 0 again (B6): by whoever takes it from the front, or by who waits for its end, from anywhere.
 * On its way from there into a ring it is offered anew.
 */
#ifndef GHI_PROTO_START_WORD_H
#define GHI_PROTO_START_WORD_H

#include "src/base/atomic.h"

enum { GHI_START_OFFERED = 1, GHI_START_QUEUED = 2 };

/* (B2) */
static inline void ghi_start_offer(uint32_t *start)
{
	store_release(start, (uint32_t)GHI_START_OFFERED); /* pairs with the swap below */
}

/* (B3), (B4) True: the caller starts it. */
static inline bool ghi_start_take(uint32_t *start)
{
	uint32_t seen = load_relaxed(start);
	return seen == GHI_START_OFFERED && cas_acq_rel(start, &seen, 0u);
}

/* (B5) */
static inline void ghi_start_queue(uint32_t *start)
{
	store_release(start, (uint32_t)GHI_START_QUEUED);
}

static inline bool ghi_start_queued(const uint32_t *start)
{
	return load_relaxed(start) == GHI_START_QUEUED;
}

/* (B6) True: it is in the queue, and the caller takes it out. */
static inline bool ghi_start_withdraw(uint32_t *start)
{
	if (load_relaxed(start) != GHI_START_QUEUED)
		return false;
	store_relaxed(start, 0u);
	return true;
}

#endif
