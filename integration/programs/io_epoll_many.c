/* The program's own epoll sets: many threads in one set, every trigger, sets within sets, sets in
 * poll and select, a set that grows while it is waited for. */
#include "check.h"
#include <poll.h>
#include <sys/syscall.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

enum { PIPES = 400, THREADS = 40, ROUNDS = 5 };
static int ep, pipes[PIPES][2], handled, triggers, stop;

/* Takes one event at a time, so that the others have to be woken for the rest. */
static void *serve(void *arg)
{
	struct epoll_event ev;
	char c;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		int n = epoll_wait(ep, &ev, 1, -1);
		QUIET(n == 1);
		if (ev.data.u32 == 0xffffffff)
			continue;
		int i = (int)ev.data.u32;
		while (read(pipes[i][0], &c, 1) == 1)
			__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
		if (triggers & EPOLLONESHOT) {
			ev.events = (uint32_t)triggers;
			QUIET(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[i][0], &ev) == 0);
		}
	}
	return NULL;
}

static void many(const char *name, int how)
{
	pthread_t t[THREADS];
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 0xffffffff};
	int bell = eventfd(0, EFD_NONBLOCK);
	triggers = EPOLLIN | how;
	handled = stop = 0;
	ep = epoll_create1(EPOLL_CLOEXEC);
	MUST(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, bell, &ev) == 0);
	for (int i = 0; i < PIPES; i++) {
		MUST(pipe2(pipes[i], 04000 /* O_NONBLOCK */) == 0);
		ev = (struct epoll_event){.events = (uint32_t)triggers, .data.u32 = (uint32_t)i};
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[i][0], &ev) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(serve, NULL);
	for (int r = 1; r <= ROUNDS; r++) {
		for (int i = 0; i < PIPES; i++)
			QUIET(write(pipes[i][1], "x", 1) == 1);
		for (int k = 0; k < 5000 && __atomic_load_n(&handled, __ATOMIC_SEQ_CST) < r * PIPES;
		     k++)
			sleep_ms(1);
	}
	printf("%s %s\n", handled == ROUNDS * PIPES ? "ok  " : "FAIL", name);
	stop = 1;
	QUIET(eventfd_write(bell, 1) ==
	      0); /* stays readable: wakes them all, one after the other */
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	for (int i = 0; i < PIPES; i++)
		close(pipes[i][0]), close(pipes[i][1]);
	close(ep), close(bell);
}

static int outer, inner, evt;

static void *wait_outer(void *arg)
{
	struct epoll_event ev;
	return (void *)(long)epoll_wait(outer, &ev, 1, 5000);
}

static void *poll_inner(void *arg)
{
	struct pollfd f = {.fd = inner, .events = POLLIN};
	return (void *)(long)(poll(&f, 1, 5000) == 1 && f.revents == POLLIN);
}

static void *select_inner(void *arg)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(inner, &set);
	struct timeval t = {5, 0};
	return (void *)(long)(select(inner + 1, &set, NULL, NULL, &t) == 1);
}

static void *wait_pwait2(void *arg)
{
	struct epoll_event ev;
	struct timespec t = {5, 0};
	return (void *)(long)epoll_pwait2(inner, &ev, 1, &t, NULL);
}

static void nested(void)
{
	void *(*kinds[])(void *) = {wait_outer, poll_inner, select_inner, wait_pwait2};
	struct epoll_event ev = {.events = EPOLLIN};
	outer = epoll_create1(0), inner = epoll_create1(0), evt = eventfd(0, 0);
	MUST(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev) == 0);
	for (int k = 0; k < 4; k++) {
		pthread_t t = spawn(kinds[k], NULL);
		sleep_ms(10);
		QUIET(epoll_ctl(inner, EPOLL_CTL_ADD, evt, &ev) == 0); /* while it is waited for */
		sleep_ms(10);
		QUIET(eventfd_write(evt, 1) == 0);
		CHECK(join(t) == (void *)1);
		eventfd_t v;
		QUIET(eventfd_read(evt, &v) == 0);
		QUIET(epoll_ctl(inner, EPOLL_CTL_DEL, evt, &ev) == 0);
	}
	struct timespec tick = {0, 1000000}, odd = {0, -1};
	CHECK(epoll_pwait2(inner, &ev, 1, &tick, NULL) == 0);
	CHECK_ERRNO(EINVAL, epoll_pwait2(inner, &ev, 1, &odd, NULL));
	CHECK_ERRNO(EINVAL, epoll_wait(inner, &ev, 0, 0));
	CHECK_ERRNO(EINVAL, epoll_wait(evt, &ev, 1, 0));
	CHECK_ERRNO(EBADF, epoll_wait(-1, &ev, 1, 0));
	CHECK_ERRNO(EFAULT, epoll_wait(inner, (void *)-1, 1, -1));
	CHECK_ERRNO(EINVAL, epoll_ctl(inner, EPOLL_CTL_ADD, inner, &ev));
	CHECK_ERRNO(ELOOP, epoll_ctl(inner, EPOLL_CTL_ADD, outer, &ev));
	CHECK(epoll_ctl(inner, EPOLL_CTL_ADD, evt, &ev) == 0);
	CHECK_ERRNO(EEXIST, epoll_ctl(inner, EPOLL_CTL_ADD, evt, &ev));
	/* Sets within sets as deep as the kernel allows, all of them waited in. */
	int chain[5];
	pthread_t t[5];
	for (int i = 0; i < 5; i++) {
		chain[i] = epoll_create1(0);
		MUST(epoll_ctl(chain[i], EPOLL_CTL_ADD, i ? chain[i - 1] : evt, &ev) == 0);
	}
	for (int i = 0; i < 5; i++) {
		inner = chain[i];
		t[i] = spawn(poll_inner, NULL);
		sleep_ms(5);
	}
	QUIET(eventfd_write(evt, 1) == 0);
	for (int i = 0; i < 5; i++)
		QUIET(join(t[i]) == (void *)1);
	printf("ok   five sets within each other\n");
}

int main(void)
{
	struct rlimit r;
	become_threaded();
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max < 3000 ? r.rlim_max : 3000; /* at run time */
	MUST(setrlimit(RLIMIT_NOFILE, &r) == 0);
	many("level", 0);
	many("edge", (int)EPOLLET);
	many("one shot", EPOLLONESHOT);
	many("edge and one shot", (int)(EPOLLONESHOT | EPOLLET));
	many("exclusive", EPOLLEXCLUSIVE);
	nested();
	return check_done();
}
