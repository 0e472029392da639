/* fork inside a signal handler that interrupted pthread_cond_wait, whose child makes a thread
 * before the handler returns: the child's wait goes on, and a signal of its own thread ends it; so
 * does a timed wait that nobody signals. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int waiting, go, timed, in_child;
static pid_t forked;

static void *signals(void *arg)
{
	pthread_mutex_lock(&lock);
	go = !timed;
	pthread_cond_signal(timed ? arg : &cond);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void on_usr1(int sig)
{
	static pthread_cond_t nobody = PTHREAD_COND_INITIALIZER;
	int saved = errno;
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(10);
		in_child = 1;
		spawn(signals, &nobody);
	} else {
		__atomic_store_n(&forked, pid, __ATOMIC_SEQ_CST);
	}
	errno = saved;
}

static void *waits(void *arg)
{
	struct timespec at;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 2;
	pthread_mutex_lock(&lock);
	waiting = 1;
	while (!go && r == 0)
		r = timed ? pthread_cond_timedwait(&cond, &lock, &at)
			  : pthread_cond_wait(&cond, &lock);
	int good = timed && in_child ? r == ETIMEDOUT && !go : r == 0 && go;
	pthread_mutex_unlock(&lock);
	if (in_child)
		_exit(good ? 5 : 6);
	return (void *)(intptr_t)good;
}

static int is_waiting(void)
{
	pthread_mutex_lock(&lock);
	int is = waiting;
	pthread_mutex_unlock(&lock);
	return is;
}

/* The same of main, when the process never had another thread: until the child has one. */
static void alone(void)
{
	struct timespec at;
	int r = 0, st = 0;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 2;
	pthread_mutex_lock(&lock);
	ualarm(20000, 0);
	while (!go && r == 0)
		r = pthread_cond_timedwait(&cond, &lock, &at);
	pthread_mutex_unlock(&lock);
	if (in_child)
		_exit(r == 0 && go ? 5 : 6);
	CHECK(r == ETIMEDOUT && forked);
	CHECK(waitpid(forked, &st, 0) == forked);
	CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 5);
}

int main(void)
{
	struct sigaction a = {.sa_handler = on_usr1};
	sigaction(SIGUSR1, &a, NULL);
	sigaction(SIGALRM, &a, NULL);
	alone();
	for (timed = 0; timed < 2; timed++) {
		int st = 0;
		waiting = go = 0;
		__atomic_store_n(&forked, 0, __ATOMIC_SEQ_CST);
		pthread_t t = spawn(waits, NULL);
		while (!is_waiting())
			sched_yield();
		pthread_kill(t, SIGUSR1);
		while (!__atomic_load_n(&forked, __ATOMIC_SEQ_CST))
			sched_yield();
		pthread_mutex_lock(&lock);
		go = 1;
		pthread_cond_signal(&cond);
		pthread_mutex_unlock(&lock);
		CHECK(join(t) == (void *)1);
		CHECK(waitpid(forked, &st, 0) == forked);
		CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 5);
	}
	return check_done();
}
