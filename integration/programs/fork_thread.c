/* fork from a thread while others run, sleep and hold locks: the child has one thread, its own pid,
 * can create and join threads again, and may fork grandchildren; the parent notices nothing. */
#include "check.h"
#include <semaphore.h>
#include <sys/wait.h>

static int stop, pipe_fd[2];
static sem_t never;
static _Thread_local int in_tls;

static void *busy(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		sched_yield();
	return NULL;
}

static void *parked(void *arg)
{
	char byte;
	if (arg)
		QUIET(read(pipe_fd[0], &byte, 1) == 1);
	else
		sem_wait(&never);
	return NULL;
}

static void *add(void *arg)
{
	sleep_ms(1);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static int threads_work(void)
{
	pthread_t t[20];
	int n = 0, fd[2];
	char byte;
	for (int i = 0; i < 20; i++)
		t[i] = spawn(add, &n);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	/* Waiting on descriptors works in the child too. */
	MUST(pipe(fd) == 0 && write(fd[1], "x", 1) == 1);
	return n == 20 && read(fd[0], &byte, 1) == 1 && !check_failures;
}

static int ended_with(pid_t pid, int code)
{
	int status;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static void *forks(void *arg)
{
	pthread_t self = pthread_self();
	int code = 10 + (int)(intptr_t)arg;
	in_tls = code;
	for (int i = 0; i < 5; i++) {
		pid_t parent = getpid(), pid = fork();
		if (pid == 0) {
			int good = pthread_equal(self, pthread_self()) && in_tls == code &&
				   getppid() == parent && gettid() == getpid() && threads_work();
			pid_t grandchild = fork();
			if (grandchild == 0)
				_exit(threads_work() ? 5 : 6);
			good &= ended_with(grandchild, 5);
			_exit(good ? code : 99);
		}
		QUIET(pid > 0 && ended_with(pid, code));
	}
	return NULL;
}

/* The forking thread may leave the child by pthread_exit: the child ends with status 0. */
static void *fork_and_leave(void *arg)
{
	pid_t pid = fork();
	if (pid == 0)
		pthread_exit((void *)1);
	return (void *)(intptr_t)ended_with(pid, 0);
}

int main(void)
{
	pthread_t t[4], others[20];
	sem_init(&never, 0, 0);
	MUST(pipe(pipe_fd) == 0);
	for (intptr_t i = 0; i < 20; i++)
		others[i] = spawn(i < 2 ? busy : parked, (void *)(i % 2));
	for (intptr_t i = 0; i < 4; i++)
		t[i] = spawn(forks, (void *)i);
	for (int i = 0; i < 4; i++)
		join(t[i]);
	CHECK(join(spawn(fork_and_leave, NULL)) == (void *)1);
	pid_t pid = fork();
	if (pid == 0)
		exit(threads_work() ? 33 : 34);
	CHECK(ended_with(pid, 33));
	CHECK_ERRNO(ECHILD, waitpid(-1, NULL, 0));

	/* The threads of the parent are still alive and wake up. */
	stop = 1;
	for (int i = 0; i < 20; i++) {
		if (i >= 2 && i % 2)
			MUST(write(pipe_fd[1], "x", 1) == 1);
		else
			sem_post(&never);
	}
	for (int i = 0; i < 20; i++)
		join(others[i]);
	CHECK(threads_work());
	return check_done();
}
