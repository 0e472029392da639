/* The same HTTP/1.1 server as httpd.c, written by hand around epoll: what does a thread per
 * connection have to be compared with?
 *
 *   epolld [THREADS [PORT]]     one loop and one listener (SO_REUSEPORT) per thread; PORT 0 (the
 * default) takes a free port of 127.0.0.1, which the first line of output names.
 *
 * SIGTERM ends it with status 0.  Answers are small: one that does not fit into the socket ends the
 * connection.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/http.h"

enum { EVENTS = 512 };

struct conn {
	int fd;
	size_t have;
	char buf[REQUEST_MAX_BYTES + 1];
};

static bool answer_all(struct conn *c)
{
	char *end, response[RESPONSE_MAX_BYTES];
	bool keep = true;
	for (c->buf[c->have] = '\0'; keep && (end = strstr(c->buf, "\r\n\r\n"));
	     c->buf[c->have] = '\0') {
		size_t used = (size_t)(end + 4 - c->buf);
		end[2] = '\0';
		size_t n = http_answer(c->buf, response, &keep);
		if (write(c->fd, response, n) != (ssize_t)n)
			return false;
		c->have -= used;
		memmove(c->buf, c->buf + used, c->have);
	}
	if (keep && c->have == REQUEST_MAX_BYTES) {
		(void)!write(c->fd, http_too_large, sizeof http_too_large - 1);
		return false;
	}
	return keep;
}

static void readable(struct conn *c)
{
	ssize_t n = read(c->fd, c->buf + c->have, REQUEST_MAX_BYTES - c->have);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		c->have += (size_t)n;
		if (answer_all(c))
			return;
	}
	close(c->fd);
	free(c);
}

static void accept_all(int listener, int epoll)
{
	for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
		struct conn *c = malloc(sizeof *c);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		if (!c)
			exit(1);
		c->fd = fd;
		c->have = 0;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
	}
}

static void *loop(void *arg)
{
	int listener = (int)(intptr_t)arg, epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS], e = {.events = EPOLLIN};
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				readable(events[i].data.ptr);
			else
				accept_all(listener, epoll);
		}
	}
	return NULL;
}

static void on_term(int sig)
{
	_exit(0);
}

int main(int argc, char **argv)
{
	raise_file_limit();
	struct sigaction term = {.sa_handler = on_term}, ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGPIPE, &ignore, NULL);

	int threads = argc > 1 ? atoi(argv[1]) : 1, port;
	int first = listen_on(argc > 2 ? atoi(argv[2]) : 0, SOCK_NONBLOCK, SO_REUSEPORT, &port);
	for (int i = 1; i < threads; i++) {
		pthread_t t;
		if (pthread_create(
			&t, NULL, loop,
			(void *)(intptr_t)listen_on(port, SOCK_NONBLOCK, SO_REUSEPORT, &port)))
			return 1;
	}
	printf("listening on %d\n", port);
	fflush(stdout);
	loop((void *)(intptr_t)first);
}
