/* Signals to the process: which thread gets them and when; temporary masks; waiting for them. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

static __thread volatile int mine;
static volatile int total, during_usr2, context_usr2;
static sem_t ready, never, handled;
static pthread_t handled_by;
static sigset_t set1, all_used, empty;

static void handler(int number)
{
	mine++;
	__atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
	handled_by = pthread_self();
	sem_post(&handled);
}

static void *parked(void *arg)
{
	sem_post(&ready);
	while (sem_wait(&never) != 0)
		;
	return NULL;
}

static void *open_alone(void *arg)
{
	pthread_sigmask(SIG_UNBLOCK, &set1, NULL);
	return parked(arg);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) != 0)
		;
}

/* Everybody sleeps; one thread does not block the signal. */
static void reaches_the_only_one(void)
{
	pthread_t t[20], one;
	for (int i = 0; i < 20; i++)
		t[i] = spawn(parked, NULL);
	one = spawn(open_alone, NULL);
	for (int i = 0; i < 21; i++)
		wait_for(&ready);
	for (int i = 0; i < 50; i++) {
		MUST(kill(getpid(), SIGUSR1) == 0);
		wait_for(&handled);
		QUIET(pthread_equal(handled_by, one));
	}
	CHECK(total == 50 && mine == 0);
	for (int i = 0; i < 21; i++)
		sem_post(&never);
	for (int i = 0; i < 20; i++)
		join(t[i]);
	join(one);
}

/* What was pending is delivered before the call that unblocks returns, in whatever thread. */
static void *unblocks(void *arg)
{
	sigset_t pending;
	for (int i = 1; i <= 20; i++) {
		MUST(kill(getpid(), SIGUSR1) == 0);
		sched_yield();
		QUIET(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
		QUIET(mine == i - 1);
		pthread_sigmask(SIG_UNBLOCK, &set1, NULL);
		QUIET(mine == i);
		pthread_sigmask(SIG_BLOCK, &set1, NULL);
	}
	return NULL;
}

/* kill() to oneself: handled before it returns. */
static void *kills_itself(void *arg)
{
	pthread_sigmask(SIG_UNBLOCK, &set1, NULL);
	for (int i = 1; i <= 20; i++) {
		QUIET(kill(getpid(), SIGUSR1) == 0 && mine == i);
		QUIET(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1}) == 0);
		mine--;
	}
	pthread_sigmask(SIG_BLOCK, &set1, NULL);
	return NULL;
}

static void looks(int number, siginfo_t *info, void *context)
{
	sigset_t now;
	ucontext_t *uc = context;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	during_usr2 = sigismember(&now, SIGUSR2);
	context_usr2 = sigismember(&uc->uc_sigmask, SIGUSR2);
	mine++;
}

/* Each call lets one handler run and returns with the old mask. */
static void *suspends(void *arg)
{
	struct sigaction action = {.sa_sigaction = looks, .sa_flags = SA_SIGINFO};
	sigset_t now;
	int fds[2], ep;
	fd_set r;
	struct epoll_event e;
	struct timespec zero = {0, 0}, second = {.tv_sec = 10};

	sigaction(SIGRTMIN + 1, &action, NULL);
	pthread_sigmask(SIG_BLOCK, &all_used, NULL);
	for (int i = 0; i < 5; i++)
		pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){.sival_int = i});
	for (int i = 1; i <= 5; i++) {
		QUIET(sigsuspend(&empty) == -1 && errno == EINTR && mine == i);
		QUIET(!during_usr2 && context_usr2);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		QUIET(sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMIN + 1));
	}
	MUST(pipe(fds) == 0);
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	ep = epoll_create1(0);
	e.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e);
	for (int i = 0; i < 4; i++)
		pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){.sival_int = i});
	mine = 0;
	QUIET(ppoll(&p, 1, &second, &empty) == -1 && errno == EINTR && mine == 1);
	FD_ZERO(&r);
	FD_SET(fds[0], &r);
	QUIET(pselect(fds[0] + 1, &r, NULL, NULL, &second, &empty) == -1 && errno == EINTR &&
	      mine == 2);
	QUIET(epoll_pwait(ep, &e, 1, 10000, &empty) == -1 && errno == EINTR && mine == 3);
	printf("ppoll without time: %d", ppoll(&p, 1, &zero, &empty));
	printf(" handled %d\n", mine);
	mine = 4;
	while (sigtimedwait(&all_used, NULL, &zero) > 0)
		;
	/* Something is ready: no handler. */
	pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){.sival_int = 0});
	MUST(write(fds[1], "x", 1) == 1);
	printf("ready: ppoll %d", ppoll(&p, 1, &second, &empty));
	printf(" handled %d", mine - 4);
	FD_SET(fds[0], &r);
	printf(" pselect %d", pselect(fds[0] + 1, &r, NULL, NULL, &second, &empty));
	printf(" handled %d", mine - 4);
	printf(" epoll_pwait %d", epoll_pwait(ep, &e, 1, 10000, &empty));
	printf(" handled %d\n", mine - 4);
	while (sigtimedwait(&all_used, NULL, &zero) > 0)
		;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	QUIET(sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMIN + 1));
	close(fds[0]);
	close(fds[1]);
	close(ep);
	return NULL;
}

