// How many requests per second does a server answer to A busy connections while it holds C open
// ones?
//
//   httpload -p PORT [-c CONNECTIONS] [-a ACTIVE] [-d SECONDS] [-w WARMUP_SECONDS] [-s
//   SOURCE_ADDRESSES]
//
// One thread, one epoll. Every connection asks once when it opens (so the server has really got a
// thread for it); then the first A ask again as soon as they are answered (a closed loop) for the
// given time, the others stay silent; at last every connection asks once more, to prove that the
// silent ones were still served. Each answer is compared byte by byte with the only right one.
// Prints one JSON object; exits with 1 if there was any error. The server is on 127.0.0.1, the
// client on 127.0.0.1 and up: one source address has fewer than 30,000 ports.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"

enum { CONNECTING_MAX = 256, STALL_LIMIT_S = 20, EVENTS = 512 };
enum phase { OPENING, WARMING, MEASURING, CLOSING };

struct conn {
	int fd;
	unsigned asked; // requests sent so far; the number is part of the path
	int busy;	// an answer is due
	int connected;
	size_t have, want;
	uint64_t sent_ns;
	char expected[192], got[192];
};

static struct conn *conns;
static long total = 100, active = 10, source_addresses = 4;
static int port, epoll_fd;
static enum phase phase = OPENING;
static long opened, in_flight, next_to_open, requests, errors, checked_at_end, failed_conns;
static uint32_t *samples_ns; // one per request of the measured time
static size_t sample_count, sample_room;

static void fail(struct conn *c, const char *why)
{
	if (errors++ < 5)
		fprintf(stderr, "httpload: connection %td: %s\n", c - conns, why);
	if (c->busy)
		in_flight--;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->busy = 0;
	failed_conns++;
}

static void ask(struct conn *c)
{
	char request[160], path[64];
	snprintf(path, sizeof path, "/c%td/r%u", c - conns, c->asked++);
	int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
			 path, port);
	int len = snprintf(c->expected, sizeof c->expected,
			   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
			   "%zu\r\n\r\nyou asked for %s\n",
			   strlen(path) + 15, path);
	c->want = (size_t)len;
	c->have = 0;
	if (!c->busy)
		in_flight++;
	c->busy = 1;
	c->sent_ns = now_ns();
	// A request is far smaller than an empty send buffer: a short write means that something is
	// wrong.
	if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		fail(c, "request not sent");
}

static void open_one(struct conn *c, long i)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = c};
	c->busy = 1; // until the first answer
	in_flight++;
	c->fd = dial_from((uint32_t)(i % source_addresses), port);
	if (c->fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev))
		fail(c, strerror(errno));
}

static void record(uint64_t ns)
{
	if (sample_count == sample_room) {
		sample_room = sample_room ? sample_room * 2 : 1 << 16;
		samples_ns = realloc(samples_ns, sample_room * sizeof *samples_ns);
		if (!samples_ns)
			abort();
	}
	samples_ns[sample_count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static void answered(struct conn *c)
{
	if (memcmp(c->got, c->expected, c->want) != 0) {
		fail(c, "wrong bytes in the answer");
		return;
	}
	requests++;
	c->busy = 0;
	in_flight--;
	if (phase == OPENING)
		opened++;
	else if (phase == CLOSING)
		checked_at_end++;
	else {
		if (phase == MEASURING)
			record(now_ns() - c->sent_ns);
		ask(c);
	}
}

static void on_event(struct conn *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (!c->connected && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		int err = 0;
		socklen_t len = sizeof err;
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			fail(c, strerror(err));
			return;
		}
		c->connected = 1;
		ask(c);
	}
	// Edge-triggered: read until there is nothing left. One byte more than due is asked for, to
	// see too long answers.
	while (c->fd >= 0 && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))) {
		size_t due = c->busy ? c->want - c->have : 0;
		ssize_t n = recv(c->fd, c->got + c->have, due + 1, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			fail(c, n ? strerror(errno) : "closed by the server");
		else if ((size_t)n > due)
			fail(c, "more bytes than the answer has");
		else if ((c->have += (size_t)n) == c->want)
			answered(c);
	}
}

