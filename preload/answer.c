/* answer.c: reads what a process answers, with a limit, and says why an answer did not come.
 *
 * The limit counts from the last bytes that came: a long answer may take its time.  One that is
 * stopped cannot answer and is given up soon; one that runs may have little CPU time, or somebody
 * else's question first.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "preload/cli.h"

enum { STOPPED_SECONDS = 5, SILENT_SECONDS = 30, STEP_MS = 250 };

struct answer {
	int fd;
	long pid;
};

/* As in proc(5): 'T' stopped, 't' by a debugger, 'Z' also when it is gone; '?': not known. */
char answer_state(long pid)
{
	char path[64], text[512];
	long threads = 0;
	char state = '?';

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 'Z' : '?';
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	if (!n)
		return 'Z';
	text[n] = 0;
	char *at = strrchr(text, ')'); /* its name may have any characters */
	if (!at || sscanf(at + 1,
			  " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld",
			  &state, &threads) != 2)
		return '?';
	/* Its first thread may end before the others. */
	if ((state == 'Z' || state == 'X') && threads > 1)
		return '?';
	return state == 'X' ? 'Z' : state;
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static ssize_t read_some(void *cookie, char *buf, size_t size)
{
	const struct answer *a = cookie;
	double since = now(), stopped = -1;

	for (;;) {
		struct pollfd p = {a->fd, POLLIN, 0};
		if (poll(&p, 1, STEP_MS) > 0)
			return recv(a->fd, buf, size, 0);
		char state = answer_state(a->pid);
		double t = now();
		if (state != 'T' && state != 't')
			stopped = -1;
		else if (stopped < 0)
			stopped = t;
		/* A child that it forked may keep the socket open: its end is no end of file. */
		if (state == 'Z' || t - since >= SILENT_SECONDS ||
		    (stopped >= 0 && t - stopped >= STOPPED_SECONDS)) {
			errno = state == 'Z' ? ECONNRESET : EAGAIN;
			return -1;
		}
	}
}

static int end_it(void *cookie)
{
	struct answer *a = cookie;
	int r = close(a->fd);
	free(a);
	return r;
}

FILE *answer_open(long pid, int fd, const char *request)
{
	const cookie_io_functions_t calls = {.read = read_some, .close = end_it};
	struct answer *a = malloc(sizeof(*a));
	size_t n = strlen(request);
	FILE *f = NULL;

	/* Whom it does not answer it hangs up on: then reading tells. */
	if (a && (send(fd, request, n, MSG_NOSIGNAL) == (ssize_t)n || errno == EPIPE)) {
		*a = (struct answer){fd, pid};
		f = fopencookie(a, "r", calls);
	}
	if (!f) {
		int err = errno;
		close(fd);
		free(a);
		errno = err;
	}
	return f;
}

int answer_late(long pid)
{
	char state = answer_state(pid);

	if (state == 'T')
		fprintf(stderr,
			"greenhook: process %ld does not answer: it is stopped; let it go on "
			"(kill -CONT %ld) and ask again\n",
			pid, pid);
	else if (state == 't')
		fprintf(stderr,
			"greenhook: process %ld does not answer: a debugger has stopped it; let it "
			"go on there and ask again\n",
			pid);
	else
		fprintf(stderr,
			"greenhook: process %ld does not answer: it answers somebody else, or gets "
			"no CPU time; ask again later\n",
			pid);
	return EXIT_SELF;
}

int ask_failed(long pid, FILE *answer)
{
	int err = ferror(answer) ? errno : 0;
	char path[64];
	struct stat st;

	/* One that ends closes its descriptors first. */
	for (int i = 0; err != EAGAIN && i < 10 && answer_state(pid) != 'Z'; i++)
		poll(NULL, 0, 20);
	snprintf(path, sizeof(path), "/proc/%ld", pid);
	if (answer_state(pid) == 'Z' || stat(path, &st) < 0)
		fprintf(stderr, "greenhook: process %ld ended before it had answered\n", pid);
	else if (err == EAGAIN)
		return answer_late(pid);
	else if (err && err != ECONNRESET && err != EPIPE)
		fprintf(stderr, "greenhook: process %ld does not answer: %s\n", pid, strerror(err));
	else if (geteuid() && geteuid() != st.st_uid)
		fprintf(stderr,
			"greenhook: process %ld refused: it belongs to another user; ask as that "
			"user, or as root\n",
			pid);
	else
		fprintf(stderr,
			"greenhook: process %ld hung up: it calls exec, ends, or has closed the "
			"descriptor; ask again\n",
			pid);
	return EXIT_SELF;
}
