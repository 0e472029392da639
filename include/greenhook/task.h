/* greenhook/task.h: tasks, the green threads of the native API. */
#ifndef GREENHOOK_TASK_H
#define GREENHOOK_TASK_H

#include <greenhook/base.h>

GH_BEGIN_DECLS

/* Lets others run.
 *
 * The caller goes to the end of the queue.  In a thread that does not run green it is
 * sched_yield(2).
 *
 * Returns: nothing.
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: sched_yield(2), Go's runtime.Gosched()
 * Since: 0.2
 */
GH_API void gh_yield(void);

/* Sleeps for a length of time.
 *
 * ns: nanoseconds; zero and negative ones: not at all.  GH_FOREVER sleeps until it is cancelled.
 *
 * Returns: 0, or
 *   -EINTR  a handler of a signal ran
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: nanosleep(2), Go's time.Sleep()
 * Since: 0.2
 */
GH_API int gh_sleep(gh_time ns);

/* Sleeps until a point in time.
 *
 * at: nanoseconds of CLOCK_MONOTONIC; one that is past: not at all.
 *
 * Returns: 0, or
 *   -EINTR  a handler of a signal ran
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: clock_nanosleep(2) with TIMER_ABSTIME
 * Since: 0.2
 */
GH_API int gh_sleep_until(gh_time at);

GH_END_DECLS

#endif
