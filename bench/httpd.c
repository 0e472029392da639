// A thread-per-connection HTTP/1.1 server in plain pthreads: what does one thread per keep-alive
// connection cost?
//
// It knows nothing of greenhook: blocking accept, read and write, a detached thread with a 64 KiB
// stack for each connection. The same binary is measured on kernel threads and under `greenhook
// run`.
//
//   httpd [PORT]     PORT 0 (the default) takes a free port of 127.0.0.1; the first line of output
//   names it.
//
// What it answers is in http.h. SIGTERM ends the server with status 0.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/http.h"

enum { STACK_BYTES = 64 * 1024 };

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

// Answers one request whose head is zero-terminated. Returns whether the connection stays open.
static bool answer(int fd, const char *head)
{
	char response[RESPONSE_MAX_BYTES];
	bool keep;
	size_t n = http_answer(head, response, &keep);
	return write_all(fd, response, n) == 0 && keep;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[REQUEST_MAX_BYTES + 1];
	size_t have = 0;
	for (;;) {
		// A request may come in several pieces, and one piece may hold several requests.
		buf[have] = '\0';
		char *end = strstr(buf, "\r\n\r\n");
		if (end) {
			size_t used = (size_t)(end + 4 - buf);
			end[2] = '\0';
			if (!answer(fd, buf))
				break;
			have -= used;
			memmove(buf, buf + used, have);
			continue;
		}
		if (have == REQUEST_MAX_BYTES) {
			write_all(fd, http_too_large, sizeof http_too_large - 1);
			break;
		}
		ssize_t n = read(fd, buf + have, REQUEST_MAX_BYTES - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	close(fd);
	return NULL;
}

static void on_term(int sig)
{
	(void)sig;
	_exit(0);
}

int main(int argc, char **argv)
{
	raise_file_limit();
	struct sigaction term = {.sa_handler = on_term}, ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGPIPE, &ignore, NULL);

	int port, listener = listen_on(argc > 1 ? atoi(argv[1]) : 0, 0, SO_REUSEADDR, &port);
	printf("listening on %d\n", port);
	fflush(stdout);

	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			perror("httpd: accept");
			return 1;
		}
		pthread_t thread;
		int err = pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd);
		if (err) {
			fprintf(stderr, "httpd: pthread_create: %s\n", strerror(err));
			close(fd);
		}
	}
}
