/* Protocol 4 of 4: who holds a slot, on one word per slot: the hand-off of stuck workers.
 *
 * Owns: the transitions of slot.owner.  Called by: sched.c (the holder), monitor.c (the taker).
 * Must not know: run queues.  Explored by tests/model_handoff.c.
 *
 * The word is the address of the worker that holds the slot, with the phase in its low bits:
 *
 *   FREE ----------------------> W|SCHED   given by whoever took it out of the idle list
 *   W|SCHED <---------> W|USER             leave / enter: the holder at every park and ready
 *   W|USER  <---------> W|BLOCKED          the holder around a call that is known to block
 *   W|BLOCKED ---------> W|SCHED           a signal handler in the middle of such a call
 *   W|USER, W|BLOCKED -> TAKEN             the monitor, when W made no progress
 *   TAKEN -------------> V|SCHED or FREE   the monitor gives it to another worker V, or nobody
 *
 *   holder W                                     monitor
 *   (E1) enter: W|USER -> W|SCHED, cas           (M1) take: W|USER -> TAKEN, cas
 *   (E2) touches the run queue                   (M2) gives it to V, V touches the run queue
 *   (E3) leave: store W|USER, release
 *   enter failed: the slot is gone; W uses the shared inbox and never touches the slot again
 *
 * Why only one worker ever touches the run queue as its holder: E1 and M1 are compare-and-swaps
 * from the same value.  Why the new holder sees a consistent queue: E3 is a release, M1 an acquire.
 * No ABA: a slot goes to a worker only by that worker's own hand, or while that worker sleeps as a
 * spare, so while W is away in user code the word cannot become W|USER again.
 */
#ifndef GHI_PROTO_SLOT_WORD_H
#define GHI_PROTO_SLOT_WORD_H

#include "src/base/atomic.h"

#define GHI_SLOT_FREE  ((uintptr_t)0)
#define GHI_SLOT_TAKEN ((uintptr_t)4)
enum { GHI_SLOT_SCHED = 0, GHI_SLOT_USER = 1, GHI_SLOT_BLOCKED = 2, GHI_SLOT_PHASE = 3 };

/* (E1) True: W still holds the slot, and now nobody can take it. */
static inline bool ghi_slot_enter(uintptr_t *owner, uintptr_t w)
{
	uintptr_t seen = w | GHI_SLOT_USER;
	if (cas_acquire(owner, &seen, w | GHI_SLOT_SCHED)) /* against M1 */
		return true;
	/* A signal handler came in the middle of a call that blocks. */
	return seen == (w | GHI_SLOT_BLOCKED) && cas_acquire(owner, &seen, w | GHI_SLOT_SCHED);
}

/* (E3) back to the program's code. */
static inline void ghi_slot_leave(uintptr_t *owner, uintptr_t w)
{
	store_release(owner, w | GHI_SLOT_USER); /* pairs with the acquire of M1 and E1 */
}

/* Around a call that is known to block.  False: the slot was taken before. */
static inline bool ghi_slot_block(uintptr_t *owner, uintptr_t w)
{
	uintptr_t seen = w | GHI_SLOT_USER;
	return cas_acq_rel(owner, &seen, w | GHI_SLOT_BLOCKED) || seen == (w | GHI_SLOT_BLOCKED);
}

/* True: still ours. */
static inline bool ghi_slot_unblock(uintptr_t *owner, uintptr_t w)
{
	uintptr_t seen = w | GHI_SLOT_BLOCKED;
	return cas_acq_rel(owner, &seen, w | GHI_SLOT_USER) || seen == (w | GHI_SLOT_USER);
}

/* (M1) seen: a value of *owner with phase USER or BLOCKED. */
static inline bool ghi_slot_take(uintptr_t *owner, uintptr_t seen)
{
	uintptr_t phase = seen & GHI_SLOT_PHASE;
	if (phase != GHI_SLOT_USER && phase != GHI_SLOT_BLOCKED)
		return false;
	return cas_acq_rel(owner, &seen, GHI_SLOT_TAKEN);
}

/* (M2) w: a worker that sleeps as a spare or is the caller; 0: nobody, FREE. */
static inline void ghi_slot_give(uintptr_t *owner, uintptr_t w)
{
	store_release(owner, w ? w | GHI_SLOT_SCHED : GHI_SLOT_FREE);
}

#endif
