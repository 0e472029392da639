/* Error values; see include/greenhook/error.h.
 *
 * Owns: their memory, their text.  Called by: programs, panic.c.  Must not know: how a stack is
 * unwound.
 */
#include <limits.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/native/error.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/native/task_int.h"

/* What there is to say when there is no memory to say it. */
static struct gh_error no_memory = {
    .magic = GHI_ERROR_MAGIC, .code = -ENOMEM, .message = "no memory for an error"};

static bool good(const gh_error *e)
{
	return e && (uintptr_t)e % sizeof(void *) == 0 &&
	       load_acquire(&e->magic) == GHI_ERROR_MAGIC;
}

gh_error *ghi_error_make(gh_error *cause, int code, uintptr_t at, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	size_t text = n < 0 ? 1 : (size_t)n + 1, align = sizeof(uintptr_t) - 1;
	size_t room = cause ? 0 : ghi_trace_room();
	text = (text + align) & ~align; /* the copy begins behind it */
	struct gh_error *e = ghi_malloc(sizeof(*e) + text + room);
	if (!e) {
		va_end(again);
		return cause ? cause : &no_memory;
	}
	char *message = (char *)(e + 1);
	message[0] = 0;
	if (n >= 0)
		vsnprintf(message, text, fmt, again);
	va_end(again);
	if (code == INT_MIN) /* no error number, and has no opposite */
		code = -EINVAL;
	*e = (struct gh_error){.refs = 1,
			       .code = code > 0 ? -code
				       : code	? code
				       : cause	? cause->code
						: -EINVAL,
			       .cause = cause,
			       .message = message};
	if (room)
		ghi_trace_take(&e->trace, message + text, room);
	e->trace.at = at;
	store_release(&e->magic, GHI_ERROR_MAGIC);
	return e;
}

gh_error *gh_error_new(int code, const char *fmt, ...)
{
	uintptr_t at = (uintptr_t)__builtin_return_address(0);
	va_list ap;
	va_start(ap, fmt);
	gh_error *e = ghi_error_make(NULL, code, at, fmt ? fmt : "(no reason)", ap);
	va_end(ap);
	return e;
}

gh_error *gh_error_wrap(gh_error *cause, int code, const char *fmt, ...)
{
	uintptr_t at = (uintptr_t)__builtin_return_address(0);
	va_list ap;
	if (!good(cause))
		return cause;
	va_start(ap, fmt);
	gh_error *e = ghi_error_make(cause, code, at, fmt ? fmt : "(no reason)", ap);
	va_end(ap);
	return e;
}

gh_error *gh_error_ref(gh_error *e)
{
	if (good(e) && load_relaxed(&e->refs))
		fetch_add_relaxed(&e->refs, 1u);
	return e;
}

void gh_error_unref(gh_error *e)
{
	while (good(e) && load_relaxed(&e->refs) &&
	       fetch_add_acq_rel(&e->refs, (uint32_t)-1) == 1) {
		gh_error *cause = e->cause;
		store_release(&e->magic, 0u);
		ghi_free(e);
		e = cause;
	}
}

int gh_error_code(const gh_error *e)
{
	return !e ? 0 : good(e) ? e->code : GHI_BAD(e, "error");
}

const char *gh_error_message(const gh_error *e)
{
	return good(e) ? e->message : "";
}

const gh_error *gh_error_cause(const gh_error *e)
{
	return good(e) ? e->cause : NULL;
}

int gh_error_is(const gh_error *e, int code)
{
	for (; good(e); e = e->cause)
		if (e->code == (code > 0 ? -code : code))
			return 1;
	return 0;
}

/* ---- text ----------------------------------------------------------------------------------- */

struct text {
	char *buf;
	size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
	bool room = t->length < t->size;
	va_list ap;
	va_start(ap, fmt);
	int n =
	    vsnprintf(room ? t->buf + t->length : NULL, room ? t->size - t->length : 0, fmt, ap);
	va_end(ap);
	t->length += n > 0 ? (size_t)n : 0;
}

/* A chunk of stack of its own: tasks have little. */
__attribute__((noinline)) static void put_trace(struct text *t, const struct ghi_trace *trace)
{
	enum { LINES = 32 };
	struct ghi_trace_line lines[LINES];
	int n = ghi_trace_lines(trace, lines, trace->bytes ? LINES : 1);

	for (int i = 0; i < n; i++) {
		const struct ghi_trace_line *l = &lines[i];
		put(t, "    #%d %p", i, (void *)l->ip); // NOLINT: an address to print
		put(t, l->name[0] ? " %s+0x%lx" : " ?", l->name, (unsigned long)l->off);
		put(t, l->file[0] ? " (%s+0x%lx)\n" : "\n", l->file, (unsigned long)l->in_file);
	}
}

int64_t gh_error_text(const gh_error *e, char *buf, size_t size)
{
	struct text t = {buf, size, 0};
	char why[96];

	if (!buf && size)
		return GHI_NULL("buffer");
	if (size)
		*buf = 0;
	for (const gh_error *first = e; good(e); e = e->cause) {
		put(&t, "%s%s (%d, %s)\n", e == first ? "" : "caused by: ", e->message, e->code,
		    strerror_r(-e->code, why, sizeof(why)));
		if (e->trace.at)
			put_trace(&t, &e->trace);
	}
	return (int64_t)t.length;
}

int gh_error_print(const gh_error *e, FILE *file)
{
	if (!file)
		return GHI_NULL("stream");
	int err = errno;	     // NOLINT: not a call that failed
	enum { USUALLY = 16 << 10 }; /* names are looked for in files: once, if possible */
	char *text = ghi_malloc(USUALLY);
	int64_t n = text ? gh_error_text(e, text, USUALLY) : 0;
	if (n >= USUALLY) {
		char *more = ghi_realloc(text, (size_t)n + 1);
		if (more)
			gh_error_text(e, text = more, (size_t)n + 1);
	}
	int r = text ? fputs(text, file) : fprintf(file, "%s\n", gh_error_message(e));
	ghi_free(text);
	errno = err;
	return r < 0 ? -EIO : 0;
}

int gh_group_fail(gh_error *e)
{
	gh_task *t = ghi_task_running();
	int code = gh_error_code(e);

	if (!good(e))
		return code;
	if (!t || !t->group) {
		gh_error_unref(e);
		return code;
	}
	gh_error_unref(t->error);
	t->error = e;
	return code;
}