static int got[64];
static int stop;

static void *waits(void *arg)
{
	int number, me = (int)(intptr_t)arg;
	for (;;) {
		siginfo_t info;
		number = me % 2 ? sigwaitinfo(&all_used, &info) : -1;
		if (number < 0 && sigwait(&all_used, &number) != 0)
			continue;
		if (__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
			return NULL;
		got[me]++;
		sem_post(&handled);
	}
}

/* Each signal to exactly one of the many that wait. */
static void many_wait(void)
{
	pthread_t t[16];
	int sum = 0;
	for (intptr_t i = 0; i < 16; i++)
		t[i] = spawn(waits, (void *)i);
	for (int i = 0; i < 500; i++) {
		if (i % 3)
			MUST(kill(getpid(), i % 2 ? SIGUSR1 : SIGUSR2) == 0);
		else
			MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == 0);
		wait_for(&handled);
	}
	for (int i = 0; i < 200; i++)
		MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == 0);
	for (int i = 0; i < 200; i++)
		wait_for(&handled);
	for (int i = 0; i < 64; i++)
		sum += got[i];
	CHECK(sum == 700);
	/* To each of them by name. */
	memset(got, 0, sizeof(got));
	for (int round = 0; round < 10; round++)
		for (int i = 0; i < 16; i++) {
			MUST(pthread_kill(t[i], SIGUSR1) == 0);
			wait_for(&handled);
			QUIET(got[i] == round + 1);
		}
	CHECK("each by name");
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 16; i++) {
		pthread_kill(t[i], SIGUSR2);
		join(t[i]);
	}
}

static void *interrupts(void *arg)
{
	int *returned = arg;
	while (!__atomic_load_n(returned, __ATOMIC_SEQ_CST)) {
		kill(getpid(), SIGUSR1);
		sleep_ms(1);
	}
	return NULL;
}

static void waits_interrupted(void)
{
	sigset_t usr2;
	struct timespec ts = {.tv_sec = 20}, zero = {0, 0}, bad = {.tv_nsec = -1};
	siginfo_t info;
	int returned = 0;
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &usr2, NULL);
	mine = 0;
	pthread_t t = spawn(interrupts, &returned);
	CHECK_ERRNO(EINTR, sigtimedwait(&usr2, &info, &ts));
	CHECK_ERRNO(EINTR, sigwaitinfo(&usr2, &info));
	__atomic_store_n(&returned, 1, __ATOMIC_SEQ_CST);
	join(t);
	CHECK(mine > 0);
	CHECK_ERRNO(EAGAIN, sigtimedwait(&usr2, &info, &zero));
	CHECK_ERRNO(EINVAL, sigtimedwait(&usr2, &info, &bad));
	/* An unblocked one: the wait takes it, not the handler. */
	mine = 0;
	pthread_sigmask(SIG_SETMASK, &all_used, NULL);
	raise(SIGUSR1);
	CHECK(sigtimedwait(&set1, &info, &ts) == SIGUSR1 && mine == 0);
	/* Ignored ones are taken while they are blocked. */
	signal(SIGURG, SIG_DFL);
	sigset_t urg;
	sigemptyset(&urg);
	sigaddset(&urg, SIGURG);
	sigaddset(&urg, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &urg, NULL);
	raise(SIGURG);
	CHECK(sigtimedwait(&urg, &info, &ts) == SIGURG);
	kill(getpid(), SIGURG);
	CHECK(sigtimedwait(&urg, &info, &ts) == SIGURG && info.si_code == SI_USER);
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	CHECK(sigtimedwait(&urg, &info, &ts) == SIGCHLD && info.si_code == CLD_EXITED &&
	      info.si_pid == pid && info.si_status == 7);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

