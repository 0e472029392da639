/* Calls that open the signal mask while they wait end for a signal whenever it comes: before, in
 * the middle, or when they wait already.  Another thread sends one to each call, and then waits. */
#include "check.h"
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

enum { TIMES = 4000 };

static volatile int handled;
static int round_of, stop; /* the call that the waiter is about to make */
static sigset_t open_mask;
static pthread_t waiter;
static int silent[2], ep;
static sem_t done;

static void handler(int sig)
{
	handled++;
}

static int in_sigsuspend(void)
{
	return sigsuspend(&open_mask);
}

static int in_ppoll(void)
{
	struct pollfd p = {.fd = silent[0], .events = POLLIN};
	return ppoll(&p, 1, NULL, &open_mask);
}

static int in_pselect(void)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(silent[0], &r);
	return pselect(silent[0] + 1, &r, NULL, NULL, NULL, &open_mask);
}

static int in_epoll_pwait(void)
{
	struct epoll_event e;
	return epoll_pwait(ep, &e, 1, -1, &open_mask);
}

static void *sends(void *arg)
{
	unsigned spin = 1;
	for (int i = 1;; i++) {
		while (__atomic_load_n(&round_of, __ATOMIC_ACQUIRE) != i)
			if (__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
				return NULL;
			else
				sched_yield();
		spin = spin * 1664525 + 1013904223;
		for (volatile unsigned n = spin >> 20; n; n--)
			;
		QUIET(pthread_kill(waiter, SIGUSR1) == 0);
		sem_wait(&done);
	}
}

static int all_end(int (*call)(void))
{
	int ended = 0;
	handled = round_of = stop = 0;
	pthread_t t = spawn(sends, NULL);
	for (int i = 1; i <= TIMES; i++) {
		__atomic_store_n(&round_of, i, __ATOMIC_RELEASE);
		ended += call() == -1 && errno == EINTR && handled == i;
		sem_post(&done);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	join(t);
	return ended;
}

static void *waits(void *arg)
{
	waiter = pthread_self();
	CHECK(all_end(in_sigsuspend) == TIMES);
	CHECK(all_end(in_ppoll) == TIMES);
	CHECK(all_end(in_pselect) == TIMES);
	CHECK(all_end(in_epoll_pwait) == TIMES);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};
	struct epoll_event e = {.events = EPOLLIN};
	sigset_t set;

	sem_init(&done, 0, 0);
	sigemptyset(&open_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaction(SIGUSR1, &sa, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	MUST(pipe(silent) == 0 && (ep = epoll_create1(0)) >= 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, silent[0], &e) == 0);
	join(spawn(waits, NULL));
	return check_done();
}
