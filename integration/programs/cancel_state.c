/* State, type and pending requests; calls that are no cancellation points; cancelling oneself, the
 * ended, the exiting; the kinds of mutex that a cancelled condition wait takes again. */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>

static sem_t ready, go;
static volatile int reached;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void hit(void)
{
	reached++;
}

/* ---- state and type ---- */

static void *states(void *arg)
{
	int old = -1;
	CHECK_RC(0, pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
	CHECK(old == PTHREAD_CANCEL_ENABLE);
	CHECK_RC(0, pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	CHECK_RC(0, pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
	CHECK(old == PTHREAD_CANCEL_DISABLE);
	CHECK_RC(EINVAL, pthread_setcancelstate(-1, &old));
	CHECK_RC(EINVAL, pthread_setcancelstate(2, &old));
	CHECK_RC(0, pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old));
	CHECK(old == PTHREAD_CANCEL_DEFERRED);
	CHECK_RC(0, pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old));
	CHECK(old == PTHREAD_CANCEL_ASYNCHRONOUS);
	CHECK_RC(EINVAL, pthread_setcanceltype(-1, &old));
	CHECK_RC(EINVAL, pthread_setcanceltype(2, &old));
	return arg;
}

/* 0: at the next point; 1: when enabled and asynchronous; 2: when made asynchronous */
static void *pending(void *arg)
{
	int how = (int)(intptr_t)arg;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (how == 1)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(&ready);
	sem_wait(&go);
	pthread_testcancel();
	hit(); /* 1 */
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	hit(); /* 2, not for how == 1 */
	if (how == 2) {
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		hit();
	}
	sem_wait(&go);
	hit();
	return NULL;
}

static void pending_request(int how)
{
	reached = 0;
	pthread_t t = spawn(pending, (void *)(intptr_t)how);
	sem_wait(&ready);
	QUIET(pthread_cancel(t) == 0);
	QUIET(pthread_cancel(t) == 0);
	sem_post(&go);
	void *end = join(t);
	printf("pending %d: %s, reached %d\n", how, end == PTHREAD_CANCELED ? "cancelled" : "not",
	       reached);
}

static void *computes(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(&ready);
	for (volatile unsigned long i = 0;; i++)
		;
	return arg;
}

/* ---- no cancellation points ---- */

static void *no_point(void *arg)
{
	sem_post(&ready);
	switch ((intptr_t)arg) {
	case 0:
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
		break;
	case 1:
		pthread_rwlock_rdlock(&rwlock);
		pthread_rwlock_unlock(&rwlock);
		break;
	case 2:
		pthread_rwlock_wrlock(&rwlock);
		pthread_rwlock_unlock(&rwlock);
		break;
	case 3:
		pthread_barrier_wait(&barrier);
		break;
	case 4:
		pthread_once(&once, hit);
		break;
	}
	hit();
	pthread_testcancel();
	hit();
	return NULL;
}

static void initialise(void)
{
	sem_post(&ready);
	pthread_mutex_lock(&mutex); /* no point */
	pthread_mutex_unlock(&mutex);
}

static void *runs_once(void *arg)
{
	pthread_once(&once, initialise);
	return arg;
}

static void not_a_point(int which)
{
	pthread_t other = 0;
	reached = 0;
	pthread_mutex_lock(&mutex);
	pthread_rwlock_wrlock(&rwlock);
	if (which == 4) {
		other = spawn(runs_once, NULL);
		sem_wait(&ready);
	}
	pthread_t t = spawn(no_point, (void *)(intptr_t)which);
	sem_wait(&ready);
	sleep_ms(2);
	pthread_cancel(t);
	sleep_ms(2);
	QUIET(reached == 0);
	pthread_rwlock_unlock(&rwlock);
	pthread_mutex_unlock(&mutex);
	if (which == 3)
		pthread_barrier_wait(&barrier);
	void *end = join(t);
	printf("no point %d: %s, reached %d\n", which,
	       end == PTHREAD_CANCELED ? "cancelled later" : "not cancelled", reached);
	if (other)
		join(other);
}

/* ---- whom ---- */

static void *cancels_itself(void *arg)
{
	pthread_cancel(pthread_self()); /* no output from here on: write is a point */
	hit();
	pthread_testcancel();
	hit();
	return arg;
}

static void *cancels_itself_async(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cancel(pthread_self());
	hit();
	return arg;
}

/* A request that comes while it exits changes nothing. */
static void exits_slowly(void *arg)
{
	pthread_cancel(pthread_self());
	pthread_testcancel();
	sleep_ms(1);
	hit();
}

static void *exiting(void *arg)
{
	pthread_cleanup_push(exits_slowly, NULL);
	pthread_exit((void *)5);
	pthread_cleanup_pop(0);
	return NULL;
}

/* A join of what has ended does not wait, and so is no point. */
static void *joins(void *arg)
{
	pthread_cancel(pthread_self());
	QUIET(pthread_join(*(pthread_t *)arg, NULL) == 0);
	hit();
	return NULL;
}

/* ---- the mutex of a cancelled condition wait ---- */

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int held;
};

