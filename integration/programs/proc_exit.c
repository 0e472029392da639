/* The ways a process ends while threads wait, run and hold locks: handlers registered for the end
 * run in order, on the thread that ends it, and may make threads and join others. */
#include "check.h"
#include <assert.h>
#include <semaphore.h>
#include <signal.h>

static pthread_t worker, ender;
static sem_t never, go;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *what)
{
	printf("%s%s\n", what, pthread_equal(pthread_self(), ender) ? "" : " (another thread)");
	fflush(stdout);
}

static void *waits(void *arg)
{
	sem_wait(&never);
	return NULL;
}

static void *spins(void *arg)
{
	for (;;)
		sched_yield();
	return NULL;
}

static void *locks(void *arg)
{
	pthread_mutex_lock(&held);
	sem_post(&go);
	pthread_mutex_lock(&held);
	return NULL;
}

static void *gives(void *arg)
{
	sem_t *s = arg;
	sem_wait(s);
	return s;
}

static sem_t for_worker;

static void joins(void)
{
	say("joins");
	sem_post(&for_worker);
	CHECK(join(worker) == &for_worker);
}

static void makes(void)
{
	pthread_t t[10];
	say("makes");
	for (int i = 0; i < 10; i++)
		t[i] = spawn(check_nothing, t);
	for (int i = 0; i < 10; i++)
		QUIET(join(t[i]) == t);
}

static void with_status(int status, void *arg)
{
	printf("status %d, %s\n", status, (char *)arg);
	fflush(stdout);
}

static void on_abort(int sig)
{
	static const char text[] = "SIGABRT is handled\n";
	MUST(write(1, text, sizeof(text) - 1) > 0);
}

static const char *how;

static void *ends(void *arg)
{
	ender = pthread_self();
	if (!strcmp(how, "exit"))
		exit(21);
	if (!strcmp(how, "quick"))
		quick_exit(22);
	if (!strcmp(how, "_exit"))
		_exit(23);
	if (!strcmp(how, "_Exit"))
		_Exit(24);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "assert"))
		assert(!"a fact");
	return NULL;
}

int main(int argc, char **argv)
{
	how = argv[1];
	sem_init(&never, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&for_worker, 0, 0);
	atexit(makes);
	atexit(joins);
	on_exit(with_status, "told at the end");
	at_quick_exit(makes);
	at_quick_exit(joins);
	signal(SIGABRT, on_abort);
	for (int i = 0; i < 3; i++)
		spawn(waits, NULL);
	spawn(spins, NULL);
	spawn(locks, NULL);
	sem_wait(&go);
	worker = spawn(gives, &for_worker);
	if (argc > 2) {
		spawn(ends, NULL);
		if (!strcmp(argv[2], "gone"))
			pthread_exit(NULL); /* main is gone, the others end the process */
		pause();
	}
	ends(NULL);
	return 1;
}
