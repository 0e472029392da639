/* timer_* and clock_*: each way to set, read, overrun and delete a timer, from main and threads. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t caught, value;
static sem_t fired;

static void on_timer(int sig, siginfo_t *si, void *uc)
{
	caught++;
	value = si->si_value.sival_int;
	QUIET(si->si_code == SI_TIMER);
}

static void in_thread(union sigval v)
{
	value = v.sival_int;
	sem_post(&fired);
}

static timer_t make(clockid_t clock, int notify, int sig, int v)
{
	struct sigevent ev = {.sigev_notify = notify, .sigev_signo = sig};
	timer_t t;
	ev.sigev_value.sival_int = v;
	if (notify == SIGEV_THREAD)
		ev.sigev_notify_function = in_thread;
	MUST(timer_create(clock, &ev, &t) == 0);
	return t;
}

static struct itimerspec in_ms(long first, long every)
{
	struct itimerspec its;
	its.it_value = timespec_of_ns(first * 1000000);
	its.it_interval = timespec_of_ns(every * 1000000);
	return its;
}

static int wait_caught(int n)
{
	int64_t until = now_ns(CLOCK_MONOTONIC) + 10000000000;
	while (caught < n && now_ns(CLOCK_MONOTONIC) < until)
		sleep_ms(1);
	return caught >= n;
}

static void settings(clockid_t clock)
{
	struct itimerspec its, old;
	timer_t t = make(clock, SIGEV_SIGNAL, SIGUSR1, 7);

	CHECK(timer_gettime(t, &its) == 0 && its.it_value.tv_sec == 0 && its.it_value.tv_nsec == 0);
	its = in_ms(100000, 50000);
	CHECK(timer_settime(t, 0, &its, NULL) == 0);
	its = in_ms(20, 0);
	CHECK(timer_settime(t, 0, &its, &old) == 0 && old.it_interval.tv_sec == 50 &&
	      old.it_value.tv_sec >= 90 && old.it_value.tv_sec <= 100);
	caught = value = 0;
	CHECK(wait_caught(1) && value == 7);
	CHECK(timer_gettime(t, &its) == 0 && its.it_value.tv_sec == 0 && its.it_value.tv_nsec == 0);
	/* Disarmed before it fires. */
	its = in_ms(50, 0);
	QUIET(timer_settime(t, 0, &its, NULL) == 0);
	its = in_ms(0, 10);
	CHECK(timer_settime(t, 0, &its, &old) == 0 && old.it_value.tv_nsec > 0);
	caught = 0;
	sleep_ms(80);
	CHECK(caught == 0);
	/* An absolute time that has passed. */
	its = (struct itimerspec){.it_value = {1, 0}};
	if (clock != CLOCK_PROCESS_CPUTIME_ID) {
		CHECK(timer_settime(t, TIMER_ABSTIME, &its, NULL) == 0);
		CHECK(wait_caught(1));
		its.it_value = deadline_ms(clock, 20);
		caught = 0;
		CHECK(timer_settime(t, TIMER_ABSTIME, &its, NULL) == 0 && wait_caught(1));
	}
	its.it_value.tv_nsec = 1000000000;
	CHECK_ERRNO(EINVAL, timer_settime(t, 0, &its, NULL));
	its.it_value.tv_nsec = -1;
	CHECK_ERRNO(EINVAL, timer_settime(t, 0, &its, NULL));
	CHECK(timer_delete(t) == 0);
	CHECK_ERRNO(EINVAL, timer_delete(t));
	CHECK_ERRNO(EINVAL, timer_gettime(t, &its));
	CHECK_ERRNO(EINVAL, timer_getoverrun(t));
}

/* Blocked while it expires several times: one signal, and the others are counted. */
static void *overruns(void *arg)
{
	sigset_t set;
	siginfo_t si;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 3);
	struct itimerspec its = in_ms(10, 10), stop = in_ms(0, 0);
	QUIET(timer_settime(t, 0, &its, NULL) == 0);
	sleep_ms(105);
	CHECK(sigwaitinfo(&set, &si) == SIGUSR2 && si.si_value.sival_int == 3 &&
	      si.si_overrun >= 7 && timer_getoverrun(t) >= 7);
	CHECK(timer_settime(t, 0, &stop, NULL) == 0);
	struct timespec none = {0, 0};
	while (sigtimedwait(&set, NULL, &none) > 0)
		;
	CHECK(timer_delete(t) == 0);
	return NULL;
}

