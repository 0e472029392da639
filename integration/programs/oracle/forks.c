/* forks: a child of a program with threads makes threads of its own, waits for them and for bytes
 * of its parent, and ends with a status that says what it found.
 */
#include "oracle.h"
#include <sys/wait.h>

static void *child_thread(void *arg)
{
	struct timespec ts = {.tv_nsec = 10000};
	nanosleep(&ts, NULL);
	/* Nothing of a thread whose memory this one may have. */
	if (identity_is_fresh())
		__atomic_add_fetch((unsigned *)arg, 5, __ATOMIC_SEQ_CST);
	return arg;
}

static void child_main(struct me *me, int in, int out, unsigned threads)
{
	unsigned sum = 0;
	pthread_t t[4];
	char byte = 0;
	alarm(FAR_SECONDS);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, child_thread, &sum) != 0)
			_exit(90);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_join(t[i], NULL) != 0)
			_exit(91);
	if (AGAIN(me, read(in, &byte, 1)) != 1)
		_exit(92);
	byte++;
	if (write(out, &byte, 1) != 1)
		_exit(93);
	char *p = malloc(5000);
	memset(p, 1, 5000);
	free(p);
	_exit((int)(sum + threads));
}

static void forks_play(struct me *me)
{
	int down[2], up[2], status = 0;
	unsigned threads = below(&me->rng, 4);
	char byte = (char)below(&me->rng, 100), back = 0;
	FACT(me, pipe(down) == 0 && pipe(up) == 0);
	pid_t pid = fork();
	if (pid == 0)
		child_main(me, down[0], up[1], threads);
	FACT(me, pid > 0);
	close(down[0]), close(up[1]); /* a child that dies is not waited for */
	FACT(me, write(down[1], &byte, 1) == 1);
	FACT(me, AGAIN(me, read(up[0], &back, 1)) == 1 && back == byte + 1);
	FACT(me, AGAIN(me, waitpid(pid, &status, 0)) == pid);
	FACT(me, WIFEXITED(status) && WEXITSTATUS(status) == (int)(6 * threads));
	if (status != (int)(6 * threads) << 8)
		fprintf(stderr, "  wait status %#x\n", (unsigned)status);
	note(me, (unsigned)status);
	close(down[1]), close(up[0]);
}

const struct kind kind_forks = {"forks", 1, 2, RARE, 0, NULL, forks_play, NULL};
