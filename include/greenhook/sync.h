/* greenhook/sync.h: locks and the like, for native tasks, hooked pthreads and kernel threads alike.
 *
 * All are plain structs: no allocation, nothing to free.  An object that is all zero is valid and
 * in its first state, except a barrier, which needs a number.  They work before the runtime starts,
 * in a process where it cannot run, and for threads made by clone(2) that have a thread block of
 * their own (CLONE_SETTLS); they are for one process.  None may be copied once it is in use.
 *
 * Memory may be freed as soon as its object is not in use: right after an unlock, a post, a set or
 * the last gh_wg_done() seen by whoever frees it.  (The exception is a barrier:
 * gh_barrier_destroy.)
 *
 * Every function gives 0 (or a number above it) or a negative errno and leaves errno alone.  NULL
 * is -EINVAL.  None gives -EINTR: signal handlers run and the wait goes on.  Locks are no
 * cancellation points, as in pthreads; the rest are.  Times are absolute (gh_now, gh_after); one
 * that is past means: try once.
 *
 * C11 and C++17.
 */
#ifndef GREENHOOK_SYNC_H
#define GREENHOOK_SYNC_H

#include <greenhook/base.h>

GH_BEGIN_DECLS

/* --- Mutexes ------------------------------------------------------------------------------------
 */

enum {
	GH_MUTEX_PLAIN = 0,	/* knows nothing of its owner: fastest */
	GH_MUTEX_CHECKED = 1,	/* -EDEADLK and -EPERM instead of a hang */
	GH_MUTEX_RECURSIVE = 2, /* its owner may lock it again */
};

/* A mutex; the fields are private. */
typedef struct gh_mutex {
	uint32_t word, kind;
	int32_t owner;
	uint32_t count;
} gh_mutex;

#define GH_MUTEX_INIT                                                                              \
	{                                                                                          \
		0, GH_MUTEX_PLAIN, 0, 0                                                            \
	}
#define GH_MUTEX_CHECKED_INIT                                                                      \
	{                                                                                          \
		0, GH_MUTEX_CHECKED, 0, 0                                                          \
	}
#define GH_MUTEX_RECURSIVE_INIT                                                                    \
	{                                                                                          \
		0, GH_MUTEX_RECURSIVE, 0, 0                                                        \
	}

/* Makes a mutex of some kind.
 *
 * m: not in use.  kind: GH_MUTEX_PLAIN, GH_MUTEX_CHECKED or GH_MUTEX_RECURSIVE.  The initialisers
 * GH_MUTEX_INIT, GH_MUTEX_CHECKED_INIT and GH_MUTEX_RECURSIVE_INIT do the same.
 *
 * Returns: 0, or
 *   -EINVAL  m is NULL, or there is no such kind
 * Parks: no.  Cancellation point: no.  Thread-safe: no.  Signal-safe: yes.
 * Like: pthread_mutex_init(3)
 * Since: 0.2
 */
GH_API int gh_mutex_init(gh_mutex *m, int kind);

/* Locks a mutex, waiting for as long as it takes.
 *
 * m: any kind.  The owner is the calling task or thread.  Waiters are served in no strict order: a
 * thread that runs may be faster than one that is woken.  A plain mutex locked again by its owner
 * never returns.
 *
 * Returns: 0, or
 *   -EINVAL   m is NULL
 *   -EDEADLK  a checked mutex is the caller's already
 *   -EAGAIN   a recursive mutex was locked 2^32-1 times
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_mutex_lock(3), Go's sync.Mutex
 * Since: 0.2
 */
GH_API int gh_mutex_lock(gh_mutex *m);

/* Locks a mutex if that needs no waiting.
 *
 * m: any kind.
 *
 * Returns: 0, or
 *   -EINVAL  m is NULL
 *   -EBUSY   somebody has it; of a checked or plain mutex this may be the caller
 *   -EAGAIN  a recursive mutex was locked 2^32-1 times
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_mutex_trylock(3)
 * Since: 0.2
 */
