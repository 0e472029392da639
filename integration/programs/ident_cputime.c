/* CPU clocks of threads count the thread: one that computes sees its own time and not the others',
 * one that sleeps sees none; from inside and from outside, by every name; and what is refused. */
#include "check.h"
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MS 1000000LL
static sem_t go, ready;
static int stop;

/* Uses `ms` of the caller's own CPU time. */
static void burn(int ms)
{
	int64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ms * MS;
	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 1000; i++)
			;
}

static int64_t usage_ns(void)
{
	struct rusage u;
	MUST(getrusage(RUSAGE_THREAD, &u) == 0);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

/* Computes and yields in turn with the others: each gets the time it used. */
static void *shares(void *arg)
{
	clockid_t mine;
	int64_t t0 = now_ns(CLOCK_THREAD_CPUTIME_ID), u0 = usage_ns(), last = t0;
	for (int i = 0; i < 20; i++) {
		burn(1 + (int)(intptr_t)arg);
		sched_yield();
		int64_t now = now_ns(CLOCK_THREAD_CPUTIME_ID);
		QUIET(now >= last);
		last = now;
	}
	int64_t used = last - t0, want = 20 * (1 + (int)(intptr_t)arg) * MS;
	QUIET(used >= want && used < want + 15 * MS);
	QUIET(llabs(usage_ns() - u0 - used) < 10 * MS);
	QUIET(pthread_getcpuclockid(pthread_self(), &mine) == 0);
	QUIET(now_ns(mine) - last >= 0 && now_ns(mine) - last < 10 * MS);
	struct timespec ts;
	QUIET(syscall(SYS_clock_gettime, mine, &ts) == 0 &&
	      syscall(SYS_clock_gettime, 2, &ts) == 0);
	return NULL;
}

static void *sleeps(void *arg)
{
	int64_t t0 = now_ns(CLOCK_THREAD_CPUTIME_ID);
	sem_post(&ready);
	sem_wait(&go);
	sleep_ms(50);
	QUIET(now_ns(CLOCK_THREAD_CPUTIME_ID) - t0 < 20 * MS);
	return NULL;
}

static void *runs(void *arg)
{
	sem_post(&ready);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		;
	return NULL;
}

/* Computes without a look at its own clock. */
static void compute(void)
{
	for (volatile int i = 0; i < 60000000; i++)
		;
}

/* Nobody has asked for any clock of a thread yet. */
static void *unasked(void *arg)
{
	compute();
	sem_post(&ready);
	sem_wait(&go);
	return NULL;
}

/* In turn with one that looks at its clock: what is used up in between is not the other one's. */
static sem_t turn[2];

static void *computes_in_turn(void *arg)
{
	for (int i = 0; i < 3; i++) {
		sem_wait(&turn[0]);
		compute();
		sem_post(&turn[1]);
	}
	return NULL;
}

static void *looks_in_turn(void *arg)
{
	for (int i = 0; i < 3; i++) {
		int64_t before = now_ns(CLOCK_THREAD_CPUTIME_ID);
		sem_post(&turn[0]);
		sem_wait(&turn[1]);
		QUIET(now_ns(CLOCK_THREAD_CPUTIME_ID) - before < 20 * MS);
	}
	return NULL;
}

static void *ends(void *arg)
{
	sem_post(&ready);
	return NULL;
}

int main(void)
{
	pthread_t t[4], s[8];
	clockid_t c, self;
	struct rusage usage;
	struct timespec ts = {0};
	sem_init(&go, 0, 0);
	sem_init(&ready, 0, 0);

	t[0] = spawn(unasked, NULL);
	sem_wait(&ready);
	CHECK(pthread_getcpuclockid(t[0], &c) == 0);
	CHECK(now_ns(c) > 15 * MS);
	sem_post(&go);
	join(t[0]);
	sem_init(&turn[0], 0, 0);
	sem_init(&turn[1], 0, 0);
	t[0] = spawn(computes_in_turn, NULL);
	t[1] = spawn(looks_in_turn, NULL);
	join(t[0]);
	join(t[1]);

	int64_t before = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (volatile int i = 0; i < 20000000; i++)
		;
	become_threaded();
	CHECK(now_ns(CLOCK_THREAD_CPUTIME_ID) > before); /* what main used before counts */

	for (intptr_t i = 0; i < 8; i++)
		s[i] = spawn(sleeps, NULL);
	for (int i = 0; i < 8; i++)
		sem_wait(&ready);
	for (intptr_t i = 0; i < 4; i++)
		t[i] = spawn(shares, (void *)i);
	int64_t t0 = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (int i = 0; i < 4; i++)
		join(t[i]);
	CHECK(now_ns(CLOCK_THREAD_CPUTIME_ID) - t0 < 20 * MS); /* main waited */

	/* From outside: of one that waits, of one that runs. */
	CHECK(pthread_getcpuclockid(s[0], &c) == 0);
	int64_t of_waiting = now_ns(c);
	CHECK(of_waiting < 30 * MS);
	t[0] = spawn(runs, NULL);
	sem_wait(&ready);
	CHECK(pthread_getcpuclockid(t[0], &self) == 0 && self != c);
	int64_t first = now_ns(self);
	struct timespec wait = timespec_of_ns(30 * MS);
	CHECK(clock_nanosleep(self, 0, &wait, NULL) == 0);
	CHECK(now_ns(self) - first >= 30 * MS);
	wait = timespec_of_ns(now_ns(self) + 20 * MS);
	CHECK(clock_nanosleep(self, TIMER_ABSTIME, &wait, NULL) == 0);
	CHECK(now_ns(self) >= wait.tv_sec * 1000000000LL + wait.tv_nsec);
	CHECK(now_ns(c) - of_waiting < 10 * MS);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	join(t[0]);
	for (int i = 0; i < 8; i++)
		sem_post(&go);
	for (int i = 0; i < 8; i++)
		join(s[i]);

	/* The process's clock has all of it. */
	CHECK(now_ns(CLOCK_PROCESS_CPUTIME_ID) > 200 * MS);

	/* Errors. */
	CHECK_ERRNO(EINVAL, clock_gettime(self, &ts)); /* it ended */
	t[0] = spawn(ends, NULL);
	sem_wait(&ready);
	while (pthread_getcpuclockid(t[0], &c) == 0)
		sched_yield();
	CHECK_RC(ESRCH, pthread_getcpuclockid(t[0], &c));
	join(t[0]);
	CHECK_RC(0, pthread_getcpuclockid(pthread_self(), &self));
	CHECK(clock_getres(self, &ts) == 0 && ts.tv_sec == 0 && ts.tv_nsec == 1);
	CHECK(clock_getres(CLOCK_THREAD_CPUTIME_ID, NULL) == 0);
	CHECK_ERRNO(EPERM, clock_settime(self, &ts));
	CHECK_RC(EINVAL, clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));
	CHECK_RC(EINVAL, clock_nanosleep(self, 0, &ts, NULL));
	CHECK_ERRNO(EINVAL, clock_gettime(77, &ts));
	CHECK_ERRNO(EINVAL, clock_gettime(INT32_MIN, &ts));
	CHECK_ERRNO(EINVAL, getrusage(55, &usage));
	CHECK(clock_getcpuclockid(0, &c) == 0 && now_ns(c) > 200 * MS);
	return check_done();
}
