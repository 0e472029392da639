/* http_request.h: reads requests of HTTP/1.1 (RFC 9112), for http.c and files.c.
 *
 * It is strict where leniency lets requests be smuggled: lines end with CR LF, a length is stated
 * once, a request that is wrong in any way is answered and ends the connection.
 */
#ifndef EXAMPLE_HTTP_REQUEST_H
#define EXAMPLE_HTTP_REQUEST_H

#include "http.h"

/* The next line, without CR LF and with a zero, of at most max bytes: 0, `too_long`, 400, or a
 * negative errno (-EPIPE at the end).  `at` and `from` move behind it. */
static int http_line(struct http *c, char **line, size_t max, int too_long, gh_time until)
{
	size_t looked = 0;

	for (;;) {
		char *start = c->in + c->from;
		char *end = memchr(start + looked, '\n', c->have - c->from - looked);
		size_t n = end ? (size_t)(end - start) : c->have - c->from;
		if (n > max)
			return too_long;
		if (end) {
			if (n == 0 || end[-1] != '\r' || memchr(start, '\0', n) ||
			    memchr(start, '\r', n - 1))
				return 400;
			end[-1] = '\0';
			*line = start;
			c->from += n + 1;
			return 0;
		}
		looked = n;
		int64_t got = http_fill(c, until);
		if (got <= 0)
			return got ? (int)got : -EPIPE;
	}
}

static bool http_is_token(const char *s)
{
	static const char chars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	return *s && s[strspn(s, chars)] == '\0';
}

/* Visible characters, and what is in `also`; nothing else. */
static bool http_is_text(const char *s, const char *also)
{
	for (; *s; s++)
		if (((unsigned char)*s <= ' ' || *s == 127) && !strchr(also, *s))
			return false;
	return true;
}

/* A method of HTTP, whether it is served or not. */
static bool http_is_known(const char *method)
{
	static const char *const known[] = {"GET",     "HEAD",	"POST",	 "PUT",	   "DELETE",
					    "OPTIONS", "PATCH", "TRACE", "CONNECT"};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(method, known[i]))
			return true;
	return false;
}

/* The value of the first field of that name, or NULL. */
static inline const char *http_field(const struct http_request *r, const char *name)
{
	for (int i = 0; i < r->fields; i++)
		if (!strcasecmp(r->field[i].name, name))
			return r->field[i].value;
	return NULL;
}

/* Is a word in a list "a, b, c"? */
static bool http_lists(const char *list, const char *word)
{
	size_t n = strlen(word), m;

	for (; *list; list += m) {
		list += strspn(list, ", \t");
		m = strcspn(list, ", \t");
		if (m == n && !strncasecmp(list, word, n))
			return true;
	}
	return false;
}

/* METHOD target HTTP/1.1 */
static int http_request_line(struct http_request *r, char *line)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return 400;
	*target++ = *version++ = '\0';
	if (!http_is_token(line) || !*target || !http_is_text(target, ""))
		return 400;
	if (strlen(version) != 8 || strncmp(version, "HTTP/", 5) || version[6] != '.' ||
	    version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9')
		return 400;
	if (version[5] != '1')
		return 505;
	/* http://host/path is /path here */
	if (!strncasecmp(target, "http://", 7)) {
		target += 7 + strcspn(target + 7, "/?");
		if (*target != '/')
			target = *target ? NULL : "/";
	}
	if (!target || (*target != '/' && strcmp(target, "*") && strcmp(line, "CONNECT")))
		return 400;
	r->method = line;
	r->target = target;
	r->minor = version[7] - '0';
	r->head = !strcmp(line, "HEAD");
	r->close = r->minor == 0;
	return 0;
}

static int http_add_field(struct http_request *r, char *line)
{
	char *value = strchr(line, ':'), *end;

	if (!value)
		return 400;
	*value++ = '\0';
	if (!http_is_token(line) || !http_is_text(value, " \t")) /* also what is folded */
		return 400;
	if (r->fields == HTTP_FIELDS)
		return 431;
	value += strspn(value, " \t");
	for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');)
		*--end = '\0';
	r->field[r->fields].name = line;
	r->field[r->fields++].value = value;
	return 0;
}

