/* Receiving and sending on sockets.
 *
 * The program's structures are looked at only after the kernel accepted them: a bad address is its
 * to refuse.
 */
#include <limits.h>

#include "hooks/offload.h"
#include "hooks/quick.h"

struct call {
	void *buf;
	size_t n;
	int flags;
	struct sockaddr *a;
	socklen_t *an; /* receiving */
	socklen_t len; /* sending */
	struct msghdr *m;
};

/* ---- receiving ------------------------------------------------------------------------------ */

static long try_receive(struct ghi_io *io, struct ghi_fd *e)
{
	struct call *c = io->args;
	int flags = c->flags | MSG_DONTWAIT;
	long r = c->m ? ghi_sys_program(SYS_recvmsg, io->fd, c->m, flags)
		      : ghi_sys_program(SYS_recvfrom, io->fd, c->buf, c->n, flags, c->a, c->an);
	io->took_all = e->kind == GHI_FD_TCP && !c->m && r > 0 && (size_t)r < c->n && !c->flags;
	return r;
}

static long block_receive(struct ghi_io *io)
{
	struct call *c = io->args;
	struct ghi_gthread *self = ghi_self();
	return c->m
		   ? ghi_sys_point(self, SYS_recvmsg, io->fd, c->m, c->flags)
		   : ghi_sys_point(self, SYS_recvfrom, io->fd, c->buf, c->n, c->flags, c->a, c->an);
}

static bool is_stream(int fd, const struct ghi_fd *e)
{
	int type = 0;
	socklen_t n = sizeof(type);
	if (e->kind == GHI_FD_TCP || e->kind == GHI_FD_UNIX_STREAM)
		return true;
	return ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
	       type == SOCK_STREAM;
}

/* MSG_WAITALL that pieces can make up: data that leaves the queue, and nothing else. */
static bool in_pieces(const struct call *c)
{
	return !(c->flags & (MSG_PEEK | MSG_TRUNC)) && !(c->m && c->m->msg_control);
}

static inline struct ghi_io receiving(int fd, struct call *c)
{
	/* Urgent data and the error queue never wait: they are there or they are not. */
	return (struct ghi_io){.fd = fd,
			       .dir = GHI_RD,
			       .why = GHI_PARK_READ,
			       .args = c,
			       .try = try_receive,
			       .block = block_receive,
			       .dontwait = c->flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB),
			       .restarts = true};
}

static long recv_any(struct ghi_gthread *self, int fd, struct call *c)
{
	struct ghi_io io = receiving(fd, c);
	struct ghi_fd *e = c->flags & MSG_WAITALL ? ghi_fd_get(fd) : NULL;
	struct msghdr copy;
	long r;

	if (e)
		ghi_fd_classify(fd, e);
	if (!e || io.dontwait || ghi_io_nonblock(fd, e) || !is_stream(fd, e))
		return ghi_io_run(self, &io);
	if (c->m && ghi_copy_in(&copy, c->m, sizeof(copy)) < 0)
		return -EFAULT;
	if (!in_pieces(c))
		return BLOCKING_RESTART(self, block_receive(&io));
	r = ghi_io_run(self, &io);
	if (r <= 0)
		return r;
	struct iovec one = {c->buf, c->n};
	return ghi_io_rest(self, &io, c->m ? c->m->msg_iov : &one, c->m ? (int)c->m->msg_iovlen : 1,
			   (size_t)r, c->flags & ~MSG_WAITALL);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
			socklen_t *fn)
{
	HOOK_ENTER(self, REAL(recvfrom)(fd, buf, n, flags, from, fn));
	struct call c = {.buf = buf, .n = n, .flags = flags, .a = from, .an = fn};
	struct ghi_quick q;
	if (flags || !ghi_quick_enter(self, fd, GHI_RD, &q))
		return ghi_ret(recv_any(self, fd, &c));
	long r = ghi_sys_program(SYS_recvfrom, fd, buf, n, MSG_DONTWAIT, from, fn);
	if (r > 0) {
		ghi_quick_leave(&q, GHI_RD, q.e->kind == GHI_FD_TCP && (size_t)r < n);
		return r;
	}
	struct ghi_io io = receiving(fd, &c);
	ghi_quick_failed(&q, &io, r);
	return ghi_ret(ghi_io_run(self, &io));
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
	struct call c = {.m = m, .flags = flags};
	if (!m)
		return ghi_ret(ghi_sys_program(SYS_recvmsg, fd, m, flags));
	long r = recv_any(self, fd, &c);
	if (r >= 0 && m->msg_control)
		note_rights(m);
	return ghi_ret(r);
}

/* recvmmsg: waits for the first (or, without MSG_WAITFORONE, for all) up to the timeout, which the
 * kernel too checks only between messages. */
