/* All but one of the kernel threads sit in calls that nobody sees, until a thread that has computed
 * for long, and sleeps in between, lets them go. */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "check.h"

enum { SITTERS = 15, COMPUTE_MS = 100 };

static int gate, inside;

/* Inline system calls. */
static long raw_futex(int *word, int op, int value)
{
	long r;
	register long r10 __asm__("r10") = 0;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_futex), "D"(word), "S"(op), "d"(value), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

static void *sit(void *arg)
{
	__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&gate, __ATOMIC_SEQ_CST))
		raw_futex(&gate, FUTEX_WAIT, 0);
	return arg;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void *compute_and_open(void *arg)
{
	for (uint64_t end = now_ms() + COMPUTE_MS; now_ms() < end;)
		;
	while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) < SITTERS)
		usleep(1000);
	usleep(50000); /* while the last of them are on their way into the kernel */
	__atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
	raw_futex(&gate, FUTEX_WAKE, SITTERS);
	return arg;
}

int main(void)
{
	pthread_t t[SITTERS + 1];

	MUST(pthread_create(&t[SITTERS], NULL, compute_and_open, NULL) == 0);
	for (int i = 0; i < SITTERS; i++)
		MUST(pthread_create(&t[i], NULL, sit, NULL) == 0);
	for (int i = 0; i <= SITTERS; i++)
		QUIET(pthread_join(t[i], NULL) == 0);
	CHECK(inside == SITTERS);
	return check_done();
}
