/* How many instructions does one operation take?  Does nothing but the operation, N times, so that
 * the difference between two runs under a valgrind that counts has neither start nor end in it; see
 * integration/test_counts.py.
 *
 *   ops NAME N
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long n;
static sem_t ping, pong;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void must(int ok)
{
	if (!ok) {
		fprintf(stderr, "ops: an operation failed\n");
		exit(1);
	}
}

static void *yields(void *arg)
{
	for (long i = 0; i < n; i++)
		sched_yield();
	return arg;
}

static void *answers(void *arg)
{
	for (long i = 0; i < n; i++) {
		sem_wait(&ping);
		sem_post(&pong);
	}
	return arg;
}

static void *asks(void *arg)
{
	for (long i = 0; i < n; i++) {
		sem_post(&ping);
		sem_wait(&pong);
	}
	return arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static void beside(void *(*there)(void *), void *(*here)(void *))
{
	pthread_t t;

	must(pthread_create(&t, NULL, there, NULL) == 0);
	here(NULL);
	must(pthread_join(t, NULL) == 0);
}

/* Two threads, each yields N times. */
static void yield(void)
{
	beside(yields, yields);
}

/* The only one that is runnable, in a program that has another thread. */
static void *parks(void *arg)
{
	sem_wait(&ping);
	return arg;
}

static void *yields_alone(void *arg)
{
	yields(NULL);
	sem_post(&ping);
	return arg;
}

static void yield_alone(void)
{
	beside(parks, yields_alone);
}

/* One wakes the other and waits for it, who does the same. */
static void wake_and_wait(void)
{
	beside(answers, asks);
}

static void create_and_join(void)
{
	for (long i = 0; i < n; i++)
		beside(nothing, nothing);
}

static void lock_and_unlock(void)
{
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
}

/* A pipe, and what is read is there. */
static void write_and_read(void)
{
	int p[2];
	char c = 0;

	must(pipe(p) == 0);
	for (long i = 0; i < n; i++) {
		must(write(p[1], &c, 1) == 1);
		must(read(p[0], &c, 1) == 1);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} ops[] = {
    {"yield", yield},
    {"yield_alone", yield_alone},
    {"wake_and_wait", wake_and_wait},
    {"create_and_join", create_and_join},
    {"lock_and_unlock", lock_and_unlock},
    {"write_and_read", write_and_read},
};

int main(int argc, char **argv)
{
	size_t count = sizeof(ops) / sizeof(*ops);

	if (argc != 3 || (n = atol(argv[2])) <= 0) {
		fprintf(stderr, "usage: ops NAME N\n");
		return 2;
	}
	/* Under valgrind the start lasts so long that main counts as one that computes, until it
	 * has waited a few times. */
	for (int i = 0; i < 20; i++)
		beside(nothing, nothing);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(argv[1], ops[i].name)) {
			ops[i].run();
			return 0;
		}
	fprintf(stderr, "ops: there is no %s\n", argv[1]);
	return 2;
}
