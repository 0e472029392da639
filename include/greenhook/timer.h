/* greenhook/timer.h: functions that are called at points in time.
 *
 * For a tick that is a message see gh_tick() (greenhook/file.h); for one that ends a wait, the
 * functions named _until and GH_AT of gh_select().
 */
#ifndef GREENHOOK_TIMER_H
#define GREENHOOK_TIMER_H

#include <greenhook/task.h>

/* A timer, opaque. */
typedef struct gh_timer gh_timer;

GH_BEGIN_DECLS

/* Makes a timer, which is not set.
 *
 * When it is due, fn(arg) is called on a task of the timer's, which is there as long as the timer
 * is set, and may wait.  Calls of one timer come one after the other.  arg belongs to the caller
 * and fn.
 *
 * Returns: a timer, for gh_timer_free(), or NULL with errno
 *   EINVAL  fn is NULL
 *   ENOMEM  no memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's time.AfterFunc, timer_create(2)
 * Since: 0.2
 */
GH_API gh_timer *gh_timer_new(void (*fn)(void *arg), void *arg);

/* Sets a timer.
 *
 * What it was set to before counts no more; a call in progress goes on.  Also from the timer's own
 * function.  gh_shutdown() stops all timers, also those that are set while it waits; afterwards
 * they may be set again.
 *
 * at: nanoseconds of CLOCK_MONOTONIC; past: now; GH_FOREVER: never.  every: 0: once; else the
 * nanoseconds from one call to the next, counted from at.  Beats that come while a call lasts are
 * left out.
 *
 * Returns: 0, or
 *   -EINVAL  not a timer, or every is negative
 *   -EAGAIN  there is no memory for its task, or, where tasks are kernel threads, no more of them
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: timer_settime(2), Go's time.Timer.Reset
 * Since: 0.2
 */
GH_API int gh_timer_set(gh_timer *timer, gh_time at, gh_time every);

/* Stops a timer.
 *
 * Does not wait for a call in progress.
 *
 * Returns: 1: it was set, 0: it was not (any more), or
 *   -EINVAL  not a timer
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's time.Timer.Stop
 * Since: 0.2
 */
GH_API int gh_timer_stop(gh_timer *timer);

/* Stops a timer, waits until a call in progress has returned, and frees it.
 *
 * NULL is fine.  The timer's own function may do it: then it goes on, and nothing is waited for.
 *
 * Returns: 0, or
 *   -EINVAL  not a timer
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes (once).  Signal-safe: no.
 * Like: timer_delete(2)
 * Since: 0.2
 */
GH_API int gh_timer_free(gh_timer *timer);

GH_END_DECLS

#endif