GH_API int gh_mutex_lock_try(gh_mutex *m);

/* Locks a mutex, waiting until a point in time.
 *
 * m: any kind.  until: absolute, ns (gh_now); GH_FOREVER: as gh_mutex_lock.
 *
 * Returns: 0, or
 *   -EINVAL     m is NULL
 *   -ETIMEDOUT  somebody had it until then
 *   -EDEADLK    a checked mutex is the caller's already
 *   -EAGAIN     a recursive mutex was locked 2^32-1 times
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_mutex_clocklock(3)
 * Since: 0.2
 */
GH_API int gh_mutex_lock_until(gh_mutex *m, gh_time until);

/* Unlocks a mutex.
 *
 * m: locked.  The last unlock of a recursive one lets others have it.  The memory may be freed by
 * whoever locks it next, even before this call has returned.  A plain mutex may be unlocked by
 * another than who locked it.
 *
 * Returns: 0, or
 *   -EINVAL  m is NULL
 *   -EPERM   a checked or recursive mutex is not the caller's; a plain one is not locked
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_mutex_unlock(3)
 * Since: 0.2
 */
GH_API int gh_mutex_unlock(gh_mutex *m);

/* --- Condition variables ------------------------------------------------------------------------
 */

/* A condition variable; the fields are private. */
typedef struct gh_cond {
	uint32_t word, reserved;
} gh_cond;

#define GH_COND_INIT                                                                               \
	{                                                                                          \
		0, 0                                                                               \
	}

/* Gives a mutex up, waits for a signal, takes the mutex again.
 *
 * c: where to wait.  m: locked by the caller (once, if it is recursive and others are to have it);
 * it is locked again on return, whatever is returned.  A return without a signal is possible: test
 * the condition in a loop.  A signal is never consumed by a wait that says -ECANCELED.
 *
 * Returns: 0, or
 *   -EINVAL     c or m is NULL
 *   -EPERM      m is not locked, or is checked or recursive and not the caller's
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_cond_wait(3), Go's sync.Cond
 * Since: 0.2
 */
GH_API int gh_cond_wait(gh_cond *c, gh_mutex *m);

/* Waits for a signal until a point in time; as gh_cond_wait otherwise.
 *
 * c, m: as there.  until: absolute, ns (gh_now); one that is past gives the mutex up for a moment.
 *
 * Returns: 0, or
 *   -EINVAL     c or m is NULL
 *   -EPERM      m is not locked, or is checked or recursive and not the caller's
 *   -ETIMEDOUT  no signal came until then
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_cond_clockwait(3)
 * Since: 0.2
 */
GH_API int gh_cond_wait_until(gh_cond *c, gh_mutex *m, gh_time until);

/* Wakes one waiter of a condition variable.
 *
 * c: where they wait.  Who waits longest is woken.  To be sure that a waiter that tested the
 * condition before is reached, change the condition under the mutex.
 *
 * Returns: 0, or
 *   -EINVAL  c is NULL
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_cond_signal(3)
 * Since: 0.2
 */
GH_API int gh_cond_signal(gh_cond *c);

/* Wakes all waiters of a condition variable.
 *
 * c: where they wait.  They get the mutex one after the other.
 *
 * Returns: 0, or
 *   -EINVAL  c is NULL
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_cond_broadcast(3)
 * Since: 0.2
 */
GH_API int gh_cond_broadcast(gh_cond *c);

/* --- Read-write locks ---------------------------------------------------------------------------
 */

/* A read-write lock; the fields are private. */
typedef struct gh_rwlock {
	uint64_t opaque[7];
} gh_rwlock;

#define GH_RWLOCK_INIT                                                                             \
	{                                                                                          \
		{                                                                                  \
			0, 0, 0, 0, 0, 0, 0                                                        \
		}                                                                                  \
	}

