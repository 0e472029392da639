/* Cleanup handlers of a cancelled thread: order over several frames, popped ones, handlers that
 * block, that make threads, that wait for them; attribute cleanup.  Built twice: the handlers are
 * on libc's list without -fexceptions, found by the unwinder with it. */
#include "check.h"
#include <semaphore.h>

static sem_t ready, never, other;
static char order[256];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void note(void *arg)
{
	strcat(order, arg);
}

static void blocks(void *arg)
{
	sleep_ms(1); /* a cancellation point, which must not act again */
	pthread_testcancel();
	sem_wait(&other);
	note(arg);
}

static void *posts(void *arg)
{
	sem_post(&other);
	return arg;
}

static void makes_thread(void *arg)
{
	join(spawn(posts, NULL));
	note(arg);
}

static void unlocks(void *arg)
{
	pthread_mutex_unlock(arg);
	note("u");
}

static void leaves_scope(const char **arg)
{
	note((void *)*arg);
}

__attribute__((noinline)) static void deep(int n)
{
	char name[2] = {(char)('0' + n), 0};
	pthread_cleanup_push(note, name);
	if (n)
		deep(n - 1);
	else
		sem_wait(&never);
	pthread_cleanup_pop(0);
}

static void *waits(void *arg)
{
	const char *scope __attribute__((cleanup(leaves_scope))) = "";
	pthread_cleanup_push(note, "a");
	pthread_cleanup_push(blocks, "b");
	pthread_cleanup_push(makes_thread, "m");
	pthread_cleanup_push(note, "popped");
	pthread_cleanup_pop(0);
	pthread_cleanup_push(note, "run");
	pthread_cleanup_pop(1);
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlocks, &mutex);
	sem_post(&ready);
	deep(5);
	pthread_cleanup_pop(1);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return arg;
}

/* A pair that also defers: an asynchronous request waits for the pop. */
static void *defers(void *arg)
{
	int old;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push_defer_np(note, "d");
	pthread_cancel(pthread_self());
	note("-");
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old);
	note(old == PTHREAD_CANCEL_DEFERRED ? "deferred" : "async");
	pthread_testcancel();
	pthread_cleanup_pop_restore_np(0);
	return arg;
}

int main(void)
{
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	sem_init(&other, 0, 0);
	for (int i = 0; i < 50; i++) {
		*order = 0;
		pthread_t t = spawn(waits, NULL);
		sem_wait(&ready);
		if (i % 2)
			sleep_ms(1);
		QUIET(pthread_cancel(t) == 0);
		QUIET(join(t) == PTHREAD_CANCELED);
		if (i == 0)
			puts(order);
		QUIET(strcmp(order, "run012345umba") == 0);
		QUIET(pthread_mutex_trylock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
	}
	*order = 0;
	QUIET(join(spawn(defers, NULL)) == PTHREAD_CANCELED);
	puts(order);
	return check_done();
}
