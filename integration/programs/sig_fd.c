/* Signals for the process while its only thread that accepts them opens and closes its mask: each
 * is handled or stays pending, where a signalfd finds it. */
#include "check.h"
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/signalfd.h>

enum { TIMES = 3000 };

static int handled;
static sem_t go, sent;

static void handler(int sig)
{
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static void *sends(void *arg)
{
	for (int i = 0; i < TIMES; i++) {
		sem_wait(&go);
		QUIET(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) == 0);
		sem_post(&sent);
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};
	struct signalfd_siginfo info;
	sigset_t set;
	int received = 0, missing = 0;

	sem_init(&go, 0, 0);
	sem_init(&sent, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaction(SIGRTMIN, &sa, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	spawn(sends, NULL);
	int fd = signalfd(-1, &set, SFD_NONBLOCK);
	struct pollfd p = {fd, POLLIN, 0};
	MUST(fd >= 0);
	for (int i = 0; i < TIMES && missing < 1; i++) {
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		sem_post(&go);
		for (volatile int spin = 0; spin < i % 100 * 20; spin++)
			;
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		sem_wait(&sent);
		if (handled + received <= i && poll(&p, 1, 15000) == 1)
			received += read(fd, &info, sizeof(info)) == sizeof(info);
		missing += handled + received <= i;
	}
	CHECK(missing == 0);
	return check_done();
}
