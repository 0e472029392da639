/* Cancellation: each blocking call is a cancellation point, disabled state holds the request back,
 * testcancel, asynchronous type, the errors of the setters. */
#include "check.h"
#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>

static sem_t ready, go, never;
static int silent[2]; /* a socket pair on which nothing ever arrives */

static void block_sem(void)
{
	sem_wait(&never);
}
static void block_read(void)
{
	char c;
	QUIET(read(silent[0], &c, 1) < 0);
}
static void block_recv(void)
{
	char c;
	recv(silent[0], &c, 1, 0);
}
static void block_poll(void)
{
	struct pollfd p = {.fd = silent[0], .events = POLLIN};
	poll(&p, 1, -1);
}
static void block_sleep(void)
{
	sleep(1000);
}
static void block_testcancel(void)
{
	for (;;) {
		pthread_testcancel();
		sched_yield();
	}
}
static void block_async(void)
{
	int old;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	for (volatile int i = 0;; i++)
		;
}

static void *blocks(void *arg)
{
	sem_post(&ready);
	((void (*)(void))arg)();
	return NULL;
}

static void *holds_back(void *arg)
{
	int old;
	QUIET(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0);
	QUIET(old == PTHREAD_CANCEL_ENABLE);
	sem_post(&ready);
	sem_wait(&go);	      /* the request is pending now and must not act here */
	pthread_testcancel(); /* nor here */
	*(int *)arg = 1;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	*(int *)arg = 2;
	return NULL;
}

static int is_cancelled(void (*block)(void))
{
	pthread_t t = spawn(blocks, (void *)block);
	sem_wait(&ready);
	QUIET(pthread_cancel(t) == 0);
	return join(t) == PTHREAD_CANCELED;
}

int main(void)
{
	int reached = 0, old;
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&never, 0, 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, silent) == 0);

	/* Several rounds: the request may arrive before or after the call has begun to wait. */
	for (int i = 0; i < 20; i++) {
		QUIET(is_cancelled(block_sem));
		QUIET(is_cancelled(block_read));
		QUIET(is_cancelled(block_recv));
		QUIET(is_cancelled(block_poll));
		QUIET(is_cancelled(block_sleep));
		QUIET(is_cancelled(block_testcancel));
	}
	CHECK(is_cancelled(block_async));

	pthread_t t = spawn(holds_back, &reached);
	sem_wait(&ready);
	CHECK_RC(0, pthread_cancel(t));
	sem_post(&go);
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK(reached == 1);

	CHECK_RC(EINVAL, pthread_setcancelstate(42, &old));
	CHECK_RC(EINVAL, pthread_setcanceltype(42, &old));
	CHECK_RC(0, pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old));
	CHECK(old == PTHREAD_CANCEL_DEFERRED);
	return check_done();
}
