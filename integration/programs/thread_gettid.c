/* gettid: unique among living threads, stable across blocking calls, main's equals getpid, and the
 * system call agrees with the function. */
#include "check.h"
#include <semaphore.h>
#include <sys/syscall.h>

#define N 200
static sem_t ready, go;
static pid_t tids[N];

static void *thread(void *arg)
{
	pid_t tid = gettid();
	tids[(intptr_t)arg] = tid;
	sem_post(&ready);
	sem_wait(&go);
	QUIET(gettid() == tid);
	sleep_ms(1);
	QUIET(gettid() == tid);
	QUIET(syscall(SYS_gettid) == tid);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	int unique = 1;
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	CHECK(gettid() == getpid());
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		sem_wait(&ready);
	for (int i = 0; i < N; i++) {
		unique &= tids[i] > 0 && tids[i] != getpid();
		for (int j = 0; j < i; j++)
			unique &= tids[i] != tids[j];
	}
	CHECK(unique);
	for (int i = 0; i < N; i++)
		sem_post(&go);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(gettid() == getpid());
	CHECK(syscall(SYS_gettid) == getpid());
	return check_done();
}
