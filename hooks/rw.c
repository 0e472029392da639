/* read, write and their vectors.
 *
 * A vector is looked at by the kernel first (preadv2, pwritev2): a bad address, a bad length and a
 * sum of nothing are its to judge, before anything waits.
 */
#include <limits.h>

#include "hooks/quick.h"

struct vec {
	const struct iovec *v;
	int n;
	bool vector; /* the program's own: not looked at before the kernel has */
};

static long try_read(struct ghi_io *io, struct ghi_fd *e)
{
	struct vec *a = io->args;
	long r = a->vector ? ghi_io_nowait(io, e, SYS_preadv2, a->v, a->n)
			   : ghi_io_read(io, e, a->v->iov_base, a->v->iov_len);
	if (r > 0 && e->kind == GHI_FD_TCP)
		io->took_all = (size_t)r < ghi_io_sum(a->v, a->n);
	return r;
}

static long block_read(struct ghi_io *io)
{
	struct vec *a = io->args;
	if (!a->vector)
		return ghi_sys_point(ghi_self(), SYS_read, io->fd, a->v->iov_base, a->v->iov_len);
	return ghi_sys_point(ghi_self(), SYS_readv, io->fd, a->v, a->n);
}

static long try_write(struct ghi_io *io, struct ghi_fd *e)
{
	struct vec *a = io->args;
	return a->vector ? ghi_io_nowait(io, e, SYS_pwritev2, a->v, a->n)
			 : ghi_io_write(io, e, a->v->iov_base, a->v->iov_len);
}

static long block_write(struct ghi_io *io)
{
	struct vec *a = io->args;
	if (!a->vector)
		return ghi_sys_point(ghi_self(), SYS_write, io->fd, a->v->iov_base, a->v->iov_len);
	return ghi_sys_point(ghi_self(), SYS_writev, io->fd, a->v, a->n);
}

static inline struct ghi_io reading(int fd, struct vec *a)
{
	return (struct ghi_io){.fd = fd,
			       .dir = GHI_RD,
			       .why = GHI_PARK_READ,
			       .try = try_read,
			       .block = block_read,
			       .args = a,
			       .restarts = true};
}

static inline struct ghi_io writing(int fd, struct vec *a)
{
	return (struct ghi_io){.fd = fd,
			       .dir = GHI_WR,
			       .why = GHI_PARK_WRITE,
			       .try = try_write,
			       .block = block_write,
			       .args = a,
			       .restarts = true};
}

static long write_all(struct ghi_gthread *self, struct ghi_io *io)
{
	struct vec *a = io->args;
	long r = ghi_io_run(self, io);
	return r > 0 ? ghi_io_rest(self, io, a->v, a->n, (size_t)r, 0) : r;
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	HOOK_ENTER(self, REAL(read)(fd, buf, n));
	if (n == 0 || n > SSIZE_MAX) { /* nothing to wait for */
		ghi_cancel_point(self);
		return ghi_ret(ghi_sys_program(SYS_read, fd, buf, n));
	}
	struct ghi_quick q;
	long r = 0;
	bool tried = ghi_quick_enter(self, fd, GHI_RD, &q);
	if (tried && (r = ghi_quick_read(&q, fd, buf, n)) > 0) {
		ghi_quick_leave(&q, GHI_RD, q.e->kind == GHI_FD_TCP && (size_t)r < n);
		return r;
	}
	struct ghi_fd *e = ghi_fd_at(fd);
	if (!tried && e && e->kind == GHI_FD_FILE)
		return ghi_ret(ghi_io_file(self, fd, e, SYS_read, buf, n));
	struct iovec v = {buf, n};
	struct vec a = {&v, 1, false};
	struct ghi_io io = reading(fd, &a);
	if (tried)
		ghi_quick_failed(&q, &io, r);
	return ghi_ret(ghi_io_run(self, &io));
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		return REAL(__read_chk)(fd, buf, n, room); /* ends the program */
	return read(fd, buf, n);
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	HOOK_ENTER(self, REAL(write)(fd, buf, n));
	if (n == 0 || n > SSIZE_MAX) {
		ghi_cancel_point(self);
		return ghi_ret(ghi_sys_program(SYS_write, fd, buf, n));
	}
	struct ghi_quick q;
	long r = 0;
	bool tried = ghi_quick_enter(self, fd, GHI_WR, &q);
	if (tried && (r = ghi_quick_write(&q, fd, buf, n)) == (long)n) {
		ghi_quick_leave(&q, GHI_WR, false);
		return r;
	}
	struct ghi_fd *e = ghi_fd_at(fd);
	if (!tried && e && e->kind == GHI_FD_FILE)
		return ghi_ret(ghi_io_file(self, fd, e, SYS_write, (void *)buf, n));
	struct iovec v = {(void *)buf, n};
	struct vec a = {&v, 1, false};
	struct ghi_io io = writing(fd, &a);
	if (tried)
		ghi_quick_failed(&q, &io, r);
	return ghi_ret(write_all(self, &io));
}

EXPORT ssize_t readv(int fd, const struct iovec *v, int n)
{
	HOOK_ENTER(self, REAL(readv)(fd, v, n));
	struct vec a = {v, n, true};
	struct ghi_io io = reading(fd, &a);
	return ghi_ret(ghi_io_run(self, &io));
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	HOOK_ENTER(self, REAL(writev)(fd, v, n));
	struct vec a = {v, n, true};
	struct ghi_io io = writing(fd, &a);
	return ghi_ret(write_all(self, &io));
}
