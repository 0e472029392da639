/* Threads that sat in the kernel are not needed afterwards: their kernel threads end, and when the
 * same happens again there are new ones. */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "check.h"

enum { THREADS = 40, FEW = 12 };

static atomic_int gate, inside;

/* An inline system call: nobody sees it. */
static long raw_futex_wait(atomic_int *word, int value)
{
	long r;
	register long r10 __asm__("r10") = 0;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_futex), "D"(word), "S"(FUTEX_WAIT), "d"(value), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

static void *sit(void *arg)
{
	atomic_fetch_add(&inside, 1);
	while (atomic_load(&gate) == 0)
		raw_futex_wait(&gate, 0);
	return arg;
}

static int kernel_threads(void)
{
	char line[128];
	int n = -1;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Threads: %d", &n) == 1)
			break;
	fclose(f);
	return n;
}

int main(void)
{
	for (int round = 0; round < 3; round++) {
		pthread_t t[THREADS];
		gate = inside = 0;
		for (int i = 0; i < THREADS; i++)
			QUIET(pthread_create(&t[i], NULL, sit, NULL) == 0);
		while (atomic_load(&inside) < THREADS)
			usleep(1000);
		printf("round %d: all inside, many kernel threads: %s\n", round,
		       kernel_threads() >= THREADS ? "yes" : "no");
		atomic_store(&gate, 1);
		syscall(SYS_futex, &gate, FUTEX_WAKE, THREADS);
		for (int i = 0; i < THREADS; i++)
			QUIET(pthread_join(t[i], NULL) == 0);
		int limit = 1000; /* of 10 ms */
		while (kernel_threads() > FEW && limit-- > 0)
			usleep(10000);
		printf("round %d: few are left: %s\n", round, limit > 0 ? "yes" : "no");
	}
	return check_done();
}
