/* Error values inside: what error.c and error_trace.c share.
 *
 * Owns: struct gh_error.  Included by: src/native/error*.c, panic.c.  Must not know: groups.
 *
 * An error is one block of memory: the struct, the message, a copy of the stack.  Unwinding takes
 * the loader's lock and reads tables: so it is left for whoever prints the error.
 */
#ifndef GHI_NATIVE_ERROR_H
#define GHI_NATIVE_ERROR_H

#include <greenhook/error.h>

#define GHI_ERROR_MAGIC 0x726f7265u

struct ghi_trace {
	uintptr_t at; /* where the error was made: a return address */
	uintptr_t pc, fp, sp;
	const char *stack; /* a copy from sp on */
	size_t bytes;	   /* 0: only `at` is known */
};

struct gh_error {
	uint32_t magic, refs; /* refs 0: static, never counted */
	int code;
	struct gh_error *cause;
	const char *message;
	struct ghi_trace trace;
};

/* How much of the stack a copy would take. */
size_t ghi_trace_room(void);
/* Copies that much of the caller's stack to `to`. */
void ghi_trace_take(struct ghi_trace *t, char *to, size_t room);

struct ghi_trace_line {
	uintptr_t ip, off, in_file; /* off: from the name, in_file: from where its file begins */
	char name[96], file[64];    /* empty: unknown */
};
/* The frames from `at` outwards, innermost first: their number. */
int ghi_trace_lines(const struct ghi_trace *t, struct ghi_trace_line *ret, int max);

/* at: the return address of the public function. */
gh_error *ghi_error_make(gh_error *cause, int code, uintptr_t at, const char *fmt, va_list ap);

#endif
