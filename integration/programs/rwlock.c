/* Read-write locks: every call and error, limits in both clocks, writer preference, contention. */
#include "check.h"
#include <semaphore.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static int readers, writers;
static long written;

static void *try_both(void *arg)
{
	int *rc = arg;
	rc[0] = pthread_rwlock_tryrdlock(&lock);
	if (rc[0] == 0)
		pthread_rwlock_unlock(&lock);
	rc[1] = pthread_rwlock_trywrlock(&lock);
	if (rc[1] == 0)
		pthread_rwlock_unlock(&lock);
	return NULL;
}

static void *limits(void *arg)
{
	struct timespec real = deadline_ms(CLOCK_REALTIME, 20), mono;
	struct timespec bad = {.tv_sec = 1, .tv_nsec = 1000000000};
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK_RC(ETIMEDOUT, pthread_rwlock_timedrdlock(&lock, &real));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 19000000);
	mono = deadline_ms(CLOCK_MONOTONIC, 20);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_RC(ETIMEDOUT, pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &mono));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	CHECK_RC(ETIMEDOUT, pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &mono));
	CHECK_RC(ETIMEDOUT, pthread_rwlock_timedwrlock(&lock, &real));
	CHECK_RC(EINVAL, pthread_rwlock_timedrdlock(&lock, &bad));
	CHECK_RC(EINVAL, pthread_rwlock_timedwrlock(&lock, &bad));
	CHECK_RC(EINVAL, pthread_rwlock_clockrdlock(&lock, CLOCK_THREAD_CPUTIME_ID, &mono));
	return NULL;
}

static void *mixed(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		if (i % 5 == (int)(intptr_t)arg % 5) {
			pthread_rwlock_wrlock(&lock);
			QUIET(__atomic_add_fetch(&writers, 1, __ATOMIC_SEQ_CST) == 1);
			QUIET(__atomic_load_n(&readers, __ATOMIC_SEQ_CST) == 0);
			written++;
			if (i % 100 == 0)
				sched_yield();
			__atomic_sub_fetch(&writers, 1, __ATOMIC_SEQ_CST);
		} else {
			pthread_rwlock_rdlock(&lock);
			__atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
			QUIET(__atomic_load_n(&writers, __ATOMIC_SEQ_CST) == 0);
			if (i % 100 == 1)
				sleep_ms(1);
			__atomic_sub_fetch(&readers, 1, __ATOMIC_SEQ_CST);
		}
		QUIET(pthread_rwlock_unlock(&lock) == 0);
	}
	return NULL;
}

static void *write_once(void *arg)
{
	pthread_rwlock_wrlock(&lock);
	*(int *)arg = 1;
	pthread_rwlock_unlock(&lock);
	return NULL;
}

int main(void)
{
	int rc[2], wrote = 0;
	pthread_t t[20];
	pthread_rwlockattr_t attr;
	struct timespec until;

	CHECK_RC(0, pthread_rwlock_rdlock(&lock));
	CHECK_RC(0, pthread_rwlock_rdlock(&lock));
	join(spawn(try_both, rc));
	CHECK(rc[0] == 0 && rc[1] == EBUSY);
	CHECK_RC(EBUSY, pthread_rwlock_trywrlock(&lock));
	CHECK_RC(0, pthread_rwlock_unlock(&lock));
	CHECK_RC(0, pthread_rwlock_unlock(&lock));

	CHECK_RC(0, pthread_rwlock_wrlock(&lock));
	CHECK_RC(EDEADLK, pthread_rwlock_wrlock(&lock));
	CHECK_RC(EDEADLK, pthread_rwlock_rdlock(&lock));
	until = deadline_ms(CLOCK_REALTIME, 1000);
	CHECK_RC(EDEADLK, pthread_rwlock_timedwrlock(&lock, &until));
	CHECK_RC(EBUSY, pthread_rwlock_trywrlock(&lock));
	CHECK_RC(EBUSY, pthread_rwlock_tryrdlock(&lock));
	join(spawn(try_both, rc));
	CHECK(rc[0] == EBUSY && rc[1] == EBUSY);
	join(spawn(limits, NULL));
	CHECK_RC(0, pthread_rwlock_unlock(&lock));
	join(spawn(try_both, rc));
	CHECK(rc[0] == 0 && rc[1] == 0);

	/* A reader that leaves lets the waiting writer in. */
	pthread_rwlock_rdlock(&lock);
	t[0] = spawn(write_once, &wrote);
	until = deadline_ms(CLOCK_MONOTONIC, 20);
	CHECK_RC(ETIMEDOUT, pthread_clockjoin_np(t[0], NULL, CLOCK_MONOTONIC, &until));
	CHECK(wrote == 0);
	pthread_rwlock_unlock(&lock);
	join(t[0]);
	CHECK(wrote == 1);

	for (intptr_t i = 0; i < 20; i++)
		t[i] = spawn(mixed, (void *)i);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	CHECK(written == 20 * 200);

	pthread_rwlockattr_init(&attr);
	CHECK_RC(EINVAL, pthread_rwlockattr_setkind_np(&attr, 42));
	CHECK_RC(
	    0, pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
	CHECK_RC(0, pthread_rwlock_destroy(&lock));
	CHECK_RC(0, pthread_rwlock_init(&lock, &attr));
	written = 0;
	for (intptr_t i = 0; i < 20; i++)
		t[i] = spawn(mixed, (void *)i);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	CHECK(written == 20 * 200);
	return check_done();
}
