/* pthread_tryjoin_np, pthread_timedjoin_np, pthread_clockjoin_np: busy, late, invalid, joined. */
#include "check.h"
#include <semaphore.h>

static sem_t go;

static void *wait_for_go(void *arg)
{
	sem_wait(&go);
	return arg;
}

static void *post_later(void *arg)
{
	sleep_ms(50);
	sem_post(&go);
	return NULL;
}

int main(void)
{
	struct timespec until;
	void *result = NULL;
	int64_t start;

	sem_init(&go, 0, 0);
	pthread_t t = spawn(wait_for_go, (void *)11);
	CHECK_RC(EBUSY, pthread_tryjoin_np(t, &result));

	until = deadline_ms(CLOCK_REALTIME, -1000);
	CHECK_RC(ETIMEDOUT, pthread_timedjoin_np(t, &result, &until));
	start = now_ns(CLOCK_MONOTONIC);
	until = deadline_ms(CLOCK_REALTIME, 30);
	CHECK_RC(ETIMEDOUT, pthread_timedjoin_np(t, &result, &until));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 29000000);
	start = now_ns(CLOCK_MONOTONIC);
	until = deadline_ms(CLOCK_MONOTONIC, 30);
	CHECK_RC(ETIMEDOUT, pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &until));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 30000000);

	CHECK_RC(EINVAL, pthread_clockjoin_np(t, &result, CLOCK_THREAD_CPUTIME_ID, &until));

	sem_post(&go);
	until = deadline_ms(CLOCK_REALTIME, 20000);
	CHECK_RC(0, pthread_timedjoin_np(t, &result, &until));
	CHECK(result == (void *)11);

	/* The joined thread ends while the joiner is already waiting. */
	t = spawn(wait_for_go, (void *)12);
	pthread_t poster = spawn(post_later, NULL);
	until = deadline_ms(CLOCK_MONOTONIC, 20000);
	CHECK_RC(0, pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &until));
	CHECK(result == (void *)12);
	join(poster);

	/* A time that is none is no limit. */
	t = spawn(wait_for_go, (void *)14);
	poster = spawn(post_later, NULL);
	until = (struct timespec){0, 1000000000};
	CHECK_RC(0, pthread_timedjoin_np(t, &result, &until));
	CHECK(result == (void *)14);
	join(poster);

	t = spawn(wait_for_go, (void *)13);
	sem_post(&go);
	while (pthread_tryjoin_np(t, &result) == EBUSY)
		sched_yield();
	CHECK(result == (void *)13);

	/* NULL as the time means no limit. */
	t = spawn(wait_for_go, (void *)14);
	sem_post(&go);
	CHECK_RC(0, pthread_timedjoin_np(t, &result, NULL));
	CHECK(result == (void *)14);
	return check_done();
}
