/* Sending and receiving on sockets; see include/greenhook/net.h.  Making and connecting them:
 * net_dial.c, names and addresses: net_addr.c.
 *
 * Owns: nothing.  Called by: programs.  Must not know: addresses.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <greenhook/net.h>
#include "src/native/io.h"
#include "src/poller.h"

static long try_recv(struct ghi_native_io *io)
{
	return ghi_sys_program(SYS_recvfrom, io->fd, io->buf, io->n, MSG_DONTWAIT, NULL, NULL);
}

static int64_t receive(int fd, void *buf, size_t n, bool waits, gh_time until)
{
	struct ghi_native_io io = {
	    .fd = fd, .dir = GHI_RD, .why = GHI_PARK_READ, .try = try_recv, .buf = buf, .n = n};
	return ghi_native_io(&io, waits, until);
}

int64_t gh_recv(int fd, void *buf, size_t n)
{
	return receive(fd, buf, n, true, GH_FOREVER);
}

int64_t gh_recv_try(int fd, void *buf, size_t n)
{
	return receive(fd, buf, n, false, 0);
}

int64_t gh_recv_until(int fd, void *buf, size_t n, gh_time until)
{
	return receive(fd, buf, n, true, until);
}

static long try_send(struct ghi_native_io *io)
{
	return ghi_sys_program(SYS_sendto, io->fd, io->buf, io->n, MSG_DONTWAIT | MSG_NOSIGNAL,
			       NULL, 0);
}

static int64_t send_all(int fd, const void *buf, size_t n, bool waits, gh_time until)
{
	size_t done = 0;

	do {
		struct ghi_native_io io = {.fd = fd,
					   .dir = GHI_WR,
					   .why = GHI_PARK_WRITE,
					   .try = try_send,
					   .buf = (char *)buf + done,
					   .n = n - done};
		long r = ghi_native_io(&io, waits, until);
		if (r < 0)
			return done ? (int64_t)done : r;
		done += (size_t)r;
	} while (done < n && waits);
	return (int64_t)done;
}

int64_t gh_send(int fd, const void *buf, size_t n)
{
	return send_all(fd, buf, n, true, GH_FOREVER);
}

int64_t gh_send_try(int fd, const void *buf, size_t n)
{
	return send_all(fd, buf, n, false, 0);
}

int64_t gh_send_until(int fd, const void *buf, size_t n, gh_time until)
{
	return send_all(fd, buf, n, true, until);
}

/* ---- datagrams ---------------------------------------------------------------------------------
 */

static bool is_unix(int fd)
{
	int domain = 0;
	socklen_t n = sizeof(domain);
	return ghi_sys_program(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	       domain == AF_UNIX;
}

static long try_recvfrom(struct ghi_native_io *io)
{
	gh_addr *from = io->arg;
	socklen_t len = from ? sizeof(from->data) : 0;
	long r = ghi_sys_program(SYS_recvfrom, io->fd, io->buf, io->n, MSG_DONTWAIT,
				 from ? from->data : NULL, from ? &len : NULL);
	if (r >= 0 && from) {
		from->len = len;
		if (!len && is_unix(io->fd)) { /* the kernel has nothing to say of unnamed ones */
			((struct sockaddr *)from->data)->sa_family = AF_UNIX;
			from->len = sizeof(sa_family_t);
		}
	}
	return r;
}

int64_t gh_recvfrom(int fd, void *buf, size_t n, gh_addr *from, gh_time until)
{
	struct ghi_native_io io = {.fd = fd,
				   .dir = GHI_RD,
				   .why = GHI_PARK_READ,
				   .try = try_recvfrom,
				   .buf = buf,
				   .n = n,
				   .arg = from};
	return ghi_native_io(&io, true, until);
}

static long try_sendto(struct ghi_native_io *io)
{
	const gh_addr *to = io->arg;
	return ghi_sys_program(SYS_sendto, io->fd, io->buf, io->n, MSG_DONTWAIT | MSG_NOSIGNAL,
			       to ? to->data : NULL, to ? to->len : 0);
}

int64_t gh_sendto(int fd, const void *buf, size_t n, const gh_addr *to, gh_time until)
{
	struct ghi_native_io io = {.fd = fd,
				   .dir = GHI_WR,
				   .why = GHI_PARK_WRITE,
				   .try = try_sendto,
				   .buf = (void *)buf,
				   .n = n,
				   .arg = (void *)to};
	return ghi_native_io(&io, true, until);
}

/* ---- the end, options ---------------------------------------------------------------------------
 */

int gh_half_close(int fd, int how)
{
	return (int)ghi_sys_program(SYS_shutdown, fd, how);
}

int gh_close(int fd)
{
	if (ghi_self() && (ghi_poller_owns(fd) || ghi_worker_owns_fd(fd)))
		return -EBADF;
	ghi_fd_forget(fd);
	return (int)GHI_NATIVE_BLOCKING(ghi_sys_program(SYS_close, fd));
}

static int set(int fd, int level, int name, int value)
{
	return (int)ghi_sys_program(SYS_setsockopt, fd, level, name, &value, sizeof(value));
}

int gh_net_set(int fd, int option, int value)
{
	struct linger linger = {.l_onoff = value};
	int r;

	if (value < 0)
		return -EINVAL;
	switch (option) {
	case GH_NET_NODELAY:
		return set(fd, IPPROTO_TCP, TCP_NODELAY, value != 0);
	case GH_NET_KEEPALIVE:
		if ((r = set(fd, SOL_SOCKET, SO_KEEPALIVE, value != 0)) || !value)
			return r;
		if ((r = set(fd, IPPROTO_TCP, TCP_KEEPIDLE, value)))
			return r;
		return set(fd, IPPROTO_TCP, TCP_KEEPINTVL, value);
	case GH_NET_SEND_BUFFER:
		return set(fd, SOL_SOCKET, SO_SNDBUF, value);
	case GH_NET_RECV_BUFFER:
		return set(fd, SOL_SOCKET, SO_RCVBUF, value);
	case GH_NET_LINGER:
		return (int)ghi_sys_program(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &linger,
					    sizeof(linger));
	case GH_NET_BROADCAST:
		return set(fd, SOL_SOCKET, SO_BROADCAST, value != 0);
	default:
		return -EINVAL;
	}
}