// Handles events until end_ns, or (end_ns 0) until no answer is due; gives up when nothing moves
// for STALL_LIMIT_S.
static void run_until(uint64_t end_ns)
{
	struct epoll_event events[EVENTS];
	uint64_t moved_ns = now_ns();
	for (;;) {
		for (; phase == OPENING && next_to_open < total && in_flight < CONNECTING_MAX;
		     next_to_open++)
			open_one(&conns[next_to_open], next_to_open);
		uint64_t now = now_ns();
		if (end_ns ? now >= end_ns
			   : in_flight == 0 && (phase != OPENING || next_to_open == total))
			return;
		if (now - moved_ns > STALL_LIMIT_S * 1000000000ull) {
			fprintf(stderr, "httpload: no answer for %d s, %ld due\n", STALL_LIMIT_S,
				in_flight);
			errors += in_flight;
			return;
		}
		int n = epoll_wait(epoll_fd, events, EVENTS,
				   end_ns ? (int)((end_ns - now) / 1000000) + 1 : 100);
		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events);
		if (n > 0)
			moved_ns = now;
	}
}

int main(int argc, char **argv)
{
	double seconds = 1, warmup = 0.2;
	for (int opt; (opt = getopt(argc, argv, "p:c:a:d:w:s:")) != -1;) {
		switch (opt) {
		case 'p':
			port = atoi(optarg);
			break;
		case 'c':
			total = atol(optarg);
			break;
		case 'a':
			active = atol(optarg);
			break;
		case 'd':
			seconds = atof(optarg);
			break;
		case 'w':
			warmup = atof(optarg);
			break;
		case 's':
			source_addresses = atol(optarg);
			break;
		default:
			return 2;
		}
	}
	if (port <= 0 || total <= 0 || active <= 0 || active > total || source_addresses <= 0 ||
	    source_addresses > 200) {
		fprintf(stderr, "usage: httpload -p PORT [-c CONNECTIONS] [-a ACTIVE] [-d SECONDS] "
				"[-w WARMUP] [-s SOURCES]\n");
		return 2;
	}
	raise_file_limit();
	conns = calloc((size_t)total, sizeof *conns);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!conns || epoll_fd < 0) {
		perror("httpload");
		return 1;
	}

	uint64_t start = now_ns();
	run_until(0);
	double open_s = (double)(now_ns() - start) / 1e9;

	phase = WARMING;
	for (long i = 0; i < active; i++)
		if (conns[i].fd >= 0 && !conns[i].busy)
			ask(&conns[i]);
	run_until(now_ns() + (uint64_t)(warmup * 1e9));
	phase = MEASURING;
	start = now_ns();
	run_until(start + (uint64_t)(seconds * 1e9));
	double measured_s = (double)(now_ns() - start) / 1e9;
	long measured = (long)sample_count;

	// A busy connection's last answer counts as its proof; the silent ones are asked.
	phase = CLOSING;
	for (long i = 0; i < total; i++)
		if (conns[i].fd >= 0 && !conns[i].busy)
			ask(&conns[i]);
	run_until(0);

	if (sample_count)
		qsort(samples_ns, sample_count, sizeof *samples_ns, by_value);
	printf("{\"connections\": %ld, \"active\": %ld, \"failed_connections\": %ld, \"requests\": "
	       "%ld, \"errors\": %ld, "
	       "\"checked_at_end\": %ld, \"open_s\": %.3f, \"measured_s\": %.3f, "
	       "\"measured_requests\": %ld, "
	       "\"requests_per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
	       opened, active, failed_conns, requests, errors, checked_at_end, open_s, measured_s,
	       measured, (double)measured / measured_s, quantile_us(samples_ns, sample_count, 0.5),
	       quantile_us(samples_ns, sample_count, 0.99),
	       quantile_us(samples_ns, sample_count, 1));
	return errors != 0;
}
