/* Thread-specific data: isolation, destructors, their repetition, key exhaustion and reuse. */
#include "check.h"
#include <limits.h>

static pthread_key_t key, stubborn, chained;
static int destroyed, stubborn_calls, chained_calls;

static void count(void *value)
{
	__atomic_add_fetch(&destroyed, (int)(intptr_t)value, __ATOMIC_SEQ_CST);
	QUIET(pthread_getspecific(key) == NULL); /* already cleared when the destructor runs */
}

/* Sets itself again: runs PTHREAD_DESTRUCTOR_ITERATIONS times, then glibc gives up. */
static void set_again(void *value)
{
	stubborn_calls++;
	pthread_setspecific(stubborn, value);
}

/* A destructor that leaves a value under another key which then needs a second round. */
static void leave_work(void *value)
{
	chained_calls++;
	pthread_setspecific(key, (void *)1000);
}

static void *isolated(void *arg)
{
	QUIET(pthread_getspecific(key) == NULL);
	QUIET(pthread_setspecific(key, arg) == 0);
	for (int i = 0; i < 20; i++) {
		sched_yield();
		QUIET(pthread_getspecific(key) == arg);
	}
	return NULL;
}

static void *set_key(void *arg)
{
	pthread_setspecific(*(pthread_key_t *)arg, (void *)1);
	if (arg == &chained)
		pthread_exit(NULL); /* destructors run after pthread_exit as well */
	return NULL;
}

int main(void)
{
	static pthread_key_t all[PTHREAD_KEYS_MAX];
	pthread_t t[100];
	int made = 0, rc = 0;

	CHECK_RC(0, pthread_key_create(&key, count));
	for (intptr_t i = 0; i < 100; i++)
		t[i] = spawn(isolated, (void *)(i + 1));
	for (int i = 0; i < 100; i++)
		join(t[i]);
	CHECK(destroyed == 5050);

	pthread_key_create(&stubborn, set_again);
	join(spawn(set_key, &stubborn));
	CHECK(stubborn_calls == PTHREAD_DESTRUCTOR_ITERATIONS);

	destroyed = 0;
	pthread_key_create(&chained, leave_work);
	join(spawn(set_key, &chained));
	CHECK(chained_calls == 1);
	CHECK(destroyed == 1000);

	/* Deleting a key runs no destructor. */
	pthread_setspecific(key, (void *)1);
	CHECK_RC(0, pthread_key_delete(key));
	CHECK(destroyed == 1000);
	CHECK_RC(EINVAL, pthread_key_delete(key));
	CHECK_RC(EINVAL, pthread_setspecific(key, (void *)1));
	CHECK_RC(EINVAL, pthread_setspecific(PTHREAD_KEYS_MAX + 1, (void *)1));

	while (made < PTHREAD_KEYS_MAX && (rc = pthread_key_create(&all[made], NULL)) == 0)
		made++;
	CHECK(made > PTHREAD_KEYS_MAX - 32);
	CHECK_RC(EAGAIN, pthread_key_create(&key, NULL));
	for (int i = 0; i < made; i++)
		QUIET(pthread_setspecific(all[i], (void *)(intptr_t)(i + 1)) == 0);
	for (int i = 0; i < made; i++)
		QUIET(pthread_getspecific(all[i]) == (void *)(intptr_t)(i + 1));
	/* A reused key reads NULL although the old one held a value. */
	MUST(pthread_key_delete(all[3]) == 0 && pthread_key_create(&key, NULL) == 0);
	CHECK(pthread_getspecific(key) == NULL);
	return check_done();
}
