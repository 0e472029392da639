/* The same HTTP/1.1 server as httpd.c, written by hand around epoll: what does a thread per
 * connection have to be compared with?
 *
 *   epolld [THREADS [PORT]]     one loop and one listener (SO_REUSEPORT) per thread; PORT 0 (the
 * default) takes a free port of 127.0.0.1, which the first line of output names.
 *
 * SIGTERM ends it with status 0.  Answers are small: one that does not fit into the socket ends the
 * connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/http.h"

enum { BACKLOG = 4096, EVENTS = 512 };

struct conn {
	int fd;
	size_t have;
	char buf[REQUEST_MAX_BYTES + 1];
};

static int port;

static int listen_on(int *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)*ret_port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof addr) || listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		perror("epolld: listen");
		exit(1);
	}
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

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
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	struct sigaction term = {.sa_handler = on_term}, ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGPIPE, &ignore, NULL);

	int threads = argc > 1 ? atoi(argv[1]) : 1;
	port = argc > 2 ? atoi(argv[2]) : 0;
	int first = listen_on(&port);
	for (int i = 1; i < threads; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, loop, (void *)(intptr_t)listen_on(&port)))
			return 1;
	}
	printf("listening on %d\n", port);
	fflush(stdout);
	loop((void *)(intptr_t)first);
}
