/* mq_*: priorities, limits, blocking and timed calls, notification, signals and cancellation. */
#include "check.h"
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static char name[64];
static mqd_t q;
static sem_t ready;
static volatile sig_atomic_t caught;

static mqd_t make(int flags, long most, long size)
{
	struct mq_attr a = {.mq_maxmsg = most, .mq_msgsize = size};
	mqd_t d = mq_open(name, O_CREAT | O_RDWR | flags, 0600, &a);
	MUST(d != (mqd_t)-1);
	return d;
}

static void on_signal(int sig)
{
	caught++;
}

static void openings(void)
{
	struct mq_attr a = {.mq_maxmsg = 0, .mq_msgsize = 8}, old;
	CHECK_ERRNO(ENOENT, mq_open(name, O_RDWR));
	CHECK_ERRNO(EINVAL, mq_open(name, O_CREAT | O_RDWR, 0600, &a));
	CHECK_ERRNO(EINVAL, mq_open("no-slash", O_RDWR));
	CHECK_ERRNO(ENOENT, mq_unlink(name));
	q = make(O_EXCL, 4, 16);
	CHECK_ERRNO(EEXIST, mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL));
	CHECK(mq_getattr(q, &a) == 0 && a.mq_maxmsg == 4 && a.mq_msgsize == 16 &&
	      a.mq_curmsgs == 0 && a.mq_flags == 0);
	a = (struct mq_attr){.mq_flags = O_NONBLOCK, .mq_maxmsg = 9};
	CHECK(mq_setattr(q, &a, &old) == 0 && old.mq_flags == 0);
	CHECK(mq_getattr(q, &a) == 0 && a.mq_flags == O_NONBLOCK && a.mq_maxmsg == 4);
	char buf[16];
	CHECK_ERRNO(EAGAIN, mq_receive(q, buf, 16, NULL));
	CHECK_ERRNO(EMSGSIZE, mq_receive(q, buf, 15, NULL));
	CHECK_ERRNO(EMSGSIZE, mq_send(q, buf, 17, 0));
	CHECK_ERRNO(EINVAL, mq_send(q, buf, 1, 32768));
	CHECK_ERRNO(EBADF, mq_send(-1, buf, 1, 0));
	CHECK_ERRNO(EBADF, mq_receive(1000, buf, 16, NULL));
	for (int i = 0; i < 4; i++)
		QUIET(mq_send(q, buf, 1, 0) == 0);
	CHECK_ERRNO(EAGAIN, mq_send(q, buf, 1, 0));
	for (int i = 0; i < 4; i++)
		QUIET(mq_receive(q, buf, 16, NULL) == 1);
	a.mq_flags = 0;
	QUIET(mq_setattr(q, &a, NULL) == 0);
	mqd_t r = mq_open(name, O_RDONLY), w = mq_open(name, O_WRONLY);
	CHECK_ERRNO(EBADF, mq_send(r, buf, 1, 0));
	CHECK_ERRNO(EBADF, mq_receive(w, buf, 16, NULL));
	CHECK(mq_close(r) == 0 && mq_close(w) == 0);
	CHECK_ERRNO(EBADF, mq_close(w));
}

static void order(void)
{
	static const unsigned prio[] = {1, 31, 1, 7};
	char buf[16], got[16] = "";
	unsigned p;
	for (int i = 0; i < 4; i++)
		QUIET(mq_send(q, &"abcd"[i], 1, prio[i]) == 0);
	for (int i = 0; i < 4; i++)
		QUIET(mq_receive(q, buf, 16, &p) == 1 && (got[i] = buf[0]));
	CHECK(!strcmp(got, "bdac"));
}

static void limits(void)
{
	char buf[16] = "x";
	struct timespec past = {1, 0}, bad = {1, 1000000000},
			soon = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_ERRNO(ETIMEDOUT, mq_timedreceive(q, buf, 16, NULL, &past));
	CHECK_ERRNO(ETIMEDOUT, mq_timedreceive(q, buf, 16, NULL, &soon));
	CHECK_ERRNO(EINVAL, mq_timedreceive(q, buf, 16, NULL, &bad));
	for (int i = 0; i < 4; i++)
		QUIET(mq_timedsend(q, buf, 1, 0, &past) == 0);
	soon = deadline_ms(CLOCK_REALTIME, 20);
	CHECK_ERRNO(ETIMEDOUT, mq_timedsend(q, buf, 1, 0, &soon));
	CHECK_ERRNO(EINVAL, mq_timedsend(q, buf, 1, 0, &bad));
	for (int i = 0; i < 4; i++) /* no wait, so nobody looks at the limit's time */
		QUIET(mq_timedreceive(q, buf, 16, NULL, &past) == 1);
}

