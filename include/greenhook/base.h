/* greenhook/base.h: the version, time, and what every function of the native API keeps.
 *
 * Errors: a function that returns int, ssize_t or int64_t gives zero or more on success and a
 * negative errno on failure; it leaves errno alone.  A function that returns a pointer gives NULL
 * and sets errno.
 *
 * Time: gh_time is nanoseconds of CLOCK_MONOTONIC.  Functions named _until take a point in time,
 * and one that is past (zero and negative ones as well) means: try once, then -ETIMEDOUT.
 *
 * "Parks" in a description: the caller may have to wait.  A task, and a pthread that runs green,
 * waits without its kernel thread; any other thread waits in the kernel.
 *
 * "Cancellation point": in a task that was cancelled the function gives -ECANCELED instead of
 * waiting (gh_task_cancel).
 */
#ifndef GREENHOOK_BASE_H
#define GREENHOOK_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header.  Before 1.0 a change of MINOR may break what was compiled against
 * it. */
#define GREENHOOK_VERSION_MAJOR 0
#define GREENHOOK_VERSION_MINOR 2
#define GREENHOOK_VERSION_PATCH 0

/* The same as text, "MAJOR.MINOR.PATCH", and as a number that may be compared. */
#define GREENHOOK_VERSION_STRING "0.2.0"
#define GREENHOOK_VERSION_NUMBER                                                                   \
	(GREENHOOK_VERSION_MAJOR * 10000 + GREENHOOK_VERSION_MINOR * 100 + GREENHOOK_VERSION_PATCH)

#define GH_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define GH_BEGIN_DECLS extern "C" {
#define GH_END_DECLS   }
#else
#define GH_BEGIN_DECLS
#define GH_END_DECLS
#endif

/* Nanoseconds of CLOCK_MONOTONIC: a point in time, or the length of one. */
typedef int64_t gh_time;

#define GH_FOREVER INT64_MAX
/* Lengths: microseconds, milliseconds, seconds as a gh_time. */
#define GH_US(n) ((gh_time)(n)*1000)
#define GH_MS(n) ((gh_time)(n)*1000000)
#define GH_S(n)	 ((gh_time)(n)*1000000000)

/* A task that waited may go on on another kernel thread, where errno lies elsewhere; libc allows
 * compilers to look for it once per function.  Code of tasks that reads errno after plain calls
 * needs this definition (or GH_TASK_OWN_TLS); GH_PLAIN_ERRNO leaves libc's. */
#ifndef GH_PLAIN_ERRNO
#undef errno
#define errno (*gh_errno_location())
#endif

GH_BEGIN_DECLS

/* Where errno is, now.
 *
 * What the name errno stands for where this header is included.
 *
 * Returns: the address of the calling thread's errno, good until the next call that may wait.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: errno(3)
 * Since: 0.2
 */
GH_API int *gh_errno_location(void);

/* The version of the library that runs.
 *
 * It may be another than the one of the header that the caller was compiled with, which is
 * GREENHOOK_VERSION_NUMBER.
 *
 * Returns: MAJOR * 10000 + MINOR * 100 + PATCH, never an error.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: gnu_get_libc_version(3)
 * Since: 0.2
 */
GH_API int gh_version(void);

/* Now.
 *
 * Returns: nanoseconds of CLOCK_MONOTONIC, never an error.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: clock_gettime(3)
 * Since: 0.2
 */
GH_API gh_time gh_now(void);

/* The point in time that is a number of nanoseconds from now.
 *
 * ns: a length in nanoseconds.  GH_FOREVER, and whatever would be beyond it, gives GH_FOREVER.
 * Zero and negative lengths give a point that is past.
 *
 * Returns: a gh_time for the functions named _until, never an error.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: Go's time.Now().Add()
 * Since: 0.2
 */
GH_API gh_time gh_after(gh_time ns);

/* Starts the runtime, unless it runs.
 *
 * Nobody has to: the first spawn and the first pthread_create do.  A server may want to know early.
 * Where it cannot start (GREENHOOK=0, a system that refuses what it needs, or a first call from
 * another thread than main) tasks are kernel threads, and all else works as described.
 *
 * Returns: 0 when tasks are green from now on, or
 *   -EPERM  the library was told to stay inert (GREENHOOK=0), or the system refuses what it needs
 *   -EAGAIN  the caller is not the thread that main began on; main itself may still start it
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_start(void);

/* Makes mistakes in calls of this library end the process.
 *
 * on: 1: a call with a handle that is NULL or was given up, with options that have no meaning, or
 * by a thread that it is not for, says so on stderr, with the name of the function, and aborts,
 * with a backtrace; 0: it gives the error that its description names.  As GREENHOOK_DEBUG in the
 * environment says at first; a program compiled with -DGH_DEBUG begins with 1.  What may happen to
 * a correct program as well (EBADF, EPIPE, ETIMEDOUT, ...) stays an error.
 *
 * Returns: what it was before, 0 or 1, never an error.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API int gh_debug(int on);

#ifdef GH_DEBUG
__attribute__((constructor)) static void gh_debug_begin(void)
{
	gh_debug(1);
}
#endif

GH_END_DECLS

#endif
