/* timer_create in all its kinds: a signal to the process, to one thread (handler or sigwait), a
 * thread per notification, nothing; values, overruns, attributes, deletion, fork. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
#define LIVES 8

static sem_t notified;
static pthread_t main_thread;
static __thread volatile int mine;
static volatile int value_seen, code_seen, stack_small, masked, detached, not_main;

static void on_signal(int number, siginfo_t *info, void *context)
{
	value_seen = info->si_value.sival_int;
	code_seen = info->si_code;
	mine++;
}

static void arm(timer_t t, int ms, int interval_ms)
{
	struct itimerspec its = {.it_value = timespec_of_ns((int64_t)ms * 1000000),
				 .it_interval = timespec_of_ns((int64_t)interval_ms * 1000000)};
	MUST(timer_settime(t, 0, &its, NULL) == 0);
}

static timer_t make(int notify, int number, int value, clockid_t clock)
{
	struct sigevent ev = {.sigev_notify = notify, .sigev_signo = number};
	timer_t t;
	ev.sigev_value.sival_int = value;
	ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	MUST(timer_create(clock, &ev, &t) == 0);
	return t;
}

static void notify(union sigval v)
{
	pthread_attr_t attr;
	sigset_t now;
	size_t size = 0;
	int state = -1;
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, &size);
	pthread_attr_getdetachstate(&attr, &state);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	stack_small = size >= 200000 && size <= 300000;
	detached = state == PTHREAD_CREATE_DETACHED;
	masked = sigismember(&now, SIGUSR1);
	not_main = !pthread_equal(pthread_self(), main_thread);
	value_seen = v.sival_int;
	sleep_ms(1); /* parks */
	sem_post(&notified);
}

static void wait_notified(int n)
{
	while (n > 0)
		if (sem_wait(&notified) == 0)
			n--;
}

/* A timer for this thread only, whatever the others do. */
static void *to_this_thread(void *arg)
{
	int me = (int)(intptr_t)arg;
	struct timespec limit = {.tv_sec = 20};
	sigset_t set;
	siginfo_t info;

	timer_t t = make(SIGEV_THREAD_ID, SIGRTMIN + 1, me, CLOCK_MONOTONIC);
	arm(t, 1, 2);
	while (mine < 10) /* parked, or spinning */
		me % 2 ? usleep(500) : sched_yield();
	QUIET(timer_delete(t) == 0);

	/* The same with sigwait: no thread blocks the signal but this one. */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	t = make(SIGEV_THREAD_ID, SIGRTMIN + 1, 100 + me, CLOCK_REALTIME);
	arm(t, 1, 1);
	for (int i = 0; i < 10; i++) {
		QUIET(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 1);
		QUIET(info.si_code == SI_TIMER && info.si_value.sival_int == 100 + me);
		QUIET(info.si_overrun == timer_getoverrun(t));
	}
	/* What expires while one waits is overrun. */
	sleep_ms(30);
	QUIET(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 1); /* the one that waited */
	QUIET(info.si_overrun >= 10 && timer_getoverrun(t) >= 10);
	QUIET(timer_delete(t) == 0);
	/* A deleted timer sends nothing more. */
	t = make(SIGEV_THREAD_ID, SIGRTMIN + 1, 0, CLOCK_MONOTONIC);
	QUIET(timer_delete(t) == 0);
	return NULL;
}

/* One timer after the other, each deleted while it expires: what a deleted one sends comes no more,
 * least of all for the next one. */