/* A child starts with nothing pending and the same mask. */
static void forks_with_pending(void)
{
	sigset_t pending;
	int status;
	struct timespec zero = {0, 0};
	raise(SIGUSR1);
	kill(getpid(), SIGUSR2);
	pid_t pid = fork();
	if (pid == 0) {
		sigpending(&pending);
		if (sigismember(&pending, SIGUSR1) || sigismember(&pending, SIGUSR2))
			_exit(1);
		mine = 0;
		raise(SIGUSR1);
		sigpending(&pending);
		if (!sigismember(&pending, SIGUSR1) || mine)
			_exit(2);
		become_threaded();
		sigpending(&pending);
		if (!sigismember(&pending, SIGUSR1))
			_exit(3);
		pthread_sigmask(SIG_UNBLOCK, &set1, NULL);
		_exit(mine == 1 ? 9 : 4);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9);
	CHECK(sigtimedwait(&all_used, NULL, &zero) == SIGUSR1);
	CHECK(sigtimedwait(&all_used, NULL, &zero) == SIGUSR2);
}

/* A blocked SIGPIPE waits with the writer. */
static void *breaks_pipe(void *arg)
{
	sigset_t pipe_set, pending;
	int fds[2];
	struct timespec zero = {0, 0};
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, NULL);
	for (int i = 0; i < 20; i++) {
		MUST(pipe(fds) == 0);
		close(fds[0]);
		QUIET(write(fds[1], "x", 1) == -1 && errno == EPIPE);
		usleep(100);
		QUIET(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE));
		QUIET(sigtimedwait(&pipe_set, NULL, &zero) == SIGPIPE);
		close(fds[1]);
	}
	return NULL;
}

static void *takes_none(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_SEQ_CST))
		usleep(50);
	QUIET(mine == 0);
	return NULL;
}

static void *attr_mask(void *arg)
{
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return (void *)(intptr_t)(sigismember(&now, SIGUSR1) + 2 * sigismember(&now, SIGHUP));
}

static void sets_mask_by_attributes(void)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t hup;
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	pthread_attr_init(&attr);
	MUST(pthread_attr_setsigmask_np(&attr, &hup) == 0);
	MUST(pthread_create(&t, &attr, attr_mask, NULL) == 0);
	CHECK(join(t) == (void *)2);
	MUST(pthread_attr_setsigmask_np(&attr, NULL) == 0);
	MUST(pthread_create(&t, &attr, attr_mask, NULL) == 0);
	CHECK(join(t) == (void *)1);
	pthread_attr_destroy(&attr);
}

int main(void)
{
	struct sigaction action = {.sa_handler = handler};
	pthread_t t, u;
	int over = 0;
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	sem_init(&handled, 0, 0);
	sigemptyset(&empty);
	sigemptyset(&set1);
	sigaddset(&set1, SIGUSR1);
	sigemptyset(&all_used);
	sigaddset(&all_used, SIGUSR1);
	sigaddset(&all_used, SIGUSR2);
	sigaddset(&all_used, SIGRTMIN + 1);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
	become_threaded();
	for (int i = 1; i <= 20; i++)
		QUIET(kill(getpid(), SIGUSR1) == 0 && mine == i);
	CHECK(mine == 20);
	mine = total = 0;
	while (sem_trywait(&handled) == 0)
		;
	pthread_sigmask(SIG_BLOCK, &all_used, NULL);
	reaches_the_only_one();
	join(spawn(unblocks, NULL));
	CHECK(mine == 0);
	unblocks(NULL);
	mine = 0;
	join(spawn(kills_itself, NULL));
	CHECK(mine == 0);
	join(spawn(suspends, NULL));
	suspends(NULL);
	sets_mask_by_attributes();
	while (sem_trywait(&handled) == 0)
		;
	many_wait();
	waits_interrupted();
	forks_with_pending();
	t = spawn(breaks_pipe, NULL);
	u = spawn(takes_none, &over);
	join(t);
	__atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
	join(u);
	CHECK("SIGPIPE waits with the writer");
	return check_done();
}
