/* A file to a socket without passing through the program; see include/greenhook/net.h.
 *
 * Owns: nothing.  Called by: programs.  Must not know: what is sent.
 *
 * sendfile(2) has no flags: it waits in the kernel when the socket is full, and an end of the peer
 * raises SIGPIPE.  So room is waited for first, no more is sent at once than a writable socket has
 * free, and the signal of this call is taken back.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include <greenhook/net.h>
#include "src/native/io.h"

enum { LEAST = 16 << 10, MOST = 1 << 20 };

struct piece {
	int in;
	int64_t at;
};

static long call(struct ghi_native_io *io)
{
	struct piece *p = io->arg;
	const struct timespec now = {0, 0};
	const uint64_t pipe = 1ull << (SIGPIPE - 1);
	uint64_t old = 0, pending = 0;
	struct ghi_gthread *self = ghi_self();
	const long a[6] = {io->fd, p->in, (long)&p->at, (long)io->n};

	ghi_sys(SYS_rt_sigprocmask, SIG_BLOCK, &pipe, &old, sizeof(old));
	ghi_sys(SYS_rt_sigpending, &pending, sizeof(pending));
	long r = self ? GHI_FAULT(GHI_FAULT_PROGRAM, SYS_sendfile,
				  ghi_cancel_syscall(ghi_cancel_word(self), SYS_sendfile, a))
		      : ghi_sys_program(SYS_sendfile, a[0], a[1], a[2], a[3]);
	if (r == -EPIPE && !(pending & pipe))
		ghi_sys(SYS_rt_sigtimedwait, &pipe, NULL, &now, sizeof(pipe));
	if (!(old & pipe))
		ghi_sys(SYS_rt_sigprocmask, SIG_UNBLOCK, &pipe, NULL, sizeof(pipe));
	return r;
}

/* What is never written to has an answer at once, as natively. */
static bool listens(int fd)
{
	int yes = 0;
	socklen_t n = sizeof(yes);
	return ghi_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

static long no_room(struct ghi_native_io *io)
{
	struct piece *p = io->arg;
	char c;

	if (listens(io->fd))
		return call(io);
	/* The end of the file takes no room. */
	return ghi_sys(SYS_pread64, p->in, &c, 1L, (long)p->at) == 0 ? 0 : -EAGAIN;
}

static long try_sendfile(struct ghi_native_io *io)
{
	return GHI_NATIVE_BLOCKING(ghi_fd_ready_now(io->fd, GHI_WR) ? call(io) : no_room(io));
}

/* A writable stream socket has at least a third of its buffer free. */
static size_t piece_of(int out)
{
	int size = 0;
	socklen_t n = sizeof(size);
	long r = ghi_sys_program(SYS_getsockopt, out, SOL_SOCKET, SO_SNDBUF, &size, &n);

	if (r < 0)
		return 0;
	size = size / 4 & ~4095;
	return size < LEAST ? LEAST : size > MOST ? MOST : (size_t)size;
}

int64_t gh_sendfile(int out, int in, int64_t at, size_t n, gh_time until)
{
	struct piece p = {in, at};
	size_t most = piece_of(out), done = 0;

	if (at < 0)
		return -EINVAL;
	if (!most) {
		gh_addr unused;
		return gh_net_local(out, &unused); /* -EBADF or -ENOTSOCK */
	}
	if (!n)
		return 0;
	do {
		struct ghi_native_io io = {.fd = out,
					   .dir = GHI_WR,
					   .why = GHI_PARK_WRITE,
					   .try = try_sendfile,
					   .n = n - done < most ? n - done : most,
					   .arg = &p};
		long r = ghi_native_io(&io, true, until);
		if (r < 0)
			return done ? (int64_t)done : r;
		if (r == 0) /* the end of the file */
			break;
		done += (size_t)r;
	} while (done < n);
	return (int64_t)done;
}
