/* What the runtime says: one line on stderr per message, asserts, panics.
 *
 * Owns: formatting without libc (messages may come from a signal handler, from scheduler code on a
 * foreign TLS, before constructors and after destructors).  Called by: everything.
 */
#ifndef GHI_BASE_REPORT_H
#define GHI_BASE_REPORT_H

#include <stdarg.h>
#include <stddef.h>

#include "src/base/config.h"

/* Formats %s %d %u %lu %ld %x %lx %p %c %% and a width with 0 or blank; returns the length. */
size_t ghi_vformat(char *buf, size_t size, const char *fmt, va_list ap);
size_t ghi_format(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "greenhook: ...\n" on stderr, in one write. */
void ghi_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same without the prefix, for multi-line reports. */
void ghi_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define ghi_debug(level, ...)                                                                      \
	do {                                                                                       \
		if (__builtin_expect(ghi_config.verbose >= (level), 0))                            \
			ghi_say(__VA_ARGS__);                                                      \
	} while (0)

/* A broken invariant of ours: says where and aborts.  Never for a mistake of the program. */
_Noreturn void ghi_panic(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define ghi_assert(cond)                                                                           \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			ghi_panic(__FILE__, __LINE__, "%s", #cond);                                \
	} while (0)

#endif
