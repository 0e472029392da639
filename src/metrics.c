/* The socket, the thread and as much of HTTP/1.1 as it takes; see metrics.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "src/gthread.h"
#include "src/helper.h"
#include "src/metrics.h"
#include "src/poller.h"
#include "src/signal.h"
#include "src/tls.h"

enum { REQUEST = 8192, PEER_SECONDS = 2 };

static struct {
	int listener, peer; /* -1: none */
	uint64_t inode;
	bool forked; /* the port is the parent's */
} metrics = {.listener = -1, .peer = -1};

/* ---- the address ---------------------------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Its length; 0: it is not understood, or not a loopback address. */
static socklen_t address_of(const char *text, union address *ret)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	unsigned port = 0;

	memset(ret, 0, sizeof(*ret));
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof(host) || !colon[1] ||
	    strlen(colon + 1) > 5)
		return 0;
	for (const char *p = colon + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return 0;
		port = port * 10 + (unsigned)(*p - '0');
	}
	if (!port || port > 65535)
		return 0;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = 0;
	if (inet_pton(AF_INET, host, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons((uint16_t)port);
		return ntohl(ret->in.sin_addr.s_addr) >> 24 == 127 ? sizeof(ret->in) : 0;
	}
	size_t n = strlen(host);
	if (n < 3 || host[0] != '[' || host[n - 1] != ']')
		return 0;
	host[n - 1] = 0;
	if (inet_pton(AF_INET6, host + 1, &ret->in6.sin6_addr) != 1 ||
	    !IN6_IS_ADDR_LOOPBACK(&ret->in6.sin6_addr))
		return 0;
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons((uint16_t)port);
	return sizeof(ret->in6);
}