/* Locks for reading, together with other readers.
 *
 * l: the lock.  While a writer waits no new reader gets it, so a reader must not lock it again.
 *
 * Returns: 0, or
 *   -EINVAL   l is NULL
 *   -EDEADLK  the caller has it for writing
 *   -EAGAIN   there are 2^30-1 readers
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_rdlock(3), Go's sync.RWMutex
 * Since: 0.2
 */
GH_API int gh_rwlock_rdlock(gh_rwlock *l);

/* Locks for reading if that needs no waiting.
 *
 * l: the lock.
 *
 * Returns: 0, or
 *   -EINVAL  l is NULL
 *   -EBUSY   a writer has it or waits for it
 *   -EAGAIN  there are 2^30-1 readers
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_tryrdlock(3)
 * Since: 0.2
 */
GH_API int gh_rwlock_rdlock_try(gh_rwlock *l);

/* Locks for reading, waiting until a point in time.
 *
 * l: the lock.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     l is NULL
 *   -EDEADLK    the caller has it for writing
 *   -EAGAIN     there are 2^30-1 readers
 *   -ETIMEDOUT  it was not to be had until then
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_clockrdlock(3)
 * Since: 0.2
 */
GH_API int gh_rwlock_rdlock_until(gh_rwlock *l, gh_time until);

/* Locks for writing, alone.
 *
 * l: the lock.
 *
 * Returns: 0, or
 *   -EINVAL   l is NULL
 *   -EDEADLK  the caller has it for writing
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_wrlock(3)
 * Since: 0.2
 */
GH_API int gh_rwlock_wrlock(gh_rwlock *l);

/* Locks for writing if that needs no waiting.
 *
 * l: the lock.
 *
 * Returns: 0, or
 *   -EINVAL  l is NULL
 *   -EBUSY   somebody has it
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_trywrlock(3)
 * Since: 0.2
 */
GH_API int gh_rwlock_wrlock_try(gh_rwlock *l);

/* Locks for writing, waiting until a point in time.
 *
 * l: the lock.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     l is NULL
 *   -EDEADLK    the caller has it for writing
 *   -ETIMEDOUT  somebody had it until then
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_clockwrlock(3)
 * Since: 0.2
 */
GH_API int gh_rwlock_wrlock_until(gh_rwlock *l, gh_time until);

/* Unlocks a read-write lock, of either sort.
 *
 * l: locked.  Who reads is not kept: one reader may unlock for another.
 *
 * Returns: 0, or
 *   -EINVAL  l is NULL
 *   -EPERM   nobody has it, or another one has it for writing
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_rwlock_unlock(3)
 * Since: 0.2
 */
GH_API int gh_rwlock_unlock(gh_rwlock *l);

/* --- Semaphores ---------------------------------------------------------------------------------
 */

#define GH_SEM_MAX INT32_MAX

/* A semaphore; the fields are private. */
typedef struct gh_sem {
	uint64_t data, reserved;
} gh_sem;

/* value: 0 to GH_SEM_MAX. */
#define GH_SEM_INIT(value)                                                                         \
	{                                                                                          \
		(value), 0                                                                         \
	}

/* Makes a semaphore.
 *
 * s: not in use.  value: tokens that it begins with, 0 to GH_SEM_MAX.
 *
 * Returns: 0, or
 *   -EINVAL  s is NULL, or value is negative or too large
 * Parks: no.  Cancellation point: no.  Thread-safe: no.  Signal-safe: yes.
 * Like: sem_init(3)
 * Since: 0.2
 */
GH_API int gh_sem_init(gh_sem *s, int64_t value);

/* Takes a token, waiting for one.
 *
 * s: the semaphore.
 *
 * Returns: 0, or
 *   -EINVAL     s is NULL
 *   -ECANCELED  the task was cancelled; no token was taken
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: sem_wait(3)
 * Since: 0.2
 */
