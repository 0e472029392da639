/* A file server: ranges, If-Modified-Since, and no way out of its directory.
 *
 *   cc -O2 files.c -o files $(pkg-config --cflags --libs greenhook)
 *   ./files . 8080 &
 *   curl -i localhost:8080/files.c
 *   curl -r 3-11,-20 localhost:8080/files.c     a part, and the last 20 bytes
 *   kill %1                                     ends it; transfers have 5 s more
 *
 * Usage: files DIRECTORY [PORT [SECONDS]], as http.c.
 *
 * Files go from the disk cache to the socket without passing through the program.  The kernel
 * itself keeps a path below the directory (openat2(2), Linux 5.6): neither .. nor a symbolic link
 * leads out; links that stay inside work, absolute ones never do.  Names that begin with a dot are
 * not served, nor is anything but regular files; a directory is its index.html.
 */
#define _GNU_SOURCE 1 /* O_PATH, strptime */
#include <fcntl.h>
#include <greenhook.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http_server.h"

enum { RANGES = 16, PATH = 4096 };
static const char boundary[] = "greenhook-part";

static int root;

/* ---- which file --------------------------------------------------------------------------------
 */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a target, relative to the directory: 0 or a status. */
static int path_of(const char *target, char *path, size_t size)
{
	size_t n = 0;

	if (*target != '/')
		return 400;
	for (target += strspn(target, "/"); *target && *target != '?'; target++) {
		int c = (unsigned char)*target;
		if (c == '%') {
			if (hex(target[1]) < 0 || hex(target[2]) < 0)
				return 400;
			c = hex(target[1]) << 4 | hex(target[2]);
			target += 2;
		}
		if (c == 0)
			return 400;
		if (c == '.' && (n == 0 || path[n - 1] == '/'))
			return 404; /* also . and .. */
		if (n + sizeof("/index.html") >= size)
			return 414;
		path[n++] = (char)c;
	}
	path[n] = '\0';
	return 0;
}

/* A descriptor, or a negative errno. */
static int open_below(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd;

	do /* somebody renames directories meanwhile: EAGAIN */
		fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : fd;
}

/* Opens what a path names: 0 or a status. */
static int find(char *path, int *fd, struct stat *st)
{
	for (;;) {
		*fd = open_below(path);
		if (*fd < 0)
			return *fd == -EMFILE || *fd == -ENFILE || *fd == -ENOMEM ? 503 : 404;
		bool known = fstat(*fd, st) == 0;
		if (known && S_ISREG(st->st_mode))
			return 0;
		gh_close(*fd);
		if (!known || !S_ISDIR(st->st_mode))
			return 404;
		if (*path && path[strlen(path) - 1] != '/')
			return 301;
		strcat(path,
		       "index.html"); /* path_of has left room, and it is no directory's name */
	}
}

static const char *type_of(const char *path)
{
	static const char *const types[][2] = {
	    {".html", "text/html"},	{".txt", "text/plain"},	       {".c", "text/plain"},
	    {".h", "text/plain"},	{".md", "text/markdown"},      {".css", "text/css"},
	    {".js", "text/javascript"}, {".json", "application/json"}, {".png", "image/png"},
	    {".jpg", "image/jpeg"},	{".svg", "image/svg+xml"}};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(dot, types[i][0]))
			return types[i][1];
	return "application/octet-stream";
}

/* ---- which bytes -------------------------------------------------------------------------------
 */

struct range {
	int64_t first, n;
};

static int64_t number(const char **s)
{
	int64_t v = 0;
	for (; **s >= '0' && **s <= '9'; ++*s)
		v = v > INT64_MAX / 10 - 9 ? v : v * 10 + (**s - '0');
	return v;
}

/* bytes=0-9,20-,-5: how many of the ranges a file of this size has; -1: not to be understood, or
 * more than anybody needs, and ignored (RFC 9110, 14.2). */
static int ranges_of(const char *s, int64_t size, struct range *ret)
{
	int n = 0, asked = 0;

	if (strncmp(s, "bytes=", 6))
		return -1;
	for (s += 6;; s++) {
		s += strspn(s, " \t");
		const char *from = s;
		int64_t first = number(&s), last = size - 1;
		bool has_first = s > from;
		if (*s++ != '-')
			return -1;
		from = s;
		int64_t value = number(&s);
		bool has_last = s > from;
		s += strspn(s, " \t");
		if ((!has_first && !has_last) || (has_first && has_last && value < first) ||
		    (*s && *s != ',') || asked++ == RANGES)
			return -1;
		if (!has_first)
			first = value < size ? size - value : 0;
		else if (has_last && value < last)
			last = value;
		if (first <= last && (has_first || value > 0))
			ret[n++] = (struct range){first, last - first + 1};
		if (!*s)
			return n;
	}
}

