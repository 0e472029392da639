/* Children that ask to be told when the thread that made them is gone (PR_SET_PDEATHSIG).  The
 * threads live on and sleep: nobody is told, whatever becomes of the kernel threads. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

enum { THREADS = 12, WATCHED_MS = 1000 };

static int busy, up[2];
static pid_t child[THREADS];

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* They compute until all do, so that each has a kernel thread of its own when it forks. */
static void *parent(void *arg)
{
	pid_t *mine = arg;
	uint64_t limit = now_ms() + 4000;

	__atomic_add_fetch(&busy, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&busy, __ATOMIC_SEQ_CST) < THREADS && now_ms() < limit)
		;
	*mine = fork();
	if (*mine == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(up[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	for (;;)
		pause();
}

int main(void)
{
	char byte;
	int gone = 0;

	MUST(pipe(up) == 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_t t;
		MUST(pthread_create(&t, NULL, parent, &child[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		MUST(read(up[0], &byte, 1) == 1);
	for (uint64_t end = now_ms() + WATCHED_MS; now_ms() < end; usleep(50000))
		for (int i = 0; i < THREADS; i++)
			gone += child[i] > 0 && waitpid(child[i], NULL, WNOHANG) == child[i];
	CHECK(gone == 0);
	for (int i = 0; i < THREADS; i++)
		if (kill(child[i], SIGKILL) == 0)
			waitpid(child[i], NULL, 0);
	return check_done();
}
