/* An HTTP/1.1 server: keep-alive, pipelining, limits, and an end that loses no request.
 *
 *   cc -O2 http.c -o http $(pkg-config --cflags --libs greenhook)
 *   ./http 8080 &
 *   curl -i localhost:8080/                     also /slow, and what is sent to /echo
 *   curl -i --data-binary @http.c localhost:8080/echo
 *   kill %1                                     ends it: see "the end" below
 *
 * Usage: http [PORT [SECONDS]]; port 0, the default, is any free one; SECONDS, default 10, is how
 * long a client may take for the head of a request, for each piece of a body, and for each piece
 * of an answer.  One that asks nothing is kept for six times as long.
 *
 * One task per connection, plain blocking code.  http_request.h reads requests, http.h writes
 * answers.
 */
#include <greenhook.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "http_request.h"

static gh_time limit = GH_S(10);
static gh_chan *stopped; /* closed when the server is to end: everybody can wait for that */
static sigset_t stop_signals;
static uint64_t answered;

/* ---- what is served ---------------------------------------------------------------------------
 */

static void serve(struct http *c, struct http_request *r, const char *body, size_t n)
{
	static const char text[] = "Content-Type: text/plain\r\n";
	static const char *const known[] = {"GET",     "HEAD",	"POST",	 "PUT",	   "DELETE",
					    "OPTIONS", "PATCH", "TRACE", "CONNECT"};
	size_t path = strcspn(r->target, "?");
	bool gets = r->head || !strcmp(r->method, "GET");

	for (size_t i = 0; strcmp(r->method, known[i]);)
		if (++i == sizeof(known) / sizeof(*known)) {
			http_say(c, r, 501, "");
			return;
		}
	if (path == 1 && *r->target == '/') {
		if (gets)
			http_answer(c, r, 200, text, "hello, world\n", 13);
		else
			http_say(c, r, 405, "Allow: GET, HEAD\r\n");
	} else if (path == 5 && !strncmp(r->target, "/slow", path)) {
		if (gets) {
			http_flush(c);
			gh_sleep(GH_S(1)); /* a database, say */
			http_answer(c, r, 200, text, "at last\n", 8);
		} else {
			http_say(c, r, 405, "Allow: GET, HEAD\r\n");
		}
	} else if (path == 5 && !strncmp(r->target, "/echo", path)) {
		if (!strcmp(r->method, "POST") || !strcmp(r->method, "PUT"))
			http_answer(c, r, 200, "Content-Type: application/octet-stream\r\n", body,
				    n);
		else
			http_say(c, r, 405, "Allow: POST, PUT\r\n");
	} else {
		http_say(c, r, 404, "");
	}
}

/* ---- one connection ---------------------------------------------------------------------------
 */

/* Waits for the first byte of a request.  When the server ends, a client has half a second more:
 * its next request may be on the way. */
static bool wait_for_request(struct http *c)
{
	gh_case wait[] = {GH_READABLE(c->fd), GH_RECV(stopped, NULL)};

	if (http_pending(c))
		return true;
	int64_t n = http_fill(c, gh_after(GH_MS(500)));
	if (n == -ETIMEDOUT && !gh_chan_closed(stopped)) {
		if (gh_select_until(wait, 2, gh_after(6 * limit)) < 0)
			return false;
		n = http_fill(c, gh_after(GH_MS(500)));
	}
	return n > 0;
}

static int connection(void *arg)
{
	struct http *c = http_open((int)(intptr_t)arg, limit);
	struct http_request r = {.close = false};

	if (!c) {
		gh_close((int)(intptr_t)arg);
		return 0;
	}
	while (!r.close && !c->dead && wait_for_request(c)) {
		char *body = NULL;
		size_t n;
		int e = http_read(c, &r);
		if (e == 0 && (e = http_read_body(c, &r, &body, &n)) > 0)
			r.close = true;
		if (e < 0)
			r.close = true; /* it has gone, or is cancelled */
		else if (e > 0)
			http_say(c, &r, e, "");
		/* Who has more requests on the way learns of the end after those. */
		if (e == 0) {
			if (gh_chan_closed(stopped) == 1 && c->from == c->have)
				r.close = true;
			serve(c, &r, body, n);
			__atomic_add_fetch(&answered, 1, __ATOMIC_RELAXED);
		}
		free(body);
	}
	http_close(c);
	return 0; /* one client's error is not the server's */
}

/* ---- the end -----------------------------------------------------------------------------------
 *
 *  1. nobody new is accepted, but who is connected already is (in accept_all);
 *  2. requests that have been sent are answered, with "Connection: close"; idle connections end;
 *  3. what is not done after 5 s is cancelled, and has a second to end;
 *  4. what does not end then is reported.
 */

static void *wait_for_the_end(void *arg)
{
	int sig;
	(void)arg;
	sigwait(&stop_signals, &sig);
	gh_chan_close(stopped);
	return NULL;
}

static void start(gh_group *connections, int fd)
{
	if (gh_group_spawn(connections, connection, (void *)(intptr_t)fd, NULL) < 0)
		gh_close(fd); /* no memory for a task: this one is out of luck */
}

static void accept_all(int listener, gh_group *connections)
{
	gh_case wait[] = {GH_READABLE(listener), GH_RECV(stopped, NULL)};
	int fd;

	while (gh_select(wait, 2) == 0) {
		fd = gh_accept_until(listener, NULL, 0);
		if (fd >= 0)
			start(connections, fd);
		else if (fd != -ETIMEDOUT && fd != -ECONNABORTED)
			gh_sleep(GH_MS(10)); /* too many descriptors */
	}
	while ((fd = gh_accept_until(listener, NULL, 0)) >= 0)
		start(connections, fd);
	gh_close(listener);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	gh_addr address;
	char text[GH_ADDR_TEXT];

	getrlimit(RLIMIT_NOFILE, &files); /* a descriptor per client */
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGINT);
	sigaddset(&stop_signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);
	if (argc > 2 && atoi(argv[2]) > 0)
		limit = GH_S(atoi(argv[2]));

	int listener = gh_tcp_listen("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, 0);
	gh_group *connections = gh_group_new(NULL, 0);
	stopped = gh_chan_new(0, 0);
	if (listener < 0 || !connections || !stopped || gh_go(wait_for_the_end, NULL, NULL) < 0) {
		fprintf(stderr, "http: cannot listen: %s\n",
			strerror(listener < 0 ? -listener : ENOMEM));
		return 1;
	}
	gh_net_local(listener, &address);
	gh_addr_text(&address, text, sizeof(text));
	printf("listening on %s\n", text);
	fflush(stdout);

	accept_all(listener, connections);
	gh_group_wait_until(connections, gh_after(GH_S(5)));
	int late = gh_group_count(connections);
	int stuck = gh_shutdown(gh_after(GH_S(1)));
	printf("answered %llu, cancelled %d, stuck %d\nended\n",
	       (unsigned long long)__atomic_load_n(&answered, __ATOMIC_RELAXED), late, stuck);
	return 0; /* and not gh_group_free(): it would wait for the stuck ones */
}
