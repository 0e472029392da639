/* fork inside a signal handler that interrupted a blocking call: both processes come back into the
 * call. It goes on or ends with EINTR in each of them, and the child can wait, lock and make
 * threads. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static pid_t forked = -1;
static int in_child, restarts;
static int pipe_fd[2];
static sem_t sem;
static int calling;

static void on_usr1(int sig)
{
	int saved = errno;
	forked = fork();
	if (forked == 0)
		in_child = 1;
	errno = saved;
}

static void *adds(void *arg)
{
	sleep_ms(1);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static int threads_work(void)
{
	pthread_t t[10];
	int n = 0;
	for (int i = 0; i < 10; i++)
		t[i] = spawn(adds, &n);
	for (int i = 0; i < 10; i++)
		join(t[i]);
	return n == 10;
}

static int reads(void)
{
	char byte = 0;
	ssize_t r = read(pipe_fd[0], &byte, 1);
	return restarts ? r == 1 && byte == 'x' : r == -1 && errno == EINTR;
}

static int waits(void)
{
	int r = sem_wait(&sem);
	return restarts ? r == 0 : r == -1 && errno == EINTR;
}

static int sleeps(void)
{
	struct timespec t = {.tv_sec = 20}, rem;
	return nanosleep(&t, &rem) == -1 && errno == EINTR && rem.tv_sec >= 10;
}

static int computes(void)
{
	while (__atomic_load_n(&forked, __ATOMIC_SEQ_CST) == -1)
		;
	return 1;
}

static int (*const calls[])(void) = {reads, waits, sleeps, computes};

static void *thread(void *arg)
{
	__atomic_store_n(&calling, 1, __ATOMIC_SEQ_CST);
	int good = ((int (*)(void))arg)();
	if (in_child) {
		int fd[2];
		char byte;
		good &= pipe(fd) == 0 && write(fd[1], "y", 1) == 1 && read(fd[0], &byte, 1) == 1;
		_exit(good && threads_work() && gettid() == getpid() ? 5 : 6);
	}
	return (void *)(intptr_t)good;
}

int main(void)
{
	sem_init(&sem, 0, 0);
	for (restarts = 0; restarts < 2; restarts++) {
		struct sigaction a = {.sa_handler = on_usr1, .sa_flags = restarts ? SA_RESTART : 0};
		sigaction(SIGUSR1, &a, NULL);
		for (unsigned i = 0; i < 4; i++) {
			int st;
			MUST(pipe(pipe_fd) == 0);
			__atomic_store_n(&forked, -1, __ATOMIC_SEQ_CST);
			calling = 0;
			pthread_t t = spawn(thread, (void *)calls[i]);
			while (!__atomic_load_n(&calling, __ATOMIC_SEQ_CST))
				sched_yield();
			sleep_ms(20);
			pthread_kill(t, SIGUSR1);
			while (__atomic_load_n(&forked, __ATOMIC_SEQ_CST) == -1)
				sched_yield();
			if (restarts && i == 0)
				MUST(write(pipe_fd[1], "xx", 2) == 2);
			if (restarts && i == 1) {
				/* The child waits on its own copy, which nobody can post. */
				kill(forked, SIGKILL);
				sem_post(&sem);
			}
			CHECK(join(t) == (void *)1);
			CHECK(waitpid(forked, &st, 0) == forked);
			if (restarts && i == 1)
				CHECK(WIFSIGNALED(st));
			else
				CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 5);
			close(pipe_fd[0]);
			close(pipe_fd[1]);
		}
	}
	return check_done();
}