GH_API int gh_sem_wait(gh_sem *s);

/* Takes a token if there is one.
 *
 * s: the semaphore.
 *
 * Returns: 0, or
 *   -EINVAL  s is NULL
 *   -EAGAIN  there is none
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: sem_trywait(3)
 * Since: 0.2
 */
GH_API int gh_sem_wait_try(gh_sem *s);

/* Takes a token, waiting for one until a point in time.
 *
 * s: the semaphore.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     s is NULL
 *   -ETIMEDOUT  none came until then
 *   -ECANCELED  the task was cancelled; no token was taken
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: sem_clockwait(3)
 * Since: 0.2
 */
GH_API int gh_sem_wait_until(gh_sem *s, gh_time until);

/* Gives a token; whoever waits may take it.
 *
 * s: the semaphore.
 *
 * Returns: 0, or
 *   -EINVAL     s is NULL
 *   -EOVERFLOW  it has GH_SEM_MAX
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: sem_post(3)
 * Since: 0.2
 */
GH_API int gh_sem_post(gh_sem *s);

/* How many tokens a semaphore has right now.
 *
 * s: the semaphore.
 *
 * Returns: 0 to GH_SEM_MAX, or
 *   -EINVAL  s is NULL
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: sem_getvalue(3)
 * Since: 0.2
 */
GH_API int64_t gh_sem_value(const gh_sem *s);

/* --- Events -------------------------------------------------------------------------------------
 */

enum {
	GH_EVENT_MANUAL = 0, /* stays set until it is reset: lets everybody through */
	GH_EVENT_AUTO = 1,   /* one waiter takes it away */
};

/* An event; the fields are private. */
typedef struct gh_event {
	uint32_t state, kind;
} gh_event;

#define GH_EVENT_INIT                                                                              \
	{                                                                                          \
		0, GH_EVENT_MANUAL                                                                 \
	}
#define GH_EVENT_AUTO_INIT                                                                         \
	{                                                                                          \
		0, GH_EVENT_AUTO                                                                   \
	}

/* Makes an event that is not set.
 *
 * e: not in use.  kind: GH_EVENT_MANUAL or GH_EVENT_AUTO.
 *
 * Returns: 0, or
 *   -EINVAL  e is NULL, or there is no such kind
 * Parks: no.  Cancellation point: no.  Thread-safe: no.  Signal-safe: yes.
 * Like: CreateEvent of Windows
 * Since: 0.2
 */
GH_API int gh_event_init(gh_event *e, int kind);

/* Sets an event.
 *
 * e: manual: all who wait go on, and whoever comes before a reset does not wait.  auto: one goes on
 * and takes it away; setting one that is set changes nothing.
 *
 * Returns: 0, or
 *   -EINVAL  e is NULL
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: SetEvent of Windows
 * Since: 0.2
 */
GH_API int gh_event_set(gh_event *e);

/* Makes an event not set.
 *
 * e: either kind.
 *
 * Returns: 0, or
 *   -EINVAL  e is NULL
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: ResetEvent of Windows
 * Since: 0.2
 */
GH_API int gh_event_reset(gh_event *e);

/* Waits until an event is set.
 *
 * e: either kind; an auto event is taken away.  A waiter of a manual event that is set and reset
 * before the waiter runs may go on waiting.
 *
 * Returns: 0, or
 *   -EINVAL     e is NULL
 *   -ECANCELED  the task was cancelled; the event was not taken
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: WaitForSingleObject of Windows
 * Since: 0.2
 */
GH_API int gh_event_wait(gh_event *e);

/* Asks whether an event is set; an auto event is taken away.
 *
 * e: either kind.
 *
 * Returns: 0, or
 *   -EINVAL  e is NULL
 *   -EAGAIN  it is not set
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: WaitForSingleObject of Windows, with no time
 * Since: 0.2
 */
GH_API int gh_event_wait_try(gh_event *e);

