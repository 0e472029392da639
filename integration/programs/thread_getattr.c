/* pthread_getattr_np describes the stack a thread really runs on: main's, many others', and those
 * of threads asked about from outside. Garbage collectors and sanitizers depend on it. */
#include "check.h"
#include <semaphore.h>
#include <sys/resource.h>

#define N 64
static sem_t ready, go;
static void *local_of[N];

static int contains(pthread_t t, void *address)
{
	pthread_attr_t attr;
	void *base;
	size_t size;
	if (pthread_getattr_np(t, &attr) != 0)
		return 0;
	pthread_attr_getstack(&attr, &base, &size);
	pthread_attr_destroy(&attr);
	return (char *)address >= (char *)base && (char *)address < (char *)base + size;
}

static void *thread(void *arg)
{
	char local;
	local_of[(intptr_t)arg] = &local;
	QUIET(contains(pthread_self(), &local));
	sem_post(&ready);
	sem_wait(&go);
	QUIET(contains(pthread_self(), &local));
	return NULL;
}

int main(void)
{
	char local;
	pthread_t t[N];
	pthread_attr_t attr;
	struct rlimit limit;
	size_t size;
	int own = 0, foreign = 0;

	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	CHECK(contains(pthread_self(), &local));
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		sem_wait(&ready);
	for (int i = 0; i < N; i++) {
		own += contains(t[i], local_of[i]);
		foreign += contains(t[i], local_of[(i + 1) % N]) + contains(t[i], &local);
	}
	CHECK(own == N);
	CHECK(foreign == 0);
	CHECK(contains(pthread_self(), &local));

	/* Main's stack size follows RLIMIT_STACK, others' default is the same number. */
	MUST(getrlimit(RLIMIT_STACK, &limit) == 0);
	pthread_getattr_np(t[0], &attr);
	pthread_attr_getstacksize(&attr, &size);
	CHECK(limit.rlim_cur == RLIM_INFINITY || size == limit.rlim_cur);
	for (int i = 0; i < N; i++)
		sem_post(&go);
	for (int i = 0; i < N; i++)
		join(t[i]);
	return check_done();
}
