/* Locks inside libc: a FILE's, held across a sleep while more threads wait for it than there may be
 * kernel threads; malloc's, fought over by threads that share one arena. */
#include "libc_threads.h"
#include <malloc.h>

#define N 60
static int printed;

static void *hold(void *arg)
{
	flockfile(stderr);
	count_me();
	sleep_ms(300);
	printed = 1;
	funlockfile(stderr);
	return NULL;
}

static void *want(void *arg)
{
	count_me();
	flockfile(stderr);
	QUIET(printed == 1);
	if ((intptr_t)arg % 8 == 0)
		sleep_ms(5);
	funlockfile(stderr);
	return NULL;
}

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(intptr_t)arg + 1;
	unsigned char *held[32] = {0};
	size_t size[32] = {0};
	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		unsigned at = seed >> 16 & 31;
		if (held[at]) {
			QUIET(held[at][0] == (unsigned char)at &&
			      held[at][size[at] - 1] == (unsigned char)at);
			free(held[at]);
			held[at] = NULL;
		} else {
			size[at] = 1500 + (seed >> 8 & 4095); /* too large for the thread's cache */
			held[at] = malloc(size[at]);
			MUST(held[at] != NULL);
			held[at][0] = held[at][size[at] - 1] = (unsigned char)at;
		}
		if (i % 500 == 0)
			sched_yield();
	}
	for (int i = 0; i < 32; i++)
		free(held[i]);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	MUST(mallopt(M_ARENA_MAX, 1) == 1);
	pthread_t holder = spawn(hold, NULL);
	while (!__atomic_load_n(&counted, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(want, (void *)i);
	wait_counted(N + 1);
	printf("all wait\n"); /* another FILE is free */
	int most = kernel_threads_now();
	join(holder);
	for (int i = 0; i < N; i++)
		join(t[i]);
	fprintf(stderr, "kernel threads: %d\n", most);
	for (intptr_t i = 0; i < 16; i++)
		t[i] = spawn(churn, (void *)i);
	for (int i = 0; i < 16; i++)
		join(t[i]);
	tell_kernel_threads();
	CHECK(ftrylockfile(stderr) == 0);
	funlockfile(stderr);
	return check_done();
}
