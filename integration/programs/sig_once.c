/* A handler with SA_RESETHAND runs once, also when two threads are sent the signal at the same
 * time: the second one takes the default action. */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ROUNDS = 60 };

static int *shared; /* handlers run; threads that are ready */

static void handler(int sig)
{
	__atomic_add_fetch(&shared[0], 1, __ATOMIC_SEQ_CST);
}

static void *runs(void *arg)
{
	__atomic_add_fetch(&shared[1], 1, __ATOMIC_SEQ_CST);
	while (1)
		if (arg)
			sched_yield();
	return NULL;
}

static void child(int round)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESETHAND};
	pthread_t a = spawn(runs, (void *)(intptr_t)(round & 1)),
		  b = spawn(runs, (void *)(intptr_t)(round & 2));
	alarm(20);
	sigaction(SIGUSR1, &sa, NULL);
	while (__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST) < 2)
		sched_yield();
	pthread_kill(a, SIGUSR1);
	pthread_kill(b, SIGUSR1);
	for (;;)
		pause();
}

int main(void)
{
	int died = 0, twice = 0, status;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(shared != MAP_FAILED);
	for (int i = 0; i < ROUNDS; i++) {
		shared[0] = shared[1] = 0;
		pid_t pid = fork();
		if (pid == 0)
			child(i);
		MUST(waitpid(pid, &status, 0) == pid);
		died += WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1;
		twice += shared[0] > 1; /* the end may come before the first increment */
	}
	CHECK(died == ROUNDS);
	CHECK(twice == 0);
	return check_done();
}