static void *receives(void *arg)
{
	char buf[16];
	long sum = 0;
	for (;;) {
		ssize_t n = mq_receive(q, buf, sizeof(buf), NULL);
		QUIET(n == 1 || n == 4);
		if (n == 1)
			return (void *)sum;
		int v;
		memcpy(&v, buf, 4);
		sum += v;
	}
}

static void *sends(void *arg)
{
	for (int i = 1; i <= 500; i++)
		QUIET(mq_send(q, (char *)&i, 4, 3) == 0);
	return NULL;
}

static void many(void)
{
	pthread_t r[8], s[8];
	long sum = 0;
	for (int i = 0; i < 8; i++)
		r[i] = spawn(receives, NULL);
	for (int i = 0; i < 8; i++)
		s[i] = spawn(sends, NULL);
	for (int i = 0; i < 8; i++)
		join(s[i]);
	for (int i = 0; i < 8; i++)
		QUIET(mq_send(q, "", 1, 0) == 0);
	for (int i = 0; i < 8; i++)
		sum += (long)join(r[i]);
	CHECK(sum == 8L * 500 * 501 / 2);
}

static void *interrupted(void *arg)
{
	char buf[16];
	struct timespec late = deadline_ms(CLOCK_REALTIME, 20000);
	sem_post(&ready);
	while (!caught)
		QUIET(mq_receive(q, buf, 16, NULL) == -1 && errno == EINTR);
	sem_post(&ready);
	while (caught < 2)
		QUIET(mq_timedreceive(q, buf, 16, NULL, &late) == -1 && errno == EINTR);
	sem_post(&ready);
	mq_receive(q, buf, 16, NULL);
	return NULL;
}

static void interruption(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGUSR1, &sa, NULL);
	pthread_t t = spawn(interrupted, NULL);
	for (int i = 0; i < 2; i++) {
		sem_wait(&ready);
		sleep_ms(20);
		pthread_kill(t, SIGUSR1);
	}
	sem_wait(&ready);
	pthread_cancel(t);
	CHECK(join(t) == PTHREAD_CANCELED);
	/* Between processes: the child's message ends the wait here. */
	pid_t pid = fork();
	if (pid == 0) {
		sleep_ms(20);
		_exit(mq_send(q, "hello", 5, 0) == 0 ? 0 : 1);
	}
	char buf[16];
	int status;
	CHECK(mq_receive(q, buf, 16, NULL) == 5 && !memcmp(buf, "hello", 5));
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void told(union sigval v)
{
	QUIET(v.sival_int == 5);
	sem_post(&ready);
}

static void *wants_signal(void *arg)
{
	sigset_t set;
	siginfo_t si;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	char buf[16];
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ev.sigev_value.sival_int = 77;
	CHECK(mq_notify(q, &ev) == 0);
	CHECK_ERRNO(EBUSY, mq_notify(q, &ev));
	QUIET(mq_send(q, "1", 1, 0) == 0);
	CHECK(sigwaitinfo(&set, &si) == SIGUSR2 && si.si_code == SI_MESGQ &&
	      si.si_value.sival_int == 77 && si.si_pid == getpid());
	QUIET(mq_receive(q, buf, 16, NULL) == 1);
	/* It was for one message. */
	struct timespec none = {0, 0};
	QUIET(mq_send(q, "1", 1, 0) == 0 && mq_receive(q, buf, 16, NULL) == 1);
	CHECK_ERRNO(EAGAIN, sigtimedwait(&set, NULL, &none));
	CHECK(mq_notify(q, &ev) == 0 && mq_notify(q, NULL) == 0);
	return NULL;
}

static void notification(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = told};
	char buf[16];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	join(spawn(wants_signal, NULL));
	ev.sigev_value.sival_int = 5;
	CHECK(mq_notify(q, &ev) == 0 && mq_send(q, "1", 1, 0) == 0 && sem_wait(&ready) == 0);
	QUIET(mq_receive(q, buf, 16, NULL) == 1);
	CHECK_ERRNO(EBADF, mq_notify(-1, &ev));
}

int main(void)
{
	snprintf(name, sizeof(name), "/greenhook-test-%d", (int)getpid());
	become_threaded();
	sem_init(&ready, 0, 0);
	openings();
	order();
	limits();
	many();
	interruption();
	notification();
	CHECK(mq_unlink(name) == 0 && mq_close(q) == 0);
	return check_done();
}
