/* path.c: finding a program the way execvp(3) does, but before the exec, so that the file can be
 * examined and the exit code (126 or 127) chosen.  Knows nothing of ELF or of greenhook.
 *
 * The kernel has the last word: what is found here may still fail to execute, and then run.c says
 * so.
 */
#include "preload/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* 0, or the error execve would give for this path, as far as one can know without trying. */
static int check(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int path_find_try(const char *name, char ret_path[PATH_MAX])
{
	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		if (strlen(name) >= PATH_MAX)
			return -ENAMETOOLONG;
		int err = check(name);
		if (!err)
			strcpy(ret_path, name);
		return err;
	}

	const char *path = getenv("PATH");
	if (!path)
		path = "/bin:/usr/bin"; /* what glibc's execvp falls back to */
	int result = -ENOENT;
	for (const char *dir = path;; dir++) {
		int length = (int)strcspn(dir, ":");
		char candidate[PATH_MAX];
		/* An empty element means the current directory. */
		int n = snprintf(candidate, sizeof(candidate), "%.*s%s%s", length, dir,
				 length ? "/" : "./", name);
		if (n < (int)sizeof(candidate)) {
			int err = check(candidate);
			if (!err) {
				strcpy(ret_path, candidate);
				return 0;
			}
			/* Go on as execvp does, but remember that something was there. */
			if (err == -EACCES)
				result = err;
		}
		dir += length;
		if (!*dir)
			return result;
	}
}

int path_find(const char *name, char ret_path[PATH_MAX])
{
	int err = path_find_try(name, ret_path);
	if (!err)
		return 0;
	struct stat st;
	if (err == -EACCES && stat(name, &st) == 0 && S_ISDIR(st.st_mode))
		err = -EISDIR;
	fprintf(stderr, "greenhook: %s: %s\n", name, strerror(-err));
	return err == -ENOENT || err == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
}
