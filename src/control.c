/* The control thread; see control.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "src/blocked.h"
#include "src/control.h"
#include "src/helper.h"
#include "src/poller.h"
#include "src/signal.h"

enum { REQUEST = 256, PEER_SECONDS = 2 };

static struct {
	int wake, listener; /* eventfd, socket; -1: none */
	uint32_t woken;	    /* an unread wake-up is in the eventfd */
	struct sockaddr_un name;
} control = {.wake = -1, .listener = -1};

/* ---- the socket ----------------------------------------------------------------------------- */

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

static void open_socket(void)
{
	if (!ghi_config.control || getauxval(AT_SECURE) || !name_socket(&control.name))
		return;
	int fd = ghi_poller_adopt(
	    ghi_sys(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return;
	/* Of a process that had this number before, or of this one before it called exec. */
	ghi_sys(SYS_unlinkat, AT_FDCWD, control.name.sun_path, 0);
	/* The name gets the mode of the socket. */
	if (ghi_sys(SYS_fchmod, fd, 0600) == 0 &&
	    ghi_sys(SYS_bind, fd, &control.name, sizeof(control.name)) == 0 &&
	    ghi_sys(SYS_listen, fd, 4) == 0) {
		control.listener = fd;
		return;
	}
	ghi_poller_drop(fd);
}

/* ---- one request ---------------------------------------------------------------------------- */

static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	return ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       (peer.uid == 0 || peer.uid == (uid_t)ghi_sys(SYS_geteuid));
}

static bool read_line(int fd, char *line, size_t size)
{
	for (size_t have = 0; have < size;) {
		long n = ghi_sys(SYS_recvfrom, fd, line + have, size - have, 0, NULL, NULL);
		if (n <= 0)
			return false;
		char *end = memchr(line + have, '\n', (size_t)n);
		if (end) {
			*end = 0;
			return true;
		}
		have += (size_t)n;
	}
	return false;
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n) {
		long sent = ghi_sys(SYS_sendto, fd, p, n, MSG_NOSIGNAL, NULL, 0);
		if (sent <= 0)
			return;
		p += sent;
		n -= (size_t)sent;
	}
}

static void answer(int fd, const char *request)
{
	static const char unknown[] = "greenhook: this process does not know that request\n";
	if (strcmp(request, "report")) {
		send_all(fd, unknown, sizeof(unknown) - 1);
		return;
	}
	long buf = ghi_sys(SYS_mmap, NULL, GHI_REPORT_BYTES, 3, 0x22, -1, 0);
	if (buf < 0 && buf > -4096)
		return;
	send_all(fd, (char *)buf, ghi_blocked_report((char *)buf, GHI_REPORT_BYTES));
	ghi_sys(SYS_munmap, buf, GHI_REPORT_BYTES);
}

static void serve(void)
{
	struct {
		int64_t sec, usec;
	} limit = {.sec = PEER_SECONDS};
	char line[REQUEST];
	int fd = ghi_poller_adopt(ghi_sys(SYS_accept4, control.listener, NULL, NULL, SOCK_CLOEXEC));

	if (fd < 0)
		return;
	ghi_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ghi_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (may_ask(fd) && read_line(fd, line, sizeof(line)))
		answer(fd, line);
	ghi_poller_drop(fd);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void *control_main(void *arg)
{
	uint64_t mask = ~GHI_SIG_OURS, count;

	sys_sigprocmask(SIG_SETMASK, &mask, NULL);
	ghi_sys(SYS_prctl, 15 /* PR_SET_NAME */, "greenhook-ctl");
	for (;;) {
		struct pollfd p[2] = {{control.wake, POLLIN, 0}, {control.listener, POLLIN, 0}};
		ghi_sys(SYS_ppoll, p, 2, NULL, NULL, 8);
		/* A program that closes every number above 2 closes ours, and may use them again.
		 */
		if ((p[0].revents | p[1].revents) & POLLNVAL)
			return arg;
		if (p[0].revents & POLLIN) {
			ghi_sys(SYS_read, control.wake, &count, sizeof(count));
			xchg_acq_rel(&control.woken, 0u);
		}
		ghi_blocked_collect();
		if (p[1].revents & POLLIN)
			serve();
	}
}

void ghi_control_start(void)
{
	control.wake = ghi_poller_adopt(ghi_sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (control.wake < 0)
		return;
	control.woken = 0;
	open_socket();
	ghi_helper_start(control_main);
}

void ghi_control_collect(void)
{
	uint64_t one = 1;
	if (xchg_acq_rel(&control.woken, 1u) == 0)
		ghi_sys(SYS_write, control.wake, &one, sizeof(one));
}

void ghi_control_end(void)
{
	if (control.listener >= 0)
		ghi_sys(SYS_unlinkat, AT_FDCWD, control.name.sun_path, 0);
}

void ghi_control_after_fork(void)
{
	if (control.wake >= 0)
		ghi_poller_drop(control.wake);
	if (control.listener >= 0)
		ghi_poller_drop(control.listener);
	control.wake = control.listener = -1;
}
