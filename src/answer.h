/* What is written to a peer of the control socket.
 *
 * Owns: one buffer.  Called by: control.c, inspect.c, stats.c, on the control thread.  Must not
 * know: what is said.
 *
 * Lines of fields, separated by tabs; a field is what a program or user chose (a name, a path) only
 * with each byte that is not plain written as %XX.  When the peer does not read, or is gone, the
 * rest is dropped and `failed` is set, for whoever still has much to say.
 */
#ifndef GHI_ANSWER_H
#define GHI_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GHI_ANSWER_BYTES = 16 << 10 };

struct ghi_answer {
	int fd;
	bool failed;
	uint64_t until; /* no answer takes longer */
	size_t len;
	char buf[GHI_ANSWER_BYTES];
};

void ghi_answer_put(struct ghi_answer *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void ghi_answer_bytes(struct ghi_answer *a, const char *p, size_t n);
/* A field: at most max bytes of a string, "-" when it is empty. */
void ghi_answer_field(struct ghi_answer *a, const char *text, size_t max);
void ghi_answer_flush(struct ghi_answer *a);

#endif
