/* Spin locks with more threads than processors, and owners that give the processor away. */
#include "check.h"

#define N 12
static pthread_spinlock_t lock;
static long counter;

static void *thread(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_spin_lock(&lock);
		counter++;
		if (i % 400 == 0)
			sched_yield(); /* the others now spin while the owner is off the processor
					*/
		pthread_spin_unlock(&lock);
	}
	return NULL;
}

static void *try_it(void *arg)
{
	return (void *)(intptr_t)pthread_spin_trylock(&lock);
}

int main(void)
{
	pthread_t t[N];
	CHECK_RC(0, pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE));
	CHECK_RC(0, pthread_spin_lock(&lock));
	CHECK((intptr_t)join(spawn(try_it, NULL)) == EBUSY);
	CHECK_RC(0, pthread_spin_unlock(&lock));
	CHECK_RC(0, pthread_spin_trylock(&lock));
	CHECK_RC(0, pthread_spin_unlock(&lock));
	for (int i = 0; i < N; i++)
		t[i] = spawn(thread, NULL);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(counter == N * 2000);
	CHECK_RC(0, pthread_spin_destroy(&lock));
	return check_done();
}
