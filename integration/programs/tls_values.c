/* Thread-local variables belong to the thread: initial values, addresses and contents stay while
 * threads block and may go on elsewhere. */
#include "check.h"
#include <sys/socket.h>

#define N 200
static __thread int counter = 42;
static __thread char text[64] = "initial";
static __thread char big[8192];
static _Thread_local _Alignas(64) int aligned;
static void *volatile addresses[N];

static void *thread(void *arg)
{
	int me = (int)(intptr_t)arg, fd[2];
	int *where = &counter;
	char byte;
	QUIET(counter == 42 && !strcmp(text, "initial"));
	for (unsigned i = 0; i < sizeof(big); i++)
		QUIET(big[i] == 0);
	QUIET((uintptr_t)&aligned % 64 == 0);
	addresses[me] = where;
	counter = me;
	snprintf(text, sizeof(text), "thread %d", me);
	memset(big, me, sizeof(big));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	for (int i = 0; i < 20; i++) {
		if (i % 3 == 0)
			sleep_ms(1);
		else if (i % 3 == 1)
			sched_yield();
		else
			QUIET(write(fd[1], "x", 1) == 1 && read(fd[0], &byte, 1) == 1);
		counter++;
		QUIET(where == &counter && *where == me + i + 1);
	}
	char expected[64];
	snprintf(expected, sizeof(expected), "thread %d", me);
	QUIET(!strcmp(text, expected));
	for (unsigned i = 0; i < sizeof(big); i++)
		QUIET(big[i] == (char)me);
	close(fd[0]);
	close(fd[1]);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	counter = 7;
	/* Twice: the second time on memory that may be recycled from the first. */
	for (int round = 0; round < 2; round++) {
		int distinct = 1;
		for (intptr_t i = 0; i < N; i++)
			t[i] = spawn(thread, (void *)i);
		for (int i = 0; i < N; i++)
			join(t[i]);
		for (int i = 0; i < N; i++)
			distinct &= addresses[i] != &counter;
		CHECK(distinct);
	}
	CHECK(counter == 7 && !strcmp(text, "initial"));
	return check_done();
}
