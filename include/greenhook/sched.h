/* greenhook/sched.h: what the scheduler does with the caller, and what it has done. */
#ifndef GREENHOOK_SCHED_H
#define GREENHOOK_SCHED_H

#include <greenhook/base.h>

/* Counters of the process, for gh_stats(). */
struct gh_stats {
	size_t size;	/* sizeof(struct gh_stats), by the caller: the structure may grow */
	uint64_t tasks; /* tasks that have not ended */
	uint64_t kernel_threads; /* that run green threads */
	uint64_t slots;		 /* green threads that can run at once */
	uint64_t switches;	 /* from one green thread to another */
	uint64_t steals;	 /* green threads that moved to an idle kernel thread, in batches */
};

GH_BEGIN_DECLS

/* Says that the caller is about to hold its kernel thread for long.
 *
 * For code that waits in ways the library cannot see (system calls of its own, a device, another
 * process's memory) or computes: others get another kernel thread at once, instead of when the
 * library notices.  Between this and gh_blocking_end() the caller calls nothing that parks; if it
 * does, the section ends early.
 *
 * Returns: nothing.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Tokio's block_in_place
 * Since: 0.2
 */
GH_API void gh_blocking_begin(void);

/* Ends what gh_blocking_begin() began.
 *
 * Returns: nothing.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API void gh_blocking_end(void);

/* Gives the calling task or green pthread a kernel thread of its own, for the rest of its life.
 *
 * For libraries that keep state by kernel thread, and for system calls that change it.  No other
 * green thread runs on it; a light task has a thread block to itself then.
 *
 * Returns: 0, also when it has one already or is a kernel thread, or
 *   -EAGAIN  there is none to be had
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's runtime.LockOSThread
 * Since: 0.2
 */
GH_API int gh_own_thread(void);

/* Tells what the scheduler has done.
 *
 * ret: its size is set by the caller; as much as that is filled.  Counters are exact to within what
 * is happening at this moment; before the runtime starts they are 0.
 *
 * Returns: 0, or
 *   -EINVAL  ret is NULL, or its size cannot be right
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's runtime/metrics
 * Since: 0.2
 */
GH_API int gh_stats(struct gh_stats *ret);

GH_END_DECLS

#endif
