/* A program that interposes the conditions and finds libc's by dlvsym, with a version, as the
 * runtimes of sanitizers do: what it finds has to agree with the mutexes, which it does not
 * interpose. */
#include "check.h"
#include <dlfcn.h>

#define WAITERS 4
#define ROUNDS	20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static int round_number, waiting, finished;
static unsigned wrapped;

static void *next(const char *name)
{
	void *f = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
	MUST(f != NULL);
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return f;
}

int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	int (*f)(pthread_cond_t *, pthread_mutex_t *) = next("pthread_cond_wait");
	return f(c, m);
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
	int (*f)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
	    next("pthread_cond_timedwait");
	return f(c, m, at);
}

int pthread_cond_signal(pthread_cond_t *c)
{
	int (*f)(pthread_cond_t *) = next("pthread_cond_signal");
	return f(c);
}

int pthread_cond_broadcast(pthread_cond_t *c)
{
	int (*f)(pthread_cond_t *) = next("pthread_cond_broadcast");
	return f(c);
}

static void *waiter(void *arg)
{
	for (int i = 1; i <= ROUNDS; i++) {
		pthread_mutex_lock(&lock);
		waiting++;
		pthread_cond_signal(&done);
		while (round_number < i)
			pthread_cond_wait(&go, &lock);
		finished++;
		pthread_cond_signal(&done);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[WAITERS];
	for (int i = 0; i < WAITERS; i++)
		MUST(pthread_create(&threads[i], NULL, waiter, NULL) == 0);
	pthread_mutex_lock(&lock);
	for (int i = 1; i <= ROUNDS; i++) {
		while (waiting < i * WAITERS)
			pthread_cond_wait(&done, &lock);
		round_number = i;
		pthread_cond_broadcast(&go);
		/* The mutex is kept: whoever was woken has to queue for it. */
		usleep(1000);
		while (finished < i * WAITERS)
			pthread_cond_wait(&done, &lock);
	}
	struct timespec past = {1, 0};
	CHECK_RC(ETIMEDOUT, pthread_cond_timedwait(&done, &lock, &past));
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < WAITERS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	CHECK(finished == ROUNDS * WAITERS);
	CHECK(wrapped > 0);
	return check_done();
}
