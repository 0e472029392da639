/* Panics; see include/greenhook/panic.h.
 *
 * Owns: nothing.  Called by: programs.  Must not know: how a fault becomes one (src/crash.c).
 */
#include <errno.h>
#include <greenhook/panic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/crash.h"
#include "src/native/error.h"
#include "src/native/task_int.h"

__attribute__((format(printf, 2, 3))) static gh_error *error_of(uintptr_t at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	gh_error *e = ghi_error_make(NULL, -ENOTRECOVERABLE, at, fmt, ap);
	va_end(ap);
	return e;
}

void gh_panic(const char *fmt, ...)
{
	struct gh_task *t = ghi_task_running();
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt ? fmt : "(no reason)", ap);
	va_end(ap);
	struct ghi_gthread *self = ghi_self();
	if (t)
		ghi_say("*** panic in task \"%s\": %s", self ? self->name : "", text);
	else
		ghi_say("*** panic: %s", text);
	if (!t || !ghi_task_ops.faulted(t))
		abort(); /* whose report has the frames */
	ghi_crash_trace();
	if (t->group)
		gh_group_fail(error_of((uintptr_t)__builtin_return_address(0), "%s", text));
	gh_task_exit(NULL);
	__builtin_unreachable();
}
