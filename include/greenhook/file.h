/* greenhook/file.h: files, directories, pipes, child processes and ticks.
 *
 * Descriptors are the kernel's own numbers; plain calls work on them too.  What may wait for a disk
 * holds its kernel thread while others go on with the rest, or goes through io_uring where too many
 * do (GREENHOOK_URING in greenhook(7)); what waits for a pipe or a terminal parks.
 *
 * One-shot timers are GH_AT cases of gh_select, or tasks that sleep; tickers are channels
 * (gh_tick). C11 and C++17.
 */
#ifndef GREENHOOK_FILE_H
#define GREENHOOK_FILE_H

#include <sys/stat.h>

#include <greenhook/base.h>
#include <greenhook/chan.h>

GH_BEGIN_DECLS

/* --- Files --------------------------------------------------------------------------------------
 */

/* Opens a file.
 *
 * path: as the kernel takes it.  flags: O_RDONLY, O_CREAT, ... (fcntl.h); O_CLOEXEC is added. mode:
 * permissions of a file that is made, less the umask.
 *
 * Returns: a descriptor, or
 *   -EINVAL     path is NULL, or the flags make no sense
 *   -ENOENT     there is no such file
 *   -ECANCELED  the task was cancelled
 *   and what open(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: open(2)
 * Since: 0.2
 */
GH_API int gh_open(const char *path, int flags, unsigned mode);

/* Reads what is there, waiting for something.
 *
 * fd: of any kind: file, pipe, terminal, socket.  buf, n: room for so many bytes.  The position of
 * a file moves on.  O_NONBLOCK does not matter.
 *
 * Returns: bytes read, 0 at the end, or
 *   -EBADF      fd is not open for reading, or was closed while this waited
 *   -ECANCELED  the task was cancelled
 *   and what read(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: read(2)
 * Since: 0.2
 */
GH_API int64_t gh_read(int fd, void *buf, size_t n);

/* Reads what is there, waiting for something until a point in time.
 *
 * fd, buf, n: as gh_read.  until: absolute, ns (gh_now); it does not matter to files, which are
 * always ready.
 *
 * Returns: bytes read, 0 at the end, or
 *   -ETIMEDOUT  nothing came until then
 *   -EBADF      fd is not open for reading, or was closed while this waited
 *   -ECANCELED  the task was cancelled
 *   and what read(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: read(2)
 * Since: 0.2
 */
GH_API int64_t gh_read_until(int fd, void *buf, size_t n, gh_time until);

/* Writes a buffer, all of it.
 *
 * fd: of any kind.  buf, n: what.  A socket or pipe that nobody reads gives -EPIPE; a pipe also
 * SIGPIPE, as write(2) does.
 *
 * Returns: n, or, if nothing at all was written (else: the bytes that were),
 *   -EPIPE      nobody reads it
 *   -EBADF      fd is not open for writing, or was closed while this waited
 *   -ENOSPC     the disk is full
 *   -ECANCELED  the task was cancelled
 *   and what write(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: write(2)
 * Since: 0.2
 */
GH_API int64_t gh_write(int fd, const void *buf, size_t n);

/* Writes a buffer, until a point in time.
 *
 * fd, buf, n: as gh_write.  until: absolute, ns (gh_now); it does not matter to files.
 *
 * Returns: n, or, if nothing at all was written (else: the bytes that were),
 *   -ETIMEDOUT  nothing could be taken until then
 *   -EPIPE      nobody reads it
 *   -EBADF      fd is not open for writing, or was closed while this waited
 *   -ENOSPC     the disk is full
 *   -ECANCELED  the task was cancelled
 *   and what write(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: write(2)
 * Since: 0.2
 */
GH_API int64_t gh_write_until(int fd, const void *buf, size_t n, gh_time until);

/* Reads from a place in a file.
 *
 * fd: a file.  buf, n: room for so many bytes.  at: bytes from its beginning; the position stays.
 *
 * Returns: bytes read, less than n only at the end, or
 *   -EINVAL     at is negative
 *   -EBADF      fd is not open for reading
 *   -ESPIPE     fd has no places
 *   -ECANCELED  the task was cancelled
 *   and what pread(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pread(2)
 * Since: 0.2
 */
GH_API int64_t gh_pread(int fd, void *buf, size_t n, int64_t at);

/* Writes to a place in a file.
 *
 * fd: a file.  buf, n: what, all of it.  at: bytes from its beginning; the position stays.
 *
 * Returns: n, or, if nothing at all was written (else: the bytes that were),
 *   -EINVAL     at is negative
 *   -EBADF      fd is not open for writing
 *   -ESPIPE     fd has no places
 *   -ENOSPC     the disk is full
 *   -ECANCELED  the task was cancelled
 *   and what pwrite(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: pwrite(2)
 * Since: 0.2
 */
GH_API int64_t gh_pwrite(int fd, const void *buf, size_t n, int64_t at);

/* Waits until what was written to a file is on the disk.
 *
 * fd: a file.
 *
 * Returns: 0, or
 *   -EBADF      fd is no descriptor
 *   -EINVAL     fd is no file
 *   -EIO        it could not be written; it may be lost
 *   -ECANCELED  the task was cancelled
 *   and what fsync(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: fsync(2)
 * Since: 0.2
 */
GH_API int gh_fsync(int fd);

