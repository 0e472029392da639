/* greenhook/task.h: tasks, the green threads of the native API.
 *
 * A handle that gh_task_spawn() gave is used up by one gh_task_join() or gh_task_detach().  After
 * that it is no handle any more: it is answered with -EINVAL until its memory serves another task.
 *
 * Any thread may call these functions: tasks, pthreads that run green, kernel threads.
 */
#ifndef GREENHOOK_TASK_H
#define GREENHOOK_TASK_H

#include <greenhook/base.h>

/* A task, opaque. */
typedef struct gh_task gh_task;

/* What a task runs; what it returns is for the joiner. */
typedef void *(*gh_fn)(void *arg);

/* Bits of gh_task_opts.flags. */
#define GH_TASK_DETACHED 1u /* nobody joins it */
#define GH_TASK_OWN_TLS	 2u /* thread-local storage of its own, as a pthread has */
#define GH_TASK_RECOVER	 4u /* a panic or a fault ends the task, not the process (gh_panic) */
#define GH_TASK_PINNED	 8u /* it runs on slot number .slot only, as by gh_task_pin() */

/* Levels for gh_task_opts.priority and gh_task_set_priority(). */
#define GH_PRIORITY_LOWEST  (-2)
#define GH_PRIORITY_LOW	    (-1)
#define GH_PRIORITY_NORMAL  0
#define GH_PRIORITY_HIGH    1
#define GH_PRIORITY_HIGHEST 2

/* How a task is to be; fields that are zero mean the default.  That of stack_size is 64 KiB, and
 * with GH_TASK_OWN_TLS what a pthread has. */
typedef struct gh_task_opts {
	size_t size;	   /* sizeof(gh_task_opts), always: the structure may grow */
	const char *name;  /* copied, cut to 15 bytes; NULL: the creator's */
	size_t stack_size; /* bytes of address space, committed as they are used */
	unsigned flags;	   /* GH_TASK_* */
	int priority;	   /* GH_PRIORITY_LOWEST to GH_PRIORITY_HIGHEST; 0: normal */
	unsigned slot;	   /* with GH_TASK_PINNED; it counts from 0 */
} gh_task_opts;

/* gh_task_opts o = {GH_TASK_OPTS_SIZE, .name = "worker"}; */
#define GH_TASK_OPTS_SIZE sizeof(gh_task_opts)

GH_BEGIN_DECLS

/* Starts a task.
 *
 * It runs fn(arg), concurrently with the caller.  arg belongs to the two of them; greenhook does
 * not look at it.  opts may be NULL, and is not needed after the call.  The new task inherits the
 * caller's deadline, signal mask and affinity, and no priority.
 *
 * With GH_TASK_DETACHED the handle is good only as long as the task runs, which the caller has to
 * know otherwise.
 *
 * Returns: a handle for gh_task_join() or gh_task_detach(), or NULL with errno
 *   EINVAL  fn is NULL, opts->size is 0, or an option has no meaning; no such slot
 *   E2BIG  opts->size is larger than this library knows, and what it does not know is set
 *   EBUSY  GH_TASK_PINNED, and the caller has a kernel thread of its own (gh_own_thread)
 *   EAGAIN  there is no memory for it, or, where tasks are kernel threads, no more of them
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_create(3), Go's go statement
 * Since: 0.2
 */
GH_API gh_task *gh_task_spawn(gh_fn fn, void *arg, const gh_task_opts *opts);

/* Starts a task that nobody joins.
 *
 * fn, arg, opts: as in gh_task_spawn().
 *
 * Returns: 0, or
 *   -EINVAL  fn is NULL, opts->size is 0, or an option has no meaning; no such slot
 *   -E2BIG  opts->size is larger than this library knows, and what it does not know is set
 *   -EBUSY  GH_TASK_PINNED, and the caller has a kernel thread of its own (gh_own_thread)
 *   -EAGAIN  there is no memory for it, or, where tasks are kernel threads, no more of them
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's go statement
 * Since: 0.2
 */
GH_API int gh_go(gh_fn fn, void *arg, const gh_task_opts *opts);

/* Waits until a task has ended, and uses its handle up.
 *
 * ret may be NULL; else what the task's function returned (or gh_task_exit() was given) is stored
 * there.  Whatever the task did happens before the return.
 *
 * Returns: 0, or, and the handle is as before,
 *   -EINVAL  not a handle, a detached task, or another thread is joining it
 *   -EDEADLK  a task wants to join itself, or one that joins it, by itself or by others, and none
 *             of them has a deadline
 *   -ECANCELED  the calling task was cancelled
 * or, with the handle used up,
 *   -ENOTRECOVERABLE  it ended by a panic or a fault
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_join(3)
 * Since: 0.2
 */
GH_API int gh_task_join(gh_task *task, void **ret);

/* Waits until a task has ended, up to a point in time.
 *
 * task, ret: as in gh_task_join().  at: nanoseconds of CLOCK_MONOTONIC; past: looks once.
 *
 * Returns: 0, or, and the handle is as before,
 *   -EINVAL  not a handle, a detached task, or another thread is joining it
 *   -EDEADLK  a task wants to join itself, or, for ever, one that joins it
 *   -ETIMEDOUT  it still runs
 *   -ECANCELED  the calling task was cancelled
 * or, with the handle used up,
 *   -ENOTRECOVERABLE  it ended by a panic or a fault
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_timedjoin_np(3)
 * Since: 0.2
 */
GH_API int gh_task_join_until(gh_task *task, void **ret, gh_time at);

