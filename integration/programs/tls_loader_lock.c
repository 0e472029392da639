/* A thread inside dlopen and dlclose waits for another one at each of the loader's allocations, as
 * it may for a lock of malloc's, whatever locks of the loader it holds there.  Each time more
 * threads wait for these locks.  The one it waits for must still get to run.  argv[1]: a library
 * with thread-local variables. */
#include "check.h"
#include <dlfcn.h>
#include <semaphore.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *old);

enum { WAITERS = 150, EACH = 2 };
static sem_t inside, go, start[WAITERS];
static int over;
static __thread int in_loader;

static void pause_here(void)
{
	if (!in_loader)
		return;
	in_loader = 0;
	sem_post(&inside);
	sem_wait(&go);
	in_loader = 1;
}

void *malloc(size_t size)
{
	pause_here();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	pause_here();
	return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	pause_here();
	return __libc_realloc(old, size);
}

void free(void *old)
{
	pause_here();
	__libc_free(old);
}

static void *loads(void *path)
{
	in_loader = 1;
	void *library = dlopen(path, RTLD_NOW);
	in_loader = 0;
	MUST(library != NULL);
	in_loader = 1;
	int r = dlclose(library);
	in_loader = 0;
	CHECK(r == 0);
	__atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
	sem_post(&inside);
	return NULL;
}

/* dlsym waits for the loader's lock, in the kernel. */
static void *waits(void *mine)
{
	sem_wait(mine);
	QUIET(dlsym(RTLD_DEFAULT, "malloc") != NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t waiter[WAITERS], loader;
	int next = 0, pauses = 0;

	MUST(argc == 2);
	sem_init(&inside, 0, 0);
	sem_init(&go, 0, 0);
	for (int i = 0; i < WAITERS; i++) {
		sem_init(&start[i], 0, 0);
		waiter[i] = spawn(waits, &start[i]);
	}
	loader = spawn(loads, argv[1]);
	for (;; pauses++) {
		sem_wait(&inside);
		if (__atomic_load_n(&over, __ATOMIC_SEQ_CST))
			break;
		for (int i = 0; i < EACH && next < WAITERS; i++)
			sem_post(&start[next++]);
		sleep_ms(2); /* time for them to get stuck; nothing depends on it */
		sem_post(&go);
	}
	CHECK(pauses > 10);
	while (next < WAITERS)
		sem_post(&start[next++]);
	for (int i = 0; i < WAITERS; i++)
		join(waiter[i]);
	join(loader);
	return check_done();
}
