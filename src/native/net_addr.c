/* Addresses and names; see include/greenhook/net.h.
 *
 * Owns: their text.  Called by: programs, net_dial.c.  Must not know: sockets.
 *
 * getaddrinfo has no deadline.  On a gthread it runs in a task of its own, which parks in it like
 * anybody else, and the caller waits for that; who gives up leaves the task to itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <greenhook/net.h>
#include <greenhook/sync.h>
#include <greenhook/task.h>
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/net.h"

_Static_assert(sizeof(struct sockaddr_storage) <= sizeof(((gh_addr *)0)->data), "any family");
_Static_assert(sizeof(gh_addr) == 136, "part of the ABI");

/* ---- text --------------------------------------------------------------------------------------
 */

static int out(char *buf, size_t size, const char *before, const char *text, size_t n,
	       const char *after)
{
	size_t b = strlen(before), a = strlen(after);
	if (b + n + a + 1 > size)
		return -ENOSPC;
	memcpy(buf, before, b);
	memcpy(buf + b, text, n);
	memcpy(buf + b + n, after, a + 1);
	return (int)(b + n + a);
}

static void port_text(char *to, unsigned port)
{
	char digits[6];
	int n = 0;
	do
		digits[n++] = (char)('0' + port % 10);
	while (port /= 10);
	while (n)
		*to++ = digits[--n];
	*to = 0;
}

static int unix_text(const gh_addr *a, char *buf, size_t size)
{
	const struct sockaddr_un *u = (const void *)a->data;
	size_t n = a->len > offsetof(struct sockaddr_un, sun_path)
		       ? a->len - offsetof(struct sockaddr_un, sun_path)
		       : 0;
	if (n > sizeof(u->sun_path))
		n = sizeof(u->sun_path);
	if (!n)
		return out(buf, size, "", "unnamed", 7, "");
	if (!u->sun_path[0])
		return out(buf, size, "@", u->sun_path + 1, n - 1, "");
	return out(buf, size, "", u->sun_path, strnlen(u->sun_path, n), "");
}

int gh_addr_text(const gh_addr *a, char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN], port[8] = "]:", *digits = port + 2;

	if (!a || !buf)
		return GHI_NULL("address or the buffer");
	const struct sockaddr *s = (const void *)a->data;
	if (a->len >= sizeof(struct sockaddr_in) && s->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)s;
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port_text(digits, ntohs(in->sin_port));
		return out(buf, size, "", host, strlen(host), port + 1);
	}
	if (a->len >= sizeof(struct sockaddr_in6) && s->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)s;
		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		port_text(digits, ntohs(in->sin6_port));
		return out(buf, size, "[", host, strlen(host), port);
	}
	if (a->len >= sizeof(sa_family_t) && s->sa_family == AF_UNIX)
		return unix_text(a, buf, size);
	return -EAFNOSUPPORT;
}

int ghi_addr_unix(const char *path, gh_addr *ret)
{
	struct sockaddr_un *u = (void *)ret->data;
	size_t n = path ? strlen(path) : 0;

	if (!n)
		return -EINVAL;
	if (n >= sizeof(u->sun_path))
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof(*ret));
	u->sun_family = AF_UNIX;
	memcpy(u->sun_path, path, n);
	bool abstract = path[0] == '@';
	if (abstract)
		u->sun_path[0] = 0;
	ret->len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + n + !abstract);
	return 0;
}

/* 0 when host is numeric, else -EINVAL. */
static int numeric(const char *host, int port, gh_addr *ret)
{
	struct sockaddr_in *in = (void *)ret->data;
	struct sockaddr_in6 *in6 = (void *)ret->data;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		ret->len = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		ret->len = sizeof(*in6);
		return 0;
	}
	return -EINVAL;
}

int gh_addr_parse(const char *text, gh_addr *ret)
{
	char host[INET6_ADDRSTRLEN + 2];
	int port = 0;

	if (!text || !ret)
		return GHI_NULL("text or the result");
	if (text[0] == '/' || text[0] == '@')
		return ghi_addr_unix(text, ret);
	const char *colon = strrchr(text, ':');
	if (!colon || !colon[1] || strlen(colon) > 6 || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	for (const char *p = colon + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		port = port * 10 + (*p - '0');
	}
	size_t n = (size_t)(colon - text);
	bool six = text[0] == '[';
	if (port > 65535 || (six && (n < 2 || text[n - 1] != ']')))
		return -EINVAL;
	memcpy(host, text + six, n - 2 * six);
	host[n - 2 * six] = 0;
	int r = numeric(host, port, ret);
	if (r || (((struct sockaddr *)ret->data)->sa_family == AF_INET6) != six)
		return -EINVAL;
	return 0;
}

/* ---- names -------------------------------------------------------------------------------------
 */

static int error_of(int e)
{
	switch (e) {
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
#endif
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int ask(const char *host, int port, gh_addr *ret, size_t n)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char service[6];
	size_t found = 0;

	port_text(service, (unsigned)port);
	int e = getaddrinfo(host, service, &hints, &list);
	if (e)
		return error_of(e);
	for (struct addrinfo *i = list; i && found < n; i = i->ai_next) {
		if (i->ai_addrlen > sizeof(ret->data))
			continue;
		memset(&ret[found], 0, sizeof(*ret));
		ret[found].len = i->ai_addrlen;
		memcpy(ret[found++].data, i->ai_addr, i->ai_addrlen);
	}
	freeaddrinfo(list);
	return found ? (int)found : -ENOENT;
}

/* Shared by the caller and the task that asks; whoever is last frees it. */
struct question {
	uint32_t refs;
	int port, result;
	gh_event answered;
	gh_addr answer[GHI_NET_ADDRESSES];
	char host[];
};

static void drop(struct question *q)
{
	if (fetch_add_acq_rel(&q->refs, 0u - 1) == 1)
		ghi_free(q);
}

static void *ask_in_a_task(void *arg)
{
	struct question *q = arg;
	q->result = ask(q->host, q->port, q->answer, GHI_NET_ADDRESSES);
	gh_event_set(&q->answered);
	drop(q);
	return NULL;
}

int gh_resolve_until(const char *host, int port, gh_addr *ret, size_t n, gh_time until)
{
	static const gh_task_opts opts = {.size = sizeof(opts),
					  .name = "gh_resolve",
					  .stack_size = 256 << 10,
					  .flags = GHI_NET_TASK};

	if (!host || !ret || !n)
		return GHI_NULL("host or the result");
	if (port < 0 || port > 65535)
		return -EINVAL;
	if (ghi_native_cancelled())
		return -ECANCELED;
	if (numeric(host, port, ret) == 0)
		return 1;
	size_t len = strlen(host);
	if (!len || len > 1025) /* NI_MAXHOST */
		return -ENOENT;
	if (!ghi_self())
		return ask(host, port, ret, n);
	struct question *q = ghi_zalloc(sizeof(*q) + len + 1);
	if (!q)
		return -ENOMEM;
	q->refs = 2;
	q->port = port;
	memcpy(q->host, host, len + 1);
	int r = gh_go(ask_in_a_task, q, &opts);
	if (r) {
		ghi_free(q);
		return r;
	}
	r = gh_event_wait_until(&q->answered, until);
	if (r == 0 && (r = q->result) > 0) {
		r = (size_t)r > n ? (int)n : r;
		memcpy(ret, q->answer, (size_t)r * sizeof(*ret));
	}
	drop(q);
	return r;
}

int gh_resolve(const char *host, int port, gh_addr *ret, size_t n)
{
	return gh_resolve_until(host, port, ret, n, GH_FOREVER);
}
