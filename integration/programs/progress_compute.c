/* One thread computes for two seconds without a call while a thousand others exchange bytes and
 * sleep: they have to get on during that time. */
#include "check.h"
#include <sys/socket.h>

#define PAIRS 500
static int computing, stop;
static long done_meanwhile, naps_meanwhile;
static int fds[PAIRS][2];
static pthread_barrier_t all_created; /* or main competes with a thousand runnable threads */

static uint64_t ticks_ns(void)
{
	return (uint64_t)now_ns(CLOCK_MONOTONIC); /* vdso: no system call */
}

static void *compute(void *arg)
{
	uint64_t end = ticks_ns() + 2000000000u, x = 1;
	__atomic_store_n(&computing, 1, __ATOMIC_SEQ_CST);
	while (ticks_ns() < end)
		for (int i = 0; i < 10000; i++)
			x = x * 6364136223846793005u + 1;
	__atomic_store_n(&computing, 0, __ATOMIC_SEQ_CST);
	return (void *)(uintptr_t)(x | 1);
}

static void *ping(void *arg)
{
	int fd = fds[(intptr_t)arg][0];
	char byte = 'p';
	pthread_barrier_wait(&all_created);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		QUIET(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1);
		if (__atomic_load_n(&computing, __ATOMIC_SEQ_CST))
			__atomic_add_fetch(&done_meanwhile, 1, __ATOMIC_SEQ_CST);
		if ((intptr_t)arg % 10 == 0) {
			sleep_ms(5);
			if (__atomic_load_n(&computing, __ATOMIC_SEQ_CST))
				__atomic_add_fetch(&naps_meanwhile, 1, __ATOMIC_SEQ_CST);
		}
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void *pong(void *arg)
{
	int fd = fds[(intptr_t)arg][1];
	char byte;
	while (read(fd, &byte, 1) == 1)
		QUIET(write(fd, &byte, 1) == 1);
	return NULL;
}

int main(void)
{
	pthread_t a[PAIRS], b[PAIRS];
	pthread_barrier_init(&all_created, NULL, PAIRS + 1);
	for (intptr_t i = 0; i < PAIRS; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]) == 0);
		a[i] = spawn(ping, (void *)i);
		b[i] = spawn(pong, (void *)i);
	}
	pthread_t computer = spawn(compute, NULL);
	pthread_barrier_wait(&all_created);
	QUIET(join(computer) != NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < PAIRS; i++) {
		join(a[i]);
		join(b[i]);
	}
	printf("progress %s\n", done_meanwhile > 1000 ? "yes" : "no");
	printf("timers %s\n", naps_meanwhile > 50 ? "yes" : "no");
	fprintf(stderr, "%ld exchanges, %ld naps\n", done_meanwhile, naps_meanwhile);
	return check_done();
}
