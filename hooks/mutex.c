/* Mutexes, read-write locks, spin locks, once: ours when private, libc's when shared or robust. */
#include "hooks/hook.h"
#include "src/sync/sync.h"

EXPORT int pthread_mutex_lock(pthread_mutex_t *m)
{
	return ghi_mutex_ours(m) ? ghi_mutex_lock(m, NULL) : LIBC(REAL(pthread_mutex_lock)(m));
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *m)
{
	return ghi_mutex_ours(m) ? ghi_mutex_trylock(m) : REAL(pthread_mutex_trylock)(m);
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *m)
{
	return ghi_mutex_ours(m) ? ghi_mutex_unlock(m) : REAL(pthread_mutex_unlock)(m);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *at)
{
	if (!ghi_mutex_ours(m))
		return LIBC(REAL(pthread_mutex_timedlock)(m, at));
	return ghi_mutex_lock(m, &(struct ghi_until){CLOCK_REALTIME, at});
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *at)
{
	if (!ghi_mutex_ours(m))
		return LIBC(REAL(pthread_mutex_clocklock)(m, clock, at));
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	return ghi_mutex_lock(m, &(struct ghi_until){clock, at});
}

EXPORT int pthread_once(pthread_once_t *o, ghi_void_fn f)
{
	return ghi_once(o, f);
}

EXPORT int pthread_spin_trylock(pthread_spinlock_t *l)
{
	return REAL(pthread_spin_trylock)(l);
}

EXPORT int pthread_spin_lock(pthread_spinlock_t *l)
{
	/* The holder may be a gthread that waits for this very slot. */
	for (;;) {
		for (int i = 0; i < 100; i++) {
			if (REAL(pthread_spin_trylock)(l) == 0)
				return 0;
			cpu_relax();
		}
		if (ghi_self())
			ghi_yield();
		else
			ghi_sys(SYS_sched_yield);
	}
}

/* ---- read-write locks ----------------------------------------------------------------------- */

#define RW(l, ours, libc) (ghi_rwlock_ours(l) ? (ours) : LIBC(libc))
#define UNTIL(clock, at)  (&(struct ghi_until){clock, at})

static bool bad_clock(clockid_t clock)
{
	return clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC;
}

EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	return RW(l, ghi_rwlock_rdlock(l, NULL, false), REAL(pthread_rwlock_rdlock)(l));
}

EXPORT int pthread_rwlock_tryrdlock(pthread_rwlock_t *l)
{
	return RW(l, ghi_rwlock_rdlock(l, NULL, true), REAL(pthread_rwlock_tryrdlock)(l));
}

EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t *l, const struct timespec *at)
{
	return pthread_rwlock_clockrdlock(l, CLOCK_REALTIME, at);
}

/* glibc judges the time before it looks at the lock. */
EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *at)
{
	if (bad_clock(clock) || ghi_ts_invalid(at))
		return EINVAL;
	return RW(l, ghi_rwlock_rdlock(l, UNTIL(clock, at), false),
		  REAL(pthread_rwlock_clockrdlock)(l, clock, at));
}

EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
	return RW(l, ghi_rwlock_wrlock(l, NULL, false), REAL(pthread_rwlock_wrlock)(l));
}

EXPORT int pthread_rwlock_trywrlock(pthread_rwlock_t *l)
{
	return RW(l, ghi_rwlock_wrlock(l, NULL, true), REAL(pthread_rwlock_trywrlock)(l));
}

EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t *l, const struct timespec *at)
{
	return pthread_rwlock_clockwrlock(l, CLOCK_REALTIME, at);
}

EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *at)
{
	if (bad_clock(clock) || ghi_ts_invalid(at))
		return EINVAL;
	return RW(l, ghi_rwlock_wrlock(l, UNTIL(clock, at), false),
		  REAL(pthread_rwlock_clockwrlock)(l, clock, at));
}

EXPORT int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	return RW(l, ghi_rwlock_unlock(l), REAL(pthread_rwlock_unlock)(l));
}
