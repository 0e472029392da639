/* Threads that libc makes for message queues are cancelled, by themselves and from outside, while
 * they wait and at once; then something is done that concerns every thread. */
#include "check.h"
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>

static sem_t there, gone;
static pthread_t runs;

static void cleanup(void *arg)
{
	sigset_t now;
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	QUIET(!sigismember(&now, SIGTERM));
	sem_post(&gone);
}

static void notify(union sigval how)
{
	sigset_t term;
	int old;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	pthread_cleanup_push(cleanup, NULL);
	runs = pthread_self();
	if (how.sival_int & 1)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	if (how.sival_int & 2)
		pthread_cancel(pthread_self());
	sem_post(&there);
	for (;;)
		if (how.sival_int & 1)
			__atomic_load_n(&old, __ATOMIC_SEQ_CST);
		else
			pause();
	pthread_cleanup_pop(0);
}

static void *idle(void *arg)
{
	sem_wait(arg);
	return NULL;
}

int main(void)
{
	sem_t end;
	sem_init(&there, 0, 0);
	sem_init(&gone, 0, 0);
	sem_init(&end, 0, 0);
	pthread_t t = spawn(idle, &end);
	char name[32], text[8];
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = sizeof(text)};
	snprintf(name, sizeof(name), "/cancel-%d", getpid());
	mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);
	MUST(queue >= 0);
	mq_unlink(name);
	for (int round = 0; round < 3; round++)
		for (int how = 0; how < 4; how++) {
			struct sigevent ev = {.sigev_notify = SIGEV_THREAD,
					      .sigev_notify_function = notify,
					      .sigev_value.sival_int = how};
			MUST(mq_notify(queue, &ev) == 0);
			MUST(mq_send(queue, "x", 1, 0) == 0);
			if (!(how & 2)) {
				sem_wait(&there);
				CHECK_RC(0, pthread_cancel(runs));
			} else if (how == 2) {
				sem_wait(&there);
			}
			sem_wait(&gone);
			CHECK(seteuid(geteuid()) == 0);
			MUST(mq_receive(queue, text, sizeof(text), NULL) == 1);
		}
	sem_post(&end);
	join(t);
	return check_done();
}
