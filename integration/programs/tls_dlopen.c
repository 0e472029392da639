/* dlopen of a library with thread-local variables (argument) while threads run and wait: all of
 * them, old and new, see the initial value and then their own. */
#include "check.h"
#include <dlfcn.h>
#include <semaphore.h>

#define N 50
static sem_t ready, go;
static int (*get_value)(void);
static void (*set_value)(int);

static void *thread(void *arg)
{
	int me = (int)(intptr_t)arg;
	if (me < N) { /* the older half exists before the library */
		sem_post(&ready);
		sem_wait(&go);
	}
	QUIET(get_value() == 1234);
	set_value(me);
	sched_yield();
	sleep_ms(1);
	QUIET(get_value() == me);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[2 * N];
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	MUST(argc == 2);
	for (int i = 0; i < N; i++) /* leaves finished threads' memory behind to be reused */
		join(spawn(check_nothing, NULL));
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		sem_wait(&ready);
	void *library = dlopen(argv[1], RTLD_NOW);
	if (!library)
		printf("FAIL %s\n", dlerror());
	MUST(library != NULL);
	*(void **)&get_value = dlsym(library, "get_value");
	*(void **)&set_value = dlsym(library, "set_value");
	MUST(get_value && set_value);
	CHECK(get_value() == 1234);
	set_value(-5);
	for (intptr_t i = N; i < 2 * N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		sem_post(&go);
	for (int i = 0; i < 2 * N; i++)
		join(t[i]);
	CHECK(get_value() == -5);
	/* dlerror's text is per thread and survives others' activity. */
	CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL);
	become_threaded();
	CHECK(dlerror() != NULL && dlerror() == NULL);
	return check_done();
}
