/* Cleanup handlers: order, pop with and without running, at pthread_exit and at cancellation. */
#include "check.h"
#include <semaphore.h>

static char order[64];

static void note(void *arg)
{
	strcat(order, arg);
}

static void unlock(void *arg)
{
	pthread_mutex_unlock(arg);
}

static void *pops(void *arg)
{
	pthread_cleanup_push(note, "a");
	pthread_cleanup_push(note, "b");
	pthread_cleanup_push(note, "c");
	pthread_cleanup_pop(1);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(1);
	return NULL;
}

__attribute__((noinline)) static void nested(void)
{
	pthread_cleanup_push(note, "inner");
	pthread_exit((void *)3);
	pthread_cleanup_pop(0);
}

static void *exits(void *arg)
{
	pthread_cleanup_push(note, "-outer");
	nested();
	pthread_cleanup_pop(0);
	return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t ready;

/* Cancelled in a condition wait: the mutex is held again when the handlers run. */
static void *waits(void *arg)
{
	pthread_cleanup_push(note, "second");
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlock, &mutex);
	pthread_cleanup_push(note, "first-");
	sem_post(&ready);
	for (;;)
		pthread_cond_wait(&cond, &mutex);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

int main(void)
{
	join(spawn(pops, NULL));
	printf("pops: %s\n", order);
	*order = 0;
	CHECK(join(spawn(exits, NULL)) == (void *)3);
	printf("exit: %s\n", order);
	*order = 0;

	sem_init(&ready, 0, 0);
	pthread_t t = spawn(waits, NULL);
	sem_wait(&ready);
	/* ready was posted with the mutex held: once we get it, the thread waits. */
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	CHECK_RC(0, pthread_cancel(t));
	CHECK(join(t) == PTHREAD_CANCELED);
	printf("cancel: %s\n", order);
	CHECK_RC(0, pthread_mutex_trylock(&mutex));
	return check_done();
}
