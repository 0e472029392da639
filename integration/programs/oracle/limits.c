/* limits: waits that must end by time, never early and with the right errno, and those refused for
 * a time that is none.
 */
#include "oracle.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>

struct limit {
	clockid_t clock;
	int64_t ns, until; /* on that clock */
	struct timespec at, span;
};

static struct limit limit_make(struct me *me, clockid_t clock)
{
	struct limit l = {.clock = clock, .ns = 1000 * (int64_t)(1 + below(&me->rng, 400))};
	l.span.tv_nsec = l.ns;
	l.at = in_ns(clock, l.ns);
	l.until = (int64_t)l.at.tv_sec * 1000000000 + l.at.tv_nsec;
	return l;
}

#define PASSED(me, l) FACT(me, now_ns((l).clock) >= (l).until)

static void limit_cond(struct me *me)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c;
	clockid_t clock;
	struct timespec bad = {.tv_sec = 1, .tv_nsec = 1000000000};
	cond_make(&c, &me->rng, &clock);
	struct limit l = limit_make(me, clock);
	pthread_mutex_lock(&m);
	int r;
	while ((r = WAITS(me, pthread_cond_timedwait(&c, &m, &l.at))) == 0)
		; /* spurious */
	FACT(me, r == ETIMEDOUT);
	PASSED(me, l);
	l = limit_make(me, CLOCK_MONOTONIC);
	while ((r = WAITS(me, pthread_cond_clockwait(&c, &m, l.clock, &l.at))) == 0)
		;
	FACT(me, r == ETIMEDOUT);
	PASSED(me, l);
	FACT(me, pthread_cond_timedwait(&c, &m, &bad) == EINVAL);
	FACT(me, pthread_mutex_trylock(&m) == EBUSY);
	pthread_mutex_unlock(&m);
	FACT(me, pthread_cond_destroy(&c) == 0 && pthread_mutex_destroy(&m) == 0);
}

static void limit_sem(struct me *me)
{
	sem_t s;
	struct timespec bad = {.tv_sec = 1, .tv_nsec = -1};
	sem_init(&s, 0, 0);
	FACT(me, sem_trywait(&s) == -1 && errno == EAGAIN);
	struct limit l = limit_make(me, CLOCK_REALTIME);
	FACT(me, AGAIN(me, sem_timedwait(&s, &l.at)) == -1 && errno == ETIMEDOUT);
	PASSED(me, l);
	l = limit_make(me, CLOCK_MONOTONIC);
	FACT(me, AGAIN(me, sem_clockwait(&s, l.clock, &l.at)) == -1 && errno == ETIMEDOUT);
	PASSED(me, l);
	FACT(me, sem_timedwait(&s, &bad) == -1 && errno == EINVAL);
	sem_post(&s);
	FACT(me, sem_timedwait(&s, &l.at) == 0); /* a token is there: the time does not matter */
	FACT(me, sem_destroy(&s) == 0);
}

static void limit_locks(struct me *me)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	pthread_mutex_lock(&m);
	struct limit l = limit_make(me, CLOCK_REALTIME);
	FACT(me, WAITS(me, pthread_mutex_timedlock(&m, &l.at)) == ETIMEDOUT);
	PASSED(me, l);
	l = limit_make(me, CLOCK_MONOTONIC);
	FACT(me, WAITS(me, pthread_mutex_clocklock(&m, l.clock, &l.at)) == ETIMEDOUT);
	PASSED(me, l);
	pthread_mutex_unlock(&m);
	FACT(me, pthread_mutex_timedlock(&m, &l.at) == 0);
	pthread_mutex_unlock(&m);
	pthread_rwlock_rdlock(&rw);
	l = limit_make(me, CLOCK_REALTIME);
	FACT(me, WAITS(me, pthread_rwlock_timedwrlock(&rw, &l.at)) == ETIMEDOUT);
	PASSED(me, l);
	FACT(me, pthread_rwlock_tryrdlock(&rw) == 0); /* the one that gave up left no trace */
	pthread_rwlock_unlock(&rw);
	pthread_rwlock_unlock(&rw);
	pthread_rwlock_wrlock(&rw);
	FACT(me, pthread_rwlock_timedrdlock(&rw, &l.at) == EDEADLK);
	FACT(me, pthread_rwlock_rdlock(&rw) == EDEADLK);
	pthread_rwlock_unlock(&rw);
	FACT(me, pthread_mutex_destroy(&m) == 0 && pthread_rwlock_destroy(&rw) == 0);
}

