/* Waits that are libc's own (process-shared, CPU-time sleeps) and signals: a handler with
 * SA_RESTART does not end an untimed semaphore wait, one without does; either ends a timed one and
 * a sleep. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>

static sem_t *shared;
static int handled, ready;

static void handler(int sig)
{
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static void *waits(void *arg)
{
	struct timespec far = deadline_ms(CLOCK_REALTIME, 600000), hour = {.tv_sec = 3600}, left;
	__atomic_store_n(&ready, 1, __ATOMIC_SEQ_CST);
	errno = 0;
	switch ((intptr_t)arg) {
	case 0:
		sem_wait(shared);
		return (void *)(intptr_t)errno; /* untouched when it succeeds */
	case 1:
		sem_timedwait(shared, &far);
		return (void *)(intptr_t)errno;
	default:
		return (void *)(intptr_t)clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &hour, &left);
	}
}

/* What the wait answers to signals, each sent until its handler ran. */
static int answer(int which, int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
	int sent = 0;
	sigaction(SIGUSR1, &sa, NULL);
	ready = handled = 0;
	while (sem_trywait(shared) == 0)
		; /* the last case may have posted once more than was needed */
	pthread_t t = spawn(waits, (void *)(intptr_t)which);
	while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
		sched_yield();
	void *r;
	for (;;) { /* the first may come before the wait */
		sleep_ms(5);
		if (pthread_tryjoin_np(t, &r) == 0)
			return (int)(intptr_t)r;
		if (sent < 10) {
			QUIET(pthread_kill(t, SIGUSR1) == 0);
			int ended = 0;
			while (!ended && __atomic_load_n(&handled, __ATOMIC_SEQ_CST) <= sent)
				ended = pthread_tryjoin_np(t, &r) == 0;
			if (ended)
				return (int)(intptr_t)r;
			sent++;
		} else {
			sem_post(shared);
		}
	}
}

int main(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(sem_init(shared, 1, 0) == 0);
	CHECK_RC(0, answer(0, SA_RESTART));
	CHECK_RC(EINTR, answer(0, 0));
	CHECK_RC(EINTR, answer(1, SA_RESTART));
	CHECK_RC(EINTR, answer(1, 0));
	CHECK_RC(EINTR, answer(2, SA_RESTART));
	CHECK_RC(EINTR, answer(2, 0));
	return check_done();
}
