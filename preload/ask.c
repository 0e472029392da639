/* ask.c: asks a process that runs green, at its control socket.
 *
 * The socket lies in a folder that only its user can enter; the process checks who asks, and we
 * check that it is the process that was meant: the kernel tells who listens.
 */
#include "preload/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int ask_dial(const char *folder, long pid, int *ret_fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct ucred who;
	socklen_t n = sizeof(who);

	if (snprintf(name.sun_path, sizeof(name.sun_path), "%s/%ld.sock", folder, pid) >=
	    (int)sizeof(name.sun_path))
		return ENOENT;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	/* EAGAIN: too many wait for one that does not accept. */
	int err = connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? errno : 0;
	if (!err && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid &&
	    who.pid != pid)
		err = ENOENT; /* another one put it there */
	if (!err) {
		*ret_fd = fd;
		return 0;
	}
	close(fd);
	/* Left by a process that was killed and had the same number, or not listened at yet. */
	return err == ECONNREFUSED ? ENOENT : err;
}

/* XDG_RUNTIME_DIR as the process was started with, where we may look. */
static bool its_runtime_dir(long pid, char *ret, size_t size)
{
	char path[64], text[65536];
	snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	for (char *at = text; at < text + n; at += strlen(at) + 1)
		if (!strncmp(at, "XDG_RUNTIME_DIR=/", 17)) {
			snprintf(ret, size, "%s/greenhook", at + 16);
			return true;
		}
	return false;
}

static int find_socket(long pid, int *ret_fd)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%ld", pid);
	if (stat(path, &st) < 0)
		return ESRCH;
	if (answer_state(pid) == 'Z')
		return EOWNERDEAD;
	int err = ENOENT;
	if (its_runtime_dir(pid, path, sizeof(path)))
		err = ask_dial(path, pid, ret_fd);
	if (err == ENOENT && run && *run == '/') {
		snprintf(path, sizeof(path), "%s/greenhook", run);
		err = ask_dial(path, pid, ret_fd);
	}
	/* It may have been another user's when it began. */
	uid_t users[] = {st.st_uid, geteuid(), 0};
	for (size_t i = 0; err == ENOENT && i < sizeof(users) / sizeof(*users); i++) {
		snprintf(path, sizeof(path), "/run/user/%u/greenhook", users[i]);
		err = ask_dial(path, pid, ret_fd);
		if (err == EACCES && i)
			err = ENOENT;
		if (err != ENOENT)
			break;
		snprintf(path, sizeof(path), "/tmp/greenhook-%u", users[i]);
		err = ask_dial(path, pid, ret_fd);
		if (err == EACCES && i)
			err = ENOENT;
	}
	return err;
}

/* Has it loaded the library?  -1: we may not look. */
static int has_library(long pid)
{
	char path[64], *line = NULL;
	size_t size = 0;
	int found = 0;

	snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	while (!found && getline(&line, &size, f) > 0)
		found = strstr(line, "libgreenhook") != NULL;
	if (!found && ferror(f))
		found = -1;
	free(line);
	fclose(f);
	return found;
}

static int explain(long pid, int err)
{
	int has;

	switch (err) {
	case ESRCH:
		fprintf(stderr, "greenhook: process %ld: No such process\n", pid);
		break;
	case EOWNERDEAD:
		fprintf(stderr, "greenhook: process %ld has ended\n", pid);
		break;
	case EACCES:
	case EPERM:
		fprintf(stderr,
			"greenhook: process %ld: Permission denied: it belongs to another user; "
			"ask as that user, or as root\n",
			pid);
		break;
	case EAGAIN: /* so many ask already that nobody else gets in */
		return answer_late(pid);
	case ENOENT:
		has = has_library(pid);
		if (answer_state(pid) == 'Z')
			fprintf(stderr, "greenhook: process %ld has ended\n", pid);
		else if (has < 0)
			fprintf(
			    stderr,
			    "greenhook: process %ld cannot be asked: it belongs to another user, "
			    "or does not run green; ask as that user, or as root\n",
			    pid);
		else if (has)
			fprintf(stderr,
				"greenhook: process %ld has libgreenhook.so loaded and cannot be "
				"asked: it has made no thread yet, or is inert (it said so on "
				"stderr), or was started with GREENHOOK_CONTROL=0\n",
				pid);
		else
			fprintf(stderr,
				"greenhook: process %ld does not run green; start it with "
				"`greenhook run`\n",
				pid);
		break;
	default:
		fprintf(stderr, "greenhook: process %ld: %s\n", pid, strerror(err));
	}
	return EXIT_SELF;
}

int ask(long pid, const char *what, FILE **ret)
{
	int fd = -1, err;
	for (int i = 0; (err = find_socket(pid, &fd)) == EAGAIN && i < 50; i++)
		poll(NULL, 0, 100);
	if (err)
		return explain(pid, err);
	*ret = answer_open(pid, fd, what);
	return *ret ? 0 : explain(pid, errno);
}

bool ask_pid(const char *text, long *ret_pid)
{
	char *end;
	errno = 0;
	*ret_pid = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *ret_pid > 0 && !errno;
}
