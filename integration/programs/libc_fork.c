/* Forks while other threads fight over stdio's and malloc's locks: the child can print, allocate,
 * make threads of its own, and ends. */
#include "libc_threads.h"
#include <sys/wait.h>

static int stop;
static FILE *sink;

static void *noise(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		fprintf(sink, "noise %d\n", (int)(intptr_t)arg);
		free(malloc(5000));
		FILE *f = fopen("/dev/null", "r");
		if (f)
			fclose(f);
		sched_yield(); /* busy, but not a test of how long one may compute */
	}
	return NULL;
}

static void *in_child(void *arg)
{
	fprintf(sink, "from a thread of the child\n");
	return malloc(100);
}

static void *fork_often(void *arg)
{
	for (int i = 0; i < 15; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			alarm(20);
			fprintf(sink, "child\n");
			void *p = malloc(100000);
			free(p);
			if (i % 5 == 0)
				free(join(spawn(in_child, NULL)));
			fflush(sink);
			_exit(p ? i : 100);
		}
		int st;
		QUIET(pid > 0 && waitpid(pid, &st, 0) == pid && WIFEXITED(st) &&
		      WEXITSTATUS(st) == i);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[5], f[2];
	sink = fopen("/dev/null", "w");
	setvbuf(sink, NULL, _IOFBF, 64);
	for (intptr_t i = 0; i < 5; i++)
		t[i] = spawn(noise, (void *)i);
	for (int i = 0; i < 2; i++)
		f[i] = spawn(fork_often, NULL);
	for (int i = 0; i < 2; i++)
		join(f[i]);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 5; i++)
		join(t[i]);
	CHECK("forks");
	return check_done();
}
