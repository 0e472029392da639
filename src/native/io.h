/* Try, wait, try again: the loop under the native calls on descriptors.
 *
 * Owns: nothing.  Called by: net*.c, file*.c.  Must not know: which call it serves.
 *
 * The hooks have a loop of their own (hooks/io.c) because pthreads are cancelled by unwinding,
 * handlers end calls, sockets have timeouts and O_NONBLOCK counts; none of this is so here.
 */
#ifndef GHI_NATIVE_IO_H
#define GHI_NATIVE_IO_H

#include "src/fdtab.h"
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
/* Ready right now, or with an answer that is no -EAGAIN. */
bool ghi_native_ready(int fd, int dir);
/* A call that may hold the kernel thread; handlers of the program run after it. */
#define GHI_NATIVE_BLOCKING(call)                                                                  \
	({                                                                                         \
		struct ghi_gthread *blocked_ = ghi_self();                                         \
		if (blocked_)                                                                      \
			ghi_blocking_begin(blocked_);                                              \
		long blocked_ret_ = (call);                                                        \
		if (blocked_)                                                                      \
			ghi_blocking_end(blocked_);                                                \
		blocked_ret_;                                                                      \
	})

#endif
