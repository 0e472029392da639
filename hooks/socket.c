/* socket, connect, accept, the send and recv families. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "hooks/io.h"

/* ---- making sockets ------------------------------------------------------------------------- */

EXPORT int socket(int domain, int type, int proto)
{
	int fd = REAL(socket)(domain, type, proto);
	if (fd >= 0) /* single-threaded so far: only what an earlier socket left is dropped */
		ghi_fd_fresh(fd, ghi_self() ? ghi_io_socket_kind(domain, type) : GHI_FD_UNKNOWN);
	return fd;
}

EXPORT int socketpair(int domain, int type, int proto, int sv[2])
{
	int r = REAL(socketpair)(domain, type, proto, sv);
	if (r == 0 && ghi_self()) {
		ghi_fd_fresh(sv[0], ghi_io_socket_kind(domain, type));
		ghi_fd_fresh(sv[1], ghi_io_socket_kind(domain, type));
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

/* For a blocking socket O_NONBLOCK is set for the duration of one system call, which starts the
 * connection and returns at once; there is no per-call flag for connect. */
static long start_connect(int fd, const struct sockaddr *a, socklen_t n)
{
	long flags = ghi_sys(SYS_fcntl, fd, F_GETFL);
	if (flags < 0)
		return flags;
	ghi_sys(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
	long r = ghi_sys(SYS_connect, fd, a, n);
	ghi_sys(SYS_fcntl, fd, F_SETFL, flags);
	ghi_fd_flags_changed(); /* somebody may have looked in between */
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
		if (ghi_io_ready(fd, GHI_WR))
			return BLOCKING(self, ghi_sys(SYS_connect, fd, a, n));
		int w = ghi_wait_fd(self, fd, GHI_WR, seq, deadline, GHI_PARK_CONNECT);
		if (w == -ETIMEDOUT)
			return -EINPROGRESS;
		if (w == -EINTR || w == -ECANCELED) {
			if (ghi_hook_interrupted(self, w, !e->timeout[GHI_WR]))
				return -EINTR;
		} else if (w) {
			return w;
		}
	}
}

EXPORT int connect(int fd, const struct sockaddr *a, socklen_t n)
{
	HOOK_ENTER(self, REAL(connect)(fd, a, n));
	struct ghi_fd *e = ghi_fd_get(fd);
	ghi_cancel_point(self);
	if (!e || ghi_io_nonblock(fd, e))
		return (int)ghi_ret(ghi_sys(SYS_connect, fd, a, n));
	ghi_io_classify(fd, e);
	if (e->kind == GHI_FD_SOCKET) /* datagrams: only a note in the kernel's books */
		return (int)ghi_ret(BLOCKING(self, ghi_sys(SYS_connect, fd, a, n)));
	long r = start_connect(fd, a, n);
	if (r == -EINPROGRESS)
		r = finish_connect(self, fd, e, a, n);
	else if (r == -EAGAIN) /* a Unix listener's queue is full: nothing tells when it is not */
		r = BLOCKING_RESTART(self, ghi_sys_point(self, SYS_connect, fd, a, n));
	return (int)ghi_ret(r);
}

/* ---- accept --------------------------------------------------------------------------------- */

struct accept_args {
	struct sockaddr *a;
	socklen_t *n;
	int flags;
};

static void release_listener(struct ghi_fd **e)
{
	__atomic_store_n(&(*e)->accepting, false, __ATOMIC_RELEASE);
}

/* By the one gthread that may; also left by unwinding, when cancellation is asynchronous. */
static long accept_alone(struct ghi_gthread *self, struct ghi_io *io, struct ghi_fd *e)
{
	struct ghi_fd *held __attribute__((cleanup(release_listener))) = e;
	struct accept_args *a = io->args;
	return ghi_io_ready(io->fd, GHI_RD)
		   ? BLOCKING(self, ghi_sys_point(self, SYS_accept4, io->fd, a->a, a->n, a->flags))
		   : -EAGAIN;
}

static long try_accept(struct ghi_io *io, struct ghi_fd *e)
{
	struct accept_args *a = io->args;
	struct ghi_gthread *self = ghi_self();

	if (io->dontwait ||
	    (a->flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))) /* EINVAL before waiting */
		return ghi_sys(SYS_accept4, io->fd, a->a, a->n, a->flags);
	/* accept has no per-call flag: between poll and accept only one gthread per listener, so
	 * that threads of this process do not race each other into a blocked worker. */
	for (int i = 0;; i++) {
		if (!__atomic_exchange_n(&e->accepting, true, __ATOMIC_ACQUIRE)) {
			long r = accept_alone(self, io, e);
			if (r != -EINTR)
				return r;
			ghi_cancel_point(self);
			if (self->sig_ran & GHI_SIG_RAN_NORESTART)
				return r;
			continue;
		}
		if (i < 20)
			ghi_yield();
		else /* another process was faster and the holder waits in the kernel */
			ghi_wait_until(self, ghi_deadline_in(GHI_MS), GHI_PARK_ACCEPT);
		ghi_cancel_point(self);
	}
}

static long block_accept(struct ghi_io *io)
{
	struct accept_args *a = io->args;
	return ghi_sys_point(ghi_self(), SYS_accept4, io->fd, a->a, a->n, a->flags);
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
		ghi_io_classify(fd, e);
	/* Nothing to wait for: the kernel's refusal comes at once (and a rare kind of listener
	 * waits in the kernel). */
	if (!e || (e->kind != GHI_FD_TCP && e->kind != GHI_FD_UNIX_STREAM)) {
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

/* ---- receiving ------------------------------------------------------------------------------ */

struct msg_args {
	void *buf;
	size_t n;
	int flags;
	struct sockaddr *a;
	socklen_t *an;
	struct msghdr *m;
};

static long try_recv(struct ghi_io *io, struct ghi_fd *e)
{
	struct msg_args *a = io->args;
	long r = ghi_sys(SYS_recvfrom, io->fd, a->buf, a->n, a->flags | MSG_DONTWAIT, a->a, a->an);
	io->took_all = e->kind == GHI_FD_TCP && r > 0 && (size_t)r < a->n && !a->flags;
	return r;
}

static long block_recv(struct ghi_io *io)
{
	struct msg_args *a = io->args;
	return ghi_sys_point(ghi_self(), SYS_recvfrom, io->fd, a->buf, a->n, a->flags, a->a, a->an);
}

static long try_recvmsg(struct ghi_io *io, struct ghi_fd *e)
{
	struct msg_args *a = io->args;
	return ghi_sys(SYS_recvmsg, io->fd, a->m, a->flags | MSG_DONTWAIT);
}

static long block_recvmsg(struct ghi_io *io)
{
	struct msg_args *a = io->args;
	return ghi_sys_point(ghi_self(), SYS_recvmsg, io->fd, a->m, a->flags);
}

static long recv_any(struct ghi_gthread *self, int fd, struct msg_args *a)
{
	struct ghi_io io = {.fd = fd,
			    .dir = GHI_RD,
			    .why = GHI_PARK_READ,
			    .args = a,
			    .try = a->m ? try_recvmsg : try_recv,
			    .block = a->m ? block_recvmsg : block_recv,
			    .dontwait = a->flags & (MSG_DONTWAIT | MSG_ERRQUEUE),
			    .restarts = true};
	return ghi_io_run(self, &io);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
			socklen_t *fn)
{
	HOOK_ENTER(self, REAL(recvfrom)(fd, buf, n, flags, from, fn));
	struct msg_args a = {.buf = buf, .n = n, .flags = flags, .a = from, .an = fn};
	struct ghi_fd *e = ghi_fd_get(fd);
	bool all = (flags & MSG_WAITALL) && e && !(flags & MSG_DONTWAIT) && !ghi_io_nonblock(fd, e);
	if (!all)
		return ghi_ret(recv_any(self, fd, &a));
	if (flags & (MSG_PEEK | MSG_TRUNC | MSG_OOB)) /* cannot be put together from pieces */
		return ghi_ret(BLOCKING_RESTART(
		    self, ghi_sys_point(self, SYS_recvfrom, fd, buf, n, flags, from, fn)));
	size_t done = 0;
	for (;;) {
		long r = recv_any(self, fd, &a);
		if (r <= 0)
			return done ? (ssize_t)done : ghi_ret(r);
		done += (size_t)r;
		if (done == n || e->kind == GHI_FD_SOCKET)
			return (ssize_t)done;
		a.buf = (char *)buf + done;
		a.n = n - done;
	}
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	if (!ghi_self())
		return REAL(recv)(fd, buf, n, flags);
	return recvfrom(fd, buf, n, flags, NULL, NULL);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		return REAL(__recv_chk)(fd, buf, n, room, flags);
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
			      struct sockaddr *from, socklen_t *fn)
{
	if (n > room)
		return REAL(__recvfrom_chk)(fd, buf, n, room, flags, from, fn);
	return recvfrom(fd, buf, n, flags, from, fn);
}

/* Descriptors that came in a message are new numbers. */
static void note_rights(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			ghi_fd_fresh(fd, GHI_FD_UNKNOWN);
			ghi_fd_mark_shared(fd);
		}
	}
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	HOOK_ENTER(self, REAL(recvmsg)(fd, m, flags));
	struct msg_args a = {.m = m, .flags = flags};
	struct ghi_fd *e = ghi_fd_get(fd);
	if ((flags & MSG_WAITALL) && e && !(flags & MSG_DONTWAIT) && !ghi_io_nonblock(fd, e))
		return ghi_ret(
		    BLOCKING_RESTART(self, ghi_sys_point(self, SYS_recvmsg, fd, m, flags)));
	long r = recv_any(self, fd, &a);
	if (r >= 0 && m->msg_control)
		note_rights(m);
	return ghi_ret(r);
}

/* recvmmsg: waits for the first (or, without MSG_WAITFORONE, for all) up to the timeout, which the
 * kernel too checks only between messages. */
EXPORT int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t)
{
	HOOK_ENTER(self, REAL(recvmmsg)(fd, m, n, flags, t));
	uint64_t end = t ? ghi_deadline_in(ghi_ts_to_ns(t)) : GHI_NEVER;
	int each = flags & ~MSG_WAITFORONE;
	unsigned got = 0;

	if (t && ghi_ts_invalid(t))
		return (int)ghi_ret(-EINVAL);
	while (got < n && got < 1024) {
		struct msg_args a = {.m = &m[got].msg_hdr, .flags = each};
		long r = recv_any(self, fd, &a);
		if (r < 0)
			return got ? (int)got : (int)ghi_ret(r);
		m[got].msg_len = (unsigned)r;
		if (m[got].msg_hdr.msg_control)
			note_rights(&m[got].msg_hdr);
		got++;
		if (flags & MSG_WAITFORONE)
			each |= MSG_DONTWAIT;
		if (t && ghi_now() >= end)
			break;
	}
	if (t)
		*t = ghi_ns_to_ts(end > ghi_now() ? end - ghi_now() : 0);
	return (int)got;
}

