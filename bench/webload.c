// A client for real web servers and proxies: is every single answer the right one, and how fast do
// they come?
//
//   webload [-1] -p PORT [-c CONNECTIONS] [-d SECONDS] [-x PREFIX] [-u PATH -f FILE] [-s
//   SOURCE_ADDRESSES]
//
// One thread, one epoll. Every connection asks as soon as it is answered, until the time is up;
// then each finishes what it asked for and closes, so that the server sees no connection break. A
// server may close after an answer that says so (Connection: close, HTTP/1.0): the client connects
// again; with -1 each answer is the connection's last. Answers must have status 200, and the body
// must be "you asked for PATH\n" for a path that no other request has, or with -f the file's bytes.
// -x goes before each path: the address of the server behind a proxy. Prints one JSON object; exits
// with 1 if there was any error, which includes a connection that was never answered.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"

enum {
	STALL_LIMIT_S = 30,
	EVENTS = 512,
	HEAD_BYTES = 2048,
	BODY_BYTES = 128,
	SAMPLES_MAX = 20000000
};

struct conn {
	int fd;		       // -1 while it is not open
	unsigned asked, right; // requests sent, right answers
	char *got;	       // head and body as they come
	size_t have;
	size_t body,
	    want;     // where the body begins, and where it ends; 0 while the head is not complete
	int last;     // the server closes after this answer
	int complete; // answered: only the end of the connection is still due
	uint64_t sent_ns;
	char expected[BODY_BYTES];
	size_t expected_bytes;
};

static struct conn *conns;
static long total = 100, source_addresses = 8;
static int port, epoll_fd, ending, single;
static const char *prefix = "", *fixed_path;
static char *file_bytes;
static size_t file_size, room;
static long open_now, answers, errors, reconnects;
static uint32_t *samples_ns;
static size_t sample_count;

static void leave(struct conn *c)
{
	if (c->fd >= 0) {
		close(c->fd);
		open_now--;
	}
	c->fd = -1;
}

static void fail(struct conn *c, const char *why)
{
	if (errors++ < 10)
		fprintf(stderr, "webload: connection %td, request %u: %s: %.*s\n", c - conns,
			c->asked, why, (int)(c->have < 200 ? c->have : 200), c->got);
	leave(c);
}

static void ask(struct conn *c)
{
	char request[512], path[64];
	if (!fixed_path)
		snprintf(path, sizeof path, "/c%td/r%u", c - conns, c->asked);
	c->asked++;
	int n = snprintf(request, sizeof request,
			 "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: webload\r\n%s\r\n",
			 prefix, fixed_path ? fixed_path : path, port,
			 single ? "Connection: close\r\n" : "");
	if (!fixed_path)
		c->expected_bytes =
		    (size_t)snprintf(c->expected, sizeof c->expected, "you asked for %s\n", path);
	c->have = c->body = c->want = 0;
	c->last = c->complete = 0;
	c->sent_ns = now_ns();
	// A request is far smaller than an empty send buffer: a short write means that something is
	// wrong.
	if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		fail(c, "request not sent");
}

static void open_one(struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
	c->have = 0;
	c->complete = 0;
	c->fd = dial_from((uint32_t)((c - conns) % source_addresses), port);
	open_now += c->fd >= 0;
	if (c->fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev))
		fail(c, strerror(errno));
}

// The value of a header, or NULL. The head ends with an empty line, and a zero stands after it.
static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
			return line + 3 + len + strspn(line + 3 + len, " ");
	return NULL;
}

// Looks at a head that may have become complete. Returns 0 if it is wrong.
static int parse_head(struct conn *c)
{
	c->got[c->have] = 0;
	char *end = memmem(c->got, c->have, "\r\n\r\n", 4);
	if (!end)
		return c->have < HEAD_BYTES;
	end[2] = 0;
	const char *length = header(c->got, "Content-Length"),
		   *connection = header(c->got, "Connection");
	int right =
	    strncmp(c->got, "HTTP/1.1 200 ", 13) == 0 || strncmp(c->got, "HTTP/1.0 200 ", 13) == 0;
	c->last = single || (connection && strncasecmp(connection, "close", 5) == 0) ||
		  strncmp(c->got, "HTTP/1.0", 8) == 0;
	c->body = (size_t)(end + 4 - c->got);
	c->want = length ? c->body + strtoul(length, NULL, 10) : 0;
	end[2] = '\r';
	return right && length && c->want <= room && c->want >= c->have;
}

