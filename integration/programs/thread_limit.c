/* Creates threads with 64 MiB stacks until the system refuses or 64 are there: a refusal must be
 * EAGAIN, and the threads that exist must go on.  Run with a limit on the address space. */
#include "check.h"
#include <semaphore.h>

static sem_t gate;

static void *waits(void *arg)
{
	sem_wait(&gate);
	return arg;
}

int main(void)
{
	pthread_t t[64];
	pthread_attr_t attr;
	int n = 0, error = 0, good = 0;

	sem_init(&gate, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 20);
	while (n < 64 && (error = pthread_create(&t[n], &attr, waits, &gate + n)) == 0)
		n++;
	CHECK(n > 0 && (error == 0 || error == EAGAIN));
	for (int i = 0; i < n; i++)
		sem_post(&gate);
	for (int i = 0; i < n; i++)
		good += join(t[i]) == &gate + i;
	CHECK(good == n);
	/* What was refused works again afterwards. */
	pthread_t again;
	CHECK(pthread_create(&again, NULL, waits, &gate) == 0);
	sem_post(&gate);
	CHECK(join(again) == &gate);
	return check_done();
}
