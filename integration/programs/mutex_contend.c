/* Exclusion under contention for each kind, with owners that block while they hold the lock. */
#include "check.h"

#define THREADS 16
#define ROUNDS	2000

static pthread_mutex_t mutex;
static int kind, inside;
static long counter;

static void *thread(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 7 == 0) {
			while (pthread_mutex_trylock(&mutex) != 0)
				sched_yield();
		} else {
			pthread_mutex_lock(&mutex);
		}
		if (kind == PTHREAD_MUTEX_RECURSIVE)
			pthread_mutex_lock(&mutex);
		QUIET(inside++ == 0);
		counter++;
		if (i % 500 == 0)
			sleep_ms(1); /* holds the lock while off the processor */
		else if (i % 50 == 0)
			sched_yield();
		QUIET(--inside == 0);
		if (kind == PTHREAD_MUTEX_RECURSIVE)
			pthread_mutex_unlock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

int main(void)
{
	static const int kinds[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				    PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
	for (int k = 0; k < 4; k++) {
		pthread_t t[THREADS];
		pthread_mutexattr_t attr;
		kind = kinds[k];
		counter = 0;
		pthread_mutexattr_init(&attr);
		pthread_mutexattr_settype(&attr, kind);
		pthread_mutex_init(&mutex, &attr);
		for (int i = 0; i < THREADS; i++)
			t[i] = spawn(thread, NULL);
		for (int i = 0; i < THREADS; i++)
			join(t[i]);
		CHECK(counter == THREADS * ROUNDS);
		CHECK_RC(0, pthread_mutex_destroy(&mutex));
	}
	return check_done();
}