/* What the fields say of the connection and the body: 0 or a status. */
static int http_framing(struct http_request *r)
{
	int hosts = 0, lengths = 0, codings = 0;

	for (int i = 0; i < r->fields; i++) {
		const char *name = r->field[i].name, *value = r->field[i].value;
		if (!strcasecmp(name, "Host")) {
			hosts++;
		} else if (!strcasecmp(name, "Connection")) {
			if (http_lists(value, "close"))
				r->close = true;
			else if (r->minor == 0 && http_lists(value, "keep-alive"))
				r->close = false;
		} else if (!strcasecmp(name, "Content-Length")) {
			if (lengths++ || !*value || value[strspn(value, "0123456789")])
				return 400;
			r->length = strlen(value) > 15 ? INT64_MAX : atoll(value);
		} else if (!strcasecmp(name, "Transfer-Encoding")) {
			if (codings++ || r->minor == 0)
				return 400;
			if (strcasecmp(value, "chunked"))
				return 501;
			r->chunked = true;
		} else if (!strcasecmp(name, "Expect") && r->minor > 0) {
			if (strcasecmp(value, "100-continue"))
				return 417;
			r->wants_continue = true;
		}
	}
	return hosts > 1 || (r->minor > 0 && !hosts) || (lengths && codings) ? 400 : 0;
}

/* The head of the next request: 0; a status, to be answered before the connection is closed; or a
 * negative errno: there is nobody to answer. */
static int http_read(struct http *c, struct http_request *r)
{
	gh_time until = gh_after(c->limit);
	char *line;
	size_t start;
	int e;

	if (c->from > HTTP_HEAD) {
		memmove(c->in, c->in + c->from, c->have - c->from);
		c->have -= c->from;
		c->from = 0;
	}
	c->keep = 0;
	r->method = r->target = "";
	r->minor = 1;
	r->fields = 0;
	r->length = 0;
	r->head = r->chunked = r->wants_continue = false;
	r->close = true; /* until the request is known to be one */

	start = c->from;
	do
		e = http_line(c, &line, HTTP_HEAD - (c->from - start), 414, until);
	while (!e && !*line && c->from - start <= 4); /* an empty line or two may come first */
	if (!e)
		e = http_request_line(r, line);
	while (!e && !(e = http_line(c, &line, HTTP_HEAD - (c->from - start), 431, until)) && *line)
		e = http_add_field(r, line);
	if (!e)
		e = http_framing(r);
	if (e)
		r->close = true;
	c->keep = c->from;
	return e == -ETIMEDOUT ? 408 : e;
}

/* Bytes of the body, exactly n. */
static int http_take(struct http *c, char *to, size_t n)
{
	while (n) {
		size_t there = c->have - c->from, take = there < n ? there : n;
		memcpy(to, c->in + c->from, take);
		c->from += take;
		to += take;
		n -= take;
		if (n) {
			int64_t got = http_fill(c, gh_after(c->limit));
			if (got <= 0)
				return got == -ETIMEDOUT ? 408 : got ? (int)got : -EPIPE;
		}
	}
	return 0;
}

static int http_body_line(struct http *c, char **line)
{
	int e = http_line(c, line, HTTP_LINE, 400, gh_after(c->limit));
	return e == -ETIMEDOUT ? 408 : e;
}

/* SIZE[;extension] in hexadecimal. */
static int http_chunk_size(const char *line, size_t *size)
{
	size_t digits = strspn(line, "0123456789abcdefABCDEF");
	size_t space = strspn(line + digits, " \t");

	if (digits == 0 || (line[digits + space] && line[digits + space] != ';'))
		return 400;
	if (digits > 8)
		return 413;
	*size = strtoul(line, NULL, 16);
	return 0;
}

/* The body of a request, at most HTTP_BODY bytes, in memory of malloc's (*body, NULL when there is
 * none) for the caller to free, also after an error.  Results as of http_read. */
static int http_read_body(struct http *c, struct http_request *r, char **body, size_t *n)
{
	size_t size = (size_t)r->length;
	char *line;
	int e;

	*body = NULL;
	*n = 0;
	if (r->length > HTTP_BODY)
		return 413;
	if (!r->chunked && !r->length)
		return 0;
	if (r->wants_continue && c->from == c->have)
		http_queue(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	do {
		if (r->chunked) {
			if ((e = http_body_line(c, &line)) || (e = http_chunk_size(line, &size)))
				return e;
			if (size > HTTP_BODY - *n)
				return 413;
		}
		char *more = size ? realloc(*body, *n + size) : NULL;
		if (size && !more)
			return 503;
		if (size)
			*body = more;
		if ((e = http_take(c, *body + *n, size)))
			return e;
		*n += size;
		if (r->chunked && size && !(e = http_body_line(c, &line)) && *line)
			e = 400;
	} while (!e && r->chunked && size);
	/* What comes behind the last chunk is of no interest, and not without end. */
	for (int i = 0; !e && r->chunked; i++) {
		e = i == HTTP_FIELDS ? 431 : http_body_line(c, &line);
		if (!e && !*line)
			break;
	}
	return e;
}

#endif
