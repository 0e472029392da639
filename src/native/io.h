/* Try, wait, try again: the loop under the native calls on descriptors.
 *
 * Owns: nothing.  Called by: net*.c, file*.c.  Must not know: which call it serves.
 *
 * The hooks have a loop of their own (hooks/io.c) because pthreads are cancelled by unwinding,
 * handlers end calls, sockets have timeouts and O_NONBLOCK counts; none of this is so here.
 */
#ifndef GHI_NATIVE_IO_H
#define GHI_NATIVE_IO_H

#include "src/fdkind.h"
#include "src/native/until.h"
#include "src/wait.h"

struct ghi_native_io {
	int fd, dir; /* GHI_RD, GHI_WR */
	enum ghi_reason why;
	/* A result or -errno without waiting; -EAGAIN: wait. */
	long (*try)(struct ghi_native_io *io);
	void *buf;
	size_t n;
	void *arg;	  /* of try */
	struct ghi_fd *e; /* the loop's; NULL: beyond our table */
};

/* A result or -errno; with waits unset what the first try says. */
long ghi_native_io(struct ghi_native_io *io, bool waits, gh_time until);
/* A call that may hold the kernel thread; others may have the slot meanwhile. */
static inline void ghi_native_unblock(struct ghi_gthread **self)
{
	if (*self)
		ghi_blocking_end(*self);
}
#define GHI_NATIVE_BLOCKING(call)                                                                  \
	({                                                                                         \
		struct ghi_gthread *blocked_ __attribute__((cleanup(ghi_native_unblock))) =        \
		    ghi_self();                                                                    \
		if (blocked_)                                                                      \
			ghi_blocking_begin(blocked_);                                              \
		(call);                                                                            \
	})

/* A system call that may wait in the kernel and is a cancellation point: its result, -errno, or
 * -ECANCELED.  Made again after handlers. */
long ghi_native_syscall(long nr, const long a[6]);
#define GHI_NATIVE_SYSCALL(nr, ...) ghi_native_syscall(nr, (const long[6]){__VA_ARGS__})

#endif