static void check_held(void *arg)
{
	struct waiter *w = arg;
	w->held = 1;
	/* Held by this thread: everybody may test it, and this thread releases it. */
	QUIET(pthread_mutex_trylock(&w->mutex) != 0 || w->mutex.__data.__count == 2);
	if (w->mutex.__data.__count == 2)
		QUIET(pthread_mutex_unlock(&w->mutex) == 0);
	QUIET(pthread_mutex_unlock(&w->mutex) == 0);
}

static void *cond_waits(void *arg)
{
	struct waiter *w = arg;
	pthread_mutex_lock(&w->mutex);
	pthread_cleanup_push(check_held, w);
	sem_post(&ready);
	pthread_cond_wait(&w->cond, &w->mutex);
	hit();
	pthread_cleanup_pop(1);
	return NULL;
}

static void mutex_kind(const char *name, int type, int robust, int protocol, int shared)
{
	struct waiter *w =
	    mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_mutexattr_init(&ma);
	pthread_condattr_init(&ca);
	pthread_mutexattr_settype(&ma, type);
	pthread_mutexattr_setrobust(&ma, robust);
	pthread_mutexattr_setprotocol(&ma, protocol);
	pthread_mutexattr_setpshared(&ma, shared);
	pthread_condattr_setpshared(&ca, shared);
	MUST(pthread_mutex_init(&w->mutex, &ma) == 0 && pthread_cond_init(&w->cond, &ca) == 0);
	int ok = 1;
	for (int i = 0; i < 20; i++) {
		reached = w->held = 0;
		pthread_t t = spawn(cond_waits, w);
		sem_wait(&ready);
		if (i % 2) { /* it waits by then; it must wait for the mutex, too */
			pthread_mutex_lock(&w->mutex);
			pthread_cancel(t);
			sleep_ms(1);
			ok &= !w->held;
			pthread_mutex_unlock(&w->mutex);
		} else {
			pthread_cancel(t);
		}
		ok &= join(t) == PTHREAD_CANCELED && w->held && !reached;
		ok &= pthread_mutex_trylock(&w->mutex) == 0;
		ok &= pthread_mutex_unlock(&w->mutex) == 0;
	}
	ok &= pthread_cond_destroy(&w->cond) == 0 && pthread_mutex_destroy(&w->mutex) == 0;
	printf("%s mutex: %s\n", name, ok ? "held in the handler, free after" : "FAIL");
	munmap(w, sizeof(*w));
}

int main(void)
{
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	pthread_barrier_init(&barrier, NULL, 2);

	join(spawn(states, NULL));
	for (int how = 0; how < 3; how++)
		pending_request(how);
	for (int i = 0; i < 5; i++) {
		pthread_t t = spawn(computes, NULL);
		sem_wait(&ready);
		pthread_cancel(t);
		QUIET(join(t) == PTHREAD_CANCELED);
	}
	for (int which = 0; which < 5; which++)
		not_a_point(which);

	reached = 0;
	CHECK(join(spawn(cancels_itself, NULL)) == PTHREAD_CANCELED);
	CHECK(reached == 1);
	reached = 0;
	CHECK(join(spawn(cancels_itself_async, NULL)) == PTHREAD_CANCELED);
	CHECK(reached == 0);
	reached = 0;
	CHECK(join(spawn(exiting, NULL)) == (void *)5);
	CHECK(reached == 1);

	pthread_t ended = spawn(check_nothing, (void *)7);
	while (pthread_tryjoin_np(ended, NULL) == EBUSY)
		sleep_ms(1);
	ended = spawn(check_nothing, (void *)7);
	sleep_ms(20);
	CHECK_RC(0, pthread_cancel(ended));
	CHECK(join(ended) == (void *)7);
	ended = spawn(check_nothing, NULL);
	sleep_ms(20);
	reached = 0;
	CHECK(join(spawn(joins, &ended)) == NULL);
	CHECK(reached == 1);

	mutex_kind("plain", PTHREAD_MUTEX_NORMAL, 0, 0, 0);
	mutex_kind("recursive", PTHREAD_MUTEX_RECURSIVE, 0, 0, 0);
	mutex_kind("checking", PTHREAD_MUTEX_ERRORCHECK, 0, 0, 0);
	mutex_kind("adaptive", PTHREAD_MUTEX_ADAPTIVE_NP, 0, 0, 0);
	mutex_kind("robust", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, 0, 0);
	mutex_kind("inheriting", PTHREAD_MUTEX_NORMAL, 0, PTHREAD_PRIO_INHERIT, 0);
	mutex_kind("shared", PTHREAD_MUTEX_NORMAL, 0, 0, PTHREAD_PROCESS_SHARED);
	mutex_kind("shared robust", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, 0,
		   PTHREAD_PROCESS_SHARED);
	return check_done();
}
