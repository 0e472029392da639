/* Mutexes, read-write locks, spin locks, once: ours when private or robust, libc's when shared. */
#include "hooks/hook.h"
#include "src/sync/word.h"
#include "src/warn.h"

EXPORT int pthread_mutex_lock(pthread_mutex_t *m)
{
	if (ghi_mutex_ours(m))
		return ghi_mutex_lock(m, NULL);
	if (ghi_protect_ours(m))
		return ghi_protect_lock(m, NULL, false);
	return ghi_robust_ours(m) ? ghi_robust_lock(m, NULL, false)
				  : LIBC(REAL(pthread_mutex_lock)(m));
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *m)
{
	if (ghi_mutex_ours(m))
		return ghi_mutex_trylock(m);
	if (ghi_protect_ours(m))
		return ghi_protect_lock(m, NULL, true);
	return ghi_robust_ours(m) ? ghi_robust_lock(m, NULL, true) : REAL(pthread_mutex_trylock)(m);
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (ghi_mutex_ours(m)) {
		int r = ghi_mutex_unlock(m);
		if (__builtin_expect(r != GHI_MUTEX_MAKE_WAY, 1))
			return r;
		if (ghi_hook_parks())
			ghi_yield();
		return 0;
	}
	if (ghi_protect_ours(m))
		return ghi_protect_unlock(m);
	return ghi_robust_ours(m) ? ghi_robust_unlock(m) : REAL(pthread_mutex_unlock)(m);
}

/* WAS_INHERIT means nothing to libc. */
enum { INHERIT = 32, WAS_INHERIT = 1 << 11 };

/* The kernel would wait for one with priority inheritance, and refuses a time before 1970. */
static int timed(pthread_mutex_t *m, const struct ghi_until *until)
{
	int r = ghi_mutex_lock(m, until);
	return r == ETIMEDOUT && (m->__data.__kind & WAS_INHERIT) && until->abs->tv_sec < 0 ? EINVAL
											    : r;
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *at)
{
	struct ghi_until until = {CLOCK_REALTIME, at};
	if (ghi_mutex_ours(m))
		return timed(m, &until);
	if (ghi_protect_ours(m))
		return ghi_protect_lock(m, &until, false);
	return ghi_robust_ours(m) ? ghi_robust_lock(m, &until, false)
				  : LIBC(REAL(pthread_mutex_timedlock)(m, at));
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *at)
{
	struct ghi_until until = {clock, at};
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	if (ghi_mutex_ours(m))
		return timed(m, &until);
	if (ghi_protect_ours(m))
		return ghi_protect_lock(m, &until, false);
	return ghi_robust_ours(m) ? ghi_robust_lock(m, &until, false)
				  : LIBC(REAL(pthread_mutex_clocklock)(m, clock, at));
}

/* Gthreads have no priorities to inherit, and the kernel could not find them by their ids. */
EXPORT int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
	int r = REAL(pthread_mutex_init)(m, a);
	if (r == 0 && (m->__data.__kind & INHERIT) && !ghi_runtime_inert())
		m->__data.__kind = (m->__data.__kind & ~INHERIT) | WAS_INHERIT;
	return r;
}

EXPORT int pthread_once(pthread_once_t *o, ghi_void_fn f)
{
	return ghi_once(o, f);
}

static inline void count_spin(int delta)
{
	if (__builtin_expect(ghi_config.warn, 0))
		ghi_warn_spin(ghi_self(), delta);
}

EXPORT int pthread_spin_trylock(pthread_spinlock_t *l)
{
	int r = REAL(pthread_spin_trylock)(l);
	if (r == 0)
		count_spin(1);
	return r;
}

EXPORT int pthread_spin_unlock(pthread_spinlock_t *l)
{
	count_spin(-1);
	return REAL(pthread_spin_unlock)(l);
}

EXPORT int pthread_spin_lock(pthread_spinlock_t *l)
{
	/* The holder may be a gthread that waits for this very slot. */
	for (;;) {
		for (int i = 0; i < 100; i++) {
			if (REAL(pthread_spin_trylock)(l) == 0) {
				count_spin(1);
				return 0;
			}
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
	int r = RW(l, ghi_rwlock_unlock(l), REAL(pthread_rwlock_unlock)(l));
	MAKE_WAY(l);
	return r;
}
