/* pthread_kill: the handler runs on the thread it was sent to, wherever that waits, with that
 * thread's own errno, stack and thread-local data; raise reaches the caller; masks delay. */
#include "check.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>

#define N 20
static __thread int mine;
static __thread volatile int my_count; /* volatile: sched_yield and raise are "leaf" calls */
static sem_t handled, ready, go, never;
static pthread_t threads[N];
static int right, on_stack, pairs[N][2];
static __thread char *stack_mark;

static void handler(int number, siginfo_t *info, void *context)
{
	char local;
	int saved = errno;
	my_count++;
	if (mine > 0 && pthread_equal(pthread_self(), threads[mine - 1]))
		__atomic_add_fetch(&right, 1, __ATOMIC_SEQ_CST);
	if (stack_mark - &local < 1 << 20 && stack_mark > &local)
		__atomic_add_fetch(&on_stack, 1, __ATOMIC_SEQ_CST);
	errno = 4711;
	sem_post(&handled);
	errno = saved;
}

static void *waits(void *arg)
{
	char mark, byte;
	int me = (int)(intptr_t)arg;
	stack_mark = &mark;
	mine = me + 1;
	sem_post(&ready);
	/* Three ways to be parked; the handler has SA_RESTART, so the waits go on after it. */
	if (me % 3 == 0) {
		QUIET(read(pairs[me][0], &byte, 1) == 1);
	} else if (me % 3 == 1) {
		while (sem_wait(&go) != 0)
			QUIET(errno == EINTR);
	} else {
		while (my_count == 0)
			sched_yield();
	}
	QUIET(my_count == 1);
	return NULL;
}

static void *raises(void *arg)
{
	char mark;
	stack_mark = &mark;
	QUIET(raise(SIGUSR1) == 0);
	QUIET(my_count == 1); /* before raise returns */
	return NULL;
}

static void *masked(void *arg)
{
	char mark;
	sigset_t set;
	stack_mark = &mark;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	QUIET(pthread_kill(pthread_self(), SIGUSR1) == 0);
	sched_yield();
	QUIET(my_count == 0);
	sigset_t pending;
	QUIET(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	QUIET(my_count == 1); /* at the latest when the unblocking call returns */
	/* sigsuspend swaps the mask while it waits. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	sigemptyset(&set);
	QUIET(sigsuspend(&set) == -1 && errno == EINTR);
	QUIET(my_count == 2);
	return NULL;
}

static void wait_handled(void)
{
	while (sem_wait(&handled) != 0)
		;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
	sem_init(&handled, 0, 0);
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&never, 0, 0);
	sigaction(SIGUSR1, &action, NULL);
	for (intptr_t i = 0; i < N; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) == 0);
		threads[i] = spawn(waits, (void *)i);
	}
	for (int i = 0; i < N; i++)
		while (sem_wait(&ready) != 0)
			;
	for (int i = 0; i < N; i++) {
		QUIET(pthread_kill(threads[i], 0) == 0);
		QUIET(pthread_kill(threads[i], SIGUSR1) == 0);
		wait_handled();
	}
	CHECK(right == N);
	CHECK(on_stack == N);
	CHECK_RC(EINVAL, pthread_kill(threads[0], 12345));
	for (int i = 0; i < N; i++) {
		if (i % 3 == 0)
			MUST(write(pairs[i][1], "x", 1) == 1);
		if (i % 3 == 1)
			sem_post(&go);
	}
	for (int i = 0; i < N; i++)
		join(threads[i]);
	join(spawn(raises, NULL));
	join(spawn(masked, NULL));
	CHECK(my_count == 0);
	CHECK(raise(SIGUSR1) == 0 && my_count == 1);
	CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0 && my_count == 2);
	return check_done();
}
