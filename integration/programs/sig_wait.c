/* The classic server pattern: all signals blocked everywhere, one thread in sigwait; and the rest
 * of the family, with limits; masks are inherited and belong to the thread. */
#include "check.h"
#include <semaphore.h>
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

/* A look without a wait finds what is pending for the process, and is not interrupted. */
static int over, handled;

static void counts(int sig)
{
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static void *disturbs(void *main_thread)
{
	while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST)) {
		QUIET(pthread_kill(*(pthread_t *)main_thread, SIGALRM) == 0);
		sched_yield();
	}
	return NULL;
}

static void looks(void)
{
	struct sigaction sa = {.sa_handler = counts};
	struct timespec none = {0, 0};
	pthread_t me = pthread_self();
	siginfo_t info;
	sigset_t set;
	int found = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	for (int i = 0; i < 200; i++) {
		QUIET(kill(getpid(), SIGUSR2) == 0);
		found += sigtimedwait(&set, &info, &none) == SIGUSR2;
		if (i % 8 == 0)
			sched_yield();
	}
	CHECK(found == 200);
	sigaction(SIGALRM, &sa, NULL);
	pthread_t t = spawn(disturbs, &me);
	while (__atomic_load_n(&handled, __ATOMIC_SEQ_CST) < 2000) {
		QUIET(sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN);
		sched_yield();
	}
	__atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
	join(t);
}

/* A handler that blocks it waits for a signal that it sends to the process meanwhile. */
static int in_handler;

static void waits_inside(int sig)
{
	struct timespec limit = {.tv_sec = 5};
	siginfo_t info;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGVTALRM);
	kill(getpid(), SIGVTALRM);
	usleep(1000); /* it arrives, and nobody accepts it */
	in_handler = sigtimedwait(&set, &info, &limit);
}

static sem_t main_blocks;

static void *raises(void *arg)
{
	sem_wait(&main_blocks);
	QUIET(raise(SIGQUIT) == 0);
	return NULL;
}

static void within_a_handler(void)
{
	struct sigaction sa = {.sa_handler = waits_inside}, plain = {.sa_handler = counts};
	sigset_t set, old;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGVTALRM);
	sigaction(SIGQUIT, &sa, NULL);
	sigaction(SIGVTALRM, &plain, NULL);
	sem_init(&main_blocks, 0, 0);
	handled = 0;
	int received = 0;
	for (int i = 0; i < 20; i++) {
		/* Main blocks it, and only the handler's mask does so in the thread. */
		pthread_t t = spawn(raises, NULL);
		in_handler = 0;
		sigemptyset(&set);
		sigaddset(&set, SIGVTALRM);
		pthread_sigmask(SIG_BLOCK, &set, &old);
		sem_post(&main_blocks);
		join(t);
		received += in_handler == SIGVTALRM;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	CHECK(received == 20 && handled == 0);
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

	looks();
	within_a_handler();
	struct signalfd_siginfo from_fd;
	int fd = signalfd(-1, &set, 0);
	t = spawn(kill_me, &self);
	CHECK(read(fd, &from_fd, sizeof(from_fd)) == sizeof(from_fd));
	CHECK(from_fd.ssi_signo == SIGUSR2);
	join(t);
	return check_done();
}
