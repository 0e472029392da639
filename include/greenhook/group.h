/* greenhook/group.h: groups of tasks that end together (structured concurrency).
 *
 * A group's members are tasks without handles of their own; the group is the handle.  Whoever made
 * a group waits for it before it goes on: gh_group_wait() returns when all members have ended.
 */
#ifndef GREENHOOK_GROUP_H
#define GREENHOOK_GROUP_H

#include <greenhook/task.h>

/* A group of tasks, opaque. */
typedef struct gh_group gh_group;

/* What a member runs: 0, or a negative errno when it failed. */
typedef int (*gh_group_fn)(void *arg);

/* Bits of gh_group_new()'s flags. */
#define GH_GROUP_CANCEL_ON_ERROR 1u /* the first failure cancels the other members */
#define GH_GROUP_RECOVER	 2u /* a panic or a fault ends the member, not the process (gh_panic) */

GH_BEGIN_DECLS

/* Makes a group.
 *
 * parent: a group that this one is part of, or NULL: when the parent is cancelled, so is this one.
 * The parent must be there until this one is freed.  flags: 0 or a sum of GH_GROUP_CANCEL_ON_ERROR
 * and GH_GROUP_RECOVER.
 *
 * With GH_GROUP_RECOVER every member is as if started with GH_TASK_RECOVER: one that ends by a panic or a
 * fault is a member that failed with -ENOTRECOVERABLE.  The groups that have this one for their
 * parent, and their parts, do the same.  Tasks that a member starts outside of these groups do not.
 *
 * Returns: a group, for gh_group_free(), or NULL with errno
 *   EINVAL  parent is no group, or an unknown flag
 *   ENOMEM  no memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's errgroup, Java's StructuredTaskScope
 * Since: 0.2
 */
GH_API gh_group *gh_group_new(gh_group *parent, unsigned flags);

/* Starts a member.
 *
 * It runs fn(arg).  A negative result is a failure; the first one of a group is what
 * gh_group_wait() gives.  arg belongs to the caller and the member.  opts: as in gh_task_spawn(),
 * or NULL; GH_TASK_DETACHED is implied.
 *
 * Returns: 0, or
 *   -EINVAL  not a group, fn is NULL, opts->size is 0, or an option has no meaning; no such slot
 *   -E2BIG  opts->size is larger than this library knows, and what it does not know is set
 *   -EBUSY  GH_TASK_PINNED, and the caller has a kernel thread of its own (gh_own_thread)
 *   -ECANCELED  the group was cancelled
 *   -EAGAIN  there is no memory for it, or, where tasks are kernel threads, no more of them
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's errgroup.Group.Go
 * Since: 0.2
 */
GH_API int gh_group_spawn(gh_group *group, gh_group_fn fn, void *arg, const gh_task_opts *opts);

/* Waits until all members have ended.
 *
 * When the calling task is cancelled meanwhile, the group is cancelled, and the wait goes on: no
 * member is left behind.  Afterwards the group may be used again, unless it was cancelled.
 *
 * Returns: 0, or
 *   -EINVAL  not a group
 *   -EDEADLK  the caller is a member
 *   -ECANCELED  the calling task was cancelled, and no member had failed before
 *   other negative values: what the first member that failed returned
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's errgroup.Group.Wait
 * Since: 0.2
 */
GH_API int gh_group_wait(gh_group *group);

/* Waits until all members have ended, up to a point in time.
 *
 * at: nanoseconds of CLOCK_MONOTONIC; past: looks once.  When it has come the members go on.
 *
 * Returns: 0, or
 *   -EINVAL  not a group
 *   -EDEADLK  the caller is a member
 *   -ETIMEDOUT  some still run
 *   -ECANCELED  the calling task was cancelled, and with it the group; some may still run
 *   other negative values: what the first member that failed returned
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_group_wait_until(gh_group *group, gh_time at);

/* Cancels all members, and those that the group's parts have.
 *
 * The group takes no members from now on.  Does not wait.
 *
 * Returns: 0, or
 *   -EINVAL  not a group
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: gh_task_cancel(3)
 * Since: 0.2
 */
GH_API int gh_group_cancel(gh_group *group);

/* How many members have not ended.
 *
 * Returns: a number, or
 *   -EINVAL  not a group
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_group_count(gh_group *group);

/* Ends a group: cancels its members, waits until they have ended, and frees it.
 *
 * NULL is fine.  After gh_group_wait() there is nothing to cancel or to wait for.  The caller's own
 * cancellation does not end the wait.
 *
 * Returns: 0, or
 *   -EINVAL  not a group
 *   -EDEADLK  the caller is a member
 *   -EBUSY  another group has it for its parent
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes (once).  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_group_free(gh_group *group);

GH_END_DECLS

#endif
