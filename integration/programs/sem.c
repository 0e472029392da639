/* Semaphores: every call, limits, named ones, many waiters. */
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>

#define N 50
static sem_t gate, tokens;
static int inside, most;

static void *enter(void *arg)
{
	for (int i = 0; i < 50; i++) {
		sem_wait(&tokens);
		int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		QUIET(now <= 3);
		if (now > most)
			most = now;
		sched_yield();
		__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		sem_post(&tokens);
	}
	return NULL;
}

static void *wait_gate(void *arg)
{
	return (void *)(intptr_t)sem_wait(arg);
}

int main(void)
{
	pthread_t t[N];
	struct timespec until, bad = {.tv_sec = 1, .tv_nsec = 1000000000};
	int value;
	sem_t big, *named;
	char name[64];

	become_threaded();
	CHECK(sem_init(&gate, 0, 2) == 0);
	CHECK(sem_wait(&gate) == 0 && sem_trywait(&gate) == 0);
	CHECK_ERRNO(EAGAIN, sem_trywait(&gate));
	CHECK(sem_getvalue(&gate, &value) == 0 && value == 0);
	until = deadline_ms(CLOCK_REALTIME, 20);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(ETIMEDOUT, sem_timedwait(&gate, &until));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 19000000);
	start = now_ns(CLOCK_MONOTONIC);
	until = deadline_ms(CLOCK_MONOTONIC, 20);
	CHECK_ERRNO(ETIMEDOUT, sem_clockwait(&gate, CLOCK_MONOTONIC, &until));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	CHECK_ERRNO(EINVAL, sem_timedwait(&gate, &bad));
	CHECK_ERRNO(EINVAL, sem_clockwait(&gate, CLOCK_THREAD_CPUTIME_ID, &until));
	until = deadline_ms(CLOCK_REALTIME, -1000);
	CHECK_ERRNO(ETIMEDOUT, sem_timedwait(&gate, &until));
	sem_post(&gate);
	CHECK(sem_timedwait(&gate, &until) == 0); /* available: the time is not looked at */

	CHECK_ERRNO(EINVAL, sem_init(&big, 0, (unsigned)SEM_VALUE_MAX + 1));
	CHECK(sem_init(&big, 0, SEM_VALUE_MAX) == 0);
	CHECK_ERRNO(EOVERFLOW, sem_post(&big));

	for (int i = 0; i < N; i++)
		t[i] = spawn(wait_gate, &gate);
	for (int i = 0; i < N; i++)
		sem_post(&gate);
	for (int i = 0; i < N; i++)
		QUIET(join(t[i]) == NULL);
	CHECK(sem_getvalue(&gate, &value) == 0 && value == 0);

	sem_init(&tokens, 0, 3);
	for (int i = 0; i < N; i++)
		t[i] = spawn(enter, NULL);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(most >= 1 && most <= 3);
	CHECK(sem_destroy(&tokens) == 0);

	snprintf(name, sizeof(name), "/check-%d", (int)getpid());
	named = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
	CHECK(named != SEM_FAILED);
	CHECK(sem_open(name, O_CREAT | O_EXCL, 0600, 0) == SEM_FAILED && errno == EEXIST);
	CHECK(sem_open(name, 0) == named);
	t[0] = spawn(wait_gate, named);
	sem_post(named);
	CHECK(join(t[0]) == NULL);
	CHECK(sem_close(named) == 0 && sem_close(named) == 0);
	CHECK(sem_unlink(name) == 0);
	CHECK_ERRNO(ENOENT, sem_unlink(name));
	return check_done();
}
