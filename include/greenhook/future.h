/* greenhook/future.h: results that come later.
 *
 * A future is pending until it is set once, by the function that gh_async() started or by
 * gh_future_set(); then it is done, with a status and a value, for all who await it.
 */
#ifndef GREENHOOK_FUTURE_H
#define GREENHOOK_FUTURE_H

#include <greenhook/task.h>

/* A future, opaque, counted. */
typedef struct gh_future gh_future;

GH_BEGIN_DECLS

/* Starts a function whose result is awaited.
 *
 * It runs fn(arg) as a task; its result is the future's value, and the status is 0.  arg belongs to
 * the caller and the function.
 *
 * Returns: a future, for gh_future_unref(), or NULL with errno
 *   EINVAL  fn is NULL
 *   EAGAIN  no memory, or, where tasks are kernel threads, no more of them
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: C++'s std::async
 * Since: 0.2
 */
GH_API gh_future *gh_async(gh_fn fn, void *arg);

/* Makes a pending future, which somebody is to set.
 *
 * Returns: a future, for gh_future_unref(), or NULL with errno
 *   ENOMEM  no memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: C++'s std::promise
 * Since: 0.2
 */
GH_API gh_future *gh_future_new(void);

/* Makes a pending future done.
 *
 * status: 0, or a negative errno for those who await it.  value: anything; greenhook does not look
 * at it.
 *
 * Returns: 0, or
 *   -EINVAL  not a future, or a positive status
 *   -EALREADY  it is done already; nothing changed
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: C++'s std::promise::set_value
 * Since: 0.2
 */
GH_API int gh_future_set(gh_future *future, int status, void *value);

/* Is a future done?
 *
 * Returns: 1: yes, 0: pending, or
 *   -EINVAL  not a future
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_future_done(gh_future *future);

/* Waits until a future is done.
 *
 * value may be NULL; else the future's value is stored there when the wait ended by it, also with a
 * negative status.  The future stays as it is: many may await it.
 *
 * Returns: the future's status: 0 or what gh_future_set() was given, or
 *   -EINVAL  not a future
 *   -ECANCELED  the calling task was cancelled, or the future (gh_future_cancel)
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: C++'s std::future::get
 * Since: 0.2
 */
GH_API int gh_await(gh_future *future, void **value);

/* Waits until a future is done, up to a point in time.
 *
 * future, value: as in gh_await().  at: nanoseconds of CLOCK_MONOTONIC; past: looks once.
 *
 * Returns: the future's status: 0 or what gh_future_set() was given, or
 *   -EINVAL  not a future
 *   -ETIMEDOUT  it is pending
 *   -ECANCELED  the calling task was cancelled, or the future (gh_future_cancel)
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: C++'s std::future::wait_until
 * Since: 0.2
 */
GH_API int gh_await_until(gh_future *future, void **value, gh_time at);

/* Waits until at least one of several futures is done.
 *
 * futures: count of them, none of them NULL; the array is not needed after the call.  at:
 * nanoseconds of CLOCK_MONOTONIC; past: looks once.
 *
 * Returns: the index of one that is done, the lowest, or
 *   -EINVAL  one is not a future, or count is not from 1 to 1024
 *   -ENOMEM  no memory, with more than 8
 *   -ETIMEDOUT  all are pending
 *   -ECANCELED  the calling task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: JavaScript's Promise.race
 * Since: 0.2
 */
GH_API int gh_await_any(gh_future *const futures[], int count, gh_time at);

/* Makes a pending future done with the status -ECANCELED, and cancels its task if it has one.
 *
 * Returns: 0, or
 *   -EINVAL  not a future
 *   -EALREADY  it is done already
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Python's asyncio.Future.cancel
 * Since: 0.2
 */
GH_API int gh_future_cancel(gh_future *future);

/* Takes one more reference to a future.
 *
 * Returns: the future, for another gh_future_unref(); NULL with errno
 *   EINVAL  not a future
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API gh_future *gh_future_ref(gh_future *future);

/* Drops a reference.
 *
 * With the last one the future is gone; a function that still runs for it runs on.  NULL is fine.
 *
 * Returns: 0, or
 *   -EINVAL  not a future
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_future_unref(gh_future *future);

GH_END_DECLS

#endif
