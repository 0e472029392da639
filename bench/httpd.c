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
// GET /anything answers "you asked for /anything\n", so a client can tell its own answer from
// anybody else's. SIGTERM ends the server with status 0.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX_BYTES = 4096, STACK_BYTES = 64 * 1024, BACKLOG = 4096 };

static const char bad_request[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
static const char too_large[] =
    "HTTP/1.1 431 Header Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

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

// Value of a header field inside the zero-terminated head, or NULL.
static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

// Answers one request whose head is zero-terminated. Returns whether the connection stays open.
static int answer(int fd, char *head)
{
	char path[1024], version[16], response[2048];
	if (sscanf(head, "GET %1023s HTTP/%15[0-9.]", path, version) != 2) {
		write_all(fd, bad_request, sizeof bad_request - 1);
		return 0;
	}
	const char *connection = header(head, "Connection");
	int keep =
	    connection ? strncasecmp(connection, "close", 5) != 0 : strcmp(version, "1.1") == 0;
	static const char prefix[] = "you asked for ";
	int n = snprintf(
	    response, sizeof response,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s%s\n",
	    sizeof prefix - 1 + strlen(path) + 1, keep ? "" : "Connection: close\r\n", prefix,
	    path);
	return write_all(fd, response, (size_t)n) == 0 && keep;
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
			write_all(fd, too_large, sizeof too_large - 1);
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

static int listen_on(int port, int *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof addr) || listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		perror("httpd: listen");
		exit(1);
	}
	*ret_port = ntohs(addr.sin_port);
	return fd;
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

	int port, listener = listen_on(argc > 1 ? atoi(argv[1]) : 0, &port);
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
