/* greenhook/error.h: errors that say what happened, where, and because of what.
 *
 * A gh_error has a code (a negative errno), a message, the error that caused it, and the backtrace
 * of where it was made.  It never changes, is counted, and may be shared by threads.  NULL is no
 * error: all functions take it.
 *
 * Who has an error owns one reference, and passes it on or drops it:
 *
 *   gh_error *e = load(path);
 *   if (e)
 *           return gh_error_wrap(e, 0, "while starting %s", name);
 *
 * A task hands one to its joiner as its result.  A member of a group hands it to the group:
 * return gh_group_fail(e).  A future has it for its value: gh_future_set(f, gh_error_code(e), e).
 */
#ifndef GREENHOOK_ERROR_H
#define GREENHOOK_ERROR_H

#include <greenhook/group.h>
#include <stdio.h>

/* An error, opaque, counted. */
typedef struct gh_error gh_error;

GH_BEGIN_DECLS

/* Makes an error.
 *
 * code: a negative errno; a positive one is taken for its negative, 0 for -EINVAL.  fmt: as in
 * printf(3), without a newline.  The stack is copied, up to 4 KiB, and looked at when the error is
 * printed.
 *
 * Without memory it is an error of code -ENOMEM that says so: the result is never NULL.
 *
 * Returns: an error, for gh_error_unref() or whoever it is passed to.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's fmt.Errorf
 * Since: 0.2
 */
GH_API __attribute__((format(printf, 2, 3))) gh_error *gh_error_new(int code, const char *fmt, ...);

/* Makes an error that was caused by another.
 *
 * cause: the caller's reference to it goes over to the result.  code: as in gh_error_new(), but 0
 * is the cause's.  fmt: as in printf(3).  Of the backtrace only the caller's place is kept: the
 * cause has the rest.
 *
 * Returns: an error, for gh_error_unref(); cause itself when there is no memory; NULL when cause is
 * NULL.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's fmt.Errorf with %w
 * Since: 0.2
 */
GH_API __attribute__((format(printf, 3, 4))) gh_error *gh_error_wrap(gh_error *cause, int code,
								     const char *fmt, ...);

/* Takes one more reference to an error.
 *
 * Returns: error, for another gh_error_unref(); NULL for NULL.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API gh_error *gh_error_ref(gh_error *error);

/* Drops a reference to an error.
 *
 * With the last one it is gone, and its reference to its cause is dropped.  NULL is fine.
 *
 * Returns: nothing.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API void gh_error_unref(gh_error *error);

/* The code of an error.
 *
 * Returns: a negative errno; 0 for NULL, or
 *   -EINVAL  not an error (or one with this code)
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API int gh_error_code(const gh_error *error);

/* What an error says, without its cause.
 *
 * Returns: a text, good as long as the caller has error; an empty one for NULL and what is no
 * error.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API const char *gh_error_message(const gh_error *error);

/* What caused an error.
 *
 * Returns: an error, good as long as the caller has error, which owns it; NULL: nothing did.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: Go's errors.Unwrap
 * Since: 0.2
 */
GH_API const gh_error *gh_error_cause(const gh_error *error);

/* Is this the code of an error, or of one that caused it?
 *
 * code: a negative errno; a positive one is taken for its negative.
 *
 * Returns: 1: yes, 0: no, or error is NULL.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: Go's errors.Is
 * Since: 0.2
 */
GH_API int gh_error_is(const gh_error *error, int code);

/* Writes an error with its causes and backtraces into memory.
 *
 * Lines, each with a newline: the message and the code, the frames of the backtrace, indented, and
 * the same of each cause.  Reads the symbol tables of files.
 *
 * buf: room for size bytes, ended by a zero when size is not 0; what does not fit is left out.
 *
 * Returns: the length of the whole text, as snprintf(3); 0 for NULL, or
 *   -EINVAL  buf is NULL and size is not 0
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int64_t gh_error_text(const gh_error *error, char *buf, size_t size);

/* Prints an error with its causes and backtraces.
 *
 * file: where to; a stream that is open for writing.  The text is that of gh_error_text().
 *
 * Returns: 0, or
 *   -EINVAL  file is NULL
 *   -EIO  the stream failed
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_error_print(const gh_error *error, FILE *file);

/* Gives the group of the running task the reason why this member fails.
 *
 * For the end of a member's function: return gh_group_fail(error).  The caller's reference goes
 * over. When the member is the first of its group to fail, gh_group_error() has the error; else,
 * and in a task that is no member, it is dropped.
 *
 * Returns: the code of error; 0 for NULL.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_group_fail(gh_error *error);

/* Takes the error of the first member of a group that failed.
 *
 * It has the code that gh_group_wait() gives.  A member that panicked (gh_panic) has one, too.
 *
 * Returns: an error, for gh_error_unref(), once; NULL: nobody failed, or the member gave only a
 * number.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's errgroup.Group.Wait
 * Since: 0.2
 */
GH_API gh_error *gh_group_error(gh_group *group);

GH_END_DECLS

#endif