static void answered(struct conn *c)
{
	size_t bytes = c->want - c->body;
	int right =
	    fixed_path
		? bytes == file_size && memcmp(c->got + c->body, file_bytes, bytes) == 0
		: bytes == c->expected_bytes && memcmp(c->got + c->body, c->expected, bytes) == 0;
	if (!right) {
		fail(c, "a wrong body");
		return;
	}
	uint64_t ns = now_ns() - c->sent_ns;
	if (sample_count < SAMPLES_MAX)
		samples_ns[sample_count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	answers++;
	c->right++;
	c->complete = 1;
	if (c->last)
		return;
	if (ending)
		leave(c);
	else
		ask(c);
}

static void read_some(struct conn *c)
{
	// One byte more than can come is asked for, to see too long answers.
	size_t end = c->complete ? c->have : c->want ? c->want : HEAD_BYTES;
	ssize_t n = recv(c->fd, c->got + c->have, end - c->have + 1, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		fail(c, strerror(errno));
	} else if (n == 0 && c->complete) {
		leave(c);
		if (!ending) {
			reconnects++;
			open_one(c);
		}
	} else if (n == 0) {
		fail(c, "closed in the middle of an answer");
	} else if ((c->have += (size_t)n) > end && (c->complete || c->want)) {
		fail(c, "more bytes than the answer has");
	} else if (!c->want && !parse_head(c)) {
		fail(c, "a wrong head");
	} else if (c->want && c->have == c->want) {
		answered(c);
	}
}

static void on_event(struct conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int err = 0;
	socklen_t len = sizeof err;
	if (!(events & EPOLLOUT)) {
		read_some(c);
		return;
	}
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		fail(c, strerror(err));
	else if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev))
		fail(c, strerror(errno));
	else
		ask(c);
}

// Handles events until the time is up and every answer has come, or nothing has moved for too long.
static void run(uint64_t end_ns)
{
	struct epoll_event events[EVENTS];
	uint64_t moved_ns = now_ns();
	while (open_now > 0) {
		uint64_t now = now_ns();
		ending = now >= end_ns;
		if (now - moved_ns > STALL_LIMIT_S * 1000000000ull) {
			fprintf(stderr, "webload: nothing came for %d s on %ld connections\n",
				STALL_LIMIT_S, open_now);
			errors += open_now;
			return;
		}
		int n = epoll_wait(epoll_fd, events, EVENTS, 100);
		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events);
		if (n > 0)
			moved_ns = now;
	}
}

static void read_file(const char *name)
{
	FILE *f = fopen(name, "rb");
	if (!f || fseek(f, 0, SEEK_END) || !(file_bytes = malloc((size_t)ftell(f) + 1))) {
		perror(name);
		exit(2);
	}
	file_size = (size_t)ftell(f);
	rewind(f);
	if (fread(file_bytes, 1, file_size, f) != file_size)
		exit(2);
	fclose(f);
}

int main(int argc, char **argv)
{
	double seconds = 1;
	for (int opt; (opt = getopt(argc, argv, "1p:c:d:x:u:f:s:")) != -1;) {
		switch (opt) {
		case '1':
			single = 1;
			break;
		case 'p':
			port = atoi(optarg);
			break;
		case 'c':
			total = atol(optarg);
			break;
		case 'd':
			seconds = atof(optarg);
			break;
		case 'x':
			prefix = optarg;
			break;
		case 'u':
			fixed_path = optarg;
			break;
		case 'f':
			read_file(optarg);
			break;
		case 's':
			source_addresses = atol(optarg);
			break;
		default:
			return 2;
		}
	}
	if (port <= 0 || total <= 0 || source_addresses <= 0 || source_addresses > 200 ||
	    !fixed_path != !file_bytes) {
		fprintf(stderr,
			"usage: webload [-1] -p PORT [-c CONNECTIONS] [-d SECONDS] [-x PREFIX] "
			"[-u PATH -f FILE] [-s SOURCES]\n");
		return 2;
	}
	raise_file_limit();
	room = HEAD_BYTES + BODY_BYTES + file_size;
	conns = calloc((size_t)total, sizeof *conns);
	samples_ns = malloc(SAMPLES_MAX * sizeof *samples_ns);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!conns || !samples_ns || epoll_fd < 0) {
		perror("webload");
		return 1;
	}
	uint64_t start = now_ns();
	for (long i = 0; i < total; i++) {
		if (!(conns[i].got = malloc(room + 2)))
			abort();
		open_one(&conns[i]);
	}
	run(start + (uint64_t)(seconds * 1e9));
	double took_s = (double)(now_ns() - start) / 1e9;

	long silent = 0;
	for (long i = 0; i < total; i++)
		silent += conns[i].right == 0;
	errors += silent;
	qsort(samples_ns, sample_count, sizeof *samples_ns, by_value);
	printf("{\"connections\": %ld, \"answers\": %ld, \"errors\": %ld, \"never_answered\": %ld, "
	       "\"reconnects\": %ld, "
	       "\"answers_per_s\": %.1f, \"p99_ms\": %.2f}\n",
	       total, answers, errors, silent, reconnects, (double)answers / took_s,
	       quantile_us(samples_ns, sample_count, 0.99) / 1e3);
	return errors != 0;
}