/* Waits for an event until a point in time.
 *
 * e: as gh_event_wait.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     e is NULL
 *   -ETIMEDOUT  it was not set until then
 *   -ECANCELED  the task was cancelled; the event was not taken
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: WaitForSingleObject of Windows
 * Since: 0.2
 */
GH_API int gh_event_wait_until(gh_event *e, gh_time until);

/* --- Once ---------------------------------------------------------------------------------------
 */

/* Something that is done once; the field is private. */
typedef struct gh_once {
	uint32_t word;
} gh_once;

#define GH_ONCE_INIT                                                                               \
	{                                                                                          \
		0                                                                                  \
	}

/* Calls a function the first time, and waits for the end of that call any other time.
 *
 * o: all zero at first.  fn: called with arg, on the caller's stack; must not call gh_once_do on o
 * again.  On return fn has ended, whoever called it, and what it wrote is seen.  Cancelling a task
 * inside fn does not end fn early; if fn is left by an exception, or by pthread_exit or
 * pthread_cancel of a pthread, somebody else calls it anew.  A task must not leave it by
 * gh_task_exit.
 *
 * Returns: 0, or
 *   -EINVAL  o or fn is NULL
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_once(3), Go's sync.Once
 * Since: 0.2
 */
GH_API int gh_once_do(gh_once *o, void (*fn)(void *arg), void *arg);

/* --- Barriers -----------------------------------------------------------------------------------
 */

/* A barrier; the fields are private. */
typedef struct gh_barrier {
	uint64_t opaque[4];
} gh_barrier;

/* Makes a barrier.
 *
 * b: not in use.  count: how many must arrive, 1 to INT32_MAX.
 *
 * Returns: 0, or
 *   -EINVAL  b is NULL, or count is 0 or too large
 * Parks: no.  Cancellation point: no.  Thread-safe: no.  Signal-safe: yes.
 * Like: pthread_barrier_init(3)
 * Since: 0.2
 */
GH_API int gh_barrier_init(gh_barrier *b, uint32_t count);

/* Waits until all have arrived.
 *
 * b: made by gh_barrier_init.  It is ready for the next round when it returns.
 *
 * Returns: 1 to one of them, 0 to the others, or
 *   -EINVAL     b is NULL, was not made, or was destroyed
 *   -ECANCELED  the task was cancelled; it has not arrived
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_barrier_wait(3)
 * Since: 0.2
 */
GH_API int gh_barrier_wait(gh_barrier *b);

/* Waits until all have arrived, or until a point in time.
 *
 * b: as gh_barrier_wait.  until: absolute, ns (gh_now).  Who is not there in time has not arrived.
 *
 * Returns: 1 to one of them, 0 to the others, or
 *   -EINVAL     b is NULL, was not made, or was destroyed
 *   -ETIMEDOUT  some had not arrived until then
 *   -ECANCELED  the task was cancelled; it has not arrived
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pthread_barrier_wait(3)
 * Since: 0.2
 */
GH_API int gh_barrier_wait_until(gh_barrier *b, gh_time until);

/* Ends a barrier, after those who are on their way out of it.
 *
 * b: nobody will arrive any more; its memory may be freed afterwards, or gh_barrier_init() makes
 * it anew.  Until then it counts as not made: a wait gives -EINVAL.
 *
 * Returns: 0, or
 *   -EINVAL  b is NULL, was not made, or was destroyed before
 *   -EBUSY   some wait for others to arrive
 * Parks: yes.  Cancellation point: no.  Thread-safe: no.  Signal-safe: no.
 * Like: pthread_barrier_destroy(3)
 * Since: 0.2
 */
GH_API int gh_barrier_destroy(gh_barrier *b);

/* --- Wait groups --------------------------------------------------------------------------------
 */

#define GH_WG_MAX INT32_MAX

/* A count of things under way; the field is private. */
typedef struct gh_wg {
	uint64_t data;
} gh_wg;

