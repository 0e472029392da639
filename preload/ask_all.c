/* ask_all.c: finds the processes that run green, by the sockets in the folders of their users, and
 * asks them who they are.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "preload/cli.h"

/* All are asked first, and then have one time to answer. */
enum { ANSWER_MS = 2000, MOST_AT_ONCE = 512 };

static struct asked {
	long pid;
	int fd; /* -1: too many wait for it already */
	size_t n;
	char line[512];
} asked[MOST_AT_ONCE];
static size_t nasked;

/* True: its line is there, or it has hung up. */
static bool has_answered(struct asked *a)
{
	ssize_t n = recv(a->fd, a->line + a->n, sizeof(a->line) - 1 - a->n, MSG_DONTWAIT);
	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	a->n += (size_t)n;
	return !n || a->n == sizeof(a->line) - 1 || memchr(a->line, '\n', a->n);
}

static long ms_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void collect(void (*found)(long pid, char *answer, void *arg), void *arg)
{
	static struct pollfd p[MOST_AT_ONCE];
	size_t open = 0;
	long until = ms_now() + ANSWER_MS, left;

	for (size_t i = 0; i < nasked; i++) {
		p[i] = (struct pollfd){asked[i].fd, POLLIN, 0};
		open += asked[i].fd >= 0;
	}
	while (open && (left = until - ms_now()) > 0 && poll(p, nasked, (int)left) > 0)
		for (size_t i = 0; i < nasked; i++)
			if (p[i].fd >= 0 && p[i].revents && has_answered(&asked[i])) {
				p[i].fd = -1;
				open--;
			}
	for (size_t i = 0; i < nasked; i++) {
		asked[i].line[asked[i].n] = 0;
		if (asked[i].fd >= 0)
			close(asked[i].fd);
		if (answer_state(asked[i].pid) != 'Z')
			found(asked[i].pid, asked[i].line, arg);
	}
	nasked = 0;
}

static void look_in(const char *folder, void (*found)(long pid, char *answer, void *arg), void *arg)
{
	char path[PATH_MAX];
	struct stat st;
	DIR *d = opendir(folder);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);
		int fd = -1;
		if (end == e->d_name || strcmp(end, ".sock") || pid <= 0)
			continue;
		int err = ask_dial(folder, pid, &fd);
		if (nasked == MOST_AT_ONCE || (err == EMFILE && nasked)) {
			collect(found, arg);
			if (err == EMFILE)
				err = ask_dial(folder, pid, &fd);
		}
		if (!err || err == EAGAIN) {
			/* Whom it does not answer it hangs up on: then reading tells. */
			if (!err)
				send(fd, "hello\n", 6, MSG_NOSIGNAL);
			asked[nasked++] = (struct asked){.pid = pid, .fd = err ? -1 : fd};
			continue;
		}
		/* Left behind by one that was killed; not one that is about to listen. */
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (err == ENOENT && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		    time(NULL) - st.st_mtime > 10)
			unlink(path);
	}
	closedir(d);
}

static void look_under(const char *parent, const char *prefix, const char *suffix,
		       void (*found)(long pid, char *answer, void *arg), void *arg)
{
	char path[PATH_MAX];
	DIR *d = opendir(parent);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(prefix);
		const char *number = e->d_name + n;
		if (strncmp(e->d_name, prefix, n) || !*number ||
		    number[strspn(number, "0123456789")])
			continue;
		/* Only root may look at others'. */
		if (geteuid() && strtoul(number, NULL, 10) != geteuid())
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", parent, e->d_name, suffix);
		look_in(path, found, arg);
	}
	closedir(d);
}

void ask_all(void (*found)(long pid, char *answer, void *arg), void *arg)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX], own[64];

	snprintf(own, sizeof(own), "/run/user/%u", geteuid());
	if (run && *run == '/' && strcmp(run, own)) {
		snprintf(path, sizeof(path), "%s/greenhook", run);
		look_in(path, found, arg);
	}
	look_under("/run/user", "", "/greenhook", found, arg);
	look_under("/tmp", "greenhook-", "", found, arg);
	collect(found, arg);
}
