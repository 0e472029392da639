/* The shared loop of descriptor hooks; see io.h.  DESIGN: per call, try without waiting, then park;
 * the flags of an open file description are never changed. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "hooks/io.h"
#include "hooks/offload.h"

bool ghi_io_nonblock(int fd, struct ghi_fd *e)
{
	uint32_t epoch = load_acquire(&ghi_fd_flags_epoch);
	if (e->flags_epoch == epoch && !e->nonblock && ghi_fd_private(e))
		return false;
	long flags = ghi_sys(SYS_fcntl, fd, F_GETFL);
	e->nonblock = flags >= 0 && (flags & O_NONBLOCK);
	e->flags_epoch = epoch;
	return e->nonblock;
}

static short events_now(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	struct timespec now = {0, 0};
	return ghi_sys(SYS_ppoll, &p, 1, &now, NULL, 8) > 0 ? p.revents : 0;
}

/* A number that was reused behind our back may be no file any more: after a call that took long it
 * is asked again what it is. */
static long after_kernel_thread(struct ghi_gthread *self, struct ghi_fd *e, int dir, bool had_slot,
				long r)
{
	if (dir == GHI_WR && (r == -EPIPE || r == -EFBIG))
		ghi_signal_claim(self, r == -EPIPE ? SIGPIPE : SIGXFSZ);
	if (had_slot && !self->worker->slot)
		e->kind = GHI_FD_UNKNOWN;
	return r;
}

/* The call that may take long. */
static long on_kernel_thread(struct ghi_gthread *self, struct ghi_io *io, struct ghi_fd *e)
{
	bool had = self->worker->slot != NULL;
	long r = BLOCKING_RESTART(self, io->block(io));
	return after_kernel_thread(self, e, io->dir, had, r);
}

long ghi_io_file(struct ghi_gthread *self, int fd, struct ghi_fd *e, long nr, void *buf, size_t n)
{
	bool had = self->worker->slot != NULL;
	long r = BLOCKING_RESTART(self, ghi_sys_point(self, nr, fd, buf, n));
	return after_kernel_thread(self, e, nr == SYS_read ? GHI_RD : GHI_WR, had, r);
}

/* The socket's timeout ended the wait.  It is remembered by number: does it stand? */
static bool timeout_stands(struct ghi_io *io, struct ghi_fd *e)
{
	uint64_t now = ghi_fd_socket_timeout(io->fd, io->dir);
	if (now == e->timeout[io->dir])
		return true;
	e->timeout[io->dir] = now;
	io->until = 0;
	return false;
}