#define GH_WG_INIT                                                                                 \
	{                                                                                          \
		0                                                                                  \
	}

/* Adds to the number of things under way.
 *
 * wg: the group.  n: how many more, or less when negative; at zero whoever waits goes on.  Add
 * before you start the thing, not inside it, or a wait may come first.
 *
 * Returns: 0, or
 *   -EINVAL     wg is NULL, or there are not so many to take away; nothing was changed
 *   -EOVERFLOW  there would be more than GH_WG_MAX; nothing was changed
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's sync.WaitGroup.Add
 * Since: 0.2
 */
GH_API int gh_wg_add(gh_wg *wg, int32_t n);

/* One thing less is under way.
 *
 * wg: the group.
 *
 * Returns: 0, or
 *   -EINVAL  wg is NULL, or none is under way
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's sync.WaitGroup.Done
 * Since: 0.2
 */
GH_API int gh_wg_done(gh_wg *wg);

/* Waits until nothing is under way.
 *
 * wg: the group.  If things are added again before this task runs, it returns all the same.
 *
 * Returns: 0, or
 *   -EINVAL     wg is NULL
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's sync.WaitGroup.Wait
 * Since: 0.2
 */
GH_API int gh_wg_wait(gh_wg *wg);

/* Asks whether nothing is under way.
 *
 * wg: the group.
 *
 * Returns: 0, or
 *   -EINVAL  wg is NULL
 *   -EAGAIN  something is
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: Go's sync.WaitGroup
 * Since: 0.2
 */
GH_API int gh_wg_wait_try(gh_wg *wg);

/* Waits until nothing is under way, or until a point in time.
 *
 * wg: the group.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     wg is NULL
 *   -ETIMEDOUT  something was, until then
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's sync.WaitGroup.Wait
 * Since: 0.2
 */
GH_API int gh_wg_wait_until(gh_wg *wg, gh_time until);

/* ThreadSanitizer does not see into the library, which tells it of all else that orders tasks: of
 * a mutex, which must cost nothing more without one, it is told here. */
#if defined(__SANITIZE_THREAD__)
#define GH_TSAN_ 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GH_TSAN_ 1
#endif
#endif
#ifdef GH_TSAN_
void __tsan_acquire(void *at);
void __tsan_release(void *at);

static inline int gh_tsan_taken_(gh_mutex *m, int r)
{
	if (r == 0)
		__tsan_acquire(m);
	return r;
}
static inline int gh_tsan_lock_(gh_mutex *m)
{
	return gh_tsan_taken_(m, gh_mutex_lock(m));
}
static inline int gh_tsan_lock_try_(gh_mutex *m)
{
	return gh_tsan_taken_(m, gh_mutex_lock_try(m));
}
static inline int gh_tsan_lock_until_(gh_mutex *m, gh_time until)
{
	return gh_tsan_taken_(m, gh_mutex_lock_until(m, until));
}
static inline int gh_tsan_unlock_(gh_mutex *m)
{
	if (m)
		__tsan_release(m);
	return gh_mutex_unlock(m);
}
static inline int gh_tsan_wait_until_(gh_cond *c, gh_mutex *m, gh_time until)
{
	if (m)
		__tsan_release(m);
	int r = gh_cond_wait_until(c, m, until);
	if (m)
		__tsan_acquire(m);
	return r;
}
#define gh_mutex_lock(m)		gh_tsan_lock_(m)
#define gh_mutex_lock_try(m)		gh_tsan_lock_try_(m)
#define gh_mutex_lock_until(m, until)	gh_tsan_lock_until_(m, until)
#define gh_mutex_unlock(m)		gh_tsan_unlock_(m)
#define gh_cond_wait(c, m)		gh_tsan_wait_until_(c, m, GH_FOREVER)
#define gh_cond_wait_until(c, m, until) gh_tsan_wait_until_(c, m, until)
#endif

GH_END_DECLS

#endif
