/* cancel: a thread is cancelled in one of many calls that would never end; its handlers run in
 * order, its lock is given back, its destructors run.
 */
#include "oracle.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

struct victim {
	sem_t ready, never;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_key_t key;
	pthread_t idle; /* a thread that can be joined only after the cancellation */
	int pipe[2], pair[2], epoll;
	unsigned how;
	uint64_t trace; /* what ran, in order */
	bool inside;
};

static void cleanup(void *arg)
{
	struct victim *v = arg;
	v->trace = mix(v->trace + 1);
}

static void cleanup_unlock(void *arg)
{
	struct victim *v = arg;
	v->trace = mix(v->trace + 2);
	if (pthread_mutex_unlock(&v->lock) != 0)
		v->trace = 0;
}

static void destroy_value(void *arg)
{
	struct victim *v = arg;
	v->trace = mix(v->trace + 3);
}

static void wait_cond(struct me *me, struct victim *v, bool timed)
{
	pthread_mutex_lock(&v->lock);
	pthread_cleanup_push(cleanup_unlock, v);
	sem_post(&v->ready);
	for (;;) {
		struct timespec at = in_ns(CLOCK_REALTIME, FAR_SECONDS * 1000000000ll);
		if (timed)
			FACT(me, WAITS(me, pthread_cond_timedwait(&v->cond, &v->lock, &at)) == 0);
		else
			FACT(me, WAITS(me, pthread_cond_wait(&v->cond, &v->lock)) == 0);
	}
	pthread_cleanup_pop(0);
}

enum { HOWS = 19 };
static const char zeroes[65536]; /* what a pipe holds */

/* Does not come back, except from a system call that a signal of the disturber interrupted. */
static void wait_forever(struct me *me, struct victim *v)
{
	struct timespec far = {.tv_sec = FAR_SECONDS},
			at = in_ns(CLOCK_REALTIME, FAR_SECONDS * 1000000000ll);
	struct pollfd f = {.fd = v->pipe[0], .events = POLLIN};
	struct epoll_event ev;
	char byte;
	fd_set set;
	sigset_t sigs;
	int sig;
	switch (v->how) {
	case 0:
		WAITS(me, sem_wait(&v->never));
		break;
	case 1:
		WAITS(me, sem_timedwait(&v->never, &at));
		break;
	case 2:
		WAITS(me, read(v->pipe[0], &byte, 1));
		break;
	case 3:
		WAITS(me, recv(v->pair[0], &byte, 1, 0));
		break;
	case 4:
		WAITS(me, poll(&f, 1, -1));
		break;
	case 5:
		FD_ZERO(&set);
		FD_SET(v->pipe[0], &set);
		WAITS(me, select(v->pipe[0] + 1, &set, NULL, NULL, NULL));
		break;
	case 6:
		WAITS(me, epoll_wait(v->epoll, &ev, 1, -1));
		break;
	case 7:
		WAITS(me, nanosleep(&far, NULL));
		break;
	case 8:
		WAITS(me, (int)sleep(FAR_SECONDS));
		break;
	case 9:
		WAITS(me, clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL));
		break;
	case 10:
		WAITS(me, pause());
		break;
	case 11:
		sigemptyset(&sigs);
		sigaddset(&sigs, SIGRTMAX);
		WAITS(me, sigwait(&sigs, &sig));
		break;
	case 12:
		WAITS(me, pthread_join(v->idle, NULL));
		break;
	case 13:
		WAITS(me, write(v->pipe[1], zeroes, sizeof zeroes));
		break;
	case 14:
		for (;;) {
			pthread_testcancel();
			sched_yield();
		}
	case 15:
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		for (volatile unsigned i = 0;; i++)
			;
	case 16:
		wait_cond(me, v, false);
		break;
	case 17:
		wait_cond(me, v, true);
		break;
	case 18:
		sigemptyset(&sigs);
		WAITS(me, ppoll(&f, 1, &far, NULL));
		break;
	}
}

static void *victim_main(struct me *me, void *arg)
{
	struct victim *v = arg;
	bool patient = below(&me->rng, 4) == 0;
	/* Until all is in place, the request has to wait. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setspecific(v->key, v);
	pthread_cleanup_push(cleanup, v);
	pthread_cleanup_push(cleanup, v);
	sem_post(&v->ready);
	if (patient) { /* not cancelled in here, although asked */
		v->inside = true;
		struct timespec ts = {.tv_nsec = 200000};
		while (nanosleep(&ts, &ts) != 0)
			;
		pthread_testcancel();
		v->trace = mix(v->trace + 77);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (;;)
		wait_forever(me, v);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *idle_main(struct me *me, void *arg)
{
	sem_take(me, arg);
	return NULL;
}

static void cancel_play(struct me *me)
{
	struct victim v = {.how = below(&me->rng, HOWS),
			   .lock = PTHREAD_MUTEX_INITIALIZER,
			   .cond = PTHREAD_COND_INITIALIZER};
	struct helper h, idle_h;
	pthread_t t;
	sem_t idle_go;
	struct epoll_event ev = {.events = EPOLLIN};
	note(me, v.how);
	sem_init(&v.ready, 0, 0);
	sem_init(&v.never, 0, 0);
	sem_init(&idle_go, 0, 0);
	v.epoll = epoll_create1(0);
	FACT(me, pthread_key_create(&v.key, destroy_value) == 0);
	FACT(me, pipe(v.pipe) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, v.pair) == 0);
	FACT(me, epoll_ctl(v.epoll, EPOLL_CTL_ADD, v.pipe[0], &ev) == 0);
	if (v.how == 13) {
		FACT(me, write(v.pipe[1], zeroes, sizeof zeroes) == sizeof zeroes);
	}
	if (v.how == 12)
		FACT(me, helper_start(me, &idle_h, NULL, 71, idle_main, &idle_go, &v.idle) == 0);
	FACT(me, helper_start(me, &h, NULL, 70, victim_main, &v, &t) == 0);
	if (below(&me->noise, 3))
		sem_take(me, &v.ready);
	pause_a_bit(me);
	if (below(&me->noise, 3) == 0) {
		struct timespec ts = {.tv_nsec = 1000 * below(&me->noise, 300)};
		nanosleep(&ts, NULL);
	}
	FACT(me, pthread_cancel(t) == 0);
	FACT(me, helper_join(me, t) == PTHREAD_CANCELED);
	note(me, v.trace);
	FACT(me, pthread_mutex_trylock(&v.lock) == 0); /* given back */
	pthread_mutex_unlock(&v.lock);
	if (v.how == 12) { /* whose joiner was cancelled can be joined */
		sem_post(&idle_go);
		helper_join(me, v.idle);
	}
	FACT(me, pthread_key_delete(v.key) == 0);
	close(v.pipe[0]), close(v.pipe[1]), close(v.pair[0]), close(v.pair[1]), close(v.epoll);
	FACT(me, sem_destroy(&v.ready) == 0 && sem_destroy(&v.never) == 0);
	FACT(me, sem_destroy(&idle_go) == 0);
	FACT(me, pthread_cond_destroy(&v.cond) == 0 && pthread_mutex_destroy(&v.lock) == 0);
}

const struct kind kind_cancel = {"cancel", 1, 3, NOT_DETACHED, 0, NULL, cancel_play, NULL};
