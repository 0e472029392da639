/* Numbers that are closed and reused by system calls no library sees: a thread that waits on what
 * the number means now is served, whatever it meant before. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

static long raw(long nr, long a, long b, long c)
{
#if defined(__x86_64__)
	long r;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
#else
	return syscall(nr, a, b, c);
#endif
}

static int fd, feed;

static void *read_one(void *arg)
{
	char c = 0;
	ssize_t n = read(fd, &c, 1);
	return (void *)(long)(n == 1 ? c : -1);
}

static void *poll_one(void *arg)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return (void *)(long)(poll(&p, 1, 10000) == 1 && (p.revents & POLLIN));
}

static void *late(void *arg)
{
	sleep_ms(350); /* long after whoever waits has begun to */
	QUIET(raw(SYS_write, feed, (long)"x", 1) == 1);
	return NULL;
}

/* The number is known as a pipe or socket that a thread waited on. */
static void get_known(int *ends)
{
	pthread_t t = spawn(read_one, NULL);
	sleep_ms(20);
	QUIET(write(ends[1], "k", 1) == 1);
	QUIET(join(t) == (void *)'k');
}

/* The number becomes `to`, unseen; what comes late must reach both kinds of waiters. */
static void becomes(const char *what, int to, int its_feed)
{
	pthread_t r, w;
	feed = its_feed;
	QUIET(raw(SYS_dup2, to, fd, 0) == fd);
	QUIET(raw(SYS_close, to, 0, 0) == 0);
	r = spawn(poll_one, NULL);
	w = spawn(late, NULL);
	join(w);
	void *seen = join(r);
	QUIET(seen == (void *)1);
	w = spawn(late, NULL);
	r = spawn(read_one, NULL);
	/* The first letter is there still: one of the two. */
	QUIET(join(r) == (void *)'x');
	join(w);
	char c;
	QUIET(raw(SYS_read, fd, (long)&c, 1) == 1);
	w = spawn(late, NULL);
	r = spawn(read_one, NULL);
	int served = join(r) == (void *)'x';
	join(w);
	printf("%s %s\n", served ? "ok  " : "FAIL", what);
}

static void *timed(void *arg)
{
	char c;
	return (void *)(long)(recv(fd, &c, 1, 0) == 1);
}

int main(void)
{
	int p[2], q[2], s[2], u[2];
	pthread_t t;

	become_threaded();
	MUST(pipe(p) == 0);
	fd = p[0];
	get_known(p);
	MUST(pipe(q) == 0);
	becomes("a pipe that was another pipe", q[0], q[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	becomes("a socket that was a pipe", s[0], s[1]);
	MUST(pipe(q) == 0);
	becomes("a pipe that was a socket", q[0], q[1]);
	int file = open("/etc/passwd", O_RDONLY);
	QUIET(raw(SYS_dup2, file, fd, 0) == fd);
	t = spawn(read_one, NULL);
	QUIET(join(t) != (void *)-1);
	printf("ok   a file that was a pipe\n");
	MUST(pipe(q) == 0);
	becomes("a pipe that was a file", q[0], q[1]);

	/* A timeout and O_NONBLOCK belong to the file, not to its number. */
	struct timeval soon = {0, 30000};
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0);
	fd = s[0];
	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) == 0);
	QUIET(join(spawn(timed, NULL)) == (void *)0);
	MUST(raw(SYS_dup2, u[0], fd, 0) == fd);
	feed = u[1];
	t = spawn(timed, NULL);
	pthread_t w = spawn(late, NULL);
	CHECK(join(t) == (void *)1);
	join(w);
	MUST(fcntl(s[1], F_SETFL, O_NONBLOCK) == 0);
	fd = s[1];
	QUIET(join(spawn(timed, NULL)) == (void *)0);
	MUST(raw(SYS_dup2, u[0], fd, 0) == fd);
	t = spawn(timed, NULL);
	w = spawn(late, NULL);
	CHECK(join(t) == (void *)1);
	join(w);
	return check_done();
}
