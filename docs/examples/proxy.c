/* A TCP proxy: what a client sends goes to a server, what the server answers comes back.
 *
 *   cc -O2 proxy.c -o proxy $(pkg-config --cflags --libs greenhook)
 *   ./proxy example.org 80 8080 &
 *   curl -H 'Host: example.org' localhost:8080
 *   kill %1                                     ends it; connections have 5 s more
 *
 * Usage: proxy HOST PORT [PORT-OF-ITS-OWN]; 0, the default, is any free one.
 *
 * Two tasks per connection, one for each direction, each with one buffer: who reads slowly slows
 * down who writes.  A direction that ends is ended on the other side too, and the other direction
 * goes on.  One that breaks breaks the connection, on both sides by a reset.
 */
#include <errno.h>
#include <greenhook.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *host;
static int port, listener;
static gh_chan *stopped; /* closed when the proxy is to end */
static sigset_t stop_signals;

struct direction {
	int from, to;
};

/* A member of the connection's group: its failure cancels the other direction. */
static int pump(void *arg)
{
	struct direction *d = arg;
	char buf[16384];
	int64_t n;

	while ((n = gh_recv(d->from, buf, sizeof(buf))) > 0)
		if (gh_send(d->to, buf, (size_t)n) != n)
			return -EPIPE;
	if (n == 0)
		gh_half_close(d->to, 1);
	return (int)n;
}

/* Closes; a broken connection is to look broken to the other end. */
static void end(int fd, bool broken)
{
	if (broken)
		gh_net_set(fd, GH_NET_LINGER, 1);
	gh_close(fd);
}

static int connection(void *arg)
{
	int client = (int)(intptr_t)arg;
	int server = gh_tcp_dial_until(host, port, gh_after(GH_S(5)));
	struct direction there = {client, server}, back = {server, client};
	gh_group *both = server < 0 ? NULL : gh_group_new(NULL, GH_GROUP_CANCEL_ON_ERROR);
	int r = server < 0 ? server : -ENOMEM;

	if (both) {
		/* Peers that vanish without a word are noticed. */
		gh_net_set(client, GH_NET_KEEPALIVE, 60);
		gh_net_set(server, GH_NET_KEEPALIVE, 60);
		if ((r = gh_group_spawn(both, pump, &there, NULL)) == 0)
			r = gh_group_spawn(both, pump, &back, NULL);
		if (r < 0)
			gh_group_cancel(both);
		int first = gh_group_wait(both);
		r = r < 0 ? r : first;
		gh_group_free(both);
	} else {
		fprintf(stderr, "proxy: cannot reach %s: %s\n", host, strerror(-r));
	}
	end(client, r < 0);
	if (server >= 0)
		end(server, r < 0);
	return 0; /* the others go on */
}

static void *wait_for_the_end(void *arg)
{
	int sig;
	(void)arg;
	sigwait(&stop_signals, &sig);
	gh_chan_close(stopped);
	return NULL;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	gh_addr address;
	char text[GH_ADDR_TEXT];
	int fd;

	if (argc < 3) {
		fprintf(stderr, "Usage: proxy HOST PORT [PORT-OF-ITS-OWN]\n");
		return 1;
	}
	host = argv[1];
	port = atoi(argv[2]);
	getrlimit(RLIMIT_NOFILE, &files); /* two descriptors per client */
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGINT);
	sigaddset(&stop_signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);

	listener = gh_tcp_listen("127.0.0.1", argc > 3 ? atoi(argv[3]) : 0, 0);
	gh_group *connections = gh_group_new(NULL, 0);
	stopped = gh_chan_new(0, 0);
	if (listener < 0 || !connections || !stopped || gh_go(wait_for_the_end, NULL, NULL) < 0) {
		fprintf(stderr, "proxy: cannot listen: %s\n",
			strerror(listener < 0 ? -listener : ENOMEM));
		return 1;
	}
	gh_net_local(listener, &address);
	gh_addr_text(&address, text, sizeof(text));
	printf("listening on %s\n", text);
	fflush(stdout);

	gh_case wait[] = {GH_READABLE(listener), GH_RECV(stopped, NULL)};
	while (gh_select(wait, 2) == 0) {
		fd = gh_accept_until(listener, NULL, 0);
		if (fd >= 0 &&
		    gh_group_spawn(connections, connection, (void *)(intptr_t)fd, NULL) < 0)
			gh_close(fd);
		else if (fd < 0 && fd != -ETIMEDOUT && fd != -ECONNABORTED)
			gh_sleep(GH_MS(10)); /* too many descriptors */
	}
	gh_close(listener);
	gh_group_wait_until(connections, gh_after(GH_S(5)));
	printf("cut %d\n", gh_group_count(connections));
	gh_group_free(connections);
	printf("ended\n");
	return 0;
}