static uint64_t inode_of(int fd)
{
	struct stat st;
	return ghi_sys(SYS_fstat, fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* 0 or -errno. */
static long listen_at(const union address *a, socklen_t n)
{
	int one = 1;
	long fd = ghi_poller_adopt(
	    ghi_sys(SYS_socket, a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return fd;
	/* Past connections of this port do not count; somebody who listens does. */
	ghi_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	long r = ghi_sys(SYS_bind, fd, a, n);
	if (r == 0)
		r = ghi_sys(SYS_listen, fd, 16);
	if (r < 0) {
		ghi_poller_drop((int)fd);
		return r;
	}
	metrics.inode = inode_of((int)fd);
	store_release(&metrics.listener, (int)fd);
	return 0;
}

/* ---- one connection ------------------------------------------------------------------------- */

/* Waits for the peer, but not beyond its time. */
static bool wait_for(int fd, short events, uint64_t until)
{
	uint64_t now = ghi_now();
	struct timespec ts = ghi_ns_to_ts(until > now ? until - now : 0);
	struct pollfd p = {fd, events, 0};
	return until > now && ghi_sys(SYS_ppoll, &p, 1, &ts, NULL, 8) == 1;
}

static void send_all(int fd, const char *p, size_t n, uint64_t until)
{
	while (n) {
		long sent = ghi_sys(SYS_sendto, fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		} else if ((sent != -EAGAIN && sent != -EINTR) || !wait_for(fd, POLLOUT, until)) {
			return;
		}
	}
}

static void respond(int fd, const char *status, const char *more, const char *type,
		    const char *body, size_t n, uint64_t until)
{
	char head[512];
	size_t len = ghi_format(head, sizeof(head),
				"HTTP/1.1 %s\r\n%sContent-Type: %s\r\nContent-Length: %lu\r\n"
				"Cache-Control: no-store\r\nConnection: close\r\n\r\n",
				status, more, type, n);
	send_all(fd, head, len, until);
	send_all(fd, body, n, until);
}

static void refuse(int fd, const char *status, const char *more, uint64_t until)
{
	char body[128];
	size_t n = ghi_format(body, sizeof(body), "%s\n", status);
	respond(fd, status, more, "text/plain; charset=utf-8", body, n, until);
}

static void respond_metrics(int fd, uint64_t until)
{
	long buf = ghi_sys(SYS_mmap, NULL, GHI_METRICS_BYTES, 3, 0x22, -1, 0);
	if (buf < 0 && buf > -4096) {
		refuse(fd, "503 Service Unavailable", "", until);
		return;
	}
	size_t n = ghi_metrics_text((char *)buf, GHI_METRICS_BYTES);
	respond(fd, "200 OK", "", "text/plain; version=0.0.4; charset=utf-8", (char *)buf, n,
		until);
	ghi_sys(SYS_munmap, buf, GHI_METRICS_BYTES);
}

/* The characters of a method, or of a header's name. */
static bool is_token(const char *p, size_t n)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
		      (p[i] >= '0' && p[i] <= '9') || (p[i] && strchr(others, p[i]))))
			return false;
	return n > 0;
}

/* Lines that end in CRLF, up to an empty one: each is a name, a colon, a value; one is Host. */
static bool headers_are_good(char *at, bool needs_host)
{
	unsigned hosts = 0;
	while (*at) {
		char *end = strstr(at, "\r\n");
		if (!end)
			return false;
		if (end == at)
			return !end[2] && (needs_host ? hosts == 1 : hosts < 2);
		*end = 0;
		char *colon = strchr(at, ':');
		if (!colon || !is_token(at, (size_t)(colon - at)))
			return false;
		hosts += colon - at == 4 && !strncasecmp(at, "Host", 4);
		at = end + 2;
	}
	return false;
}

/* A request up to its empty line, without zeros. */
static void answer(int fd, char *text, uint64_t until)
{
	char *line_end = strstr(text, "\r\n");
	char *target = line_end ? memchr(text, ' ', (size_t)(line_end - text)) : NULL;
	char *version = target ? memchr(target + 1, ' ', (size_t)(line_end - (target + 1))) : NULL;

	if (!version || !is_token(text, (size_t)(target - text)) || target[1] != '/' ||
	    line_end - version != 9 || strncmp(version + 1, "HTTP/1.", 7) ||
	    (version[8] != '0' && version[8] != '1') ||
	    !headers_are_good(line_end + 2, version[8] == '1')) {
		refuse(fd, "400 Bad Request", "", until);
		return;
	}
	*target++ = *version = 0;
	size_t n = strcspn(target, "?");
	if (n != 8 || strncmp(target, "/metrics", 8))
		refuse(fd, "404 Not Found", "", until);
	else if (strcmp(text, "GET"))
		refuse(fd, "405 Method Not Allowed", "Allow: GET\r\n", until);
	else
		respond_metrics(fd, until);
}

static void serve(int fd)
{
	static char text[REQUEST + 1];
	uint64_t until = ghi_deadline_in(PEER_SECONDS * GHI_SEC);

	for (size_t have = 0;;) {
		long n = ghi_sys(SYS_recvfrom, fd, text + have, REQUEST - have, MSG_DONTWAIT, NULL,
				 NULL);
		if (n == -EAGAIN || n == -EINTR) {
			if (!wait_for(fd, POLLIN, until))
				return;
			continue;
		}
		if (n < 0 || (n == 0 && !have))
			return;
		have += (size_t)n;
		text[have] = 0;
		char *end = strstr(text, "\r\n\r\n");
		if (n == 0 || strlen(text) != have || (!end && have == REQUEST)) {
			refuse(fd, "400 Bad Request", "", until);
			return;
		}
		if (end) {
			end[4] = 0; /* what follows is no request of ours */
			answer(fd, text, until);
			return;
		}
	}
}

/* What the peer still sends would otherwise reset the connection before it has read. */
static void hang_up(int fd)
{
	char rest[512];
	uint64_t until = ghi_deadline_in(100 * GHI_MS);
	ghi_sys(SYS_shutdown, fd, SHUT_WR);
	while (wait_for(fd, POLLIN, until))
		if (ghi_sys(SYS_recvfrom, fd, rest, sizeof(rest), MSG_DONTWAIT, NULL, NULL) <= 0)
			break;
	ghi_sys(SYS_shutdown, fd, SHUT_RDWR);
	ghi_poller_drop(fd);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void serve_all(void)
{
	for (;;) {
		struct pollfd p = {metrics.listener, POLLIN, 0};
		struct timespec pause = {.tv_nsec = 100 * GHI_MS};
		long n = ghi_sys(SYS_ppoll, &p, 1, NULL, NULL, 8);
		/* A program that closes every number closes ours, and may use it again. */
		if (n > 0 && (p.revents & POLLNVAL || inode_of(metrics.listener) != metrics.inode))
			return;
		ghi_tls_fork_not_now();
		int fd = ghi_poller_adopt(ghi_sys(SYS_accept4, metrics.listener, NULL, NULL,
						  SOCK_CLOEXEC | SOCK_NONBLOCK));
		if (fd >= 0)
			store_release(&metrics.peer, fd);
		ghi_tls_fork_again();
		if (fd >= 0) {
			serve(fd);
			store_release(&metrics.peer, -1);
			hang_up(fd);
		} else if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED) {
			ghi_sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
		}
	}
}

static void *metrics_main(void *arg)
{
	uint64_t mask = ~GHI_SIG_OURS;

	ghi_helper_begins();
	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, "greenhook-met");
	serve_all();
	ghi_helper_ends();
	return arg;
}

void ghi_metrics_start(void)
{
	const char *text = getenv("GREENHOOK_METRICS");
	union address a;

	if (!text || !*text || metrics.forked || getauxval(AT_SECURE))
		return;
	socklen_t n = address_of(text, &a);
	if (!n) {
		ghi_say("GREENHOOK_METRICS=%s is not a loopback address and a port, such as "
			"127.0.0.1:9100; going on without metrics",
			text);
		return;
	}
	long r = listen_at(&a, n);
	if (r == 0 && ghi_helper_start(metrics_main) == 0)
		return;
	if (r == 0)
		ghi_poller_drop(metrics.listener);
	metrics.listener = -1;
	if (r == -EADDRINUSE)
		ghi_say("GREENHOOK_METRICS=%s: somebody else listens there; going on without "
			"metrics",
			text);
	else
		ghi_say("GREENHOOK_METRICS=%s: cannot listen there (error %ld); going on without "
			"metrics",
			text, r ? -r : (long)EAGAIN);
}

void ghi_metrics_after_fork(void)
{
	if (metrics.listener >= 0)
		ghi_poller_drop(metrics.listener);
	if (metrics.peer >= 0)
		ghi_poller_drop(metrics.peer);
	metrics.listener = metrics.peer = -1;
	metrics.forked = true;
}
