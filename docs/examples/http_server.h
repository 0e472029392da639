/* http_server.h: takes connections, serves each by a task, and ends well; for http.c and files.c.
 */
#ifndef EXAMPLE_HTTP_SERVER_H
#define EXAMPLE_HTTP_SERVER_H

#include <greenhook.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "http_request.h"

/* Answers a request whose body is n bytes. */
typedef void http_serve(struct http *c, struct http_request *r, const char *body, size_t n);

static http_serve *serve_request;
static gh_time limit = GH_S(10);
static gh_chan *stopped; /* closed when the server is to end: everybody can wait for that */
static sigset_t stop_signals;
static uint64_t answered;

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
			serve_request(c, &r, body, n);
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

/* The rest of main(): until a signal ends it.  port and seconds: arguments of the program; NULL:
 * the default.  Returns the exit status. */
static int http_server_run(http_serve *serve, const char *port, const char *seconds)
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
	if (seconds && atoi(seconds) > 0)
		limit = GH_S(atoi(seconds));
	serve_request = serve;

	int listener = gh_tcp_listen("127.0.0.1", port ? atoi(port) : 0, 0);
	gh_group *connections = gh_group_new(NULL, 0);
	stopped = gh_chan_new(0, 0);
	if (listener < 0 || !connections || !stopped || gh_go(wait_for_the_end, NULL, NULL) < 0) {
		fprintf(stderr, "cannot listen: %s\n", strerror(listener < 0 ? -listener : ENOMEM));
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

#endif
