/* What GREENHOOK_WARN is for: "spin" parks while it holds a spin lock, "stack" comes close to the
 * end of its stack, "lock" holds a mutex for long while another waits; "good" does none of it.
 * Prints the same whoever runs it. */
#include "check.h"
#include <alloca.h>
#include <sched.h>

static pthread_spinlock_t spin;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void *parks_under_spin_lock(void *arg)
{
	pthread_spin_lock(&spin);
	usleep(300000);
	pthread_spin_unlock(&spin);
	return arg;
}

void *spins_properly(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		pthread_spin_lock(&spin);
		if (i % 100 == 0)
			sched_yield(); /* no park */
		pthread_spin_unlock(&spin);
	}
	usleep(1000);
	return arg;
}

void *uses_its_stack(void *arg)
{
	size_t n = (size_t)arg;
	volatile char *p = alloca(n);
	for (size_t i = 0; i < n; i += 16)
		p[n - 1 - i] = 1;
	usleep(1000);
	return p[0] ? arg : NULL;
}

void *holds_it(void *arg)
{
	pthread_mutex_lock(&mutex);
	usleep((useconds_t)(size_t)arg);
	pthread_mutex_unlock(&mutex);
	return arg;
}

void *wants_it(void *arg)
{
	usleep(10000);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return arg;
}

static pthread_t with_stack(void *(*f)(void *), size_t arg)
{
	pthread_attr_t attr;
	pthread_t t;
	pthread_attr_init(&attr);
	MUST(pthread_attr_setstacksize(&attr, 256 << 10) == 0);
	MUST(pthread_create(&t, &attr, f, (void *)arg) == 0);
	return t;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "good";
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	if (!strcmp(what, "spin")) {
		join(spawn(parks_under_spin_lock, NULL));
	} else if (!strcmp(what, "stack")) {
		join(with_stack(uses_its_stack, 236 << 10));
	} else if (!strcmp(what, "lock")) {
		pthread_t a = spawn(holds_it, (void *)3000000), b = spawn(wants_it, NULL);
		join(a);
		join(b);
	} else {
		pthread_t t[8];
		for (int i = 0; i < 8; i++)
			t[i] = spawn(spins_properly, NULL);
		for (int i = 0; i < 8; i++)
			join(t[i]);
		join(with_stack(uses_its_stack, 160 << 10));
		pthread_t a = spawn(holds_it, (void *)100000), b = spawn(wants_it, NULL);
		join(a);
		join(b);
	}
	CHECK(pthread_spin_trylock(&spin) == 0);
	CHECK(pthread_mutex_trylock(&mutex) == 0);
	return check_done();
}
