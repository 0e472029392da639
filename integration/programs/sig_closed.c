/* A signal that every thread blocks stays pending, however shortly ago somebody did not block it:
 * one that is ignored by default is not dropped, one that kills does not kill. Threads that had it
 * open have ended, or have just blocked it. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 400 };
static sigset_t both;
static int closed_now;
static sem_t begin;

static void *had_it_open(void *arg)
{
	sigset_t old;
	pthread_sigmask(SIG_UNBLOCK, &both, &old);
	sched_yield();
	return NULL;
}

/* It parks with the signals open, wakes up wherever, and blocks them. */
static void *closes_it(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_sigmask(SIG_UNBLOCK, &both, NULL);
		while (sem_wait(&begin))
			;
		pthread_sigmask(SIG_BLOCK, &both, NULL);
		__atomic_store_n(&closed_now, i + 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&closed_now, __ATOMIC_SEQ_CST) == i + 1)
			sched_yield();
	}
	return NULL;
}

static int taken(int number)
{
	struct timespec limit = {.tv_sec = 10};
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, number);
	return sigtimedwait(&one, NULL, &limit) == number;
}

static void after_ends(int number, int sends_child)
{
	int good = 0;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t t = spawn(had_it_open, NULL);
		while (pthread_tryjoin_np(t, NULL) == EBUSY)
			sched_yield();
		if (sends_child) {
			pid_t pid = fork();
			if (pid == 0)
				_exit(0);
			good += good == i && taken(number); /* after a miss no more waits */
			MUST(waitpid(pid, NULL, 0) == pid);
		} else {
			MUST(kill(getpid(), number) == 0);
			good += good == i && taken(number); /* after a miss no more waits */
		}
	}
	printf("signal %s: %d of %d\n", strsignal(number), good, ROUNDS);
	fflush(stdout);
}

static void after_closing(int number)
{
	int good = 0;
	sem_init(&begin, 0, 0);
	pthread_t t = spawn(closes_it, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		sem_post(&begin);
		while (__atomic_load_n(&closed_now, __ATOMIC_SEQ_CST) != i + 1)
			sched_yield();
		MUST(kill(getpid(), number) == 0);
		good += good == i && taken(number); /* after a miss no more waits */
		__atomic_store_n(&closed_now, 0, __ATOMIC_SEQ_CST);
	}
	join(t);
	printf("signal %s, just closed: %d of %d\n", strsignal(number), good, ROUNDS);
	fflush(stdout);
}

/* A thread that ends after the signals were sent has handled them all: nobody else would. */
static int handled;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void counts(int number)
{
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static void *handles(void *arg)
{
	sigset_t rt;
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN + 2);
	pthread_sigmask(SIG_UNBLOCK, &rt, NULL);
	sem_post(&begin);
	pthread_mutex_lock(&held);
	pthread_mutex_unlock(&held);
	return NULL;
}

static void before_end(void)
{
	struct sigaction sa = {.sa_handler = counts};
	int good = 0;
	sigaction(SIGRTMIN + 2, &sa, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		handled = 0;
		pthread_mutex_lock(&held);
		pthread_t t = spawn(handles, NULL);
		while (sem_wait(&begin))
			;
		for (int n = 0; n < 5; n++)
			MUST(kill(getpid(), SIGRTMIN + 2) == 0);
		pthread_mutex_unlock(&held);
		join(t);
		good += handled == 5;
	}
	printf("handled before the end: %d of %d\n", good, ROUNDS);
}

int main(void)
{
	sigemptyset(&both);
	sigaddset(&both, SIGURG);
	sigaddset(&both, SIGCHLD);
	sigaddset(&both, SIGTERM);
	sigset_t blocked = both;
	sigaddset(&blocked, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	after_ends(SIGURG, 0);
	after_ends(SIGCHLD, 1);
	after_ends(SIGTERM, 0);
	after_closing(SIGURG);
	after_closing(SIGTERM);
	before_end();
	return check_done();
}