static void *made_anew(void *arg)
{
	const struct timespec now = {0};
	sigset_t set;
	siginfo_t info;
	int me = (int)(intptr_t)arg, wrong = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 400; i++) {
		struct itimerspec its = {{0, 20000}, {0, 20000}};
		timer_t t = make(SIGEV_THREAD_ID, SIGRTMIN + 2, me * 1000 + i, CLOCK_MONOTONIC);
		QUIET(timer_settime(t, 0, &its, NULL) == 0);
		for (int turn = 0; turn < 3; turn++) {
			if (sigtimedwait(&set, &info, &now) > 0)
				wrong += info.si_value.sival_int != me * 1000 + i;
			sched_yield();
		}
		QUIET(timer_delete(t) == 0);
	}
	CHECK(wrong == 0);
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct itimerspec its;
	pthread_t threads[LIVES];
	pthread_attr_t attr;
	timer_t t, many[40];

	main_thread = pthread_self();
	sem_init(&notified, 0, 0);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGRTMIN + 1, &action, NULL);

	/* A thread per notification; before the program has made any. */
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify};
	ev.sigev_value.sival_int = 41;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	ev.sigev_notify_attributes = &attr;
	CHECK(timer_create(CLOCK_REALTIME, &ev, &t) == 0);
	pthread_attr_destroy(&attr);
	arm(t, 1, 0);
	wait_notified(1);
	CHECK(value_seen == 41 && not_main);
	CHECK(stack_small);
	CHECK(detached);
	printf("mask of a notification: %d\n", masked);
	CHECK(timer_gettime(t, &its) == 0 && its.it_value.tv_sec == 0 && its.it_value.tv_nsec == 0);
	arm(t, 1, 3);
	wait_notified(20);
	arm(t, 0, 0);
	CHECK(timer_getoverrun(t) >= 0);
	CHECK(timer_delete(t) == 0);
	CHECK_ERRNO(EINVAL, timer_delete(t));
	CHECK_ERRNO(EINVAL, timer_gettime(t, &its));
	ev.sigev_notify_attributes = NULL;
	for (int i = 0; i < 40; i++) {
		MUST(timer_create(CLOCK_MONOTONIC, &ev, &many[i]) == 0);
		arm(many[i], 1 + i % 3, 0);
	}
	while (sem_trywait(&notified) == 0)
		;
	wait_notified(40 - 5); /* some may have come before */
	for (int i = 0; i < 40; i++)
		QUIET(timer_delete(many[i]) == 0);

	/* The process, by a handler. */
	t = make(SIGEV_SIGNAL, SIGUSR1, 17, CLOCK_MONOTONIC);
	arm(t, 1, 0);
	while (mine == 0)
		sched_yield();
	CHECK(mine == 1 && value_seen == 17 && code_seen == SI_TIMER);
	CHECK(timer_delete(t) == 0);

	/* One thread. */
	for (intptr_t i = 0; i < LIVES; i++)
		threads[i] = spawn(to_this_thread, (void *)i);
	for (int i = 0; i < LIVES; i++)
		join(threads[i]);
	CHECK(mine == 1);
	mine = 0;
	t = make(SIGEV_THREAD_ID, SIGRTMIN + 1, 5, CLOCK_MONOTONIC);
	arm(t, 1, 0);
	while (mine == 0)
		pause();
	CHECK(mine == 1 && value_seen == 5 && code_seen == SI_TIMER);
	CHECK(timer_delete(t) == 0);

	/* Nobody. */
	t = make(SIGEV_NONE, 0, 0, CLOCK_MONOTONIC);
	arm(t, 100000, 0);
	CHECK(timer_gettime(t, &its) == 0 && its.it_value.tv_sec > 90);
	CHECK(timer_delete(t) == 0);

	/* CPU time of the process. */
	t = make(SIGEV_THREAD_ID, SIGRTMIN + 1, 6, CLOCK_PROCESS_CPUTIME_ID);
	mine = 0;
	arm(t, 5, 0);
	while (mine == 0)
		;
	CHECK(mine == 1 && value_seen == 6);
	CHECK(timer_delete(t) == 0);

	struct sigevent bad = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 12345};
	CHECK_ERRNO(EINVAL, timer_create(CLOCK_MONOTONIC, &bad, &t));
	bad.sigev_notify = SIGEV_THREAD_ID;
	bad.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	CHECK_ERRNO(EINVAL, timer_create(CLOCK_MONOTONIC, &bad, &t));
	bad.sigev_signo = SIGUSR1;
	bad.sigev_notify_thread_id = 1;
	CHECK_ERRNO(EINVAL, timer_create(CLOCK_MONOTONIC, &bad, &t));
	bad.sigev_notify = 99;
	CHECK_ERRNO(EINVAL, timer_create(CLOCK_MONOTONIC, &bad, &t));
	bad.sigev_notify = SIGEV_THREAD;
	bad.sigev_notify_function = notify;
	CHECK_ERRNO(EINVAL, timer_create(12345, &bad, &t));

	/* A child has none of them, and can make its own. */
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &t) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (timer_gettime(t, &its) == 0 || timer_delete(t) == 0)
			_exit(1);
		sem_init(&notified, 0, 0);
		if (timer_create(CLOCK_MONOTONIC, &ev, &t) != 0)
			_exit(2);
		arm(t, 1, 0);
		wait_notified(1);
		_exit(3);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK(timer_delete(t) == 0);
	for (int i = 0; i < 4; i++)
		threads[i] = spawn(made_anew, (void *)(intptr_t)i);
	for (int i = 0; i < 4; i++)
		join(threads[i]);
	return check_done();
}
