/* Numbers reused at full speed by many threads, closed in every way there is; each pair carries one
 * byte each way, which must not get lost or end up elsewhere.  The argument: seconds. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { THREADS = 24 };
static int64_t end;

static long raw_close(int fd)
{
#if defined(__x86_64__)
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_close), "D"(fd) : "rcx", "r11", "memory");
	return r;
#else
	return close(fd);
#endif
}

/* The number is nobody's until somebody makes the next one. */
static void drop(int fd, unsigned how, const char *mode)
{
	switch (how % 6) {
	case 0:
	case 1:
		QUIET(close(fd) == 0);
		break;
	case 2:
		QUIET(raw_close(fd) == 0);
		break;
	case 3:
		QUIET(syscall(SYS_close, fd) == 0);
		break;
	case 4:
		QUIET(close_range((unsigned)fd, (unsigned)fd, 0) == 0);
		break;
	case 5: {
		FILE *f = fdopen(fd, mode);
		QUIET(f && fclose(f) == 0);
	}
	}
}

static int pair(int *p, unsigned how)
{
	int q;
	switch (how % 4) {
	case 0:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	case 1:
		return socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
	case 2:
		return pipe(p);
	default: /* by way of a duplicate */
		if (pipe(p) < 0 || (q = dup(p[0])) < 0)
			return -1;
		drop(p[0], how / 4, "r");
		p[0] = q;
		return 0;
	}
}

struct peer {
	int fd;
	char c;
};

static void *writer(void *arg)
{
	struct peer *w = arg;
	if (w->c & 1)
		sched_yield();
	QUIET(write(w->fd, &w->c, 1) == 1);
	return NULL;
}

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg * 77777 + 1;
	long rounds = 0;
	while (now_ns(CLOCK_MONOTONIC) < end) {
		int p[2];
		unsigned r = seed = seed * 1103515245 + 12345;
		r >>= 8;
		QUIET(pair(p, r) == 0);
		struct peer w = {p[1], (char)('a' + r % 26)};
		pthread_t t = spawn(writer, &w);
		struct pollfd f = {.fd = p[0], .events = POLLIN};
		char c = 0;
		if (r & 64) {
			int n = poll(&f, 1, 20000);
			QUIET(n == 1 && (f.revents & POLLIN));
		}
		ssize_t n = read(p[0], &c, 1);
		if (n != 1 || c != w.c)
			printf("FAIL read says %zd (%s), %c for %c\n", n,
			       n < 0 ? strerror(errno) : "", c, w.c);
		join(t);
		drop(p[0], r >> 7, "r");
		drop(p[1], r >> 10, "w");
		rounds++;
	}
	return (void *)rounds;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];
	end = now_ns(CLOCK_MONOTONIC) + (int64_t)(argc > 1 ? atoi(argv[1]) : 1) * 1000000000;
	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(churn, (void *)i);
	int worked = 1;
	for (int i = 0; i < THREADS; i++)
		worked &= join(t[i]) != NULL;
	CHECK(worked);
	return check_done();
}
