/* Signals for a young process, whose threads are just being made: each is handled by the one thread
 * that does not block it.  Many processes, since there is little time to be wrong in. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

enum { CHILDREN = 150, THREADS = 8, SIGNALS = 12 };

static sem_t ready, never, handled;
static sigset_t set;

static void handler(int sig)
{
	sem_post(&handled);
}

static void *parked(void *open)
{
	if (open)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sem_post(&ready);
	for (;;)
		sem_wait(&never);
	return NULL;
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) != 0)
		;
}

static void child(void)
{
	alarm(20); /* its death tells */
	for (int i = 0; i < THREADS; i++)
		spawn(parked, (void *)(intptr_t)(i == THREADS - 1));
	for (int i = 0; i < THREADS; i++)
		wait_for(&ready);
	for (int i = 0; i < SIGNALS; i++) {
		kill(getpid(), SIGUSR1);
		wait_for(&handled);
	}
	_exit(0);
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler};
	int status;

	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	sem_init(&handled, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaction(SIGUSR1, &sa, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0)
			child();
		QUIET(waitpid(pid, &status, 0) == pid && status == 0);
		if (status)
			break;
	}
	return check_done();
}
