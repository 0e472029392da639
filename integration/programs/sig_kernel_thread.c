/* A thread of libc's own (it serves a message queue) takes and posts semaphores, changes actions
 * and locks, while another sends it signals whose handlers do the same. */
#include "check.h"
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

enum { TIMES = 300000 };

static sem_t sem, there, end;
static int tid, handled, waiting = 1;

static void handler(int sig)
{
	int saved = errno;
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
	sem_post(&sem);
	errno = saved;
}

static void *takes(void *arg)
{
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		sem_wait(&sem);
	return NULL;
}

static void notify(union sigval how)
{
	struct sigaction once = {.sa_handler = handler, .sa_flags = SA_RESETHAND};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	__atomic_store_n(&tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	sem_post(&there);
	for (int i = 0; i < TIMES; i++) {
		sem_post(&sem);
		QUIET(sigaction(SIGUSR2, &once, NULL) == 0);
		if (i % 64 == 0)
			QUIET(pthread_kill(pthread_self(), SIGUSR2) == 0);
	}
	sem_post(&end);
}

static void *sends(void *arg)
{
	sem_wait(&there);
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
	return NULL;
}

int main(void)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify};
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 8};
	char name[32];

	sem_init(&sem, 0, 0);
	sem_init(&there, 0, 0);
	sem_init(&end, 0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	snprintf(name, sizeof(name), "/signals-%d", getpid());
	mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);
	MUST(queue >= 0);
	mq_unlink(name);
	pthread_t t[] = {spawn(takes, NULL), spawn(takes, NULL), spawn(sends, NULL)};
	MUST(mq_notify(queue, &ev) == 0);
	MUST(mq_send(queue, "x", 1, 0) == 0);
	while (sem_wait(&end))
		;
	waiting = 0;
	for (int i = 0; i < 2; i++)
		sem_post(&sem);
	for (int i = 0; i < 3; i++)
		join(t[i]);
	CHECK(handled > TIMES / 64);
	return check_done();
}
