/* The program's own epoll: limits, level and edge triggering, one-shot, errors, a thread waiting
 * while another adds descriptors, several threads on one instance, nesting. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define N 20
static int ep, pair[2], handled, many[N][2];

static int add(int instance, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};
	return epoll_ctl(instance, EPOLL_CTL_ADD, fd, &e);
}

static void *add_ready(void *arg)
{
	QUIET(add(ep, pair[0], EPOLLOUT) == 0);
	return NULL;
}

static void *write_byte(void *arg)
{
	QUIET(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

/* Workers on one instance, one-shot as servers do it; a byte 'q' ends a worker. */
static void *worker(void *arg)
{
	for (;;) {
		struct epoll_event e;
		char byte;
		if (epoll_wait(ep, &e, 1, -1) != 1)
			continue;
		QUIET(read(e.data.fd, &byte, 1) == 1);
		if (byte == 'q')
			return NULL;
		__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
		QUIET(write(e.data.fd, &byte, 1) == 1);
		e.events = EPOLLIN | EPOLLONESHOT;
		QUIET(epoll_ctl(ep, EPOLL_CTL_MOD, e.data.fd, &e) == 0);
	}
}

static void *talk(void *arg)
{
	int fd = many[(intptr_t)arg][1];
	char byte;
	for (int i = 0; i < 50; i++)
		QUIET(write(fd, "a", 1) == 1 && read(fd, &byte, 1) == 1);
	return NULL;
}

int main(void)
{
	struct epoll_event e, es[4];
	struct timespec limit = timespec_of_ns(20000000);
	pthread_t t[N], workers[5];
	char byte;

	become_threaded();
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK_ERRNO(EINVAL, epoll_create1(-1));
	ep = epoll_create1(EPOLL_CLOEXEC);
	CHECK(ep >= 0 && fcntl(ep, F_GETFD) == FD_CLOEXEC);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	CHECK(epoll_wait(ep, es, 4, 20) == 0 && now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	start = now_ns(CLOCK_MONOTONIC);
	CHECK(epoll_pwait(ep, es, 4, 20, NULL) == 0 && now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	start = now_ns(CLOCK_MONOTONIC);
#if __GLIBC_PREREQ(2, 35)
	int rc = epoll_pwait2(ep, es, 4, &limit, NULL);
#else
	int rc = syscall(441, ep, es, 4, &limit, NULL, 8);
#endif
	CHECK((rc == 0 && now_ns(CLOCK_MONOTONIC) - start >= 20000000) || errno == ENOSYS);
	CHECK(epoll_wait(ep, es, 4, 0) == 0);

	t[0] = spawn(add_ready, NULL); /* while main waits without a limit */
	CHECK(epoll_wait(ep, es, 4, -1) == 1 && es[0].events == EPOLLOUT);
	join(t[0]);
	CHECK_ERRNO(EEXIST, add(ep, pair[0], EPOLLIN));
	CHECK_ERRNO(EBADF, add(ep, 12345, EPOLLIN));
	CHECK_ERRNO(EBADF, epoll_wait(-1, es, 4, 0));
	CHECK_ERRNO(EINVAL, epoll_wait(pair[0], es, 4, 0));
	CHECK_ERRNO(EINVAL, epoll_wait(ep, es, 0, 0));
	CHECK_ERRNO(EINVAL, add(ep, ep, EPOLLIN));
	int file = open("/proc/self/exe", O_RDONLY);
	CHECK_ERRNO(EPERM, add(ep, file, EPOLLIN));
	CHECK_ERRNO(ENOENT, epoll_ctl(ep, EPOLL_CTL_DEL, pair[1], NULL));

	e.events = EPOLLIN | EPOLLET;
	e.data.u64 = 0x123456789abcdefu;
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, pair[0], &e) == 0);
	t[0] = spawn(write_byte, &pair[1]);
	CHECK(epoll_wait(ep, es, 4, -1) == 1 && es[0].data.u64 == 0x123456789abcdefu);
	join(t[0]);
	CHECK(epoll_wait(ep, es, 4, 0) == 0); /* an edge is told once */
	t[0] = spawn(write_byte, &pair[1]);
	CHECK(epoll_wait(ep, es, 4, -1) == 1);
	join(t[0]);
	CHECK(read(pair[0], &byte, 1) == 1);

	e.events = EPOLLIN;
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, pair[0], &e) == 0);
	CHECK(epoll_wait(ep, es, 4, 0) == 1);
	CHECK(epoll_wait(ep, es, 4, 0) == 1); /* a level is told again */
	int outer = epoll_create1(0);
	CHECK(add(outer, ep, EPOLLIN) == 0);
	CHECK(epoll_wait(outer, es, 4, -1) == 1 && es[0].data.fd == ep);
	struct pollfd p = {.fd = ep, .events = POLLIN};
	CHECK(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	CHECK(read(pair[0], &byte, 1) == 1);
	CHECK(poll(&p, 1, 0) == 0);
	close(pair[1]);
	CHECK(epoll_wait(ep, es, 4, -1) == 1 && es[0].events == (EPOLLIN | EPOLLHUP));
	close(pair[0]); /* the last descriptor of the socket: leaves the set by itself */
	CHECK(epoll_wait(ep, es, 4, 0) == 0);

	for (int i = 0; i < N; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, many[i]) == 0);
		MUST(add(ep, many[i][0], EPOLLIN | EPOLLONESHOT) == 0);
	}
	for (int i = 0; i < 5; i++)
		workers[i] = spawn(worker, NULL);
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(talk, (void *)i);
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(handled == N * 50);
	for (int i = 0; i < 5; i++)
		MUST(write(many[i][1], "q", 1) == 1);
	for (int i = 0; i < 5; i++)
		join(workers[i]);
	return check_done();
}
