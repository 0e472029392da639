/* greenhook/sched.h: what the scheduler does with the caller, and what it has done. */
#ifndef GREENHOOK_SCHED_H
#define GREENHOOK_SCHED_H

#include <greenhook/task.h>

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

/* Sets the priority of a task.
 *
 * Of the tasks that could run, those of the highest priority are taken first, in the order in which
 * they became runnable; green pthreads and main are of GH_PRIORITY_NORMAL.  Tasks of a lower priority wait, but not
 * for ever: they age, and get a small share of the turns whatever else there is to do.  Nobody is
 * interrupted: a task that runs keeps running until it waits or yields, and gh_yield() makes way for
 * tasks of any priority.  A task that computes for longer than its budget (gh_yield_if_due) is taken
 * last for a while, unless it is pinned.  Priorities are not passed on by locks.
 *
 * priority: GH_PRIORITY_LOWEST to GH_PRIORITY_HIGHEST.  task: a good handle, or gh_task_self(); one
 * that stands in a queue keeps its place there.  Where tasks are kernel threads it has no effect.
 *
 * Returns: 0, or
 *   -EINVAL  not a handle, or no such priority
 *   -ESRCH  the task has ended
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_setschedprio(3)
 * Since: 0.2
 */
GH_API int gh_task_set_priority(gh_task *task, int priority);

/* The priority of a task.
 *
 * task: a good handle, or gh_task_self().  ret_priority: the answer, GH_PRIORITY_LOWEST to
 * GH_PRIORITY_HIGHEST.
 *
 * Returns: 0, or
 *   -EINVAL  not a handle, or ret_priority is NULL
 *   -ESRCH  the task has ended
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_getschedparam(3)
 * Since: 0.2
 */
GH_API int gh_task_get_priority(gh_task *task, int *ret_priority);

/* Has the caller run on one slot only.
 *
 * Slots are the rights to run green threads, one per CPU by default (gh_stats() has their number),
 * and count from 0: at any time at most one green thread runs on each.  So those that are pinned to
 * one slot never run at the same time, unless one of them computes or blocks in the kernel for so
 * long that the slot is given to another kernel thread; the others go with the slot, and the long
 * one comes back to it when it next waits or yields.  A slot is no kernel thread (gh_own_thread) and
 * no CPU.
 *
 * slot: a number.  On return the caller runs there.  Pinned before: the new one counts.
 *
 * Returns: 0, or
 *   -EINVAL  there is no such slot
 *   -EBUSY  the caller has a kernel thread of its own
 *   -EPERM  the caller does not run green
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: seastar's shards, pthread_setaffinity_np(3)
 * Since: 0.2
 */
GH_API int gh_task_pin(int slot);

/* Has the caller run on any slot again.
 *
 * Returns: 0, also when it was not pinned, or
 *   -EPERM  the caller does not run green
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_task_unpin(void);

/* The slot that the caller runs on.
 *
 * For a caller that is not pinned the answer may be another one after each call that parks.
 *
 * Returns: a number from 0, or
 *   -ENOENT  none: it computed or blocked for so long that its slot was given away, until it next
 *            waits or yields, or it has a kernel thread of its own
 *   -EPERM  the caller does not run green
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: sched_getcpu(3)
 * Since: 0.2
 */
GH_API int gh_slot(void);

/* Lets others run if the caller's budget is used up.
 *
 * A green thread may go on for about 5 ms of CPU time, less where many compute, between two waits.
 * Then it is asked to let others run, and does so in its next call that could have waited and need
 * not; most plain calls and those of this API look.  This is for loops that call nothing of the kind: it
 * costs a few loads.  Who does not listen is not interrupted: after twice the budget others get
 * another kernel thread, and it stands behind them for its next few turns.
 *
 * Returns: 1: it has let others run; 0: it need not.
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Tokio's consume_budget()
 * Since: 0.2
 */
GH_API int gh_yield_if_due(void);

/* Gives the calling task or green pthread a kernel thread of its own, for the rest of its life.
 *
 * For libraries that keep state by kernel thread, and for system calls that change it.  No other
 * green thread runs on it; a light task has a thread block to itself then.  It is pinned no more,
 * and its priority has no effect.
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
