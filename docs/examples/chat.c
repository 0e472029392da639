/* A chat server: each line of a client goes to all clients, the sender included, once and in order.
 *
 *   cc -O2 chat.c -o chat $(pkg-config --cflags --libs greenhook)
 *   ./chat 7777 &
 *   nc localhost 7777                           the first line is your name; in several terminals
 *
 * Usage: chat [PORT]; port 0, the default, is any free one.  SIGTERM ends it.
 *
 *   reader (one per client) --+                      +--> out --> writer (one per client)
 *   reader -------------------+--> events --> hub ---+--> out --> writer
 *   reader -------------------+                      +--> out --> writer
 *
 * The hub is the only task that knows who is there, so nothing needs a lock.  When a client's
 * channel is full the hub waits for it, and so slows the speakers down; but not for more than a
 * second: who has not read anything then is sent away.
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

enum { LINE = 512, BEHIND = 256 };

/* A line, shared by all whom it goes to. */
struct line {
	int refs;
	size_t n;
	char text[];
};
GH_CHAN_DEFINE(lines, struct line *);

struct client {
	struct client *next, *prev; /* the hub's list */
	int fd, slow;
	lines out;
};

struct event {
	enum { JOINS, SAYS, LEAVES, STOP } what;
	struct client *client;
	struct line *line;
};
GH_CHAN_DEFINE(events, struct event);

static events hub_events;
static int listener;
static gh_wg writers = GH_WG_INIT;
static sigset_t stop_signals;

static void line_unref(struct line *l)
{
	if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(l);
}

/* ---- one client --------------------------------------------------------------------------------
 */

static struct line *line_new(const char *name, const char *text, size_t n)
{
	size_t room = strlen(name) + 2 + n + 2;
	struct line *l = malloc(sizeof(*l) + room);
	if (l) {
		l->refs = 1;
		l->n = (size_t)snprintf(l->text, room, "%s: %.*s\n", name, (int)n, text);
	}
	return l;
}

/* Cuts what comes into lines.  Its last act is to say that the client leaves. */
static void *reader(void *arg)
{
	struct client *c = arg;
	char buf[LINE], name[32] = "";
	size_t have = 0;
	int64_t n;

	while (have < sizeof(buf) && (n = gh_recv(c->fd, buf + have, sizeof(buf) - have)) > 0) {
		char *start = buf, *end;
		have += (size_t)n;
		while ((end = memchr(start, '\n', have - (size_t)(start - buf)))) {
			size_t length = (size_t)(end - start);
			if (!*name) {
				snprintf(name, sizeof(name), "%.*s", (int)length, start);
			} else {
				struct line *l = line_new(name, start, length);
				if (l)
					events_send(hub_events, (struct event){SAYS, c, l});
			}
			start = end + 1;
		}
		have -= (size_t)(start - buf);
		memmove(buf, start, have);
	}
	events_send(hub_events, (struct event){LEAVES, c, NULL});
	return NULL;
}

/* Sends what the hub gives, until the hub closes the channel.  Nobody else uses the client then. */
static void *writer(void *arg)
{
	struct client *c = arg;
	struct line *l;
	int dead = 0;

	while (lines_recv(c->out, &l) == 0) {
		if (!dead && gh_send(c->fd, l->text, l->n) != (int64_t)l->n) {
			dead = 1;
			gh_half_close(c->fd, 2); /* its reader leaves */
		}
		line_unref(l);
	}
	gh_close(c->fd);
	lines_unref(c->out);
	free(c);
	gh_wg_done(&writers);
	return NULL;
}

/* ---- the hub -----------------------------------------------------------------------------------
 */

static void join(struct client *head, struct client *c)
{
	c->next = head;
	c->prev = head->prev;
	head->prev->next = c;
	head->prev = c;
}

static void leave(struct client *c)
{
	c->prev->next = c->next;
	c->next->prev = c->prev;
	lines_close(c->out); /* the writer sends what is there, and frees it */
}

static void tell_all(struct client *head, struct line *l)
{
	for (struct client *c = head->next; c != head; c = c->next) {
		__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
		if (lines_send_until(c->out, l, c->slow ? 0 : gh_after(GH_S(1))) < 0) {
			c->slow = 1; /* once is enough */
			gh_half_close(c->fd, 2);
			line_unref(l);
		}
	}
	line_unref(l);
}

static void *hub(void *arg)
{
	struct client head = {.next = &head, .prev = &head};
	struct event e;
	int stops = 0;

	(void)arg;
	while (!(stops && head.next == &head) && events_recv(hub_events, &e) == 0) {
		switch (e.what) {
		case JOINS:
			join(&head, e.client);
			if (stops)
				gh_half_close(e.client->fd, 2);
			break;
		case SAYS:
			tell_all(&head, e.line);
			break;
		case LEAVES:
			leave(e.client);
			break;
		case STOP:
			stops = 1;
			for (struct client *c = head.next; c != &head; c = c->next)
				gh_half_close(c->fd, 2);
		}
	}
	return NULL;
}

/* ---- main --------------------------------------------------------------------------------------
 */

/* The accept of main says -EINVAL then. */
static void *wait_for_the_end(void *arg)
{
	int sig;
	(void)arg;
	sigwait(&stop_signals, &sig);
	gh_half_close(listener, 2);
	return NULL;
}

static void welcome(int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	lines out = lines_new(BEHIND);

	if (!c || !out.chan) {
		free(c);
		lines_unref(out);
		gh_close(fd);
		return;
	}
	c->fd = fd;
	c->out = out;
	gh_wg_add(&writers, 1);
	events_send(hub_events, (struct event){JOINS, c, NULL});
	/* No writer: nobody frees it.  No reader: it leaves at once. */
	if (gh_go(writer, c, NULL) < 0)
		abort();
	if (gh_go(reader, c, NULL) < 0)
		events_send(hub_events, (struct event){LEAVES, c, NULL});
}

int main(int argc, char **argv)
{
	struct rlimit files;
	gh_addr address;
	char text[GH_ADDR_TEXT];
	int fd;

	getrlimit(RLIMIT_NOFILE, &files); /* a descriptor per client */
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGINT);
	sigaddset(&stop_signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);

	listener = gh_tcp_listen("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, 0);
	if (listener < 0) {
		fprintf(stderr, "chat: cannot listen: %s\n", strerror(-listener));
		return 1;
	}
	gh_net_local(listener, &address);
	gh_addr_text(&address, text, sizeof(text));
	printf("listening on %s\n", text);
	fflush(stdout);

	hub_events = events_new(1024);
	gh_go(wait_for_the_end, NULL, NULL);
	gh_task *h = gh_task_spawn(hub, NULL, NULL);
	while ((fd = gh_accept(listener, NULL)) != -EINVAL) {
		if (fd >= 0)
			welcome(fd);
		else
			gh_sleep(GH_MS(10)); /* too many descriptors */
	}
	gh_close(listener);
	events_send(hub_events, (struct event){STOP, NULL, NULL});
	gh_task_join(h, NULL);
	gh_wg_wait(&writers);
	events_unref(hub_events);
	printf("ended\n");
	return 0;
}
