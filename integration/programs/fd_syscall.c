/* Waiting by syscall(): more threads than there may be kernel threads, and no cancellation point.
 */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { THREADS = 60 };
static int p[THREADS][2], kind;

static void *wait_one(void *arg)
{
	int fd = *(int *)arg;
	char c = 0;
	struct pollfd f = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	switch (kind) {
	case 0:
		return (void *)syscall(SYS_read, fd, &c, 1);
	case 1:
		return (void *)syscall(SYS_recvfrom, fd, &c, 1, 0, NULL, NULL);
	case 2: {
		return (void *)(long)syscall(SYS_poll, &f, 1, 20000);
	}
	default: {
		int ep = (int)syscall(SYS_epoll_create1, 0);
		syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &ev);
		long n = syscall(SYS_epoll_wait, ep, &ev, 1, 20000);
		syscall(SYS_close, ep);
		return (void *)n;
	}
	}
}

static void *read_and_stop(void *arg)
{
	char c;
	long n = syscall(SYS_read, *(int *)arg, &c, 1);
	*(int *)arg = n == 1 ? -2 : -3;
	pthread_testcancel();
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	char c;
	for (kind = 0; kind < 4; kind++) {
		int good = 0;
		for (int i = 0; i < THREADS; i++) {
			MUST((i + kind) % 2 && kind != 1
				 ? pipe(p[i]) == 0
				 : socketpair(AF_UNIX, SOCK_STREAM, 0, p[i]) == 0);
			t[i] = spawn(wait_one, &p[i][0]);
		}
		for (int i = 0; i < THREADS; i++)
			MUST(write(p[i][1], "x", 1) == 1);
		for (int i = 0; i < THREADS; i++)
			good += join(t[i]) == (void *)1;
		CHECK(good == THREADS);
		for (int i = 0; i < THREADS; i++)
			close(p[i][0]), close(p[i][1]);
	}
	CHECK_ERRNO(EBADF, syscall(SYS_read, -1, &c, 1));
	CHECK_ERRNO(EBADF, syscall(SYS_close, 900));
	CHECK_ERRNO(ENOTSOCK, syscall(SYS_recvfrom, 0, &c, 1, 0, NULL, NULL));
	MUST(pipe(p[0]) == 0);
	int fd = p[0][0];
	t[0] = spawn(read_and_stop, &fd);
	sleep_ms(20);
	CHECK(pthread_cancel(t[0]) == 0);
	sleep_ms(30);
	CHECK(fd == p[0][0]);
	MUST(write(p[0][1], "x", 1) == 1);
	CHECK(join(t[0]) == PTHREAD_CANCELED && fd == -2);
	return check_done();
}
