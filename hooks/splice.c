/* sendfile, splice, tee, vmsplice: bytes that move inside the kernel.
 *
 * Pipes have a flag per call (SPLICE_F_NONBLOCK): try, then wait.  A socket at one end has none:
 * its readiness is waited for, then the call is made, which may hold the kernel thread when another
 * process was faster.  Files at both ends, and calls the kernel refuses, go to the kernel at once.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "hooks/io.h"
#include "hooks/offload.h"

enum { CHUNK = 16 << 10 }; /* fits what a writable socket has free */

enum end_kind { END_OTHER, END_PIPE, END_SOCKET };

static enum end_kind kind_of(int fd)
{
	struct stat st;
	if (ghi_sys(SYS_fstat, fd, &st) < 0)
		return END_OTHER;
	return S_ISFIFO(st.st_mode) ? END_PIPE : S_ISSOCK(st.st_mode) ? END_SOCKET : END_OTHER;
}

/* Parks until one end is ready; 0, or -errno.  A socket's timeout counts; handlers end the wait by
 * the rules of read and write. */
static long wait_ready(struct ghi_gthread *self, int fd, int dir, bool point)
{
	struct ghi_fd *e = ghi_fd_get(fd);
	uint64_t deadline;

	if (!e)
		return 0;
	deadline = e->timeout[dir] ? ghi_deadline_in(e->timeout[dir]) : GHI_NEVER;
	for (;;) {
		uint32_t seq = load_acquire(&e->seq[dir]);
		if (ghi_fd_ready_now(fd, dir) || ghi_io_nonblock(fd, e))
			return 0;
		int w =
		    HOOK_WAIT(self, ghi_wait_fd(self, fd, dir, seq, deadline,
						dir == GHI_RD ? GHI_PARK_READ : GHI_PARK_WRITE));
		if (w == -ETIMEDOUT)
			return -EAGAIN;
		if (w == -EINTR || w == -ECANCELED) {
			if (w == -ECANCELED && !point)
				return 0; /* requested for later: the call itself waits */
			if (ghi_hook_interrupted(self, w, !e->timeout[dir]))
				return -EINTR;
		} else if (w == -EBADF) {
			return w;
		} else if (w) {
			return 0; /* not for epoll: the call itself waits */
		}
	}
}

static long move(struct ghi_gthread *self, struct ghi_offload *c)
{
	/* sendfile is the one of them that libc did not make a cancellation point. */
	c->how = GHI_OFF_RESTART | (c->nr == SYS_sendfile ? 0 : GHI_OFF_POINT);
	return ghi_offload(self, c);
}

/* ---- between pipes -------------------------------------------------------------------------- */

/* `in` or `out` is -1 when it is no descriptor.  With a pipe that is not ready the call itself,
 * told not to wait, says EAGAIN or what is wrong with it. */
static long pipes(struct ghi_gthread *self, struct ghi_offload *c, int flag_arg, int in, int out,
		  bool probe)
{
	struct ghi_offload quick = *c;
	int stubborn = 0;

	if (c->a[flag_arg] & SPLICE_F_NONBLOCK)
		return move(self, c);
	quick.a[flag_arg] |= SPLICE_F_NONBLOCK;
	ghi_cancel_point(self);
	self->sig_ran = 0;
	for (;;) {
		long r = probe ? BLOCKING(self, ghi_sys_program(quick.nr, quick.a[0], quick.a[1],
								quick.a[2], quick.a[3], quick.a[4],
								quick.a[5]))
			       : -EAGAIN;
		if (r != -EAGAIN)
			return r;
		long w = in >= 0 ? wait_ready(self, in, GHI_RD, true) : 0;
		if (!w && out >= 0)
			w = wait_ready(self, out, GHI_WR, true);
		if (w)
			return w;
		/* An end with O_NONBLOCK is not waited for: then the kernel's word counts, as it
		 * does where there is nothing to try or the try keeps failing. */
		bool in_ready = in < 0 || ghi_fd_ready_now(in, GHI_RD);
		bool out_ready = out < 0 || ghi_fd_ready_now(out, GHI_WR);
		struct ghi_fd *ei = ghi_fd_peek(in), *eo = ghi_fd_peek(out);
		if ((in_ready && out_ready && (!probe || stubborn++ == 3)) ||
		    (!in_ready && ei && ghi_io_nonblock(in, ei)) ||
		    (!out_ready && eo && ghi_io_nonblock(out, eo)))
			return move(self, c);
	}
}

