/* Try, wait, retry: the loop that every descriptor hook shares.
 *
 * Owns: the order of quick try, speculation and parking.  Called by: rw.c, socket.c.  Must not
 * know: which libc call it serves.  A call is described by two functions over its own arguments:
 * one that never blocks and one that may.
 */
#ifndef GHI_HOOK_IO_H
#define GHI_HOOK_IO_H

#include "hooks/hook.h"
#include "src/fdtab.h"
#include "src/wait.h"

struct ghi_io {
	int fd;
	int dir; /* GHI_RD or GHI_WR */
	enum ghi_reason why;
	long (*try)(struct ghi_io *io, struct ghi_fd *e); /* a result or -errno; -EAGAIN: wait */
	long (*block)(struct ghi_io *io);		  /* the same, on the kernel thread */
	void *args;
	bool dontwait; /* the program said so for this call */
	bool restarts; /* after a handler with SA_RESTART (signal(7)) */
	bool took_all; /* set by try: a short read, the descriptor is empty now */
};

/* A result or -errno. */
long ghi_io_run(struct ghi_gthread *self, struct ghi_io *io);
/* Is the open file description non-blocking?  Asks the kernel, remembers until flags change. */
bool ghi_io_nonblock(int fd, struct ghi_fd *e);
/* The kind of a socket made with these; flags in type are ignored. */
enum ghi_fd_kind ghi_io_socket_kind(int domain, int type);
/* What kind of thing the number is, asked once; its entry remembers. */
void ghi_io_classify(int fd, struct ghi_fd *e);
/* Readiness of one direction right now. */
bool ghi_io_ready(int fd, int dir);
/* read and write without blocking on whatever fd is; for try functions. */
long ghi_io_readv(struct ghi_io *io, struct ghi_fd *e, const struct iovec *v, int n);
long ghi_io_writev(struct ghi_io *io, struct ghi_fd *e, const struct iovec *v, int n);
/* A stream write of everything, in as many pieces as it takes. */
long ghi_io_write_all(struct ghi_gthread *self, struct ghi_io *io, const struct iovec *v, int n);

#endif
