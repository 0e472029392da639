/* The classic server pattern: all signals blocked everywhere, one thread in sigwait; and the rest
 * of the family, with limits; masks are inherited and belong to the thread. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/signalfd.h>

static int received[5];
static sem_t got;

static void *waiter(void *arg)
{
	sigset_t *set = arg;
	int number;
	for (int i = 0; i < 3; i++) {
		QUIET(sigwait(set, &number) == 0);
		received[i] = number;
		sem_post(&got);
	}
	return NULL;
}

static void *inherited(void *arg)
{
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	int same =
	    sigismember(&now, SIGUSR1) && sigismember(&now, SIGTERM) && !sigismember(&now, SIGSEGV);
	sigemptyset(&now);
	sigaddset(&now, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &now, NULL); /* must not reach any other thread */
	sched_yield();
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	return (void *)(intptr_t)(same && sigismember(&now, SIGSEGV) &&
				  !sigismember(&now, SIGUSR1));
}

static void *kill_me(void *arg)
{
	QUIET(pthread_kill(*(pthread_t *)arg, SIGUSR2) == 0);
	return NULL;
}

int main(void)
{
	sigset_t set, now, pending;
	siginfo_t info;
	struct timespec ts = {.tv_nsec = 20000000};
	static const int numbers[3] = {SIGUSR1, SIGTERM, SIGHUP};
	pthread_t self = pthread_self();

	sem_init(&got, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	CHECK_RC(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	CHECK_RC(EINVAL, pthread_sigmask(42, &set, NULL));
	pthread_t t = spawn(waiter, &set);
	for (int i = 0; i < 3; i++) {
		CHECK(kill(getpid(), numbers[i]) == 0);
		while (sem_wait(&got) != 0)
			;
	}
	join(t);
	CHECK(received[0] == SIGUSR1 && received[1] == SIGTERM && received[2] == SIGHUP);

	CHECK(join(spawn(inherited, NULL)) == (void *)1);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV));

	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK_ERRNO(EAGAIN, sigtimedwait(&set, &info, &ts));
	CHECK(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	t = spawn(kill_me, &self);
	CHECK(sigwaitinfo(&set, &info) == SIGUSR2);
	/* The kernel says SI_TKILL; glibc folds it into SI_USER. */
	CHECK(info.si_code == SI_USER && info.si_pid == getpid());
	join(t);
	CHECK(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 77}) == 0);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2));
	CHECK(sigtimedwait(&set, &info, &ts) == SIGUSR2 && info.si_value.sival_int == 77);
	CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR2));

	struct signalfd_siginfo from_fd;
	int fd = signalfd(-1, &set, 0);
	t = spawn(kill_me, &self);
	CHECK(read(fd, &from_fd, sizeof(from_fd)) == sizeof(from_fd));
	CHECK(from_fd.ssi_signo == SIGUSR2);
	join(t);
	return check_done();
}
