/* Making, connecting and accepting sockets; see include/greenhook/net.h.
 *
 * Owns: the options that sockets of ours have.  Called by: programs.  Must not know: what goes
 * through them.
 *
 * A socket is made non-blocking, is connected, and is a blocking one when the program sees it:
 * until then nobody else has its number.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <greenhook/task.h>
#include "src/native/io.h"
#include "src/native/misuse.h"
#include "src/native/net.h"

static int option(int fd, int level, int name, int value)
{
	return (int)ghi_sys_program(SYS_setsockopt, fd, level, name, &value, sizeof(value));
}

static int make(int family, int type)
{
	long fd = ghi_sys_program(SYS_socket, family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) /* without gthreads: only what an earlier socket left is dropped */
		ghi_fd_fresh((int)fd,
			     ghi_self() ? ghi_fd_socket_kind(family, type) : GHI_FD_UNKNOWN);
	return (int)fd;
}

static int drop(int fd, int error)
{
	ghi_fd_forget(fd);
	ghi_sys(SYS_close, fd);
	return error;
}

/* Blocking, for plain calls on it. */
static int finish(int fd)
{
	long flags = ghi_sys_program(SYS_fcntl, fd, F_GETFL);
	long r =
	    flags < 0 ? flags : ghi_sys_program(SYS_fcntl, fd, F_SETFL, flags & ~(long)O_NONBLOCK);
	return r < 0 ? drop(fd, (int)r) : fd;
}

static int family_of(const gh_addr *a)
{
	return ((const struct sockaddr *)a->data)->sa_family;
}

/* ---- binding -----------------------------------------------------------------------------------
 */

static int bind_to(const gh_addr *a, int type, int backlog)
{
	int fd = make(family_of(a), type), r = 0;
	bool listens = type == SOCK_STREAM;

	if (fd < 0)
		return fd;
	if (listens && family_of(a) != AF_UNIX)
		r = option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!r)
		r = (int)ghi_sys_program(SYS_bind, fd, a->data, a->len);
	if (!r && listens)
		r = (int)ghi_sys_program(SYS_listen, fd, backlog ? backlog : SOMAXCONN);
	return r < 0 ? drop(fd, r) : finish(fd);
}

/* All addresses of this machine: IPv6 that takes IPv4 too, or IPv4 where there is nothing else. */
static int bind_any(int port, int type, int backlog)
{
	gh_addr a = {.len = sizeof(struct sockaddr_in6)};
	struct sockaddr_in6 *six = (void *)a.data;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)port);
	int r = bind_to(&a, type, backlog);
	if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
		return r;
	a = (gh_addr){.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *four = (void *)a.data;
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)port);
	return bind_to(&a, type, backlog);
}

static int bind_name(const char *host, int port, int type, int backlog)
{
	gh_addr a[GHI_NET_ADDRESSES];

	if (port < 0 || port > 65535 || backlog < 0)
		return -EINVAL;
	if (!host)
		return bind_any(port, type, backlog);
	int n = gh_resolve(host, port, a, GHI_NET_ADDRESSES), r = n;
	for (int i = 0; i < n; i++)
		if ((r = bind_to(&a[i], type, backlog)) >= 0)
			break;
	return r;
}

int gh_tcp_listen(const char *host, int port, int backlog)
{
	return bind_name(host, port, SOCK_STREAM, backlog);
}

int gh_udp_bind(const char *host, int port)
{
	return bind_name(host, port, SOCK_DGRAM, 0);
}

int gh_unix_listen(const char *path, int backlog)
{
	gh_addr a;
	int r = backlog < 0 ? -EINVAL : ghi_addr_unix(path, &a);
	return r ? r : bind_to(&a, SOCK_STREAM, backlog);
}

int gh_unix_bind(const char *path)
{
	gh_addr a;
	int r = ghi_addr_unix(path, &a);
	return r ? r : bind_to(&a, SOCK_DGRAM, 0);
}

/* ---- connecting --------------------------------------------------------------------------------
 */

/* How a connect that is under way has ended. */
static long try_connected(struct ghi_native_io *io)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (!ghi_fd_ready_now(io->fd, GHI_WR))
		return -EAGAIN;
	long r = ghi_sys_program(SYS_getsockopt, io->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	return r < 0 ? r : -error;
}

static int dial(const gh_addr *a, int type, gh_time until)
{
	int fd = make(family_of(a), type);
	gh_time pause = GH_US(200);
	long r;

	if (fd < 0)
		return fd;
	while ((r = ghi_sys_program(SYS_connect, fd, a->data, a->len)) == -EAGAIN || r == -EINTR) {
		/* A Unix listener's queue is full, and nothing tells when it is not. */
		gh_time now = gh_now();
		if (until <= now)
			return drop(fd, -ETIMEDOUT);
		r = gh_sleep_until(pause < until - now ? now + pause : until);
		if (r < 0 && r != -EINTR)
			return drop(fd, (int)r);
		pause = pause < GH_MS(20) ? pause * 2 : pause;
	}
	if (r == -EINPROGRESS) {
		struct ghi_native_io io = {
		    .fd = fd, .dir = GHI_WR, .why = GHI_PARK_CONNECT, .try = try_connected};
		r = ghi_native_io(&io, true, until);
	}
	if (r < 0)
		return drop(fd, (int)r);
	if (ghi_fd_socket_kind(family_of(a), type) == GHI_FD_TCP)
		option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return finish(fd);
}