/* ---- sending -------------------------------------------------------------------------------- */

struct send_args {
	struct iovec *v; /* first two members: as ghi_io_write_all expects */
	int n;
	int flags;
	const struct msghdr *m;
	bool started; /* control data and address go with the first piece */
};

static long try_send(struct ghi_io *io, struct ghi_fd *e)
{
	struct send_args *a = io->args;
	struct msghdr m = *a->m;
	long r;

	m.msg_iov = a->v;
	m.msg_iovlen = (size_t)a->n;
	if (a->started)
		m.msg_control = NULL, m.msg_controllen = 0;
	if (a->n == 1 && !m.msg_control)
		r = ghi_sys(SYS_sendto, io->fd, a->v->iov_base, a->v->iov_len,
			    a->flags | MSG_DONTWAIT, m.msg_name, m.msg_namelen);
	else
		r = ghi_sys(SYS_sendmsg, io->fd, &m, a->flags | MSG_DONTWAIT);
	a->started |= r >= 0;
	return r;
}

static long block_send(struct ghi_io *io)
{
	struct send_args *a = io->args;
	struct msghdr m = *a->m;
	m.msg_iov = a->v;
	m.msg_iovlen = (size_t)a->n;
	return ghi_sys_point(ghi_self(), SYS_sendmsg, io->fd, &m, a->flags);
}

