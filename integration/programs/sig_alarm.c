/* alarm, setitimer, timer_create (signal and thread) and SIGCHLD with a handler that waits. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t alarms, children;
static sem_t notified;

static void on_alarm(int number)
{
	alarms++;
}

static void on_child(int number)
{
	int saved = errno, status;
	while (waitpid(-1, &status, WNOHANG) > 0)
		if (WIFEXITED(status) && WEXITSTATUS(status) == 12)
			children++;
	errno = saved;
}

static void notify(union sigval value)
{
	if (value.sival_int == 55)
		sem_post(&notified);
}

static void *sleeps_on(void *arg)
{
	/* Whoever takes the signal, an interrupted sleep is continued with the rest. */
	int64_t start = now_ns(CLOCK_MONOTONIC);
	sleep_ms(100);
	QUIET(now_ns(CLOCK_MONOTONIC) - start >= 100000000);
	return NULL;
}

int main(void)
{
	struct itimerval it = {.it_value = {.tv_usec = 20000}, .it_interval = {.tv_usec = 5000}};
	struct itimerval none = {{0, 0}, {0, 0}};
	struct itimerspec once = {.it_value = {.tv_nsec = 10000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct sigaction action = {.sa_handler = on_alarm};
	pthread_t t[20];
	timer_t timer;

	become_threaded();
	sem_init(&notified, 0, 0);
	sigaction(SIGALRM, &action, NULL);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK(alarm(1) == 0);
	while (alarms == 0)
		pause();
	CHECK(alarms == 1 && now_ns(CLOCK_MONOTONIC) - start >= 990000000);
	CHECK(alarm(100) == 0 && alarm(0) > 90);

	for (int i = 0; i < 20; i++)
		t[i] = spawn(sleeps_on, NULL);
	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
	while (alarms < 5)
		usleep(2000);
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
	for (int i = 0; i < 20; i++)
		join(t[i]);

	int before = alarms;
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &once, NULL) == 0);
	while (alarms == before)
		usleep(1000);
	CHECK(timer_delete(timer) == 0);

	event.sigev_notify = SIGEV_THREAD;
	event.sigev_notify_function = notify;
	event.sigev_value.sival_int = 55;
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &once, NULL) == 0);
	CHECK(sem_wait(&notified) == 0);
	CHECK(timer_delete(timer) == 0);

	action.sa_handler = on_child;
	action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
	sigaction(SIGCHLD, &action, NULL);
	for (int i = 0; i < 10; i++)
		if (fork() == 0)
			_exit(12);
	while (children < 10)
		usleep(1000);
	CHECK(children == 10);
	CHECK_ERRNO(ECHILD, waitpid(-1, NULL, 0));
	return check_done();
}