static void limit_fds(struct me *me)
{
	int p[2], s[2], e = epoll_create1(0);
	struct timeval wait = {.tv_usec = 1000};
	struct epoll_event ev = {.events = EPOLLIN};
	char byte;
	FACT(me, pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && e >= 0);
	struct pollfd f[2] = {{.fd = p[0], .events = POLLIN}, {.fd = s[0], .events = POLLIN}};
	struct limit l = limit_make(me, CLOCK_MONOTONIC);
	FACT(me, AGAIN(me, ppoll(f, 2, &l.span, NULL)) == 0 && f[0].revents == 0);
	PASSED(me, l);
	int64_t since = now_ns(CLOCK_MONOTONIC);
	switch (below(&me->rng, 4)) {
	case 0:
		FACT(me, AGAIN(me, poll(f, 2, 1)) == 0);
		break;
	case 1: {
		fd_set set;
		int r;
		do {
			FD_ZERO(&set);
			FD_SET(p[0], &set);
			wait.tv_usec = 1000;
			r = WAITS(me, select(p[0] + 1, &set, NULL, NULL, &wait));
		} while (r == -1 && errno == EINTR && interrupted(me));
		FACT(me, r == 0 && !FD_ISSET(p[0], &set));
		break;
	}
	case 2:
		FACT(me, setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
		FACT(me, AGAIN(me, recv(s[0], &byte, 1, 0)) == -1 && errno == EAGAIN);
		break;
	default:
		FACT(me, epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev) == 0);
		FACT(me, AGAIN(me, epoll_wait(e, &ev, 1, 1)) == 0);
	}
	FACT(me, now_ns(CLOCK_MONOTONIC) - since >= 1000000);
	FACT(me, write(s[1], "x", 1) == 1 && poll(f, 2, -1) == 1 && f[1].revents == POLLIN);
	FACT(me, recv(s[0], &byte, 1, MSG_DONTWAIT) == 1);
	FACT(me, recv(s[0], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	close(p[1]);
	FACT(me, AGAIN(me, read(p[0], &byte, 1)) == 0);
	shutdown(s[1], SHUT_RDWR); /* a child of another step may have a copy */
	close(s[1]);
	FACT(me, write(s[0], "x", 1) == -1 && errno == EPIPE);
	close(p[0]), close(s[0]), close(e);
	FACT(me, read(p[0] + 900, &byte, 1) == -1 && errno == EBADF);
}

static void limit_sleeps(struct me *me)
{
	struct timespec bad = {.tv_nsec = 1000000000}, left;
	struct limit l = limit_make(me, CLOCK_MONOTONIC);
	left = l.span;
	while (WAITS(me, nanosleep(&left, &left)) != 0 && interrupted(me))
		;
	PASSED(me, l);
	l = limit_make(me, below(&me->rng, 2) ? CLOCK_MONOTONIC : CLOCK_REALTIME);
	int r;
	while ((r = WAITS(me, clock_nanosleep(l.clock, TIMER_ABSTIME, &l.at, NULL))) == EINTR)
		interrupted(me);
	FACT(me, r == 0);
	PASSED(me, l);
	FACT(me, nanosleep(&bad, NULL) == -1 && errno == EINVAL);
	FACT(me, clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL) == EINVAL);
}

static void *waits_for_token(struct me *me, void *arg)
{
	sem_take(me, arg);
	return arg;
}

static void limit_join(struct me *me)
{
	struct helper h;
	pthread_t t;
	sem_t go;
	void *result;
	sem_init(&go, 0, 0);
	FACT(me, helper_start(me, &h, NULL, 60, waits_for_token, &go, &t) == 0);
	FACT(me, pthread_tryjoin_np(t, &result) == EBUSY);
	struct limit l = limit_make(me, CLOCK_REALTIME);
	FACT(me, WAITS(me, pthread_timedjoin_np(t, &result, &l.at)) == ETIMEDOUT);
	PASSED(me, l);
	l = limit_make(me, CLOCK_MONOTONIC);
	FACT(me, WAITS(me, pthread_clockjoin_np(t, &result, l.clock, &l.at)) == ETIMEDOUT);
	PASSED(me, l);
	sem_post(&go);
	FACT(me, helper_join(me, t) == &go);
	FACT(me, sem_destroy(&go) == 0);
}

static void limit_futex_signal(struct me *me)
{
	uint32_t word = 7;
	sigset_t set;
	struct limit l = limit_make(me, CLOCK_MONOTONIC);
	long r;
	while ((r = WAITS(me, syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 7, &l.span))) == 0 ||
	       (errno == EINTR && interrupted(me)))
		;
	FACT(me, r == -1 && errno == ETIMEDOUT);
	PASSED(me, l);
	FACT(me, syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 8, NULL) == -1 && errno == EAGAIN);
	FACT(me, syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 8) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	l = limit_make(me, CLOCK_MONOTONIC);
	FACT(me, AGAIN(me, sigtimedwait(&set, NULL, &l.span)) == -1 && errno == EAGAIN);
	PASSED(me, l);
}

static void limits_play(struct me *me)
{
	static void (*const all[])(struct me *) = {limit_cond,	      limit_sem,  limit_locks,
						   limit_fds,	      limit_join, limit_sleeps,
						   limit_futex_signal};
	unsigned which = below(&me->rng, sizeof all / sizeof all[0]);
	note(me, which);
	all[which](me);
}

const struct kind kind_limits = {"limits", 1, 4, 0, 0, NULL, limits_play, NULL};
