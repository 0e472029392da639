/* Asking the kernel about a descriptor; see fdkind.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "src/fdkind.h"

enum ghi_fd_kind ghi_fd_socket_kind(int domain, int type)
{
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
		return GHI_FD_SOCKET;
	if (domain == AF_INET || domain == AF_INET6)
		return GHI_FD_TCP;
	return domain == AF_UNIX ? GHI_FD_UNIX_STREAM : GHI_FD_SOCKET;
}

uint64_t ghi_fd_socket_timeout(int fd, int dir)
{
	struct timeval t = {0};
	socklen_t n = sizeof(t);
	ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, dir == GHI_RD ? SO_RCVTIMEO : SO_SNDTIMEO, &t, &n);
	return (uint64_t)t.tv_sec * GHI_SEC + (uint64_t)t.tv_usec * GHI_US;
}

/* /dev/null, zero, full and urandom: nothing to wait for. */
static bool answers_always(dev_t dev)
{
	unsigned n = minor(dev);
	return major(dev) == 1 && (n == 3 || n == 5 || n == 7 || n == 9);
}

void ghi_fd_classify(int fd, struct ghi_fd *e)
{
	struct stat st;
	int domain = 0, type = 0;
	socklen_t n = sizeof(int);

	if (e->kind != GHI_FD_UNKNOWN || ghi_sys(SYS_fstat, fd, &st) < 0)
		return;
	/* Files: a call that may wait for the disk takes the whole request, as natively; RWF_NOWAIT
	 * would answer with the part that is cached. */
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode)) {
		e->kind = GHI_FD_FILE;
	} else if (S_ISCHR(st.st_mode)) {
		e->kind = answers_always(st.st_rdev) ? GHI_FD_FILE : GHI_FD_CHAR;
	} else if (!S_ISSOCK(st.st_mode)) {
		e->kind = (st.st_mode & S_IFMT) ? GHI_FD_POLLED : GHI_FD_ANON;
	} else if (ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
		   ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0) {
		/* Where it comes from somebody may have set timeouts already. */
		e->timeout[GHI_RD] = ghi_fd_socket_timeout(fd, GHI_RD);
		e->timeout[GHI_WR] = ghi_fd_socket_timeout(fd, GHI_WR);
		e->kind = (uint8_t)ghi_fd_socket_kind(domain, type);
	}
}

/* Without an answer: the call itself knows, and is handed off while it blocks. */
bool ghi_fd_ready_now(int fd, int dir)
{
	struct pollfd p = {.fd = fd, .events = dir == GHI_RD ? POLLIN : POLLOUT};
	struct timespec now = {0, 0};
	long r;
	do /* a kick came in it: nothing was ready, but look again */
		r = ghi_sys(SYS_ppoll, &p, 1, &now, NULL, 8);
	while (r == -EINTR);
	return r != 0;
}
