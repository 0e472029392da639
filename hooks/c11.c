/* C11 threads: the same objects and algorithms under other names. */
#include <stdlib.h>

#include "hooks/hook.h"
#include "src/sync/sync.h"

static int c11(int error)
{
	switch (error) {
	case 0:
		return thrd_success;
	case ENOMEM:
	case EAGAIN:
		return thrd_nomem;
	case ETIMEDOUT:
		return thrd_timedout;
	case EBUSY:
		return thrd_busy;
	default:
		return thrd_error;
	}
}

struct c11_start {
	thrd_start_t fn;
	void *arg;
};

static void *c11_entry(void *arg)
{
	struct c11_start s = *(struct c11_start *)arg;
	free(arg);
	return (void *)(intptr_t)s.fn(s.arg);
}

EXPORT int thrd_create(thrd_t *t, thrd_start_t f, void *arg)
{
	struct c11_start *s = malloc(sizeof(*s));
	if (!s)
		return thrd_nomem;
	*s = (struct c11_start){f, arg};
	int r = c11(pthread_create(t, NULL, c11_entry, s));
	if (r != thrd_success)
		free(s);
	return r;
}

EXPORT int thrd_join(thrd_t t, int *ret)
{
	void *result;
	int r = pthread_join(t, &result);
	if (r == 0 && ret)
		*ret = (int)(intptr_t)result;
	return c11(r);
}

EXPORT int thrd_detach(thrd_t t)
{
	return c11(pthread_detach(t));
}

EXPORT void thrd_exit(int ret)
{
	pthread_exit((void *)(intptr_t)ret);
}

EXPORT int thrd_sleep(const struct timespec *t, struct timespec *rem)
{
	int r = clock_nanosleep(CLOCK_REALTIME, 0, t, rem);
	return r == 0 ? 0 : r == EINTR ? -1 : -2;
}

EXPORT void thrd_yield(void)
{
	sched_yield();
}

EXPORT int mtx_lock(mtx_t *m)
{
	return c11(pthread_mutex_lock((pthread_mutex_t *)m));
}

EXPORT int mtx_trylock(mtx_t *m)
{
	return c11(pthread_mutex_trylock((pthread_mutex_t *)m));
}

EXPORT int mtx_timedlock(mtx_t *m, const struct timespec *at)
{
	return c11(pthread_mutex_timedlock((pthread_mutex_t *)m, at));
}

EXPORT int mtx_unlock(mtx_t *m)
{
	return c11(pthread_mutex_unlock((pthread_mutex_t *)m));
}

EXPORT int cnd_wait(cnd_t *c, mtx_t *m)
{
	return c11(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

EXPORT int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *at)
{
	return c11(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, at));
}

EXPORT int cnd_signal(cnd_t *c)
{
	return c11(pthread_cond_signal((pthread_cond_t *)c));
}

EXPORT int cnd_broadcast(cnd_t *c)
{
	return c11(pthread_cond_broadcast((pthread_cond_t *)c));
}

EXPORT void call_once(once_flag *o, ghi_void_fn f)
{
	ghi_once((pthread_once_t *)o, f);
}
