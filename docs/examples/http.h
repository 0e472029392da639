/* http.h: connections and answers of HTTP/1.1, for http.c and files.c; requests:
 * http_request.h, the server around it: http_server.h.
 *
 * Answers are queued, and sent before the next wait for the client: a client that sends ten
 * requests at once gets ten answers in one segment.
 */
#ifndef EXAMPLE_HTTP_H
#define EXAMPLE_HTTP_H

#include <greenhook.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { HTTP_HEAD = 8192, HTTP_FIELDS = 64, HTTP_LINE = 256, HTTP_BODY = 1 << 20 };

struct http_request {
	char *method, *target; /* texts lie in the connection, until the next request is read */
	int minor;	       /* of HTTP/1.minor */
	bool head, close, chunked, wants_continue; /* head: HEAD, answered without a body */
	int64_t length;				   /* of a body that is not chunked */
	int fields;
	struct {
		char *name, *value;
	} field[HTTP_FIELDS];
};

struct http {
	int fd;
	gh_time limit;	   /* of one wait for the client, and of a head as a whole */
	size_t from, have; /* in[from..have) is received and not yet used */
	size_t keep;	   /* in[0..keep) is the head of the request that is served */
	size_t queued;	   /* out[0..queued) is to be sent */
	bool dead;	   /* it could not be sent */
	time_t second;	   /* for which date holds */
	char date[32];
	char in[3 * HTTP_HEAD]; /* requests begin in the first third */
	char out[2 * HTTP_HEAD];
};

/* What else a status needs to be known as. */
static const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {{200, "OK"},
		       {206, "Partial Content"},
		       {301, "Moved Permanently"},
		       {304, "Not Modified"},
		       {400, "Bad Request"},
		       {403, "Forbidden"},
		       {404, "Not Found"},
		       {405, "Method Not Allowed"},
		       {408, "Request Timeout"},
		       {413, "Content Too Large"},
		       {414, "URI Too Long"},
		       {416, "Range Not Satisfiable"},
		       {417, "Expectation Failed"},
		       {431, "Request Header Fields Too Large"},
		       {500, "Internal Server Error"},
		       {501, "Not Implemented"},
		       {503, "Service Unavailable"},
		       {505, "HTTP Version Not Supported"}};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* Each piece may take as long as the limit: who takes nothing for so long is given up. */
static void http_send(struct http *c, const char *data, size_t n)
{
	while (n && !c->dead) {
		size_t piece = n < 65536 ? n : 65536;
		int64_t sent = gh_send_until(c->fd, data, piece, gh_after(c->limit));
		if (sent <= 0) {
			c->dead = true;
			return;
		}
		data += sent;
		n -= (size_t)sent;
	}
}

static void http_flush(struct http *c)
{
	http_send(c, c->out, c->queued);
	c->queued = 0;
}

static void http_queue(struct http *c, const char *data, size_t n)
{
	if (n > sizeof(c->out) - c->queued)
		http_flush(c);
	if (n > sizeof(c->out)) {
		http_send(c, data, n);
	} else {
		memcpy(c->out + c->queued, data, n);
		c->queued += n;
	}
}

/* The head of an answer.  type: of its content.  more: further fields, each with its CR LF. length:
 * of the body, which the caller sends; negative: there is none and never can be one. */
static void http_head(struct http *c, struct http_request *r, int status, const char *type,
		      const char *more, int64_t length)
{
	char text[512], content[160] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (now != c->second) {
		strftime(c->date, sizeof(c->date), "%a, %d %b %Y %H:%M:%S GMT",
			 gmtime_r(&now, &tm));
		c->second = now;
	}
	if (length >= 0)
		snprintf(content, sizeof(content), "Content-Type: %s\r\nContent-Length: %lld\r\n",
			 type, (long long)length);
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s", status,
			 http_reason(status), c->date, content,
			 r->close	 ? "Connection: close\r\n"
			 : r->minor == 0 ? "Connection: keep-alive\r\n"
					 : "");
	http_queue(c, text, (size_t)n);
	http_queue(c, more, strlen(more));
	http_queue(c, "\r\n", 2);
}

/* A whole answer. */
static void http_answer(struct http *c, struct http_request *r, int status, const char *type,
			const char *more, const char *body, size_t n)
{
	http_head(c, r, status, type, more, (int64_t)n);
	if (!r->head)
		http_queue(c, body, n);
}

/* An answer that says no more than its status. */
static void http_say(struct http *c, struct http_request *r, int status, const char *more)
{
	char body[64];
	int n = snprintf(body, sizeof(body), "%d %s\n", status, http_reason(status));
	http_answer(c, r, status, "text/plain", more, body, (size_t)n);
}

/* ---- connections -------------------------------------------------------------------------------
 */

static struct http *http_open(int fd, gh_time limit)
{
	struct http *c = malloc(sizeof(*c)); /* pages that nobody touches cost nothing */
	if (c) {
		memset(c, 0, offsetof(struct http, in));
		c->fd = fd;
		c->limit = limit;
	}
	return c;
}

/* Is there something of a next request? */
static bool http_pending(struct http *c)
{
	if (c->from < c->have)
		return true;
	c->from = c->have = c->keep = 0;
	return false;
}

/* More bytes behind in[have): how many, 0 at the end, or a negative errno. */
static int64_t http_fill(struct http *c, gh_time until)
{
	if (c->queued)
		http_flush(c);
	if (c->dead)
		return -EPIPE;
	if (c->from > c->keep && c->have == sizeof(c->in)) {
		memmove(c->in + c->keep, c->in + c->from, c->have - c->from);
		c->have -= c->from - c->keep;
		c->from = c->keep;
	}

	int64_t n = gh_recv_until(c->fd, c->in + c->have, sizeof(c->in) - c->have, until);
	if (n > 0)
		c->have += (size_t)n;
	return n;
}

/* Sends what is left.  What the client still says is read for a second: to close a socket with
 * unread bytes is to reset it, and the client would lose the answer. */
static void http_close(struct http *c)
{
	gh_time until = gh_after(GH_S(1));

	http_flush(c);
	if (!c->dead && gh_half_close(c->fd, 1) == 0)
		while (gh_recv_until(c->fd, c->in, sizeof(c->in), until) > 0)
			;
	gh_close(c->fd);
	free(c);
}

#endif
