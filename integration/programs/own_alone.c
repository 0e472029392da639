/* Main changes what the kernel keeps per thread before anybody else exists, so all threads have it;
 * they sleep, wait for descriptors and wake each other all the same. */
#include "check.h"
#include <semaphore.h>
#include <sys/syscall.h>

static int pipes[2];
static sem_t sem;

static void *sleeps(void *arg)
{
	sleep_ms(200);
	return (void *)1;
}

static void *reads(void *arg)
{
	char c;
	return (void *)(intptr_t)read(pipes[0], &c, 1);
}

static void *waits(void *arg)
{
	sem_wait(&sem);
	return (void *)1;
}

int main(void)
{
	MUST(pipe(pipes) == 0);
	sem_init(&sem, 0, 0);
	become_threaded();
	CHECK(syscall(SYS_setfsgid, getegid()) >= 0);
	CHECK(join(spawn(sleeps, NULL)) == (void *)1);
	pthread_t r = spawn(reads, NULL), w = spawn(waits, NULL);
	sleep_ms(150);
	CHECK(write(pipes[1], "x", 1) == 1);
	CHECK(join(r) == (void *)1);
	sem_post(&sem);
	CHECK(join(w) == (void *)1);
	/* While the kernel threads of those before them are about to end. */
	int failed = 0;
	for (int i = 0; i < 1000; i++) {
		pthread_t t[8];
		int rc[8];
		for (int k = 0; k < 8; k++)
			failed += (rc[k] = pthread_create(&t[k], NULL, check_nothing, NULL)) != 0;
		for (int k = 0; k < 8; k++)
			if (rc[k] == 0)
				join(t[k]);
	}
	CHECK(failed == 0);
	return check_done();
}
