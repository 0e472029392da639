/* greenhook/panic.h: when a task cannot go on. */
#ifndef GREENHOOK_PANIC_H
#define GREENHOOK_PANIC_H

#include <greenhook/base.h>

GH_BEGIN_DECLS

/* Says why on stderr, with a backtrace, and ends the process by abort(3); or only the task.
 *
 * A task that was started with GH_TASK_RECOVER, or in a group with GH_GROUP_RECOVER, ends alone: its deferred functions run,
 * gh_task_join() gives -ENOTRECOVERABLE, and in a group it is a member that failed with that.  The
 * same becomes of faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL, an overflow of the stack) in such a
 * task, unless the program handles the signal.  Locks that it held, libc's as well, stay held, and
 * what it had allocated stays allocated.  A second panic or fault, in a deferred function, ends the
 * process.
 *
 * fmt: as in printf(3), without a newline.
 *
 * Returns: not at all.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's panic(), abort(3)
 * Since: 0.2
 */
GH_API __attribute__((noreturn, format(printf, 1, 2))) void gh_panic(const char *fmt, ...);

GH_END_DECLS

#endif