EXPORT ssize_t splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
	HOOK_ENTER(self, REAL(splice)(in, in_at, out, out_at, n, flags));
	struct ghi_offload c = {.nr = SYS_splice,
				.a = {in, (long)in_at, out, (long)out_at, (long)n, (long)flags}};
	enum end_kind from = kind_of(in), to = kind_of(out);
	bool pipe_in = from == END_PIPE, pipe_out = to == END_PIPE;

	if (!n || (!pipe_in && !pipe_out) || (pipe_in && in_at) || (pipe_out && out_at))
		return ghi_ret(move(self, &c));	    /* nothing to do, or refused */
	if (from == END_SOCKET || to == END_SOCKET) /* no flag per call there */
		return ghi_ret(pipes(self, &c, 5, from == END_OTHER ? -1 : in,
				     to == END_OTHER ? -1 : out, false));
	return ghi_ret(pipes(self, &c, 5, pipe_in ? in : -1, pipe_out ? out : -1, true));
}

EXPORT ssize_t tee(int in, int out, size_t n, unsigned flags)
{
	HOOK_ENTER(self, REAL(tee)(in, out, n, flags));
	struct ghi_offload c = {.nr = SYS_tee, .a = {in, out, (long)n, (long)flags}};
	return ghi_ret(pipes(self, &c, 3, in, out, true));
}

EXPORT ssize_t vmsplice(int fd, const struct iovec *v, size_t n, unsigned flags)
{
	HOOK_ENTER(self, REAL(vmsplice)(fd, v, n, flags));
	struct ghi_offload c = {.nr = SYS_vmsplice, .a = {fd, (long)v, (long)n, (long)flags}};
	long mode = ghi_sys(SYS_fcntl, fd, F_GETFL);
	bool reads = mode >= 0 && (mode & O_ACCMODE) == O_RDONLY;
	return ghi_ret(pipes(self, &c, 3, reads ? fd : -1, reads ? -1 : fd, true));
}

/* ---- sendfile ------------------------------------------------------------------------------- */

EXPORT ssize_t sendfile(int out, int in, off_t *at, size_t n)
{
	HOOK_ENTER(self, REAL(sendfile)(out, in, at, n));
	struct ghi_offload c = {.nr = SYS_sendfile, .a = {out, in, (long)at, (long)n}};
	struct ghi_fd *e = ghi_fd_get(out);
	enum end_kind to = kind_of(out);
	size_t done = 0;

	if (to == END_OTHER || !n || !e || ghi_io_nonblock(out, e))
		return ghi_ret(move(self, &c));
	if (kind_of(in) != END_OTHER) /* refused */
		return ghi_ret(move(self, &c));
	self->sig_ran = 0;
	while (done < n) {
		if (!ghi_fd_ready_now(out, GHI_WR)) {
			c.a[3] = 0; /* what is wrong with it is said before it waits */
			long bad = move(self, &c);
			long w = bad < 0 ? bad : wait_ready(self, out, GHI_WR, false);
			if (w)
				return done ? (ssize_t)done : ghi_ret(w);
		}
		c.a[3] = to == END_SOCKET && n - done > CHUNK ? CHUNK : (long)(n - done);
		long r = move(self, &c);
		if (r <= 0)
			return done ? (ssize_t)done : ghi_ret(r);
		done += (size_t)r;
		if (to == END_PIPE || self->sig_ran)
			break;
	}
	return (ssize_t)done;
}
