/* A C program whose threads load a C++ plug-in: exceptions in it, pthread_exit and cancellation
 * through its frames, its thread_locals. */
#include "check.h"
#include <dlfcn.h>
#include <semaphore.h>

static const char *path;
static int (*plugin_throws)(int);
static void (*plugin_calls)(void (*)(void *), void *, int *);
static sem_t ready, never;

static void waits(void *arg)
{
	sem_post(&ready);
	sem_wait(&never);
}

static void *exits(void *destroyed)
{
	plugin_calls(pthread_exit, &never, destroyed);
	return NULL;
}

static void *is_cancelled(void *destroyed)
{
	plugin_calls(waits, NULL, destroyed);
	return NULL;
}

static void *throws(void *arg)
{
	QUIET(plugin_throws(2) == 8);
	sched_yield();
	QUIET(plugin_throws(3) == -9);
	return NULL;
}

static void *loads(void *arg)
{
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		printf("%s\n", dlerror());
	MUST(lib);
	plugin_throws = (int (*)(int))dlsym(lib, "plugin_throws");
	plugin_calls = (void (*)(void (*)(void *), void *, int *))dlsym(lib, "plugin_calls");
	return NULL;
}

int main(int argc, char **argv)
{
	int destroyed = 0;
	pthread_t t[50];

	MUST(argc > 1);
	path = argv[1];
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	/* The unwinder is loaded by the first of these, before the plug-in is. */
	CHECK(join(spawn((void *(*)(void *))(void *)pthread_exit, &never)) == &never);
	join(spawn(loads, NULL));
	for (int i = 0; i < 50; i++)
		t[i] = spawn(throws, NULL);
	for (int i = 0; i < 50; i++)
		join(t[i]);
	CHECK(join(spawn(exits, &destroyed)) == &never);
	CHECK(destroyed == 2);
	for (int i = 0; i < 20; i++) {
		t[0] = spawn(is_cancelled, &destroyed);
		sem_wait(&ready);
		pthread_cancel(t[0]);
		QUIET(join(t[0]) == PTHREAD_CANCELED);
	}
	CHECK(destroyed == 42);
	throws(NULL);
	return check_done();
}
