/* The shared loop of descriptor hooks; see io.h.  DESIGN: per call, try without waiting, then park;
 * the flags of an open file description are never changed. */
#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#include "hooks/io.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

bool ghi_io_nonblock(int fd, struct ghi_fd *e)
{
	uint32_t epoch = load_acquire(&ghi_fd_flags_epoch);
	if (e->flags_epoch == epoch)
		return e->nonblock;
	long flags = ghi_sys(SYS_fcntl, fd, F_GETFL);
	e->nonblock = flags >= 0 && (flags & O_NONBLOCK);
	e->flags_epoch = epoch;
	return e->nonblock;
}

enum ghi_fd_kind ghi_io_socket_kind(int domain, int type)
{
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
		return GHI_FD_SOCKET;
	if (domain == AF_INET || domain == AF_INET6)
		return GHI_FD_TCP;
	return domain == AF_UNIX ? GHI_FD_UNIX_STREAM : GHI_FD_SOCKET;
}

void ghi_io_classify(int fd, struct ghi_fd *e)
{
	struct stat st;
	int domain = 0, type = 0;
	socklen_t n = sizeof(int);

	if (e->kind != GHI_FD_UNKNOWN || ghi_sys(SYS_fstat, fd, &st) < 0)
		return;
	/* Files: a call that may wait for the disk takes the whole request, as natively; RWF_NOWAIT
	 * would answer with the part that is cached. */
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		e->kind = GHI_FD_FILE;
	else if (!S_ISSOCK(st.st_mode))
		e->kind = (st.st_mode & S_IFMT) ? GHI_FD_POLLED : GHI_FD_ANON;
	else if (ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
		 ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0)
		e->kind = (uint8_t)ghi_io_socket_kind(domain, type);
}

bool ghi_io_ready(int fd, int dir)
{
	struct pollfd p = {.fd = fd, .events = dir == GHI_RD ? POLLIN : POLLOUT};
	struct timespec now = {0, 0};
	return ghi_sys(SYS_ppoll, &p, 1, &now, NULL, 8) > 0;
}

long ghi_io_run(struct ghi_gthread *self, struct ghi_io *io)
{
	struct ghi_fd *e = ghi_fd_get(io->fd);
	uint64_t deadline = 0;
	uint32_t seq;
	long r;

	ghi_cancel_point(self);
	if (!e)
		return -EBADF;
	ghi_io_classify(io->fd, e);
	if (e->kind == GHI_FD_FILE)
		return BLOCKING_RESTART(self, io->block(io));
	self->sig_ran = 0;
	for (;;) {
		seq = load_acquire(&e->seq[io->dir]); /* (F1) */
		/* Known to be empty since the last look: another system call would say EAGAIN. */
		bool empty = io->dir == GHI_RD && e->armed && load_relaxed(&e->drained) == seq &&
			     !e->hup && !io->dontwait && !ghi_io_nonblock(io->fd, e);
		if (!empty) {
			r = io->try(io, e); /* (F2) */
			if (r != -EAGAIN)
				break;
			if (io->dontwait || ghi_io_nonblock(io->fd, e))
				return r;
			if (io->dir == GHI_RD)
				store_relaxed(&e->drained, seq);
		}
		if (!deadline)
			deadline =
			    e->timeout[io->dir] ? ghi_deadline_in(e->timeout[io->dir]) : GHI_NEVER;
		int w = ghi_wait_fd(self, io->fd, io->dir, seq, deadline, io->why); /* (F3), (F4) */
		if (w == 0)
			continue;
		if (w == -ETIMEDOUT)
			return -EAGAIN;
		if (w == -EINTR || w == -ECANCELED) {
			/* With a timeout set on the socket a call never restarts. */
			if (ghi_hook_interrupted(self, w, io->restarts && !e->timeout[io->dir]))
				return -EINTR;
			continue;
		}
		if (w == -EBADF)
			return w;
		/* Not for epoll (a file), or the system has no memory for a registration. */
		return BLOCKING_RESTART(self, io->block(io));
	}
	if (r >= 0) {
		if (io->took_all)
			/* Empty as of before the try; an event that came since moves seq past it.
			 */
			store_relaxed(&e->drained, seq);
		else
			ghi_fd_pass_on(e, io->dir); /* there may be more for others who wait */
	}
	return r;
}

