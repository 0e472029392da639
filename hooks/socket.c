/* Making sockets: options, connecting, accepting.  What goes through them: message.c. */
#include <fcntl.h>

#include "hooks/held.h"
#include "hooks/io.h"

/* ---- making sockets ------------------------------------------------------------------------- */

EXPORT int socket(int domain, int type, int proto)
{
	int fd = REAL(socket)(domain, type, proto);
	if (fd >= 0) /* single-threaded so far: only what an earlier socket left is dropped */
		ghi_fd_fresh(fd, ghi_self() ? ghi_fd_socket_kind(domain, type) : GHI_FD_UNKNOWN);
	return fd;
}

EXPORT int socketpair(int domain, int type, int proto, int sv[2])
{
	int r = REAL(socketpair)(domain, type, proto, sv);
	if (r == 0 && ghi_self()) {
		ghi_fd_fresh(sv[0], ghi_fd_socket_kind(domain, type));
		ghi_fd_fresh(sv[1], ghi_fd_socket_kind(domain, type));
	}
	return r;
}

EXPORT int setsockopt(int fd, int level, int name, const void *v, socklen_t n)
{
	int r = REAL(setsockopt)(fd, level, name, v, n);
	if (r < 0 || level != SOL_SOCKET || n < sizeof(struct timeval) || !v)
		return r;
	int dir = name == SO_RCVTIMEO ? GHI_RD : name == SO_SNDTIMEO ? GHI_WR : -1;
	struct ghi_fd *e = dir < 0 ? NULL : ghi_fd_get(fd);
	if (e) {
		const struct timeval *t = v;
		e->timeout[dir] =
		    t->tv_sec < 0 ? 0
				  : (uint64_t)t->tv_sec * GHI_SEC + (uint64_t)t->tv_usec * GHI_US;
	}
	return r;
}

/* ---- connect -------------------------------------------------------------------------------- */

/* For a blocking socket that only this process knows, O_NONBLOCK is set for the duration of one
 * system call, which starts the connection and returns at once; there is no per-call flag for
 * connect.  No handler of the program may leave in between, and one thread at a time does it, with
 * the right that is accept's on other sockets: another one would take our flag for the program's
 * and leave it set. */
static long start_connect(int fd, struct ghi_fd *e, const struct sockaddr *a, socklen_t n)
{
	for (ghi_nosig_enter(); !ghi_fd_accept_enter(e); ghi_nosig_enter()) {
		ghi_nosig_leave();
		ghi_yield();
	}
	long flags = ghi_sys(SYS_fcntl, fd, F_GETFL), r = -EAGAIN;
	if (flags >= 0 && ghi_sys(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK) == 0) {
		r = ghi_sys_program(SYS_connect, fd, a, n);
		for (int i = 0; i < 3 && ghi_sys(SYS_fcntl, fd, F_SETFL, flags) < 0; i++)
			;
		ghi_fd_flags_changed(); /* somebody may have looked in between */
	}
	ghi_fd_accept_leave(e);
	ghi_nosig_leave();
	return r;
}

/* Asking again is how the kernel is told that its news have arrived: a third connect then says
 * EISCONN, as after a blocking one. */
static long finish_connect(struct ghi_gthread *self, int fd, struct ghi_fd *e,
			   const struct sockaddr *a, socklen_t n)
{
	uint64_t deadline = e->timeout[GHI_WR] ? ghi_deadline_in(e->timeout[GHI_WR]) : GHI_NEVER;

	self->sig_ran = 0;
	for (;;) {
		uint32_t seq = load_acquire(&e->seq[GHI_WR]);
		if (ghi_fd_ready_now(fd, GHI_WR))
			return BLOCKING(self, ghi_sys_program(SYS_connect, fd, a, n));
		int w =
		    HOOK_WAIT(self, ghi_wait_fd(self, fd, GHI_WR, seq, deadline, GHI_PARK_CONNECT));
		if (w == -ETIMEDOUT)
			return -EINPROGRESS;
		if (w == -EINTR || w == -ECANCELED) {
			if (ghi_hook_interrupted(self, w, !e->timeout[GHI_WR]))
				return -EINTR;
		} else if (w == -EBADF) {
			return w;
		} else if (w) { /* no registration is to be had: the kernel waits */
			return BLOCKING_RESTART(self, ghi_sys_point(self, SYS_connect, fd, a, n));
		}
	}
}