long ghi_io_run(struct ghi_gthread *self, struct ghi_io *io)
{
	struct ghi_fd *e = ghi_fd_get(io->fd);
	uint32_t seq;
	long r;

	if (!io->tried)
		ghi_cancel_point(self);
	if (!e) /* no such number, or one beyond our table */
		return BLOCKING_RESTART(self, io->block(io));
	if (!io->queue)
		ghi_fd_classify(io->fd, e);
	if (e->kind == GHI_FD_FILE && !io->queue)
		return on_kernel_thread(self, io, e);
	if (!io->tried && !io->goes_on)
		self->sig_ran = 0;
	for (;;) {
		bool tried = io->tried;
		io->tried = false;
		seq = tried ? io->seq : load_acquire(&e->seq[io->dir]); /* (F1) */
		/* Known to be empty since the last look: another system call would say EAGAIN (or,
		 * where only whole records come, that the arguments are wrong). */
		bool empty = !tried && io->dir == GHI_RD && e->armed && !io->queue &&
			     e->kind != GHI_FD_ANON && load_relaxed(&e->drained) == seq &&
			     !e->hup && !io->dontwait && !ghi_io_nonblock(io->fd, e);
		if (!empty) {
			r = tried ? io->first : io->try(io, e); /* (F2) */
			if (r != -EAGAIN)
				break;
			if (io->dontwait || ghi_io_nonblock(io->fd, e))
				return r;
			if (io->dir == GHI_RD)
				store_relaxed(&e->drained, seq);
		}
		if (!io->until)
			io->until = io->deadline	  ? io->deadline
				    : e->timeout[io->dir] ? ghi_deadline_in(e->timeout[io->dir])
							  : GHI_NEVER;
		int w = HOOK_WAIT(self, ghi_wait_fd(self, io->fd, io->dir, seq, io->until,
						    io->why)); /* (F3), (F4) */
		io->waited = true;
		if (w == 0)
			continue;
		if (w == -ETIMEDOUT) {
			if (io->deadline)
				return w;
			if (timeout_stands(io, e))
				return -EAGAIN;
			continue;
		}
		if (w == -EINTR || w == -ECANCELED) {
			/* With a timeout set on the socket a call never restarts. */
			if (ghi_hook_interrupted(self, w, io->restarts && !e->timeout[io->dir]))
				return -EINTR;
			continue;
		}
		if (w == -EBADF)
			return w;
		/* Not for epoll (a file), or the system has no memory for a registration. */
		return on_kernel_thread(self, io, e);
	}
	if (r == -EPIPE && io->dir == GHI_WR)
		ghi_signal_claim(self, SIGPIPE);
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

/* ---- reading and writing without blocking --------------------------------------------------- */

size_t ghi_io_sum(const struct iovec *v, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += v[i].iov_len;
	return sum;
}

/* Is it the kernel's to answer at once, ready or not? */
static bool answers_at_once(int fd, struct ghi_fd *e, int dir, const struct iovec *v, int n)
{
	struct iovec one = {0};
	size_t sum = 0;

	if (n <= 0 || n > 1024)
		return true;
	for (int i = 0; i < n && !sum; i++) {
		if (ghi_copy_in(&one, &v[i], sizeof(one)) < 0)
			return true;
		sum += one.iov_len;
	}
	if (!sum)
		return true;
	if (dir != GHI_RD)
		return false;
	if (e->kind == GHI_FD_ANON) {
		/* eventfd, timerfd, signalfd: too short for a record is EINVAL. */
		char link[48], name[32] = "";
		ghi_format(link, sizeof(link), "/proc/self/fd/%d", fd);
		ghi_sys(SYS_readlinkat, AT_FDCWD, link, name, sizeof(name) - 1);
		size_t least = !strcmp(name, "anon_inode:[signalfd]")  ? 128
			       : !strcmp(name, "anon_inode:[eventfd]") ? 8
			       : !strcmp(name, "anon_inode:[timerfd]") ? 8
								       : 0;
		return n == 1 && sum < least;
	}
	if (e->kind == GHI_FD_CHAR) {
		/* A terminal answers without input when it need not wait for a character, stops
		 * whoever reads in the background, and then poll says nothing. */
		struct termios t;
		int group = 0;
		if (ghi_sys(SYS_ioctl, fd, TCGETS, &t) < 0)
			return false;
		if (!(t.c_lflag & ICANON) && t.c_cc[VMIN] == 0)
			return true;
		return ghi_sys(SYS_ioctl, fd, TIOCGPGRP, &group) == 0 &&
		       group != (int)ghi_sys(SYS_getpgid, 0);
	}
	return false;
}

/* Whoever reads a pseudoterminal while its master closes is told EIO; who comes later reads the end
 * of a file that was hung up. */
static bool lost_its_master(struct ghi_io *io, struct ghi_fd *e)
{
	struct stat st;
	return e->kind == GHI_FD_CHAR && io->dir == GHI_RD && (events_now(io->fd, 0) & POLLHUP) &&
	       ghi_sys(SYS_fstat, io->fd, &st) == 0 && major(st.st_rdev) >= 136 &&
	       major(st.st_rdev) <= 143;
}

long ghi_io_nowait(struct ghi_io *io, struct ghi_fd *e, long nr, const struct iovec *v, int n)
{
	long plain = nr == SYS_preadv2 ? SYS_readv : SYS_writev;
	if (!e->no_nowait && ghi_config.rwf_nowait) {
		/* Offset -1: the file position, as read and write use it. */
		long r = ghi_sys_program(nr, io->fd, v, n, -1L, -1L, RWF_NOWAIT);
		/* EPERM: a sandbox that allows read and write, or the file's own answer, which the
		 * plain call repeats. */
		if (r != -EOPNOTSUPP && r != -ENOSYS && r != -EPERM)
			return r;
		e->no_nowait = true;
	}
	/* Terminals, old kernels: readiness first.  If another process is faster, the kernel thread
	 * waits and the monitor hands its slot on. */
	if (!ghi_fd_ready_now(io->fd, io->dir) && !answers_at_once(io->fd, e, io->dir, v, n))
		return -EAGAIN;
	struct ghi_gthread *self = ghi_self();
	long r = BLOCKING_RESTART(self, ghi_sys_point(self, plain, io->fd, v, n));
	return r == 0 && io->waited && lost_its_master(io, e) ? -EIO : r;
}

long ghi_io_read(struct ghi_io *io, struct ghi_fd *e, void *buf, size_t n)
{
	if (ghi_fd_is_socket(e)) {
		long r = ghi_sys_program(SYS_recvfrom, io->fd, buf, n, MSG_DONTWAIT, NULL, NULL);
		if (r != -ENOTSOCK)
			return r;
		e->kind = GHI_FD_UNKNOWN; /* the number was reused behind our back */
		ghi_fd_classify(io->fd, e);
	}
	struct iovec v = {buf, n};
	return ghi_io_nowait(io, e, SYS_preadv2, &v, 1);
}

long ghi_io_write(struct ghi_io *io, struct ghi_fd *e, const void *buf, size_t n)
{
	if (ghi_fd_is_socket(e)) {
		long r = ghi_sys_program(SYS_sendto, io->fd, buf, n, MSG_DONTWAIT, NULL, 0);
		if (r != -ENOTSOCK)
			return r;
		e->kind = GHI_FD_UNKNOWN;
		ghi_fd_classify(io->fd, e);
	}
	struct iovec v = {(void *)buf, n};
	return ghi_io_nowait(io, e, SYS_pwritev2, &v, 1);
}

/* ---- the rest of a call that moves in pieces ------------------------------------------------ */

enum { WINDOW = 64 }; /* of the vector that is left, per system call */

struct rest {
	const struct iovec *v;
	int n;
	size_t done; /* bytes since the start of v */
	int flags;
	bool socket;
};

/* What is left, from where the last piece ended. */
static int window(const struct rest *a, struct iovec *w)
{
	size_t skip = a->done;
	int k = 0;
	for (int i = 0; i < a->n && k < WINDOW; i++) {
		if (skip >= a->v[i].iov_len) {
			skip -= a->v[i].iov_len;
			continue;
		}
		w[k].iov_base = (char *)a->v[i].iov_base + skip;
		w[k++].iov_len = a->v[i].iov_len - skip;
		skip = 0;
	}
	return k;
}

static long try_rest(struct ghi_io *io, struct ghi_fd *e)
{
	struct rest *a = io->args;
	struct iovec w[WINDOW];
	struct msghdr m = {.msg_iov = w, .msg_iovlen = (size_t)window(a, w)};

	if (!a->socket)
		return ghi_io_nowait(io, e, io->dir == GHI_RD ? SYS_preadv2 : SYS_pwritev2, w,
				     (int)m.msg_iovlen);
	/* The kernel leaves an error that comes after the first piece to the next call. */
	if (events_now(io->fd, 0) & POLLERR)
		return -EPIPE;
	return io->dir == GHI_RD ? ghi_sys_program(SYS_recvmsg, io->fd, &m, a->flags | MSG_DONTWAIT)
				 : ghi_sys_program(SYS_sendmsg, io->fd, &m,
						   a->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

static long block_rest(struct ghi_io *io)
{
	struct rest *a = io->args;
	struct iovec w[WINDOW];
	int n = window(a, w);
	return ghi_sys_point(ghi_self(), io->dir == GHI_RD ? SYS_readv : SYS_writev, io->fd, w, n);
}

long ghi_io_rest(struct ghi_gthread *self, struct ghi_io *first, const struct iovec *v, int n,
		 size_t done, int flags)
{
	struct ghi_fd *e = ghi_fd_peek(first->fd);
	struct rest a = {.v = v, .n = n, .done = done, .flags = flags};
	size_t total;

	if (!e || first->dontwait || (e->kind == GHI_FD_FILE && !first->queue) ||
	    done >= (total = ghi_io_sum(v, n)) || ghi_io_nonblock(first->fd, e))
		return (long)done;
	a.socket = ghi_fd_is_socket(e);
	while (a.done < total) {
		struct ghi_io io = *first;
		io.try = try_rest;
		io.block = block_rest;
		io.args = &a;
		io.restarts = io.took_all = false;
		io.goes_on = true;
		long r = ghi_io_run(self, &io);
		first->until = io.until;
		if (r <= 0)
			break;
		a.done += (size_t)r;
	}
	return (long)a.done;
}
