/* A recursive mutex compares owners by thread id: two threads must never both be "the owner", not
 * even in recycled thread memory. glibc's own recursive locks (stdio) rely on the same id. */
#include "check.h"
#include <semaphore.h>

#define N 50
static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static sem_t ready, go;

static void *try_it(void *arg)
{
	int rc = pthread_mutex_trylock(&mutex);
	int file = ftrylockfile(stderr);
	sem_post(&ready);
	sem_wait(&go);
	return (void *)(intptr_t)(rc == EBUSY && file != 0);
}

static void *own(void *arg)
{
	pthread_t t[N];
	int refused = 0;
	QUIET(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_lock(&mutex) == 0);
	flockfile(stderr);
	for (int i = 0; i < N; i++)
		t[i] = spawn(try_it, NULL);
	for (int i = 0; i < N; i++)
		sem_wait(&ready);
	for (int i = 0; i < N; i++)
		sem_post(&go);
	for (int i = 0; i < N; i++)
		refused += join(t[i]) != NULL;
	funlockfile(stderr);
	QUIET(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
	return (void *)(intptr_t)refused;
}

int main(void)
{
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	for (int round = 0; round < 3; round++)
		CHECK(join(spawn(own, NULL)) == (void *)N);
	CHECK(own(NULL) == (void *)N);
	CHECK_RC(0, pthread_mutex_trylock(&mutex));
	return check_done();
}
