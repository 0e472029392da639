/* report.c: `greenhook report PID`: asks a process that runs green, at its control socket.
 *
 * The socket lies in a folder that only its user can enter, so finding it there is all the proof
 * needed of whose it is; the process checks in turn who asks.
 */
#include "preload/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 30 };

/* 0, or an errno: ENOENT when there is no socket of that process in this folder. */
static int dial(const char *folder, const char *suffix, long pid, int *ret_fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	if (snprintf(name.sun_path, sizeof(name.sun_path), "%s%s/%ld.sock", folder, suffix, pid) >=
	    (int)sizeof(name.sun_path))
		return ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0) {
		*ret_fd = fd;
		return 0;
	}
	int err = errno;
	close(fd);
	/* Left by a process that was killed and had the same number, or not listened at yet. */
	return err == ECONNREFUSED ? ENOENT : err;
}

static int find_socket(long pid, int *ret_fd)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%ld", pid);
	if (stat(path, &st) < 0)
		return ESRCH;
	int err = run && *run ? dial(run, "/greenhook", pid, ret_fd) : ENOENT;
	if (err == ENOENT) {
		snprintf(path, sizeof(path), "/run/user/%u", st.st_uid);
		err = dial(path, "/greenhook", pid, ret_fd);
	}
	if (err == ENOENT) {
		snprintf(path, sizeof(path), "/tmp/greenhook-%u", st.st_uid);
		err = dial(path, "", pid, ret_fd);
	}
	return err;
}

/* Copies the answer to stdout; its length, or -1 with errno. */
static long copy_answer(int fd)
{
	char buf[65536];
	long total = 0;
	for (ssize_t n; (n = read(fd, buf, sizeof(buf))) != 0; total += n) {
		if (n < 0)
			return -1;
		fwrite(buf, 1, (size_t)n, stdout);
	}
	return total;
}

int report_main(int argc, char **argv)
{
	char *end = NULL;
	long pid = argc == 2 ? strtol(argv[1], &end, 10) : 0;
	if (argc != 2)
		return usage_error("report: give the number of one process");
	if (*end || pid <= 0 || argv[1][0] < '0' || argv[1][0] > '9')
		return usage_error("report: '%s' is not the number of a process", argv[1]);

	int fd = -1, err = find_socket(pid, &fd);
	if (err == ENOENT)
		fprintf(stderr,
			"greenhook: process %ld cannot be asked; start it with `greenhook run "
			"--report`, and "
			"note that it runs green only once it has made a thread\n",
			pid);
	else if (err)
		fprintf(stderr, "greenhook: process %ld: %s\n", pid, strerror(err));
	if (err)
		return EXIT_SELF;

	struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	long n = -1;
	if (send(fd, "report\n", 7, MSG_NOSIGNAL) == 7)
		n = copy_answer(fd);
	/* Whom it does not answer it hangs up on. */
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		n = 0;
	if (n < 0)
		fprintf(stderr, "greenhook: process %ld does not answer: %s\n", pid,
			strerror(errno));
	else if (n == 0)
		fprintf(stderr, "greenhook: process %ld refused: it belongs to another user\n",
			pid);
	close(fd);
	return n > 0 ? 0 : EXIT_SELF;
}