EXPORT int connect(int fd, const struct sockaddr *a, socklen_t n)
{
	HOOK_ENTER(self, REAL(connect)(fd, a, n));
	struct ghi_fd *e = ghi_fd_get(fd);
	ghi_cancel_point(self);
	if (!e || ghi_io_nonblock(fd, e))
		return (int)ghi_ret(ghi_sys_program(SYS_connect, fd, a, n));
	ghi_fd_classify(fd, e);
	/* Datagrams: only a note in the kernel's books.  A file that others may share keeps its
	 * flags: the kernel waits. */
	if (e->kind == GHI_FD_SOCKET || e->shared || !ghi_fd_private(e))
		return (int)ghi_ret(
		    BLOCKING_RESTART(self, ghi_sys_point(self, SYS_connect, fd, a, n)));
	long r = start_connect(fd, e, a, n);
	if (r == -EINPROGRESS)
		r = finish_connect(self, fd, e, a, n);
	else if (r == -EAGAIN)
		/* A Unix listener's queue is full, and nothing tells when it is not; or the flags
		 * cannot be changed. */
		r = BLOCKING_RESTART(self, ghi_sys_point(self, SYS_connect, fd, a, n));
	return (int)ghi_ret(r);
}

/* ---- accept --------------------------------------------------------------------------------- */

struct accept_args {
	struct sockaddr *a;
	socklen_t *n;
	int flags;
};

/* By the one gthread that may. */
static long accept_alone(struct ghi_gthread *self, struct ghi_io *io, struct ghi_fd *e)
{
	GHI_HELD(right);
	struct accept_args *a = io->args;
	return ghi_hold_listener(&right, e) && ghi_fd_ready_now(io->fd, GHI_RD)
		   ? BLOCKING(self, ghi_sys_point(self, SYS_accept4, io->fd, a->a, a->n, a->flags))
		   : -EAGAIN;
}

static long try_accept(struct ghi_io *io, struct ghi_fd *e)
{
	struct accept_args *a = io->args;
	struct ghi_gthread *self = ghi_self();

	if (io->dontwait ||
	    (a->flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))) /* EINVAL before waiting */
		return ghi_sys_program(SYS_accept4, io->fd, a->a, a->n, a->flags);
	/* accept has no per-call flag: between poll and accept only one gthread per listener, so
	 * that threads of this process do not race each other into a blocked worker.  It is a
	 * matter of microseconds, unless another process was faster and it waits in the kernel:
	 * then the others wait as if nothing had come, and are woken when it is back. */
	for (int i = 0; load_relaxed(&e->accepting) && i < 20; i++)
		ghi_yield();
	for (;;) {
		long r = accept_alone(self, io, e);
		if (r != -EINTR)
			return r;
		ghi_cancel_point(self);
		if (self->sig_ran & (e->timeout[GHI_RD] ? GHI_SIG_RAN : GHI_SIG_RAN_NORESTART))
			return r;
	}
}

static long block_accept(struct ghi_io *io)
{
	struct accept_args *a = io->args;
	return ghi_sys_point(ghi_self(), SYS_accept4, io->fd, a->a, a->n, a->flags);
}

static bool listens(int fd)
{
	int yes = 0;
	socklen_t n = sizeof(yes);
	return ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

static int accept_any(struct ghi_gthread *self, int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	struct accept_args args = {a, n, flags};
	struct ghi_fd *e = ghi_fd_get(fd);
	struct ghi_io io = {.fd = fd,
			    .dir = GHI_RD,
			    .why = GHI_PARK_ACCEPT,
			    .try = try_accept,
			    .block = block_accept,
			    .args = &args,
			    .restarts = true,
			    .dontwait = !e || ghi_io_nonblock(fd, e)};
	if (e)
		ghi_fd_classify(fd, e);
	/* Nothing to wait for: the kernel's refusal comes at once. */
	if (!e || !(e->listens = e->listens || listens(fd))) {
		long other =
		    BLOCKING_RESTART(self, ghi_sys_point(self, SYS_accept4, fd, a, n, flags));
		if (other >= 0)
			ghi_fd_fresh((int)other, GHI_FD_UNKNOWN);
		return (int)ghi_ret(other);
	}
	long r = ghi_io_run(self, &io);
	if (r >= 0) {
		ghi_fd_fresh((int)r, e ? (enum ghi_fd_kind)e->kind : GHI_FD_UNKNOWN);
		struct ghi_fd *fresh = ghi_fd_peek((int)r);
		if (fresh) {
			fresh->nonblock = flags & SOCK_NONBLOCK;
			fresh->flags_epoch = load_acquire(&ghi_fd_flags_epoch);
			if (e) { /* the listener's timeouts are inherited */
				fresh->timeout[GHI_RD] = e->timeout[GHI_RD];
				fresh->timeout[GHI_WR] = e->timeout[GHI_WR];
			}
		}
	}
	return (int)ghi_ret(r);
}

EXPORT int accept(int fd, struct sockaddr *a, socklen_t *n)
{
	HOOK_ENTER(self, REAL(accept)(fd, a, n));
	return accept_any(self, fd, a, n, 0);
}

EXPORT int accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	HOOK_ENTER(self, REAL(accept4)(fd, a, n, flags));
	return accept_any(self, fd, a, n, flags);
}
