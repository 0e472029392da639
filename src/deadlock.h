/* Rings of gthreads that wait for each other, found while the program runs.
 *
 * Owns: the search, and which rings were told.  Called by: monitor.c (look), control.c (tell). Must
 * not know: who else could be asked.
 *
 * An edge is a gthread that parks, without a time limit, for a mutex, a read-write lock or the end
 * of another (pthread or task): to the gthread whose id the mutex or the lock has as its owner's, or
 * that is joined (joined_at).
 * Each has one edge at most.  The monitor walks the gthreads, a few at each look and only when
 * somebody has parked for such a thing since the last walk, once a second at most and for at most
 * about half a percent of a CPU.  The edges are not of one time: a ring is told only when a second
 * later each of its gthreads still stands where it did, with the same owner, and has not run
 * meanwhile (switches). So all of it stood at once, and only a signal handler that jumps, a
 * cancellation of one that joins, or somebody who unlocks what he did not lock could end it.
 *
 * The last is what programs do that use a normal mutex as a semaphore, and it works: "owner" is
 * then only who locked it last.  A ring of one such lock is not told at all (the second lock of the
 * same mutex waits for somebody's unlock); a longer one is told, but "for good" only when every
 * lock in it refuses the unlock of another one (recursive, error-checking), or is a join.
 *
 * No edge has who waits in the kernel (robust, shared and priority-protected mutexes), for a plain
 * gh_mutex, which has no owner, or for a group.  Rings of nothing but gh_task_join do not come up:
 * the last one is told -EDEADLK.
 *
 * The thread of control.c tells, with backtraces: the monitor must not wait for the loader's lock.
 */
#ifndef GHI_DEADLOCK_H
#define GHI_DEADLOCK_H

#include "src/gthread.h"

/* Who parks for that may be in a ring. */
static inline bool ghi_deadlock_edge(uint32_t reason)
{
	return reason == GHI_PARK_MUTEX || reason == GHI_PARK_RWLOCK || reason == GHI_PARK_JOIN;
}

/* By the monitor; when it wants to look again, GHI_NEVER: not before somebody has run. */
uint64_t ghi_deadlock_look(uint64_t now);
/* Somebody has parked since that said GHI_NEVER. */
bool ghi_deadlock_news(void);
/* On the control thread: prints what was found; then the policy (GREENHOOK_DEADLOCK). */
void ghi_deadlock_tell(void);
void ghi_deadlock_after_fork(void);

/* deadlock_tell.c */
struct ghi_deadlock_edge {
	struct ghi_gthread *g;
	uint64_t id;
	uintptr_t waits_for;
	uintptr_t joined_at;
	int32_t tid, owner; /* owner: of a join none */
	uint32_t switches, reason;
	bool only_owner; /* nobody but the owner can end it: his unlock, his end */
	uint32_t met;	 /* by which walk */
};
struct ghi_inspect_stack;
/* The frames of the program. */
void ghi_deadlock_print_stack(const struct ghi_inspect_stack *s);
void ghi_deadlock_print(const struct ghi_deadlock_edge *ring, unsigned length);

#endif
