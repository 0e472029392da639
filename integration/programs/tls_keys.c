/* Keys: destructors in rounds up to the limit, keys made and deleted by destructors, all keys there
 * are, a deleted key's data, values set for another key of the same number; the order of C++-style
 * destructors (__cxa_thread_atexit_impl) and those of keys. */
#include "check.h"
#include <limits.h>

static pthread_key_t key, second, keys[PTHREAD_KEYS_MAX + 1];
static int runs, others;
static char order[64];

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

static void sets_again(void *arg)
{
	runs++;
	pthread_setspecific(key, arg);
}

static void sets_twice(void *arg)
{
	if (++runs < 3)
		pthread_setspecific(key, arg);
	if (runs == 2)
		pthread_setspecific(second, arg);
}

static void counts(void *arg)
{
	others++;
}

static void *sets(void *arg)
{
	QUIET(pthread_setspecific(key, arg) == 0);
	return arg;
}

static void *sets_all(void *arg)
{
	for (intptr_t i = 0; i < (intptr_t)(intptr_t)arg; i++)
		QUIET(pthread_setspecific(keys[i], (void *)(i + 1)) == 0);
	sched_yield();
	for (intptr_t i = 0; i < (intptr_t)(intptr_t)arg; i++)
		QUIET(pthread_getspecific(keys[i]) == (void *)(i + 1));
	return NULL;
}

static void *sees_nothing(void *arg)
{
	for (intptr_t i = 0; i < (intptr_t)(intptr_t)arg; i++)
		QUIET(pthread_getspecific(keys[i]) == NULL);
	return NULL;
}

static void *deletes(void *arg)
{
	pthread_setspecific(key, arg);
	pthread_key_delete(key);
	QUIET(pthread_getspecific(key) == NULL);
	QUIET(pthread_key_create(&second, counts) == 0);
	QUIET(second == key); /* the number again, but not the data */
	QUIET(pthread_getspecific(second) == NULL);
	return NULL;
}

static void note(void *arg)
{
	strcat(order, arg);
}

static void note_key(void *arg)
{
	strcat(order, "k");
}

static void registers_more(void *arg)
{
	strcat(order, arg);
	__cxa_thread_atexit_impl(note, "3", &__dso_handle);
}

static void *both(void *arg)
{
	pthread_setspecific(key, arg);
	__cxa_thread_atexit_impl(note, "1", &__dso_handle);
	__cxa_thread_atexit_impl(registers_more, "2", &__dso_handle);
	if (arg == &second)
		pthread_exit(arg);
	return arg;
}

int main(void)
{
	CHECK_RC(0, pthread_key_create(&key, sets_again));
	join(spawn(sets, &key));
	CHECK(runs == PTHREAD_DESTRUCTOR_ITERATIONS);
	CHECK_RC(0, pthread_key_delete(key));
	CHECK_RC(EINVAL, pthread_key_delete(key));
	CHECK_RC(EINVAL, pthread_setspecific(key, &key));

	runs = 0;
	CHECK_RC(0, pthread_key_create(&key, sets_twice));
	CHECK_RC(0, pthread_key_create(&second, counts));
	join(spawn(sets, &key));
	CHECK(runs == 3 && others == 1);
	pthread_key_delete(second);
	pthread_key_delete(key);

	int n = 0, r;
	while ((r = pthread_key_create(&keys[n], counts)) == 0)
		n++;
	CHECK(r == EAGAIN);
	CHECK(n > PTHREAD_KEYS_MAX - 20 && n <= PTHREAD_KEYS_MAX);
	others = 0;
	for (int i = 0; i < 20; i++) {
		join(spawn(sets_all, (void *)(intptr_t)n));
		join(spawn(sees_nothing, (void *)(intptr_t)n));
	}
	CHECK(others == 20 * n);
	for (int i = 0; i < n; i++)
		QUIET(pthread_key_delete(keys[i]) == 0);

	others = 0;
	CHECK_RC(0, pthread_key_create(&key, counts));
	join(spawn(deletes, &key));
	CHECK(others == 0);
	pthread_key_delete(second);

	CHECK_RC(0, pthread_key_create(&key, note_key));
	for (int i = 0; i < 2; i++) {
		*order = 0;
		join(spawn(both, i ? &second : &key));
		puts(order);
	}
	return check_done();
}
