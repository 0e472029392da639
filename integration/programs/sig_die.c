/* Death by signal, from main or a thread (argument 2 "thread"), while 20 others wait: argument 1 is
 * term, kill, segv, abort, fpe, assert, guard (stack overflow). */
#include "check.h"
#include <assert.h>
#include <semaphore.h>
#include <signal.h>

static sem_t never;

static void *waits(void *arg)
{
	sem_wait(&never);
	return NULL;
}

__attribute__((noinline)) static int overflow(int n)
{
	volatile char frame[4096];
	frame[n % 4096] = 1;
	return n < 0 ? 0 : overflow(n + 1) + frame[0];
}

static void *dies(void *arg)
{
	const char *how = arg;
	volatile int zero = 0;
	if (!strcmp(how, "term"))
		kill(getpid(), SIGTERM);
	if (!strcmp(how, "kill"))
		raise(SIGKILL);
	if (!strcmp(how, "segv"))
		*(volatile int *)(uintptr_t)(zero + 16) = 1;
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "assert"))
		assert(zero);
	if (!strcmp(how, "fpe"))
		zero = 100 / zero;
	if (!strcmp(how, "guard"))
		overflow(0);
	/* SIGTERM goes to the process and may take effect a moment later. */
	sem_wait(&never);
	return NULL;
}

int main(int argc, char **argv)
{
	sem_init(&never, 0, 0);
	for (int i = 0; i < 20; i++)
		spawn(waits, NULL);
	printf("about to die\n");
	fflush(stdout);
	if (argc > 2)
		join(spawn(dies, argv[1]));
	else
		dies(argv[1]);
	return 1;
}