static long send_any(struct ghi_gthread *self, int fd, const struct msghdr *m, int flags)
{
	struct send_args a = {.v = m->msg_iov, .n = (int)m->msg_iovlen, .flags = flags, .m = m};
	struct ghi_io io = {.fd = fd,
			    .dir = GHI_WR,
			    .why = GHI_PARK_WRITE,
			    .try = try_send,
			    .block = block_send,
			    .args = &a,
			    .dontwait = flags & MSG_DONTWAIT,
			    .restarts = true};
	struct ghi_fd *e = ghi_fd_get(fd);
	if (!m->msg_iovlen || m->msg_iovlen > IOV_MAX || !e || e->kind == GHI_FD_SOCKET)
		return ghi_io_run(self, &io); /* a datagram goes out whole or not at all */
	return ghi_io_write_all(self, &io, m->msg_iov, (int)m->msg_iovlen);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to,
		      socklen_t tn)
{
	HOOK_ENTER(self, REAL(sendto)(fd, buf, n, flags, to, tn));
	struct iovec v = {(void *)buf, n};
	struct msghdr m = {
	    .msg_name = (void *)to, .msg_namelen = tn, .msg_iov = &v, .msg_iovlen = 1};
	return ghi_ret(send_any(self, fd, &m, flags));
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	if (!ghi_self())
		return REAL(send)(fd, buf, n, flags);
	return sendto(fd, buf, n, flags, NULL, 0);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	HOOK_ENTER(self, REAL(sendmsg)(fd, m, flags));
	if (m->msg_control) /* descriptors may travel: others will share these files */
		for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c;
		     c = CMSG_NXTHDR((struct msghdr *)m, c))
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
				ghi_fd_mark_all_shared();
	return ghi_ret(send_any(self, fd, m, flags));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	HOOK_ENTER(self, REAL(sendmmsg)(fd, m, n, flags));
	unsigned sent = 0;
	for (; sent < n && sent < 1024; sent++) {
		long r = send_any(self, fd, &m[sent].msg_hdr, flags);
		if (r < 0)
			return sent ? (int)sent : (int)ghi_ret(r);
		m[sent].msg_len = (unsigned)r;
	}
	return (int)sent;
}
