/* pthread_once whose initialiser is cancelled, in frames with unwind tables and in frames without,
 * or ends; circular joins while one of the two is being cancelled. */
#include "check.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t entered;
static volatile int ran, cleaned;

static void never_ends(void)
{
	pthread_barrier_wait(&entered);
	for (;;)
		pause();
}

static void ends(void)
{
	ran++;
}

static void clean(void *arg)
{
	cleaned++;
}

static void *first(void *arg)
{
	pthread_cleanup_push(clean, NULL);
	pthread_once(&once, never_ends);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *second(void *arg)
{
	pthread_once(&once, ends);
	return NULL;
}

static void *join_it(void *arg)
{
	pthread_barrier_wait(&entered);
	pthread_join(*(pthread_t *)arg, NULL);
	return NULL;
}

int main(void)
{
	alarm(30);
	pthread_barrier_init(&entered, NULL, 2);
	for (int i = 0; i < 3; i++) {
		once = PTHREAD_ONCE_INIT;
		pthread_t t = spawn(first, NULL);
		pthread_barrier_wait(&entered);
		pthread_t u = spawn(second, NULL);
		pthread_cancel(t);
		CHECK(join(t) == PTHREAD_CANCELED);
		join(u);
		CHECK(ran == i + 1);
		CHECK(cleaned == i + 1);
		CHECK(once == 2);
	}
	pthread_t me = pthread_self();
	CHECK_RC(EDEADLK, pthread_join(me, NULL));
	pthread_t t = spawn(join_it, &me);
	pthread_barrier_wait(&entered);
	sleep_ms(20);
	pthread_cancel(t);
	CHECK(join(t) == PTHREAD_CANCELED);
	return check_done();
}
