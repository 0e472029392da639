/* Every mutex kind, every error code: what a program may rely on from each operation. */
#include "check.h"

static int trylock_elsewhere, unlock_elsewhere;

static void *elsewhere(void *mutex)
{
	trylock_elsewhere = pthread_mutex_trylock(mutex);
	if (trylock_elsewhere == 0)
		pthread_mutex_unlock(mutex);
	return NULL;
}

static void *unlock_other(void *mutex)
{
	unlock_elsewhere = pthread_mutex_unlock(mutex);
	return NULL;
}

static void init(pthread_mutex_t *mutex, int kind)
{
	pthread_mutexattr_t attr;
	int got = -1;
	pthread_mutexattr_init(&attr);
	QUIET(pthread_mutexattr_settype(&attr, kind) == 0);
	pthread_mutexattr_gettype(&attr, &got);
	QUIET(got == kind);
	QUIET(pthread_mutex_init(mutex, &attr) == 0);
	pthread_mutexattr_destroy(&attr);
}

static void common(const char *name, int kind)
{
	pthread_mutex_t m;
	struct timespec until, bad = {.tv_sec = 1, .tv_nsec = -1};
	init(&m, kind);
	printf("-- %s\n", name);
	CHECK_RC(0, pthread_mutex_lock(&m));
	join(spawn(elsewhere, &m));
	CHECK(trylock_elsewhere == EBUSY);
	CHECK_RC(EBUSY, pthread_mutex_destroy(&m));
	CHECK_RC(0, pthread_mutex_unlock(&m));
	join(spawn(elsewhere, &m));
	CHECK(trylock_elsewhere == 0);
	CHECK_RC(0, pthread_mutex_trylock(&m));
	CHECK_RC(0, pthread_mutex_unlock(&m));
	/* A free mutex is taken without a look at the time. */
	until = deadline_ms(CLOCK_REALTIME, -1000);
	CHECK_RC(0, pthread_mutex_timedlock(&m, &until));
	CHECK_RC(0, pthread_mutex_unlock(&m));
	CHECK_RC(0, pthread_mutex_timedlock(&m, &bad));
	CHECK_RC(0, pthread_mutex_unlock(&m));
	CHECK_RC(0, pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &until));
	CHECK_RC(0, pthread_mutex_unlock(&m));
	CHECK_RC(EINVAL, pthread_mutex_clocklock(&m, CLOCK_PROCESS_CPUTIME_ID, &until));
	CHECK_RC(0, pthread_mutex_destroy(&m));
}

static void *late(void *mutex)
{
	struct timespec until, bad = {.tv_sec = 1, .tv_nsec = 1000000000};
	int64_t start = now_ns(CLOCK_MONOTONIC);
	until = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_RC(ETIMEDOUT, pthread_mutex_timedlock(mutex, &until));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 19000000);
	start = now_ns(CLOCK_MONOTONIC);
	until = deadline_ms(CLOCK_MONOTONIC, 20);
	CHECK_RC(ETIMEDOUT, pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	until = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_RC(ETIMEDOUT, pthread_mutex_clocklock(mutex, CLOCK_REALTIME, &until));
	until = deadline_ms(CLOCK_REALTIME, -20);
	CHECK_RC(ETIMEDOUT, pthread_mutex_timedlock(mutex, &until));
	CHECK_RC(EINVAL, pthread_mutex_timedlock(mutex, &bad));
	return NULL;
}

static void *before_1970(void *mutex)
{
	struct timespec until = {.tv_sec = -1};
	CHECK_RC(EBUSY, pthread_mutex_trylock(mutex));
	CHECK_RC(EINVAL, pthread_mutex_timedlock(mutex, &until));
	CHECK_RC(EINVAL, pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until));
	until = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_RC(ETIMEDOUT, pthread_mutex_timedlock(mutex, &until));
	return NULL;
}

/* With priority inheritance the kernel judges the time. */
static void inheriting(void)
{
	struct timespec until = {.tv_sec = -1};
	int old;
	pthread_mutexattr_t attr;
	pthread_mutex_t m;

	printf("-- inheriting\n");
	pthread_mutexattr_init(&attr);
	MUST(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
	MUST(pthread_mutex_init(&m, &attr) == 0);
	CHECK_RC(0, pthread_mutex_timedlock(&m, &until));
	join(spawn(before_1970, &m));
	CHECK_RC(0, pthread_mutex_unlock(&m));
	CHECK_RC(EINVAL, pthread_mutex_setprioceiling(&m, 1, &old));
	CHECK_RC(0, pthread_mutex_destroy(&m));
}

int main(void)
{
	pthread_mutex_t m;
	pthread_mutexattr_t attr;
	struct timespec until;

	common("normal", PTHREAD_MUTEX_NORMAL);
	common("recursive", PTHREAD_MUTEX_RECURSIVE);
	common("errorcheck", PTHREAD_MUTEX_ERRORCHECK);
	common("adaptive", PTHREAD_MUTEX_ADAPTIVE_NP);

	inheriting();
	printf("-- recursion\n");
	init(&m, PTHREAD_MUTEX_RECURSIVE);
	CHECK_RC(0, pthread_mutex_lock(&m));
	CHECK_RC(0, pthread_mutex_lock(&m));
	CHECK_RC(0, pthread_mutex_trylock(&m));
	until = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_RC(0, pthread_mutex_timedlock(&m, &until));
	join(spawn(unlock_other, &m));
	CHECK(unlock_elsewhere == EPERM);
	for (int i = 0; i < 3; i++)
		QUIET(pthread_mutex_unlock(&m) == 0);
	join(spawn(elsewhere, &m));
	CHECK(trylock_elsewhere == EBUSY);
	CHECK_RC(0, pthread_mutex_unlock(&m));
	CHECK_RC(EPERM, pthread_mutex_unlock(&m));
	join(spawn(elsewhere, &m));
	CHECK(trylock_elsewhere == 0);

	printf("-- errorcheck\n");
	init(&m, PTHREAD_MUTEX_ERRORCHECK);
	CHECK_RC(EPERM, pthread_mutex_unlock(&m));
	CHECK_RC(0, pthread_mutex_lock(&m));
	CHECK_RC(EDEADLK, pthread_mutex_lock(&m));
	CHECK_RC(EBUSY, pthread_mutex_trylock(&m));
	until = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_RC(EDEADLK, pthread_mutex_timedlock(&m, &until));
	join(spawn(unlock_other, &m));
	CHECK(unlock_elsewhere == EPERM);
	CHECK_RC(0, pthread_mutex_unlock(&m));

	printf("-- late\n");
	init(&m, PTHREAD_MUTEX_NORMAL);
	pthread_mutex_lock(&m);
	CHECK_RC(EBUSY, pthread_mutex_trylock(&m));
	join(spawn(late, &m));
	/* A normal mutex may be unlocked by another thread on glibc. */
	join(spawn(unlock_other, &m));
	CHECK(unlock_elsewhere == 0);

	pthread_mutexattr_init(&attr);
	CHECK_RC(EINVAL, pthread_mutexattr_settype(&attr, 42));
	CHECK_RC(EINVAL, pthread_mutexattr_setpshared(&attr, 42));
	CHECK_RC(EINVAL, pthread_mutexattr_setrobust(&attr, 42));
	CHECK_RC(EINVAL, pthread_mutexattr_setprotocol(&attr, 42));
	return check_done();
}