/* Gives up the right to join a task, and the handle.
 *
 * Returns: 0, or
 *   -EINVAL  not a handle, detached already, or somebody is joining it
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_detach(3)
 * Since: 0.2
 */
GH_API int gh_task_detach(gh_task *task);

/* The running task.
 *
 * Returns: a handle that is good while the task runs, or NULL when the caller is no task (a
 * pthread, main); errno is left alone.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: pthread_self(3)
 * Since: 0.2
 */
GH_API gh_task *gh_task_self(void);

/* Ends the running task.
 *
 * Its deferred functions run (gh_defer); nothing is unwound.  A caller that is no task ends as by
 * pthread_exit(3).  result is what gh_task_join() gives.
 *
 * Returns: not at all.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_exit(3)
 * Since: 0.2
 */
GH_API void gh_task_exit(void *result);

/* Asks a task to end.
 *
 * From now on each of its calls that is a cancellation point gives -ECANCELED, and one that waits
 * already ends like that.  Only those that would have to wait: plain calls such as read(2), which
 * give -1 and errno ECANCELED, and those for the results of others (gh_task_join(),
 * gh_group_wait(), gh_await()).  Nothing is unwound: the task is to clean up and return.  Waiting
 * for a lock is not ended.  While the task is shielded (gh_task_shield) the request stands and has
 * no effect.  Where tasks are kernel threads (gh_start) it ends the calls of this API, and plain
 * calls it does not.
 *
 * task may be any handle that is good, also of a task that has ended, and gh_task_self().
 *
 * Returns: 0, or
 *   -EINVAL  not a handle
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's context.CancelFunc
 * Since: 0.2
 */
GH_API int gh_task_cancel(gh_task *task);

/* Was the running task asked to end?
 *
 * For code that computes: it sees no cancellation point.  A shield makes no difference.
 *
 * Returns: 0: no, or the caller is no task, or
 *   -ECANCELED  yes, by gh_task_cancel() or its group
 *   -ETIMEDOUT  yes, by its deadline
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: Go's ctx.Err()
 * Since: 0.2
 */
GH_API int gh_task_cancelled(void);

/* Begins a section in which the running task is not interrupted by a cancellation.
 *
 * For cleanup that has to wait.  Sections nest; each needs its gh_task_unshield().
 *
 * Returns: 0, or
 *   -EPERM  the caller is no task
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_setcancelstate(3)
 * Since: 0.2
 */
GH_API int gh_task_shield(void);

/* Ends a section of gh_task_shield().
 *
 * Returns: 0, or
 *   -EPERM  the caller is no task
 *   -EINVAL  there is no section to end
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_setcancelstate(3)
 * Since: 0.2
 */
GH_API int gh_task_unshield(void);

/* Sets the point in time at which a task is cancelled.
 *
 * Tasks that it starts from now on inherit the deadline.  Setting it again replaces it; once it has
 * come the task stays cancelled.
 *
 * task: a good handle, or gh_task_self().  at: nanoseconds of CLOCK_MONOTONIC; past: now;
 * GH_FOREVER: never.
 *
 * Returns: 0, or
 *   -EINVAL  not a handle
 *   -ESRCH  the task has ended
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's context.WithDeadline
 * Since: 0.2
 */
GH_API int gh_task_set_deadline(gh_task *task, gh_time at);

/* The deadline of the running task.
 *
 * Returns: a point in time; GH_FOREVER when it has none or the caller is no task.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: Go's ctx.Deadline()
 * Since: 0.2
 */
GH_API gh_time gh_task_deadline(void);

/* Has a function called when the running task ends.
 *
 * Deferred functions run last in, first out, on the task, after its function has returned or by
 * gh_task_exit(), and before a joiner sees the end.  They may wait: the task is shielded meanwhile.
 * arg belongs to fn.
 *
 * Returns: 0, or
 *   -EINVAL  fn is NULL
 *   -EPERM  the caller is no task
 *   -ENOMEM  no memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's defer statement, pthread_cleanup_push(3)
 * Since: 0.2
 */
GH_API int gh_defer(void (*fn)(void *arg), void *arg);

/* Takes back the newest gh_defer() of the running task.
 *
 * run: true: it is called now, before the return; false: it is forgotten.
 *
 * Returns: 0, or
 *   -EPERM  the caller is no task
 *   -ENOENT  nothing is deferred
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_cleanup_pop(3)
 * Since: 0.2
 */
GH_API int gh_defer_pop(bool run);

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

/* Cancels all tasks, and waits until they have ended.
 *
 * Threads that are no tasks go on.  The caller, if it is a task, is left alone.  Tasks that are
 * started meanwhile are cancelled as well.
 *
 * at: until when it waits, nanoseconds of CLOCK_MONOTONIC; past: it only cancels.
 *
 * Returns: how many tasks have not ended (0: none is left), or
 *   -ECANCELED  the calling task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's http.Server.Shutdown
 * Since: 0.2
 */
GH_API int gh_shutdown(gh_time at);

/* Runs a program's main function with the runtime started.
 *
 * When fn has returned, the tasks that still run are cancelled and given a second to end.  For main
 * alone; fn runs on the calling thread.
 *
 * argc, argv: handed on to fn.
 *
 * Returns: what fn returned, or
 *   -EINVAL  fn is NULL
 * Parks: yes.  Cancellation point: no.  Thread-safe: no (once, from main).  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_main(int (*fn)(int argc, char **argv), int argc, char **argv);

GH_END_DECLS

#endif
