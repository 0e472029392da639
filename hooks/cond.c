/* Condition variables, barriers, semaphores: ours when private, libc's when shared. */
#include "hooks/hook.h"
#include "src/sync/word.h"

static int wait_cond(pthread_cond_t *c, pthread_mutex_t *m, const struct ghi_until *until)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_cancel_point(self);
	int r = ghi_cond_wait(c, m, until, pthread_mutex_lock, pthread_mutex_unlock);
	if (r == -ECANCELED) { /* with the mutex held, as cleanup handlers expect */
		if (self)
			ghi_cancel_point(self);
		r = !self || self->task ? ECANCELED
					: 0; /* a native task, also on a kernel thread */
	}
	return r;
}

/* libc's wait on a shared condition uses the mutex by itself. */
static void take_back(pthread_mutex_t **m)
{
	if (*m)
		ghi_robust_take_back(*m);
}

static pthread_mutex_t *lend(pthread_mutex_t *m)
{
	if (!ghi_robust_ours(m) || !ghi_robust_held(m))
		return NULL;
	ghi_robust_lend(m);
	return m;
}

#define LIBC_COND(m, call)                                                                         \
	({                                                                                         \
		pthread_mutex_t *lent_ __attribute__((cleanup(take_back))) = lend(m);              \
		(void)lent_;                                                                       \
		LIBC(call);                                                                        \
	})

EXPORT int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return ghi_cond_ours(c) ? wait_cond(c, m, NULL)
				: LIBC_COND(m, REAL(pthread_cond_wait)(c, m));
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
	if (!ghi_cond_ours(c))
		return LIBC_COND(m, REAL(pthread_cond_timedwait)(c, m, at));
	return wait_cond(c, m, &(struct ghi_until){ghi_cond_clock(c), at});
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
				  const struct timespec *at)
{
	if (!ghi_cond_ours(c))
		return LIBC_COND(m, REAL(pthread_cond_clockwait)(c, m, clock, at));
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	return wait_cond(c, m, &(struct ghi_until){clock, at});
}

EXPORT int pthread_cond_signal(pthread_cond_t *c)
{
	return ghi_cond_ours(c) ? ghi_cond_signal(c, 1) : REAL(pthread_cond_signal)(c);
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *c)
{
	return ghi_cond_ours(c) ? ghi_cond_signal(c, 1 << 30) : REAL(pthread_cond_broadcast)(c);
}

EXPORT int pthread_barrier_init(pthread_barrier_t *b, const pthread_barrierattr_t *a, unsigned n)
{
	int shared = PTHREAD_PROCESS_PRIVATE;
	if (a)
		pthread_barrierattr_getpshared(a, &shared);
	return shared == PTHREAD_PROCESS_SHARED ? REAL(pthread_barrier_init)(b, a, n)
						: ghi_barrier_init(b, n);
}

EXPORT int pthread_barrier_wait(pthread_barrier_t *b)
{
	return ghi_barrier_ours(b) ? ghi_barrier_wait(b) : LIBC(REAL(pthread_barrier_wait)(b));
}

EXPORT int pthread_barrier_destroy(pthread_barrier_t *b)
{
	return ghi_barrier_ours(b) ? ghi_barrier_destroy(b) : REAL(pthread_barrier_destroy)(b);
}

/* ---- semaphores ----------------------------------------------------------------------------- */

static int wait_sem(sem_t *s, const struct ghi_until *until)
{
	struct ghi_gthread *self = ghi_self();
	for (;;) {
		if (self)
			ghi_cancel_point(self);
		int r = ghi_sem_wait(s, until, false);
		if (r != -ECANCELED || !self || self->task)
			return (int)ghi_ret(r < 0 ? r : -r);
	}
}

/* libc's wait on a shared semaphore ends with EINTR at any signal of the kernel, a kick included:
 * it goes on unless a handler ran that ends it. */
#define LIBC_SEM(call, ends)                                                                       \
	({                                                                                         \
		struct ghi_gthread *waiter_ = ghi_self();                                          \
		int sem_, errno_ = errno;                                                          \
		do {                                                                               \
			if (waiter_)                                                               \
				waiter_->sig_ran = 0;                                              \
			sem_ = LIBC(call);                                                         \
		} while (sem_ < 0 && errno == EINTR && waiter_ && !(waiter_->sig_ran & (ends)));   \
		if (sem_ == 0)                                                                     \
			errno = errno_;                                                            \
		sem_;                                                                              \
	})

EXPORT int sem_wait(sem_t *s)
{
	return ghi_sem_ours(s) ? wait_sem(s, NULL)
			       : LIBC_SEM(REAL(sem_wait)(s), GHI_SIG_RAN_NORESTART);
}

EXPORT int sem_trywait(sem_t *s)
{
	return ghi_sem_ours(s) ? (int)ghi_ret(-ghi_sem_wait(s, NULL, true)) : REAL(sem_trywait)(s);
}

EXPORT int sem_timedwait(sem_t *s, const struct timespec *at)
{
	return sem_clockwait(s, CLOCK_REALTIME, at);
}

EXPORT int sem_clockwait(sem_t *s, clockid_t clock, const struct timespec *at)
{
	/* glibc judges the time first, unlike for mutexes. */
	if ((clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) || ghi_ts_invalid(at))
		return (int)ghi_ret(-EINVAL);
	if (!ghi_sem_ours(s))
		return LIBC_SEM(REAL(sem_clockwait)(s, clock, at), GHI_SIG_RAN);
	return wait_sem(s, &(struct ghi_until){clock, at});
}

EXPORT int sem_post(sem_t *s)
{
	if (!ghi_sem_ours(s))
		return REAL(sem_post)(s);
	int r = ghi_sem_post(s);
	MAKE_WAY(s);
	return (int)ghi_ret(-r);
}
