/* System calls that hold the kernel thread while they wait, and what every hook around one needs.
 *
 * Owns: the loop around such a call (cancellation, handlers, kicks), the gate that keeps calls
 * without end from taking every kernel thread, copying arguments that may be bad addresses.
 * Called by: file.c, splice.c, ipc.c, fd.c; message.c, io.c and poll.c copy.  Must not know: which
 * call it is.
 *
 * The call is marked (BLOCKING): one that is answered at once pays two compare-and-swaps for it,
 * so a read that the page cache answers is not tried without waiting first, which would cost a
 * second system call whenever it misses.
 */
#ifndef GHI_HOOK_OFFLOAD_H
#define GHI_HOOK_OFFLOAD_H

#include "hooks/held.h"

enum ghi_offload_how {
	GHI_OFF_POINT = 1,   /* a cancellation point (pthreads(7)) */
	GHI_OFF_RESTART = 2, /* signal(7): goes on after a handler with SA_RESTART */
};

/* A result or -errno.  The deadline is for calls that count from their beginning: *left, when
 * given, is rewritten before the call is made again. */
struct ghi_offload {
	unsigned how;
	long nr;
	long a[6];
	uint64_t deadline;     /* 0: no time limit that must be counted again */
	struct timespec *left; /* what the call is given as its limit */
};
long ghi_offload(struct ghi_gthread *self, struct ghi_offload *c);
#define OFFLOAD(self, how_, nr_, ...)                                                              \
	ghi_offload(self, &(struct ghi_offload){.how = (how_), .nr = (nr_), .a = {__VA_ARGS__}})

/* The same for calls that wait for other threads of the program, which need a worker too: beyond
 * half of the kernel threads the call is repeated in its form that does not wait (argument `arg`
 * replaced by `value`), which says `busy` while it would have to. */
struct ghi_offload_nowait {
	int arg;
	long value, busy;
};
long ghi_offload_gated(struct ghi_gthread *self, struct ghi_offload *c,
		       const struct ghi_offload_nowait *n);

/* The gate by itself: may one more gthread wait in the kernel for another one? */
bool ghi_gate_enter(struct ghi_held *h);
void ghi_gate_after_fork(void);

/* F_SETLKW, F_OFD_SETLKW (file.c). */
long ghi_file_lock(struct ghi_gthread *self, int fd, int cmd, long arg);

/* Copies from the program's memory: 0, or -EFAULT where the kernel would say so. */
int ghi_copy_in(void *to, const void *from, size_t n);
/* The same into it. */
int ghi_copy_out(void *to, const void *from, size_t n);

#endif
