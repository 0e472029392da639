/* Signals for the process, one after another, of which somebody has a signalfd, while the only
 * thread that does not block them is in the handler of the one before: all are handled.
 *   sig_fd_handler [early]    the signalfd is made before or after the thread */
#include "check.h"
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { ROUNDS = 20 };

static sem_t inside, go_on, done, never;
static int end;

static void handler(int sig, siginfo_t *info, void *uc)
{
	int saved = errno;
	if (info->si_value.sival_int == 0) {
		sem_post(&inside);
		while (sem_wait(&go_on))
			;
	}
	sem_post(&done);
	errno = saved;
}

static void *open_for_it(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sem_post(&done);
	while (!__atomic_load_n(&end, __ATOMIC_SEQ_CST))
		sem_wait(&never);
	return NULL;
}

/* Another process sends them: they come by way of the kernel. */
static void sender(int commands)
{
	int value;
	while (read(commands, &value, sizeof(value)) == sizeof(value))
		sigqueue(getppid(), SIGRTMIN, (union sigval){.sival_int = value});
	_exit(0);
}

static void tell(int commands, int value)
{
	QUIET(write(commands, &value, sizeof(value)) == sizeof(value));
}

static int pending(void)
{
	sigset_t set;
	return sigpending(&set) == 0 && sigismember(&set, SIGRTMIN);
}

static int in_time(sem_t *s)
{
	struct timespec limit;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 10;
	return sem_timedwait(s, &limit) == 0;
}

int main(int argc, char **argv)
{
	bool early = argc > 1;
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	int commands[2];
	sigset_t set;

	sem_init(&inside, 0, 0);
	sem_init(&go_on, 0, 0);
	sem_init(&done, 0, 0);
	sem_init(&never, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaction(SIGRTMIN, &sa, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	MUST(!early || signalfd(-1, &set, SFD_NONBLOCK) >= 0);
	MUST(pipe(commands) == 0);
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0) {
		close(commands[1]);
		sender(commands[0]);
	}
	pthread_t t = spawn(open_for_it, NULL);
	MUST(in_time(&done));
	MUST(early || signalfd(-1, &set, SFD_NONBLOCK) >= 0);
	int missing = 0;
	for (int i = 0; i < ROUNDS && !missing; i++) {
		tell(commands[1], 0);
		missing += !in_time(&inside);
		tell(commands[1], 1);
		while (!pending())
			sched_yield();
		sem_post(&go_on);
		missing += !in_time(&done);
		missing += !in_time(&done);
		tell(commands[1], 2);
		missing += !in_time(&done);
	}
	CHECK(missing == 0);
	close(commands[1]);
	QUIET(waitpid(child, NULL, 0) == child);
	end = 1;
	sem_post(&never);
	join(t);
	return check_done();
}
