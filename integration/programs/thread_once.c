/* pthread_once: exactly one run, everybody waits for its end, and a cancelled run is repeated. */
#include "check.h"
#include <semaphore.h>

#define N 50
static pthread_once_t once = PTHREAD_ONCE_INIT, retried = PTHREAD_ONCE_INIT;
static pthread_once_t outer = PTHREAD_ONCE_INIT, inner = PTHREAD_ONCE_INIT;
static int runs, finished, tries, inner_runs;
static sem_t ready, never;

static void slow(void)
{
	runs++;
	sleep_ms(20); /* the others arrive and have to wait */
	finished = 1;
}

static void *thread(void *arg)
{
	QUIET(pthread_once(&once, slow) == 0);
	QUIET(finished == 1);
	return NULL;
}

static void cancelled_first(void)
{
	if (++tries == 1) {
		sem_post(&ready);
		sem_wait(&never);
	}
}

static void *try_once(void *arg)
{
	pthread_once(&retried, cancelled_first);
	return arg;
}

static void run_inner(void)
{
	inner_runs++;
}

static void run_outer(void)
{
	pthread_once(&inner, run_inner);
}

int main(void)
{
	pthread_t t[N];
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	for (int i = 0; i < N; i++)
		t[i] = spawn(thread, NULL);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(runs == 1);

	t[0] = spawn(try_once, t);
	sem_wait(&ready);
	t[1] = spawn(try_once, t); /* waits for the first, then has to run the routine itself */
	pthread_cancel(t[0]);
	CHECK(join(t[0]) == PTHREAD_CANCELED);
	CHECK(join(t[1]) == t);
	CHECK(tries == 2);

	CHECK_RC(0, pthread_once(&outer, run_outer));
	CHECK_RC(0, pthread_once(&outer, run_outer));
	CHECK(inner_runs == 1);
	return check_done();
}
