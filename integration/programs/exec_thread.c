/* How a process ends from a thread while others wait: argument exec, exit, _exit, return, quick. */
#include "check.h"
#include <semaphore.h>

static sem_t never;

static void at_exit(void)
{
	printf("atexit\n");
}

static void *waits(void *arg)
{
	sem_wait(&never);
	return NULL;
}

static void *ends(void *arg)
{
	const char *how = arg;
	if (!strcmp(how, "exec"))
		execl("/bin/sh", "sh", "-c", "echo pid $1; exit 44", "sh",
		      getpid() == gettid() ? "same" : "differs", NULL);
	if (!strcmp(how, "exit"))
		exit(45);
	if (!strcmp(how, "_exit"))
		_exit(46);
	if (!strcmp(how, "quick"))
		quick_exit(47);
	return NULL;
}

int main(int argc, char **argv)
{
	sem_init(&never, 0, 0);
	atexit(at_exit);
	for (int i = 0; i < 50; i++)
		spawn(waits, NULL);
	if (!strcmp(argv[1], "return"))
		return 48;
	join(spawn(ends, argv[1]));
	return 1;
}
