/* Signals that were sent to main before there was another thread are main's: no thread sees them
 * pending, takes them or handles them. What was sent to the process anybody may take. The same in
 * a forked child, whose first thread comes later. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t handled;
static __thread int is_main;
static volatile sig_atomic_t on_main;

static void on_signal(int sig)
{
	handled++;
	on_main += is_main;
}

static sigset_t the_set(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigaddset(&s, SIGUSR2);
	sigaddset(&s, SIGRTMIN + 3);
	return s;
}

static void *looks(void *arg)
{
	sigset_t pending;
	sigpending(&pending);
	QUIET(!sigismember(&pending, SIGUSR1));
	QUIET(sigismember(&pending, SIGUSR2));
	QUIET(!sigismember(&pending, SIGRTMIN + 3));
	return NULL;
}

static void *takes(void *arg)
{
	sigset_t s = the_set();
	struct timespec none = {0};
	sigdelset(&s, SIGUSR2);
	QUIET(sigtimedwait(&s, NULL, &none) == -1 && errno == EAGAIN);
	return NULL;
}

static void *opens(void *arg)
{
	sigset_t s = the_set();
	sigdelset(&s, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
	sched_yield();
	QUIET(handled == 0);
	return NULL;
}

static void round_of(void)
{
	sigset_t s = the_set();
	siginfo_t info;
	struct timespec none = {0};
	pthread_t t[9];

	handled = on_main = 0;
	CHECK_RC(0, pthread_kill(pthread_self(), SIGUSR1));
	CHECK(kill(getpid(), SIGUSR2) == 0);
	for (int i = 0; i < 4; i++)
		QUIET(pthread_sigqueue(pthread_self(), SIGRTMIN + 3,
				       (union sigval){.sival_int = i}) == 0);
	for (int i = 0; i < 9; i++)
		t[i] = spawn(i % 3 == 0 ? looks : i % 3 == 1 ? takes : opens, NULL);
	for (int i = 0; i < 9; i++)
		join(t[i]);
	CHECK(handled == 0);
	sigset_t rt;
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN + 3);
	for (int i = 0; i < 3; i++) {
		QUIET(sigtimedwait(&rt, &info, &none) == SIGRTMIN + 3);
		QUIET(info.si_value.sival_int == i && info.si_code == SI_QUEUE &&
		      info.si_pid == getpid());
	}
	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
	CHECK(handled == 3);
	CHECK(on_main == 3);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	CHECK(sigtimedwait(&s, &info, &none) == -1 && errno == EAGAIN);
}

int main(void)
{
	sigset_t s = the_set();
	struct sigaction sa = {.sa_handler = on_signal};

	is_main = 1;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGRTMIN + 3, &sa, NULL);
	sigprocmask(SIG_BLOCK, &s, NULL);
	round_of();
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		round_of();
		_exit(check_done());
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	return check_done();
}
