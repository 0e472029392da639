/* A thread that waits for any child is cancelled at every moment around the beginning of its wait:
 * the request that comes just before the system call must end it. */
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

enum { ROUNDS = 1500 };

static int waiting, how;

static void *waiter(void *arg)
{
	siginfo_t info;
	int status;

	__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	switch (how) {
	case 0:
		wait4(-1, &status, 0, NULL);
		break;
	case 1:
		waitid(P_ALL, 0, &info, WEXITED);
		break;
	default:
		waitpid(-1, &status, WUNTRACED);
	}
	return arg;
}

int main(void)
{
	unsigned random = 12345;
	pid_t child = fork();

	MUST(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	alarm(20); /* a request that was lost */
	for (how = 0; how < 3; how++) {
		int cancelled = 0;
		for (int i = 0; i < ROUNDS; i++) {
			pthread_t t;
			void *result;
			waiting = 0;
			MUST(pthread_create(&t, NULL, waiter, NULL) == 0);
			while (!__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
				sched_yield();
			random = random * 1103515245 + 12345;
			for (volatile int spin = (random >> 16) % 3000; spin > 0; spin--)
				;
			MUST(pthread_cancel(t) == 0);
			MUST(pthread_join(t, &result) == 0);
			cancelled += result == PTHREAD_CANCELED;
		}
		CHECK(cancelled == ROUNDS);
	}
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	return check_done();
}
