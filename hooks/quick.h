/* The first try of a read or write, before anything is set up for waiting.
 *
 * Owns: what must hold for it, and what must be said afterwards.  Called by: rw.c, message.c.  Must
 * not know: how to wait.
 *
 * Most calls on a socket or pipe find what they want, so these few checks are all that they cost.
 * Whatever else comes out of the try goes to ghi_io_run as the result of its first round:
 *
 *   struct ghi_quick q;
 *   if (ghi_quick_enter(self, fd, GHI_RD, &q)) {
 *           long r = the system call, without waiting;
 *           if (that is all there was to it)
 *                   return ghi_quick_leave(&q, GHI_RD, false), r;
 *           ghi_quick_failed(&q, &io, r);
 *   }
 *   the long way with io
 */
#ifndef GHI_HOOK_QUICK_H
#define GHI_HOOK_QUICK_H

#include <sys/uio.h>

#include "hooks/io.h"

struct ghi_quick {
	struct ghi_fd *e;
	uint32_t seq; /* (F1) */
};

/* May the call be tried at once?  What is known about the number is a guess, as in ghi_io_run. */
static inline bool ghi_quick_enter(struct ghi_gthread *self, int fd, int dir, struct ghi_quick *q)
{
	struct ghi_fd *e = ghi_fd_at(fd);
	if (!e || e->kind < GHI_FD_SOCKET || e->kind > GHI_FD_POLLED || ghi_cancel_requested(self))
		return false;
	if (e->kind == GHI_FD_POLLED && (e->no_nowait || !ghi_config.rwf_nowait))
		return false;
	q->e = e;
	q->seq = load_acquire(&e->seq[dir]); /* (F1) */
	if (dir == GHI_RD && e->armed && load_relaxed(&e->drained) == q->seq)
		return false; /* perhaps empty: ghi_io_run knows */
	self->sig_ran = 0;
	return true;
}

/* (F2) The try itself. */
static inline long ghi_quick_read(const struct ghi_quick *q, int fd, void *buf, size_t n)
{
	if (ghi_fd_is_socket(q->e))
		return ghi_sys_program(SYS_recvfrom, fd, buf, n, MSG_DONTWAIT, NULL, NULL);
	struct iovec v = {buf, n};
	return ghi_sys_program(SYS_preadv2, fd, &v, 1, -1L, -1L, RWF_NOWAIT);
}

static inline long ghi_quick_write(const struct ghi_quick *q, int fd, const void *buf, size_t n)
{
	if (ghi_fd_is_socket(q->e))
		return ghi_sys_program(SYS_sendto, fd, buf, n, MSG_DONTWAIT, NULL, 0);
	struct iovec v = {(void *)buf, n};
	return ghi_sys_program(SYS_pwritev2, fd, &v, 1, -1L, -1L, RWF_NOWAIT);
}

/* It was done.  took_all: a stream that is known to be empty now. */
static inline void ghi_quick_leave(const struct ghi_quick *q, int dir, bool took_all)
{
	if (took_all)
		store_relaxed(&q->e->drained, q->seq);
	else if (!ghi_list_empty(&q->e->waiters))
		ghi_fd_pass_on(q->e, dir); /* there may be more for others who wait */
}

/* More than a success: ghi_io_run begins with what came out, or from the start when the guess was
 * wrong. */
static inline void ghi_quick_failed(const struct ghi_quick *q, struct ghi_io *io, long r)
{
	io->tried = ghi_fd_is_socket(q->e) ? r != -ENOTSOCK
					   : r != -EOPNOTSUPP && r != -ENOSYS && r != -EPERM;
	io->seq = q->seq;
	io->first = r;
}

#endif
