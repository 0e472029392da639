/* Try, wait, retry: the loop that every descriptor hook shares.
 *
 * Owns: the order of quick try, speculation and parking.  Called by: rw.c, message.c, socket.c,
 * ipc.c.  Must not know: which libc call it serves.  A call is described by two functions over its
 * own arguments: one that never blocks and one that may.
 */
#ifndef GHI_HOOK_IO_H
#define GHI_HOOK_IO_H

#include "hooks/hook.h"
#include "src/fdkind.h"
#include "src/wait.h"

struct ghi_io {
	int fd;
	int dir; /* GHI_RD or GHI_WR */
	enum ghi_reason why;
	long (*try)(struct ghi_io *io, struct ghi_fd *e); /* a result or -errno; -EAGAIN: wait */
	long (*block)(struct ghi_io *io);		  /* the same, on the kernel thread */
	void *args;
	bool dontwait; /* the program said so for this call */
	bool queue;    /* a message queue: looks like a file, but epoll knows it */
	bool goes_on;  /* not the first piece: handlers count that ran since the call began */
	bool restarts; /* after a handler with SA_RESTART (signal(7)) */
	bool waited;   /* the loop's: it has been parked */
	bool tried;    /* the first try was made by the caller, with `seq` read before it */
	uint32_t seq;
	long first;	   /* and this came out */
	bool took_all;	   /* set by try: a short read, the descriptor is empty now */
	uint64_t deadline; /* of the call itself, 0: none; then -ETIMEDOUT */
	uint64_t until;	   /* the loop's: when the socket's timeout ends the whole call */
};

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* read or write (nr) of what epoll does not know: a result or -errno. */
long ghi_io_file(struct ghi_gthread *self, int fd, struct ghi_fd *e, long nr, void *buf, size_t n);
/* A result or -errno. */
long ghi_io_run(struct ghi_gthread *self, struct ghi_io *io);
/* Is the open file description non-blocking?  What is remembered is believed while only this
 * process can change it, and never when the answer would be EAGAIN. */
bool ghi_io_nonblock(int fd, struct ghi_fd *e);

/* One read or write without blocking on whatever fd is; for try functions. */
long ghi_io_read(struct ghi_io *io, struct ghi_fd *e, void *buf, size_t n);
long ghi_io_write(struct ghi_io *io, struct ghi_fd *e, const void *buf, size_t n);
/* The same by vector: nr is SYS_preadv2 or SYS_pwritev2. */
long ghi_io_nowait(struct ghi_io *io, struct ghi_fd *e, long nr, const struct iovec *v, int n);

/* After a first piece of `done` bytes: a blocking stream write goes on until everything is out, a
 * MSG_WAITALL until the room is full.  The vector was accepted by the kernel.  What comes after the
 * first piece ends the call with what is done: a handler, an error (which the next call sees). */
long ghi_io_rest(struct ghi_gthread *self, struct ghi_io *io, const struct iovec *v, int n,
		 size_t done, int flags);
size_t ghi_io_sum(const struct iovec *v, int n);

#endif