/* What is known about a file.
 *
 * path: symbolic links are followed.  ret: the answer.
 *
 * Returns: 0, or
 *   -EINVAL     path or ret is NULL
 *   -ENOENT     there is no such file
 *   -ECANCELED  the task was cancelled
 *   and what stat(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: stat(2)
 * Since: 0.2
 */
GH_API int gh_stat(const char *path, struct stat *ret);

/* --- Directories --------------------------------------------------------------------------------
 */

typedef struct gh_dir gh_dir;

/* Opens a directory, to see what is in it.
 *
 * path: the directory.
 *
 * Returns: a handle, or NULL and in errno
 *   EINVAL     path is NULL
 *   ENOTDIR    it is none
 *   ENOMEM     there is no memory
 *   ECANCELED  the task was cancelled
 *   and what open(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: opendir(3)
 * Since: 0.2
 */
GH_API gh_dir *gh_dir_open(const char *path);

/* The next name in a directory.
 *
 * d: by one thread at a time.  name: set to the name, good until the next call.  type: set to
 * DT_REG, DT_DIR, ... (dirent.h), DT_UNKNOWN where the file system does not tell; NULL: not wanted.
 * "." and
 * ".." are left out; there is no order.
 *
 * Returns: 1, 0 at the end, or
 *   -EINVAL     d or name is NULL
 *   -ECANCELED  the task was cancelled
 *   and what getdents(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: no.  Signal-safe: no.
 * Like: readdir(3)
 * Since: 0.2
 */
GH_API int gh_dir_next(gh_dir *d, const char **name, int *type);

/* Closes a directory.
 *
 * d: not to be used again; NULL: nothing happens.
 *
 * Returns: nothing.
 * Parks: no.  Cancellation point: no.  Thread-safe: no.  Signal-safe: no.
 * Like: closedir(3)
 * Since: 0.2
 */
GH_API void gh_dir_close(gh_dir *d);

/* --- Pipes and child processes ------------------------------------------------------------------
 */

/* Makes a pipe.
 *
 * ends: set to the end to read from and the end to write to, both closed on exec.
 *
 * Returns: 0, or
 *   -EINVAL  ends is NULL
 *   -EMFILE  the process has too many descriptors
 *   -ENFILE  the system has too many files
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: pipe2(2)
 * Since: 0.2
 */
GH_API int gh_pipe(int ends[2]);

/* How a child process is to be; GH_PROC_OPTS_INIT is the default. */
typedef struct gh_proc_opts {
	size_t size;	  /* sizeof(gh_proc_opts), always: the structure may grow */
	int in, out, err; /* descriptors that become its 0, 1 and 2; -1: the caller's own */
	char *const *env; /* NULL: the caller's own */
	const char *dir;  /* where it begins; NULL: the caller's own */
} gh_proc_opts;
#define GH_PROC_OPTS_INIT                                                                          \
	{                                                                                          \
		sizeof(gh_proc_opts), -1, -1, -1, NULL, NULL                                       \
	}

/* Starts a program.
 *
 * argv: its name, searched in PATH, and arguments; ends with NULL.  opts: NULL: the default.  The
 * child has the caller's signal mask, and all its descriptors that are not closed on exec.  err may
 * be 1, for what out becomes; out may not be 0, nor err 0.
 *
 * Returns: the process id, or
 *   -EINVAL  argv or its first is NULL, opts has no size, or out or err is 0
 *   -ENOENT  there is no such program, or no such directory
 *   -EACCES  it may not be run
 *   -EAGAIN  there are too many processes
 *   and what execve(2) may give
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: posix_spawnp(3)
 * Since: 0.2
 */
GH_API int gh_proc_spawn(char *const argv[], const gh_proc_opts *opts);

/* Waits for the end of a child process.
 *
 * pid: from gh_proc_spawn, fork(2) or the like.  status: set as waitpid(2) does (WIFEXITED, ...);
 * NULL: not wanted.  After this the process id may mean another process.
 *
 * Returns: 0, or
 *   -EINVAL     pid is not positive
 *   -ECHILD     it is no child, or somebody else waited for it
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: waitpid(2)
 * Since: 0.2
 */
GH_API int gh_proc_wait(int pid, int *status);

/* Waits for the end of a child process until a point in time.
 *
 * pid, status: as gh_proc_wait.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     pid is not positive
 *   -ETIMEDOUT  it had not ended until then
 *   -ECHILD     it is no child, or somebody else waited for it
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: waitpid(2)
 * Since: 0.2
 */
GH_API int gh_proc_wait_until(int pid, int *status, gh_time until);

/* --- Ticks --------------------------------------------------------------------------------------
 */

/* Makes a channel that gets the time again and again.
 *
 * every: ns between two ticks, more than 0.  Elements are of type gh_time: when the tick was due. A
 * tick that nobody has taken when the next one is due is the last until it is taken; the others are
 * left out.  gh_chan_close ends the ticks; the handle is dropped by gh_chan_unref.
 *
 * Returns: the channel, with one reference, or NULL and in errno
 *   EINVAL  every is not more than 0
 *   ENOMEM  there is no memory
 *   and what gh_go may give
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's time.Ticker
 * Since: 0.2
 */
GH_API gh_chan *gh_tick(gh_time every);

GH_END_DECLS

#endif