EXPORT int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t)
{
	HOOK_ENTER(self, REAL(recvmmsg)(fd, m, n, flags, t));
	struct timespec limit;
	int each = flags & ~MSG_WAITFORONE;
	unsigned got = 0;

	if (t && ghi_copy_in(&limit, t, sizeof(limit)) < 0)
		return (int)ghi_ret(-EFAULT);
	if (t && (limit.tv_sec < 0 || ghi_ts_invalid(&limit)))
		return (int)ghi_ret(-EINVAL);
	if (!n || !m) /* the kernel's answer */
		return (int)ghi_ret(ghi_sys_program(SYS_recvmmsg, fd, m, n, flags, t));
	uint64_t end = t ? ghi_deadline_in(ghi_ts_to_ns(&limit)) : GHI_NEVER;
	while (got < n && got < 1024) {
		struct call c = {.m = &m[got].msg_hdr, .flags = each};
		long r = recv_any(self, fd, &c);
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

static long try_send(struct ghi_io *io, struct ghi_fd *e)
{
	struct call *c = io->args;
	int flags = c->flags | MSG_DONTWAIT;
	return c->m ? ghi_sys_program(SYS_sendmsg, io->fd, c->m, flags)
		    : ghi_sys_program(SYS_sendto, io->fd, c->buf, c->n, flags, c->a, c->len);
}

static long block_send(struct ghi_io *io)
{
	struct call *c = io->args;
	struct ghi_gthread *self = ghi_self();
	return c->m ? ghi_sys_point(self, SYS_sendmsg, io->fd, c->m, c->flags)
		    : ghi_sys_point(self, SYS_sendto, io->fd, c->buf, c->n, c->flags, c->a, c->len);
}

/* A datagram goes out whole or not at all; of a stream's message the control data and the address
 * went with the first piece. */
static inline struct ghi_io sending(int fd, struct call *c)
{
	return (struct ghi_io){.fd = fd,
			       .dir = GHI_WR,
			       .why = GHI_PARK_WRITE,
			       .try = try_send,
			       .block = block_send,
			       .args = c,
			       .dontwait = c->flags & MSG_DONTWAIT,
			       .restarts = true};
}

static long send_all(struct ghi_gthread *self, struct ghi_io *io)
{
	struct call *c = io->args;
	long r = ghi_io_run(self, io);

	if (r <= 0)
		return r;
	struct iovec one = {c->buf, c->n};
	return ghi_io_rest(self, io, c->m ? c->m->msg_iov : &one, c->m ? (int)c->m->msg_iovlen : 1,
			   (size_t)r, c->flags);
}

static long send_any(struct ghi_gthread *self, int fd, struct call *c)
{
	struct ghi_io io = sending(fd, c);
	return send_all(self, &io);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to,
		      socklen_t tn)
{
	HOOK_ENTER(self, REAL(sendto)(fd, buf, n, flags, to, tn));
	struct call c = {
	    .buf = (void *)buf, .n = n, .flags = flags, .a = (struct sockaddr *)to, .len = tn};
	struct ghi_quick q;
	if ((flags & ~(MSG_NOSIGNAL | MSG_MORE)) || !ghi_quick_enter(self, fd, GHI_WR, &q))
		return ghi_ret(send_any(self, fd, &c));
	long r = ghi_sys_program(SYS_sendto, fd, buf, n, flags | MSG_DONTWAIT, to, tn);
	if (r == (long)n) {
		ghi_quick_leave(&q, GHI_WR, false);
		return r;
	}
	struct ghi_io io = sending(fd, &c);
	ghi_quick_failed(&q, &io, r);
	return ghi_ret(send_all(self, &io));
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	if (!ghi_self())
		return REAL(send)(fd, buf, n, flags);
	return sendto(fd, buf, n, flags, NULL, 0);
}

/* Descriptors travelled: others share these files from now on. */
static void note_sent(struct msghdr *m)
{
	if (!m->msg_control)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			ghi_fd_mark_all_shared();
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	HOOK_ENTER(self, REAL(sendmsg)(fd, m, flags));
	struct call c = {.m = (struct msghdr *)m, .flags = flags};
	if (!m)
		return ghi_ret(ghi_sys_program(SYS_sendmsg, fd, m, flags));
	long r = send_any(self, fd, &c);
	if (r >= 0)
		note_sent(c.m);
	return ghi_ret(r);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	HOOK_ENTER(self, REAL(sendmmsg)(fd, m, n, flags));
	unsigned sent = 0;
	if (!n || !m)
		return (int)ghi_ret(ghi_sys_program(SYS_sendmmsg, fd, m, n, flags));
	for (; sent < n && sent < 1024; sent++) {
		struct call c = {.m = &m[sent].msg_hdr, .flags = flags};
		long r = send_any(self, fd, &c);
		if (r < 0)
			return sent ? (int)sent : (int)ghi_ret(r);
		note_sent(c.m);
		m[sent].msg_len = (unsigned)r;
	}
	return (int)sent;
}
