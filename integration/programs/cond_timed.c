/* Timed condition waits: never early, in either clock; invalid times; a signal beats the limit. */
#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int flag;

static void *set_flag(void *arg)
{
	pthread_mutex_lock(&mutex);
	flag = 1;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* Spurious wake-ups are allowed; only the final ETIMEDOUT and its time count. */
static int wait_out(pthread_cond_t *c, clockid_t clock, int use_clockwait, int ms)
{
	struct timespec until = deadline_ms(clock, ms);
	int rc = 0;
	pthread_mutex_lock(&mutex);
	while (rc == 0)
		rc = use_clockwait ? pthread_cond_clockwait(c, &mutex, clock, &until)
				   : pthread_cond_timedwait(c, &mutex, &until);
	QUIET(pthread_mutex_trylock(&mutex) == EBUSY); /* held again after the time ran out */
	pthread_mutex_unlock(&mutex);
	QUIET(now_ns(clock) >= until.tv_sec * 1000000000L + until.tv_nsec);
	return rc;
}

static void *many(void *arg)
{
	return (void *)(intptr_t)wait_out(&cond, CLOCK_MONOTONIC, 1, 20 + (int)(intptr_t)arg % 20);
}

int main(void)
{
	pthread_cond_t monotonic;
	pthread_condattr_t attr;
	pthread_t t[100];
	struct timespec until, bad = {.tv_sec = 1, .tv_nsec = 1000000000};
	clockid_t clock;
	int late = 0;

	become_threaded();
	pthread_condattr_init(&attr);
	CHECK_RC(EINVAL, pthread_condattr_setclock(&attr, CLOCK_PROCESS_CPUTIME_ID));
	CHECK_RC(0, pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	CHECK_RC(0, pthread_condattr_getclock(&attr, &clock));
	CHECK(clock == CLOCK_MONOTONIC);
	CHECK_RC(0, pthread_cond_init(&monotonic, &attr));

	CHECK_RC(ETIMEDOUT, wait_out(&cond, CLOCK_REALTIME, 0, 30));
	CHECK_RC(ETIMEDOUT, wait_out(&monotonic, CLOCK_MONOTONIC, 0, 30));
	CHECK_RC(ETIMEDOUT, wait_out(&cond, CLOCK_MONOTONIC, 1, 30));
	CHECK_RC(ETIMEDOUT, wait_out(&monotonic, CLOCK_REALTIME, 1, 30));
	CHECK_RC(ETIMEDOUT, wait_out(&cond, CLOCK_REALTIME, 0, -1000));
	CHECK_RC(ETIMEDOUT, wait_out(&cond, CLOCK_MONOTONIC, 1, 0));

	pthread_mutex_lock(&mutex);
	CHECK_RC(EINVAL, pthread_cond_timedwait(&cond, &mutex, &bad));
	until = deadline_ms(CLOCK_MONOTONIC, 10);
	CHECK_RC(EINVAL, pthread_cond_clockwait(&cond, &mutex, CLOCK_THREAD_CPUTIME_ID, &until));
	CHECK_RC(EBUSY, pthread_mutex_trylock(&mutex));

	until = deadline_ms(CLOCK_REALTIME, 20000);
	t[0] = spawn(set_flag, NULL);
	int rc = 0;
	while (!flag && rc == 0)
		rc = pthread_cond_timedwait(&cond, &mutex, &until);
	CHECK(rc == 0 && flag);
	pthread_mutex_unlock(&mutex);
	join(t[0]);

	for (intptr_t i = 0; i < 100; i++)
		t[i] = spawn(many, (void *)i);
	for (int i = 0; i < 100; i++)
		late += (intptr_t)join(t[i]) == ETIMEDOUT;
	CHECK(late == 100);
	CHECK_RC(0, pthread_cond_destroy(&monotonic));
	return check_done();
}