static void notifications(void)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_THREAD, 0, 42);
	struct itimerspec its = in_ms(5, 5), stop = in_ms(0, 0);
	QUIET(timer_settime(t, 0, &its, NULL) == 0);
	for (int i = 0; i < 5; i++)
		QUIET(sem_wait(&fired) == 0 && value == 42);
	CHECK(timer_settime(t, 0, &stop, NULL) == 0 && timer_delete(t) == 0);
	/* SIGEV_NONE only counts down. */
	t = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	its = in_ms(5, 0);
	caught = 0;
	QUIET(timer_settime(t, 0, &its, NULL) == 0);
	sleep_ms(20);
	CHECK(timer_gettime(t, &its) == 0 && its.it_value.tv_nsec == 0 && caught == 0);
	QUIET(timer_delete(t) == 0);
	/* No event: SIGALRM. */
	MUST(timer_create(CLOCK_REALTIME, NULL, &t) == 0);
	its = in_ms(5, 0);
	caught = 0;
	CHECK(timer_settime(t, 0, &its, NULL) == 0 && wait_caught(1));
	/* A child has none of them. */
	its = in_ms(40, 0);
	QUIET(timer_settime(t, 0, &its, NULL) == 0);
	caught = 0;
	pid_t pid = fork();
	if (pid == 0) {
		errno = 0;
		int bad = timer_gettime(t, &its) == 0 || errno != EINVAL;
		sleep_ms(100);
		_exit(bad + 2 * caught);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(wait_caught(1));
	QUIET(timer_delete(t) == 0);
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 100};
	CHECK_ERRNO(EINVAL, timer_create(CLOCK_REALTIME, &ev, &t));
	ev.sigev_signo = SIGUSR1;
	CHECK_ERRNO(EINVAL, timer_create(99, &ev, &t));
}

static void *cpu_timer(void *arg)
{
	clockid_t mine;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec its = in_ms(20, 0);
	timer_t t;
	ev.sigev_value.sival_int = 9;
	CHECK(pthread_getcpuclockid(pthread_self(), &mine) == 0);
	CHECK(timer_create(arg ? mine : CLOCK_THREAD_CPUTIME_ID, &ev, &t) == 0);
	caught = 0;
	CHECK(timer_settime(t, 0, &its, NULL) == 0);
	int64_t from = now_ns(mine);
	sleep_ms(60); /* does not count */
	CHECK(caught == 0);
	while (!caught && now_ns(mine) < from + 2000000000)
		;
	CHECK(caught == 1 && value == 9 && now_ns(mine) - from > 15000000);
	CHECK(timer_delete(t) == 0);
	return NULL;
}

static void clocks(void)
{
	static const clockid_t all[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
					CLOCK_THREAD_CPUTIME_ID, CLOCK_BOOTTIME};
	struct timespec ts, bad = {0, 1000000000}, zero = {0, 0};
	clockid_t c;
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
		QUIET(clock_getres(all[i], &ts) == 0 && ts.tv_sec == 0 && ts.tv_nsec > 0);
		QUIET(clock_getres(all[i], NULL) == 0 && clock_gettime(all[i], &ts) == 0);
	}
	CHECK_ERRNO(EINVAL, clock_getres(1000, &ts));
	CHECK_ERRNO(EINVAL, clock_gettime(1000, &ts));
	CHECK_ERRNO(EINVAL, clock_settime(CLOCK_MONOTONIC, &zero));
	CHECK_ERRNO(EINVAL, clock_settime(CLOCK_REALTIME, &bad));
	CHECK_RC(EINVAL, clock_nanosleep(CLOCK_REALTIME, 0, &bad, NULL));
	CHECK_RC(EINVAL, clock_nanosleep(1000, 0, &zero, NULL));
	CHECK_RC(EINVAL, clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &zero, NULL));
	CHECK_RC(0, clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &zero, NULL));
	CHECK_ERRNO(EINVAL, nanosleep(&bad, NULL));
	bad = (struct timespec){-1, 0};
	CHECK_ERRNO(EINVAL, nanosleep(&bad, NULL));
	CHECK_RC(0, clock_getcpuclockid(0, &c));
	CHECK_RC(0, clock_getcpuclockid(getpid(), &c));
	CHECK_RC(ESRCH, clock_getcpuclockid(1 << 25, &c));
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* all threads: it is sent to the process */
	become_threaded();
	sem_init(&fired, 0, 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGALRM, &sa, NULL) == 0);
	settings(CLOCK_REALTIME);
	settings(CLOCK_MONOTONIC);
	join(spawn(overruns, NULL));
	overruns(NULL);
	notifications();
	join(spawn(cpu_timer, NULL));
	join(spawn(cpu_timer, (void *)1));
	clocks();
	return check_done();
}
