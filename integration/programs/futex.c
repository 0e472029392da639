/* syscall(SYS_futex, ...) as language runtimes use it: wait, wake, bitsets, requeue, limits. */
#include "check.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

static int a, b, bits, woken, private_flag = FUTEX_PRIVATE_FLAG;

static long futex(int *word, int op, int value, void *timeout_or_count, int *word2, int value3)
{
	return syscall(SYS_futex, word, op | private_flag, value, timeout_or_count, word2, value3);
}

/* Waits until *word is nonzero. A return without a wake is allowed, so it loops. */
static void *wait_word(void *arg)
{
	int *word = arg;
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
		futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *wait_once(void *arg)
{
	long rc = futex(arg, FUTEX_WAIT, 0, NULL, NULL, 0);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return (void *)rc;
}

static void *wait_bits(void *arg)
{
	futex(&bits, FUTEX_WAIT_BITSET, 0, NULL, NULL, (int)(intptr_t)arg);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Keep waking until n threads were counted as woken by the kernel's (or runtime's) own count. */
static void wake_exactly(int *word, int n)
{
	for (int done = 0; done < n;) {
		done += futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
		sched_yield();
	}
}

static void errors_and_limits(void)
{
	struct timespec limit = timespec_of_ns(20000000), bad = {.tv_nsec = 1000000000};
	int64_t start;
	a = 5;
	CHECK_ERRNO(EAGAIN, futex(&a, FUTEX_WAIT, 4, NULL, NULL, 0));
	CHECK(futex(&a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) == 0);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(ETIMEDOUT, futex(&a, FUTEX_WAIT, 5, &limit, NULL, 0));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	CHECK_ERRNO(EINVAL, futex(&a, FUTEX_WAIT, 5, &bad, NULL, 0));
	limit = deadline_ms(CLOCK_MONOTONIC, 20);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(ETIMEDOUT, futex(&a, FUTEX_WAIT_BITSET, 5, &limit, NULL, -1));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	limit = deadline_ms(CLOCK_REALTIME, 20);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(ETIMEDOUT,
		    futex(&a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &limit, NULL, -1));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 19000000);
	CHECK_ERRNO(EINVAL, futex(&a, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
	CHECK_ERRNO(EAGAIN, futex(&a, FUTEX_CMP_REQUEUE, 1, (void *)1, &b, 4));
	CHECK_ERRNO(EINVAL, futex((int *)((char *)&a + 1), FUTEX_WAIT, 5, NULL, NULL, 0));
	CHECK_ERRNO(ENOSYS, futex(&a, 99, 0, NULL, NULL, 0));
	a = 0;
}

static void waits_and_wakes(void)
{
	pthread_t t[20];
	a = b = bits = woken = 0;
	for (int i = 0; i < 20; i++)
		t[i] = spawn(wait_word, &a);
	__atomic_store_n(&a, 1, __ATOMIC_SEQ_CST);
	futex(&a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	CHECK(woken == 20);

	a = woken = 0;
	for (int i = 0; i < 10; i++)
		t[i] = spawn(wait_once, &a);
	wake_exactly(&a, 10);
	for (int i = 0; i < 10; i++)
		QUIET(join(t[i]) == NULL);
	CHECK(woken == 10);

	/* A wake of bit 1 reaches only waiters with bit 1. */
	woken = 0;
	t[0] = spawn(wait_bits, (void *)1);
	t[1] = spawn(wait_bits, (void *)2);
	while (futex(&bits, FUTEX_WAKE_BITSET, 1, NULL, NULL, 1) == 0)
		sched_yield();
	join(t[0]);
	CHECK(futex(&bits, FUTEX_WAKE_BITSET, 9, NULL, NULL, 1) == 0);
	CHECK(woken == 1);
	while (futex(&bits, FUTEX_WAKE_BITSET, 9, NULL, NULL, 2) == 0)
		sched_yield();
	join(t[1]);

	/* Waiters of a move to b without waking; a wake of b then finds them there.  In the kernel
	 * a waiter that gets a belated wake-up of an earlier futex waits again where it began, on a
	 * (futex_wait's retry): they are counted together. */
	for (int compare = 0; compare < 2; compare++) {
		int moved = 0;
		woken = 0;
		for (int i = 0; i < 10; i++)
			t[i] = spawn(wait_once, &a);
		while (moved < 10) {
			moved += compare ? futex(&a, FUTEX_CMP_REQUEUE, 0, (void *)100, &b, 0)
					 : futex(&a, FUTEX_REQUEUE, 0, (void *)100, &b, 0);
			sched_yield();
		}
		CHECK(moved == 10 && woken == 0);
		for (int done = 0; done < 10; sched_yield())
			done += futex(&a, FUTEX_WAKE, 100, NULL, NULL, 0) +
				futex(&b, FUTEX_WAKE, 4, NULL, NULL, 0);
		for (int i = 0; i < 10; i++)
			join(t[i]);
	}
}

int main(void)
{
	become_threaded();
	printf("-- private\n");
	errors_and_limits();
	waits_and_wakes();
	printf("-- shared\n");
	private_flag = 0;
	errors_and_limits();
	waits_and_wakes();
	return check_done();
}
