/* The control socket: its folder, its name, who may connect; see control.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "src/control.h"
#include "src/gthread.h"
#include "src/poller.h"
#include "src/tls.h"

enum { PEER_SECONDS = 2 };

static struct {
	int listener; /* -1: none */
	uint64_t inode;
	struct sockaddr_un name;
} sock = {.listener = -1};

/* A folder that is the user's own and closed to others; made when it is not there. */
static bool folder(const char *path)
{
	struct stat st;
	long r = ghi_sys(SYS_mkdirat, AT_FDCWD, path, 0700);
	if (r < 0 && r != -EEXIST)
		return false;
	r = ghi_sys(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW);
	return r == 0 && S_ISDIR(st.st_mode) && st.st_uid == (uid_t)ghi_sys(SYS_geteuid) &&
	       (st.st_mode & 077) == 0;
}

static bool name_socket(struct sockaddr_un *ret)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char dir[sizeof(ret->sun_path)];
	size_t n = run && *run == '/' ? ghi_format(dir, sizeof(dir), "%s/greenhook", run)
				      : ghi_format(dir, sizeof(dir), "/tmp/greenhook-%u",
						   (unsigned)ghi_sys(SYS_geteuid));
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n > sizeof(dir) - 20 || !folder(dir))
		return false;
	ghi_format(ret->sun_path, sizeof(ret->sun_path), "%s/%d.sock", dir, sys_getpid());
	return true;
}

static uint64_t inode_of(int fd)
{
	struct stat st;
	return ghi_sys(SYS_fstat, fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

bool ghi_control_socket_open(void)
{
	if (!ghi_config.control || getauxval(AT_SECURE) || !name_socket(&sock.name))
		return false;
	int fd = ghi_poller_adopt(
	    ghi_sys(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return false;
	/* Of a process that had this number before, or of this one before it called exec. */
	ghi_sys(SYS_unlinkat, AT_FDCWD, sock.name.sun_path, 0);
	/* The name gets the mode of the socket. */
	if (ghi_sys(SYS_fchmod, fd, 0600) == 0 &&
	    ghi_sys(SYS_bind, fd, &sock.name, sizeof(sock.name)) == 0 &&
	    ghi_sys(SYS_listen, fd, 16) == 0) {
		sock.inode = inode_of(fd);
		store_release(&sock.listener, fd);
		return true;
	}
	ghi_poller_drop(fd);
	return false;
}

int ghi_control_socket(void)
{
	return load_acquire(&sock.listener);
}

bool ghi_control_socket_ours(void)
{
	int fd = load_acquire(&sock.listener);
	return fd >= 0 && sock.inode && inode_of(fd) == sock.inode;
}

static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	return ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       (peer.uid == 0 || peer.uid == (uid_t)ghi_sys(SYS_geteuid));
}

int ghi_control_accept(void)
{
	struct {
		int64_t sec, usec;
	} limit = {.sec = PEER_SECONDS};

	if (!ghi_control_socket_ours())
		return -EBADF;
	ghi_tls_fork_not_now();
	int fd = ghi_poller_adopt(ghi_sys(SYS_accept4, sock.listener, NULL, NULL, SOCK_CLOEXEC));
	ghi_tls_fork_again();
	if (fd < 0)
		return fd;
	ghi_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ghi_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (may_ask(fd))
		return fd;
	ghi_control_hang_up(fd);
	return -EACCES;
}

/* A fork's child may have it as well: the peer is told all the same. */
void ghi_control_hang_up(int fd)
{
	ghi_sys(SYS_shutdown, fd, SHUT_RDWR);
	ghi_poller_drop(fd);
}

void ghi_control_end(void)
{
	if (sock.listener >= 0)
		ghi_sys(SYS_unlinkat, AT_FDCWD, sock.name.sun_path, 0);
}

void ghi_control_socket_forget(void)
{
	if (sock.listener >= 0)
		ghi_poller_drop(sock.listener);
	store_release(&sock.listener, -1);
}
