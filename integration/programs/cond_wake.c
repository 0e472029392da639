/* Condition variables: signal wakes at least one, broadcast all, no wake-up is lost, hand-over in
 * a ring, waiting with a recursive mutex, destroy after broadcast. */
#include "check.h"
#include <semaphore.h>

#define N 50
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER, ring[8];
static int waiting, released, generation, turn, hops;

static void *wait_token(void *arg)
{
	pthread_mutex_lock(&mutex);
	waiting++;
	while (released == 0)
		pthread_cond_wait(&cond, &mutex);
	released--;
	waiting--;
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *wait_generation(void *arg)
{
	pthread_mutex_lock(&mutex);
	waiting++;
	for (int mine = generation; mine == generation;)
		pthread_cond_wait(&cond, &mutex);
	waiting--;
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void wait_until_waiting(int n)
{
	for (int there = 0; !there;) {
		pthread_mutex_lock(&mutex);
		there = waiting == n;
		pthread_mutex_unlock(&mutex);
		sched_yield();
	}
}

static void *pass_on(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&ring[me], &mutex);
		hops++;
		turn = (me + 1) % 8;
		pthread_cond_signal(&ring[turn]);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	CHECK_RC(0, pthread_cond_signal(&cond)); /* nobody waits: no effect, not remembered */
	CHECK_RC(0, pthread_cond_broadcast(&cond));
	for (int i = 0; i < N; i++)
		t[i] = spawn(wait_token, NULL);
	wait_until_waiting(N);
	for (int i = 0; i < N; i++) {
		pthread_mutex_lock(&mutex);
		released++;
		if (i % 2) /* signalled with and without the mutex */
			pthread_cond_signal(&cond);
		pthread_mutex_unlock(&mutex);
		if (i % 2 == 0)
			pthread_cond_signal(&cond);
	}
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(released == 0 && waiting == 0);

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++)
			t[i] = spawn(wait_generation, NULL);
		wait_until_waiting(N);
		pthread_mutex_lock(&mutex);
		generation++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
		for (int i = 0; i < N; i++)
			join(t[i]);
	}
	CHECK(waiting == 0);

	for (int i = 0; i < 8; i++)
		MUST(pthread_cond_init(&ring[i], NULL) == 0);
	for (intptr_t i = 0; i < 8; i++)
		t[i] = spawn(pass_on, (void *)i);
	for (int i = 0; i < 8; i++)
		join(t[i]);
	CHECK(hops == 4000);
	CHECK_RC(0, pthread_cond_destroy(&cond));
	return check_done();
}
