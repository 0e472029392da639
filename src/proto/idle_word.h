/* Protocol 3 of 4: workers go to sleep, ready() wakes one, on one word for the whole process.
 *
 * Owns: the transitions of the idle word.  Called by: worker.c and ready().  Must not know: lists
 * of slots or workers (they are behind a lock in worker.c).  Explored by tests/model_worker.c.
 *
 * The word counts searching workers (they hold a slot and look for work) and idle slots (nobody
 * holds them).  ready() wakes nobody when no slot is idle, and nobody when a searcher exists: the
 * searcher will find the task, and wakes the next one when it has (the wake-up chain).
 *
 *   ready()                                       a worker that finds nothing
 *   (R1) push the task                            (S1) give the slot back: idle+1, searching-1
 *   (R2) fence seq_cst                            (S2) fence seq_cst
 *   (R3) idle word: a slot idle and no            (S3) look at all queues once more
 *        searcher?                                (S4) something there: claim a slot again and run
 *   (R4) claim: idle-1, searching+1; give         (S5) nothing: sleep
 *        the slot to a sleeper and wake it
 *
 * Why no task is left with everybody asleep: either R3 sees the word of S1 and wakes somebody, or
 * S3 sees the task of R1: R2 and S2 are both full fences between a store and a load (Dekker).
 * A searcher that finds work leaves with (F1) searching-1, and when it was the last one it does
 * R2..R4 itself, because ready() calls may have relied on it.
 */
#ifndef GHI_PROTO_IDLE_WORD_H
#define GHI_PROTO_IDLE_WORD_H

#include "src/base/atomic.h"

#define GHI_IDLE_SEARCH 0x1u	 /* one searching worker */
#define GHI_IDLE_SLOT	0x10000u /* one idle slot */

static inline uint32_t ghi_idle_searching(uint32_t w)
{
	return w & 0xffff;
}

static inline uint32_t ghi_idle_slots(uint32_t w)
{
	return w >> 16;
}

/* (R2)-(R4), after the push.  True: the caller now owns one idle slot and one searching count and
 * must hand both to a sleeping worker. */
static inline bool ghi_idle_claim_for_wake(uint32_t *word)
{
	fence_seq_cst(); /* (R2) pairs with (S2) */
	uint32_t seen = load_relaxed(word);
	while (ghi_idle_slots(seen) > 0 && ghi_idle_searching(seen) == 0)
		if (cas_acq_rel(word, &seen, seen - GHI_IDLE_SLOT + GHI_IDLE_SEARCH))
			return true;
	return false;
}

/* (S1),(S2): a worker gives its slot back.  was_searching: it counted as a searcher. */
static inline void ghi_idle_give_slot(uint32_t *word, bool was_searching)
{
	fetch_add_acq_rel(word, was_searching ? GHI_IDLE_SLOT - GHI_IDLE_SEARCH : GHI_IDLE_SLOT);
	fence_seq_cst(); /* (S2) pairs with (R2) */
}

/* (S4) and for workers that return from the kernel: take an idle slot, as a searcher or not. */
static inline bool ghi_idle_claim(uint32_t *word, bool searching)
{
	uint32_t seen = load_relaxed(word);
	while (ghi_idle_slots(seen) > 0)
		if (cas_acq_rel(word, &seen,
				seen - GHI_IDLE_SLOT + (searching ? GHI_IDLE_SEARCH : 0u)))
			return true;
	return false;
}

/* A worker that holds a slot starts to search; at most half of the busy slots may (max >= 1). */
static inline bool ghi_idle_start_search(uint32_t *word, uint32_t max)
{
	uint32_t seen = load_relaxed(word);
	while (ghi_idle_searching(seen) < max)
		if (cas_acq_rel(word, &seen, seen + GHI_IDLE_SEARCH))
			return true;
	return false;
}

/* (F1) A searcher found work.  True: it was the last one and must do R2..R4. */
static inline bool ghi_idle_stop_search(uint32_t *word)
{
	return ghi_idle_searching(fetch_add_acq_rel(word, 0u - GHI_IDLE_SEARCH)) == 1;
}

#endif