/* ---- the answer --------------------------------------------------------------------------------
 */

/* A part of the file; each piece may take as long as the limit. */
static void send_part(struct http *c, int fd, struct range r)
{
	http_flush(c);
	while (r.n > 0 && !c->dead) {
		size_t piece = r.n < 1 << 20 ? (size_t)r.n : 1 << 20;
		int64_t sent = gh_sendfile(c->fd, fd, r.first, piece, gh_after(c->limit));
		if (sent <=
		    0) { /* also when the file has become shorter: the client has to see it */
			c->dead = true;
			return;
		}
		r.first += sent;
		r.n -= sent;
	}
}

static int part_head(char *text, size_t size, const char *type, struct range r, int64_t of)
{
	return snprintf(
	    text, size,
	    "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %lld-%lld/%lld\r\n\r\n", boundary,
	    type, (long long)r.first, (long long)(r.first + r.n - 1), (long long)of);
}

static void send_ranges(struct http *c, struct http_request *q, int fd, int64_t size,
			const char *type, const char *dates, const struct range *r, int n)
{
	char head[512], parts[64];
	int64_t length = 0;

	for (int i = 0; i < n; i++)
		length += part_head(head, sizeof(head), type, r[i], size) + r[i].n;
	int end = snprintf(head, sizeof(head), "\r\n--%s--\r\n", boundary);
	snprintf(parts, sizeof(parts), "multipart/byteranges; boundary=%s", boundary);
	http_head(c, q, 206, parts, dates, length + end);
	for (int i = 0; i < n; i++) {
		char part[512];
		int m = part_head(part, sizeof(part), type, r[i], size);
		http_queue(c, part, (size_t)m);
		send_part(c, fd, r[i]);
	}
	http_queue(c, head, (size_t)end);
}

static void send_file(struct http *c, struct http_request *q, int fd, const struct stat *st,
		      const char *type)
{
	struct range r[RANGES], all = {0, st->st_size};
	const char *since = http_field(q, "If-Modified-Since"), *wanted = http_field(q, "Range");
	const char *if_range = http_field(q, "If-Range");
	char date[64], dates[256], more[512];
	struct tm tm;
	int n = -1;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&st->st_mtime, &tm));
	snprintf(dates, sizeof(dates), "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n", date);
	memset(&tm, 0, sizeof(tm));
	if (since && strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &tm) &&
	    st->st_mtime <= timegm(&tm)) {
		http_head(c, q, 304, type, dates, -1);
		return;
	}
	if (wanted && !q->head && (!if_range || !strcmp(if_range, date)))
		n = ranges_of(wanted, st->st_size, r);
	if (n == 0) {
		snprintf(more, sizeof(more), "Content-Range: bytes */%lld\r\n",
			 (long long)st->st_size);
		http_say(c, q, 416, more);
	} else if (n > 1) {
		send_ranges(c, q, fd, st->st_size, type, dates, r, n);
	} else if (n == 1) {
		snprintf(more, sizeof(more), "Content-Range: bytes %lld-%lld/%lld\r\n%s",
			 (long long)r->first, (long long)(r->first + r->n - 1),
			 (long long)st->st_size, dates);
		http_head(c, q, 206, type, more, r->n);
		send_part(c, fd, *r);
	} else {
		http_head(c, q, 200, type, dates, all.n);
		if (!q->head)
			send_part(c, fd, all);
	}
}

static void serve(struct http *c, struct http_request *r, const char *body, size_t n)
{
	char path[PATH], more[HTTP_HEAD + 32];
	struct stat st;
	int fd, status;

	(void)body, (void)n;
	if (!r->head && strcmp(r->method, "GET")) {
		http_say(c, r, http_is_known(r->method) ? 405 : 501, "Allow: GET, HEAD\r\n");
	} else if ((status = path_of(r->target, path, sizeof(path))) ||
		   (status = find(path, &fd, &st))) {
		/* One slash at the beginning: two would name another host. */
		const char *from = status == 301 ? r->target + strspn(r->target, "/") - 1 : "";
		snprintf(more, sizeof(more), "Location: %.*s/\r\n", (int)strcspn(from, "?"), from);
		http_say(c, r, status, status == 301 ? more : "");
	} else {
		send_file(c, r, fd, &st, type_of(path));
		gh_close(fd);
	}
}

int main(int argc, char **argv)
{
	root = argc > 1 ? open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (root < 0) {
		fprintf(stderr, "Usage: files DIRECTORY [PORT [SECONDS]]\n");
		return 1;
	}
	return http_server_run(serve, argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
}