static int dial_name(const char *host, int port, int type, gh_time until)
{
	gh_addr a[GHI_NET_ADDRESSES];

	if (!host || port < 1 || port > 65535)
		return -EINVAL;
	int n = gh_resolve_until(host, port, a, GHI_NET_ADDRESSES, until), r = n;
	for (int i = 0; i < n; i++)
		if ((r = dial(&a[i], type, until)) >= 0 || r == -ETIMEDOUT || r == -ECANCELED)
			break;
	return r;
}

int gh_dial(const gh_addr *to, gh_time until)
{
	if (!to || to->len < sizeof(sa_family_t) || to->len > sizeof(to->data))
		return -EINVAL;
	return ghi_native_cancelled() ? -ECANCELED : dial(to, SOCK_STREAM, until);
}

int gh_tcp_dial_until(const char *host, int port, gh_time until)
{
	return dial_name(host, port, SOCK_STREAM, until);
}

int gh_tcp_dial(const char *host, int port)
{
	return dial_name(host, port, SOCK_STREAM, GH_FOREVER);
}

int gh_udp_dial(const char *host, int port)
{
	return dial_name(host, port, SOCK_DGRAM, GH_FOREVER);
}

int gh_unix_dial_until(const char *path, gh_time until)
{
	gh_addr a;
	int r = ghi_addr_unix(path, &a);
	if (!r && ghi_native_cancelled())
		r = -ECANCELED;
	return r ? r : dial(&a, SOCK_STREAM, until);
}

int gh_unix_dial(const char *path)
{
	return gh_unix_dial_until(path, GH_FOREVER);
}

/* ---- accepting ---------------------------------------------------------------------------------
 */

/* As in hooks/socket.c: between poll and accept only one thread per listener, since accept has no
 * per-call flag; if another process was faster the call waits in the kernel. */
static long try_accept(struct ghi_native_io *io)
{
	gh_addr *peer = io->arg;
	socklen_t len = sizeof(peer->data);
	long r = -EAGAIN;

	if (!io->e && !(io->e = ghi_fd_get(io->fd)))
		return -EBADF;
	for (int i = 0; load_relaxed(&io->e->accepting) && i < 20; i++)
		gh_yield();
	ghi_nosig_enter();
	if (ghi_fd_accept_enter(io->e)) {
		if (ghi_fd_ready_now(io->fd, GHI_RD))
			r = GHI_NATIVE_BLOCKING(
			    ghi_sys_program(SYS_accept4, io->fd, peer->data, &len, SOCK_CLOEXEC));
		ghi_fd_accept_leave(io->e);
	}
	ghi_nosig_leave();
	if (r >= 0)
		peer->len = len;
	return r == -EINTR || r == -ECONNABORTED ? -EAGAIN : r;
}

int gh_accept_until(int fd, gh_addr *peer, gh_time until)
{
	gh_addr unused;
	int yes = 0;
	socklen_t n = sizeof(yes);
	struct ghi_native_io io = {.fd = fd,
				   .dir = GHI_RD,
				   .why = GHI_PARK_ACCEPT,
				   .try = try_accept,
				   .arg = peer ? peer : &unused};
	/* What does not listen is refused at once, and would be waited for otherwise. */
	struct ghi_fd *e = ghi_fd_peek(fd);
	if (!e || !e->listens) {
		long r = ghi_sys_program(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n);
		if (r < 0 || !yes)
			return r < 0 ? (int)r : -EINVAL;
		if ((e = ghi_fd_get(fd)))
			e->listens = true;
	}
	long r = ghi_native_io(&io, true, until);
	if (r < 0)
		return (int)r;
	const gh_addr *a = io.arg;
	enum ghi_fd_kind kind = ghi_fd_socket_kind(family_of(a), SOCK_STREAM);
	ghi_fd_fresh((int)r, ghi_self() ? kind : GHI_FD_UNKNOWN);
	if (kind == GHI_FD_TCP)
		option((int)r, IPPROTO_TCP, TCP_NODELAY, 1);
	return (int)r;
}

int gh_accept(int fd, gh_addr *peer)
{
	return gh_accept_until(fd, peer, GH_FOREVER);
}

/* ---- addresses of a socket ----------------------------------------------------------------------
 */

static int name_of(int fd, long nr, gh_addr *ret)
{
	socklen_t len = sizeof(ret->data);
	if (!ret)
		return ghi_misuse(nr == SYS_getsockname ? "gh_net_local" : "gh_net_peer", -EINVAL,
				  "the result is NULL");
	long r = ghi_sys_program(nr, fd, ret->data, &len);
	if (r == 0)
		ret->len = len;
	return (int)r;
}

int gh_net_local(int fd, gh_addr *ret)
{
	return name_of(fd, SYS_getsockname, ret);
}

int gh_net_peer(int fd, gh_addr *ret)
{
	return name_of(fd, SYS_getpeername, ret);
}