static long nowait(struct ghi_io *io, struct ghi_fd *e, long nr, const struct iovec *v, int n)
{
	long plain = nr == SYS_preadv2 ? SYS_readv : SYS_writev;
	if (!e->no_nowait && ghi_config.rwf_nowait) {
		/* Offset -1: the file position, as read and write use it. */
		long r = ghi_sys(nr, io->fd, v, n, -1L, -1L, RWF_NOWAIT);
		if (r != -EOPNOTSUPP && r != -ENOSYS)
			return r;
		e->no_nowait = true;
	}
	/* Too short for any record: the kernel says EINVAL at once, ready or not. */
	if (e->kind == GHI_FD_ANON && n == 1 && v->iov_len < 8)
		return ghi_sys(plain, io->fd, v, n);
	/* tty, old kernels: readiness first.  If another process is faster, the kernel thread waits
	 * and the monitor hands its slot on. */
	if (!ghi_io_ready(io->fd, io->dir))
		return -EAGAIN;
	struct ghi_gthread *self = ghi_self();
	return BLOCKING_RESTART(self, ghi_sys_point(self, plain, io->fd, v, n));
}

long ghi_io_readv(struct ghi_io *io, struct ghi_fd *e, const struct iovec *v, int n)
{
	if (ghi_fd_is_socket(e)) {
		struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
		long r = n == 1 ? ghi_sys(SYS_recvfrom, io->fd, v->iov_base, v->iov_len,
					  MSG_DONTWAIT, NULL, NULL)
				: ghi_sys(SYS_recvmsg, io->fd, &m, MSG_DONTWAIT);
		if (r != -ENOTSOCK)
			return r;
		e->kind = GHI_FD_UNKNOWN; /* the number was reused behind our back */
	}
	return nowait(io, e, SYS_preadv2, v, n);
}

long ghi_io_writev(struct ghi_io *io, struct ghi_fd *e, const struct iovec *v, int n)
{
	if (ghi_fd_is_socket(e)) {
		struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
		long r = n == 1 ? ghi_sys(SYS_sendto, io->fd, v->iov_base, v->iov_len, MSG_DONTWAIT,
					  NULL, 0)
				: ghi_sys(SYS_sendmsg, io->fd, &m, MSG_DONTWAIT);
		if (r != -ENOTSOCK)
			return r;
		e->kind = GHI_FD_UNKNOWN;
	}
	return nowait(io, e, SYS_pwritev2, v, n);
}

long ghi_io_write_all(struct ghi_gthread *self, struct ghi_io *io, const struct iovec *v, int n)
{
	struct {
		struct iovec *v;
		int n;
	} *args = io->args;
	size_t total = 0, done = 0;

	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	for (;;) {
		long r = ghi_io_run(self, io);
		if (r < 0)
			return done ? (long)done : r;
		done += (size_t)r;
		if (done >= total || r == 0)
			return (long)done;
		struct ghi_fd *e = ghi_fd_peek(io->fd);
		if (io->dontwait || !e || ghi_io_nonblock(io->fd, e))
			return (long)done;
		/* The rest: skip what went out, in a copy of the caller's vector. */
		if (args->v == v) {
			struct iovec *copy = alloca((size_t)n * sizeof(*copy));
			for (int i = 0; i < n; i++)
				copy[i] = v[i];
			args->v = copy;
		}
		size_t skip = (size_t)r;
		while (args->n && skip >= args->v->iov_len) {
			skip -= args->v->iov_len;
			args->v++;
			args->n--;
		}
		args->v->iov_base = (char *)args->v->iov_base + skip;
		args->v->iov_len -= skip;
	}
}
