/* Read-write locks, semaphores, barriers and once of the native API: the algorithms of src/sync
 * with the native rules (negative errors, no EINTR, cancellation without unwinding).
 *
 * Owns: nothing.  Called by: programs.  Must not know: how they wait.
 */
#include <limits.h>
#include <string.h>

#include <greenhook/sync.h>
#include "src/native/misuse.h"
#include "src/native/until.h"
#include "src/sanitizer.h"

_Static_assert(sizeof(gh_rwlock) >= sizeof(pthread_rwlock_t), "it is one, but for its kind");
_Static_assert(sizeof(gh_rwlock) == 56 && sizeof(gh_sem) == 16, "part of the ABI");
_Static_assert(sizeof(gh_barrier) >= sizeof(pthread_barrier_t), "it is one");
_Static_assert(sizeof(gh_barrier) == 32 && sizeof(gh_once) == 4, "part of the ABI");
_Static_assert(_Alignof(gh_barrier) >= _Alignof(pthread_barrier_t), "it is one");

/* ---- read-write locks -------------------------------------------------------------------------
 */

/* A result of taking `at`, negative or 0. */
static int taken(int r, void *at)
{
	if (r == 0)
		ghi_sanitizer_after(at);
	return r;
}

/* All zero is a valid one that prefers writers, or readers that come and come would starve them. */
static pthread_rwlock_t *rwlock_of(gh_rwlock *l)
{
	pthread_rwlock_t *p = (pthread_rwlock_t *)l;
	const unsigned kind = PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
	if (__builtin_expect(load_relaxed(&p->__data.__flags) != kind, 0))
		store_relaxed(&p->__data.__flags, kind);
	return p;
}

int gh_rwlock_rdlock_until(gh_rwlock *l, gh_time until)
{
	struct ghi_native_until u;
	return l ? taken(-ghi_rwlock_rdlock(rwlock_of(l), ghi_native_until(&u, until), false), l)
		 : GHI_NULL("lock");
}

int gh_rwlock_wrlock_until(gh_rwlock *l, gh_time until)
{
	struct ghi_native_until u;
	return l ? taken(-ghi_rwlock_wrlock(rwlock_of(l), ghi_native_until(&u, until), false), l)
		 : GHI_NULL("lock");
}

int gh_rwlock_rdlock(gh_rwlock *l)
{
	return l ? taken(-ghi_rwlock_rdlock(rwlock_of(l), NULL, false), l) : GHI_NULL("lock");
}

int gh_rwlock_wrlock(gh_rwlock *l)
{
	return l ? taken(-ghi_rwlock_wrlock(rwlock_of(l), NULL, false), l) : GHI_NULL("lock");
}

int gh_rwlock_rdlock_try(gh_rwlock *l)
{
	return l ? taken(-ghi_rwlock_rdlock(rwlock_of(l), NULL, true), l) : GHI_NULL("lock");
}

int gh_rwlock_wrlock_try(gh_rwlock *l)
{
	return l ? taken(-ghi_rwlock_wrlock(rwlock_of(l), NULL, true), l) : GHI_NULL("lock");
}

int gh_rwlock_unlock(gh_rwlock *l)
{
	if (!l)
		return GHI_NULL("lock");
	ghi_sanitizer_before(l);
	if (!ghi_rwlock_held(rwlock_of(l)))
		return GHI_MISUSE(-EPERM, "the lock is not locked");
	int r = ghi_rwlock_unlock(rwlock_of(l));
	ghi_native_make_way(l);
	return -r;
}

/* ---- semaphores --------------------------------------------------------------------------------
 */

int gh_sem_init(gh_sem *s, int64_t value)
{
	if (!s || value < 0 || value > GH_SEM_MAX)
		return GHI_MISUSE(-EINVAL, "the semaphore is NULL, or the value %ld is no count",
				  (long)value);
	*s = (gh_sem)GH_SEM_INIT((uint64_t)value);
	return 0;
}

int gh_sem_wait_until(gh_sem *s, gh_time until)
{
	struct ghi_native_until u;
	int r;

	if (!s)
		return GHI_NULL("semaphore");
	if (ghi_native_cancelled())
		return -ECANCELED;
	do
		r = ghi_sem_wait((sem_t *)s, ghi_native_until(&u, until), false);
	while (r == EINTR);
	return taken(r < 0 ? r : -r, s);
}

int gh_sem_wait(gh_sem *s)
{
	return gh_sem_wait_until(s, GH_FOREVER);
}

int gh_sem_wait_try(gh_sem *s)
{
	return s ? taken(-ghi_sem_wait((sem_t *)s, NULL, true), s) : GHI_NULL("semaphore");
}

int gh_sem_post(gh_sem *s)
{
	ghi_sanitizer_before(s);
	if (!s)
		return GHI_NULL("semaphore");
	int r = ghi_sem_post((sem_t *)s);
	ghi_native_make_way(s);
	return -r;
}

int64_t gh_sem_value(const gh_sem *s)
{
	return s ? (int64_t)(uint32_t)load_acquire(&s->data) : GHI_NULL("semaphore");
}

/* ---- once --------------------------------------------------------------------------------------
 */

struct once_call {
	gh_once *o;
	void (*fn)(void *);
	void *arg;
};

static void call_once_fn(void *arg)
{
	struct once_call *c = arg;
	c->fn(c->arg);
	ghi_sanitizer_before(c->o);
}

int gh_once_do(gh_once *o, void (*fn)(void *), void *arg)
{
	struct once_call call = {o, fn, arg};
	return o && fn ? taken(-ghi_once_with((pthread_once_t *)&o->word, call_once_fn, &call), o)
		       : GHI_NULL("once or the function");
}

/* ---- barriers ----------------------------------------------------------------------------------
 */

int gh_barrier_init(gh_barrier *b, uint32_t count)
{
	if (!b)
		return GHI_NULL("barrier");
	memset(b, 0, sizeof(*b));
	return -ghi_barrier_init((pthread_barrier_t *)b, count);
}

int gh_barrier_wait_until(gh_barrier *b, gh_time until)
{
	if (!b || !ghi_barrier_ours((pthread_barrier_t *)b))
		return GHI_MISUSE(-EINVAL, "the barrier is NULL, was destroyed, or was not made");
	if (ghi_native_cancelled())
		return -ECANCELED;
	ghi_sanitizer_before(b);
	int r = ghi_barrier_wait_until((pthread_barrier_t *)b, ghi_native_deadline(until));
	if (r >= 0)
		ghi_sanitizer_after(b);
	return r == PTHREAD_BARRIER_SERIAL_THREAD ? 1 : r;
}

int gh_barrier_wait(gh_barrier *b)
{
	return gh_barrier_wait_until(b, GH_FOREVER);
}

int gh_barrier_destroy(gh_barrier *b)
{
	if (!b || !ghi_barrier_ours((pthread_barrier_t *)b))
		return GHI_MISUSE(-EINVAL, "the barrier is NULL, was destroyed, or was not made");
	int r = -ghi_barrier_destroy((pthread_barrier_t *)b);
	if (!r)
		memset(b, 0, sizeof(*b)); /* not made: a later wait is told so instead of waiting */
	return r;
}
