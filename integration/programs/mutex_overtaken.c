/* A thread that sleeps while it holds a lock and computes while it does not: whoever waits for that
 * lock is on its way when it is free, as on a processor of its own, and not only when it is taken
 * again. */
#include "check.h"
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/syscall.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static enum { MUTEX, RWLOCK, SEM, STREAM, FUTEX, KINDS } kind;
static int stop, holds, word;

static void lock(void)
{
	if (kind == MUTEX)
		pthread_mutex_lock(&mutex);
	else if (kind == RWLOCK)
		pthread_rwlock_wrlock(&rwlock);
	else if (kind == SEM)
		sem_wait(&sem);
	else if (kind == STREAM)
		flockfile(stderr);
	else
		while (__atomic_exchange_n(&word, 2, __ATOMIC_SEQ_CST))
			syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static void unlock(void)
{
	if (kind == MUTEX)
		pthread_mutex_unlock(&mutex);
	else if (kind == RWLOCK)
		pthread_rwlock_unlock(&rwlock);
	else if (kind == SEM)
		sem_post(&sem);
	else if (kind == STREAM)
		funlockfile(stderr);
	else if (__atomic_exchange_n(&word, 0, __ATOMIC_SEQ_CST) == 2)
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
}

static void *hold_asleep(void *arg)
{
	volatile int work;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		lock();
		__atomic_add_fetch(&holds, 1, __ATOMIC_RELEASE);
		sleep_ms(1);
		unlock();
		for (work = 0; work < 300000; work++)
			;
	}
	return NULL;
}

static void *want(void *arg)
{
	for (int i = 0; i < 10; i++) {
		int before = __atomic_load_n(&holds, __ATOMIC_ACQUIRE);
		lock();
		unlock();
		while (__atomic_load_n(&holds, __ATOMIC_ACQUIRE) == before)
			sleep_ms(1);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[3];

	sem_init(&sem, 0, 1);
	for (kind = MUTEX; kind < KINDS; kind++) {
		alarm(60);
		stop = holds = 0;
		t[0] = spawn(hold_asleep, NULL);
		t[1] = spawn(want, NULL);
		t[2] = spawn(want, NULL);
		join(t[1]);
		join(t[2]);
		__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
		join(t[0]);
		CHECK(holds > 0);
	}
	return check_done();
}
