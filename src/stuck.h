/* "Everything waits, and nothing can wake it": found while the program stands still.
 *
 * Owns: the look, and that it was told.  Called by: deadlock.c (its place in the monitor's looks
 * and on the control thread), helper.c's threads.  Must not know: rings.
 *
 * Told once per process, and only when all of this holds at two looks a second apart, between which
 * no gthread has left its stack:
 *
 *   - every gthread is parked, without a time limit, for one of: mutex, condition, read-write lock,
 *     semaphore, barrier, once, futex, join, event, channel.  So none waits for a descriptor, a
 *     time, a child, a signal, or a lock of libc's, none runs, and none is in the kernel;
 *   - no timer of the runtime is set, and no timer of timer_create() that notifies a thread was
 *     ever made;
 *   - no signal has a handler, but for the faults, which only who runs can raise: a handler might
 *     post a semaphore; the kernel is asked as well, for those set behind the hooks;
 *   - all kernel threads of the process are the runtime's: one of the program's or of libc's
 *     (asynchronous I/O, mq_notify) could wake somebody.
 *
 * Two walks, each of which finds everybody parked, and each gthread with as many switches as the
 * other: so between the two all were parked at once.  What is outside is looked at before the
 * second walk.  Whatever cannot be looked at counts as something that could wake.  A process that
 * shares memory with another one waits for shared objects in the kernel, hence is never told; one
 * that shares all its memory with a child (clone without CLONE_THREAD) may be.
 */
#ifndef GHI_STUCK_H
#define GHI_STUCK_H

#include "src/gthread.h"

/* Who parks for that cannot be woken but by a gthread or a foreign kernel thread. */
static inline bool ghi_stuck_counts(uint32_t reason)
{
	const uint32_t set = 1u << GHI_PARK_MUTEX | 1u << GHI_PARK_COND | 1u << GHI_PARK_RWLOCK |
			     1u << GHI_PARK_SEM | 1u << GHI_PARK_BARRIER | 1u << GHI_PARK_ONCE |
			     1u << GHI_PARK_FUTEX | 1u << GHI_PARK_JOIN | 1u << GHI_PARK_EVENT |
			     1u << GHI_PARK_CHANNEL;
	return set >> reason & 1;
}

/* By the monitor; when it wants to look again, GHI_NEVER: not before somebody has run. */
uint64_t ghi_stuck_look(uint64_t now);
/* Somebody has run since that said GHI_NEVER. */
bool ghi_stuck_news(void);
/* On the control thread; true: it was told now. */
bool ghi_stuck_tell(void);
void ghi_stuck_after_fork(void);

#endif
