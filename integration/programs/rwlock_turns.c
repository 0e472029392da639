/* Read-write locks of the default kind: writers that follow each other without end do not keep
 * readers out, with and without a limit to the wait, or with signals during it; and readers that
 * waited for one writer have the lock together. */
#include "check.h"
#include <sched.h>
#include <signal.h>

enum { WRITERS = 3, READERS = 4, ROUNDS = 30 };

static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t together;
static int stop, writing, reading, in;
static pthread_t reader[READERS];

static void on_signal(int sig)
{
}

static void *writes_once(void *arg)
{
	QUIET(pthread_rwlock_wrlock(&l) == 0);
	QUIET(__atomic_add_fetch(&writing, 1, __ATOMIC_SEQ_CST) == 1);
	QUIET(__atomic_load_n(&reading, __ATOMIC_SEQ_CST) == 0);
	/* The others queue up meanwhile. */
	for (int i = 0; i < 20; i++)
		sched_yield();
	__atomic_sub_fetch(&writing, 1, __ATOMIC_SEQ_CST);
	QUIET(pthread_rwlock_unlock(&l) == 0);
	return NULL;
}

static void *writes(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		writes_once(arg);
	return NULL;
}

static void *reads(void *arg)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 25;
	for (int i = 0; i < ROUNDS; i++) {
		QUIET((arg ? pthread_rwlock_timedrdlock(&l, &limit) : pthread_rwlock_rdlock(&l)) ==
		      0);
		__atomic_add_fetch(&reading, 1, __ATOMIC_SEQ_CST);
		QUIET(__atomic_load_n(&writing, __ATOMIC_SEQ_CST) == 0);
		sched_yield();
		__atomic_sub_fetch(&reading, 1, __ATOMIC_SEQ_CST);
		QUIET(pthread_rwlock_unlock(&l) == 0);
	}
	__atomic_add_fetch(&in, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *meets(void *arg)
{
	QUIET(pthread_rwlock_rdlock(&l) == 0);
	pthread_barrier_wait(&together); /* nobody goes on before all have it */
	QUIET(pthread_rwlock_unlock(&l) == 0);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pthread_t writer[WRITERS];

	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < WRITERS; i++)
		writer[i] = spawn(writes, NULL);
	for (int i = 0; i < READERS; i++)
		reader[i] = spawn(reads, (void *)(intptr_t)(i % 2));
	while (__atomic_load_n(&in, __ATOMIC_SEQ_CST) < READERS) {
		pthread_kill(writer[0], SIGUSR1);
		for (int i = 0; i < READERS; i++)
			pthread_kill(reader[i], SIGUSR1);
		sched_yield();
	}
	stop = 1;
	for (int i = 0; i < READERS; i++)
		join(reader[i]);
	for (int i = 0; i < WRITERS; i++)
		join(writer[i]);
	CHECK(in == READERS);
	CHECK_RC(0, pthread_rwlock_trywrlock(&l));

	pthread_barrier_init(&together, NULL, READERS);
	for (int i = 0; i < READERS; i++)
		reader[i] = spawn(meets, NULL);
	writer[0] = spawn(writes_once, NULL); /* stays behind those that waited before */
	for (int i = 0; i < 200; i++)
		sched_yield();
	CHECK_RC(0, pthread_rwlock_unlock(&l));
	for (int i = 0; i < READERS; i++)
		join(reader[i]);
	join(writer[0]);
	CHECK_RC(0, pthread_rwlock_destroy(&l));
	return check_done();
}
