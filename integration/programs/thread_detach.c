/* Detached threads run to their end, cannot be joined, and their end can be observed. */
#include "check.h"
#include <semaphore.h>

static sem_t go, finished;

static void *wait_for_go(void *arg)
{
	sem_wait(&go);
	sem_post(&finished);
	return NULL;
}

static void *detach_self(void *arg)
{
	QUIET(pthread_detach(pthread_self()) == 0);
	sem_post(&finished);
	return NULL;
}

/* Detaches itself while main waits for it: main's wait goes on, and it stays joinable. */
static void *detaches_itself(void *arg)
{
	sleep_ms(150);
	return (void *)(intptr_t)(pthread_detach(pthread_self()) == 0 ? 7 : 8);
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t t;
	int state;

	sem_init(&go, 0, 0);
	sem_init(&finished, 0, 0);

	t = spawn(wait_for_go, NULL);
	CHECK_RC(0, pthread_detach(t));
	/* The thread still waits, so its handle is valid and these errors are well defined. */
	CHECK_RC(EINVAL, pthread_detach(t));
	CHECK_RC(EINVAL, pthread_join(t, NULL));
	CHECK_RC(EBUSY, pthread_tryjoin_np(t, NULL)); /* glibc looks at "still running" first */
	sem_post(&go);
	sem_wait(&finished);

	pthread_attr_init(&attr);
	CHECK_RC(EINVAL, pthread_attr_setdetachstate(&attr, 42));
	CHECK_RC(0, pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
	pthread_attr_getdetachstate(&attr, &state);
	CHECK(state == PTHREAD_CREATE_DETACHED);
	CHECK_RC(0, pthread_create(&t, &attr, wait_for_go, NULL));
	CHECK_RC(EINVAL, pthread_join(t, NULL));
	pthread_attr_t actual;
	CHECK_RC(0, pthread_getattr_np(t, &actual));
	pthread_attr_getdetachstate(&actual, &state);
	CHECK(state == PTHREAD_CREATE_DETACHED);
	pthread_attr_destroy(&actual);
	sem_post(&go);
	sem_wait(&finished);

	for (int i = 0; i < 500; i++)
		MUST(pthread_create(&t, i % 2 ? &attr : NULL, i % 2 ? wait_for_go : detach_self,
				    NULL) == 0);
	for (int i = 0; i < 250; i++)
		sem_post(&go);
	for (int i = 0; i < 500; i++)
		sem_wait(&finished);
	CHECK(sem_trywait(&finished) == -1);
	{
		void *result = NULL;
		pthread_t t = spawn(detaches_itself, NULL);
		CHECK_RC(0, pthread_join(t, &result));
		CHECK(result == (void *)7);
	}
	return check_done();
}
