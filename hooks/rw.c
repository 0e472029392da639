/* read, write and their vectors. */
#include <limits.h>

#include "hooks/io.h"

struct vec {
	struct iovec *v; /* first two members: as ghi_io_write_all expects */
	int n;
	size_t want;
};

static long try_read(struct ghi_io *io, struct ghi_fd *e)
{
	struct vec *a = io->args;
	long r = ghi_io_readv(io, e, a->v, a->n);
	io->took_all = e->kind == GHI_FD_TCP && r > 0 && (size_t)r < a->want;
	return r;
}

static long block_read(struct ghi_io *io)
{
	struct vec *a = io->args;
	return ghi_sys_point(ghi_self(), SYS_readv, io->fd, a->v, a->n);
}

static long try_write(struct ghi_io *io, struct ghi_fd *e)
{
	struct vec *a = io->args;
	return ghi_io_writev(io, e, a->v, a->n);
}

static long block_write(struct ghi_io *io)
{
	struct vec *a = io->args;
	return ghi_sys_point(ghi_self(), SYS_writev, io->fd, a->v, a->n);
}

static long read_vec(struct ghi_gthread *self, int fd, const struct iovec *v, int n, size_t want)
{
	struct vec a = {(struct iovec *)v, n, want};
	struct ghi_io io = {.fd = fd,
			    .dir = GHI_RD,
			    .why = GHI_PARK_READ,
			    .try = try_read,
			    .block = block_read,
			    .args = &a,
			    .restarts = true};
	return ghi_io_run(self, &io);
}

static long write_vec(struct ghi_gthread *self, int fd, const struct iovec *v, int n)
{
	struct vec a = {(struct iovec *)v, n, 0};
	struct ghi_io io = {.fd = fd,
			    .dir = GHI_WR,
			    .why = GHI_PARK_WRITE,
			    .try = try_write,
			    .block = block_write,
			    .args = &a,
			    .restarts = true};
	return ghi_io_write_all(self, &io, v, n);
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	HOOK_ENTER(self, REAL(read)(fd, buf, n));
	if (n == 0 || n > SSIZE_MAX)
		return REAL(read)(fd, buf, n);
	struct iovec v = {buf, n};
	return ghi_ret(read_vec(self, fd, &v, 1, n));
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
	if (n == 0 || n > SSIZE_MAX)
		return REAL(write)(fd, buf, n);
	struct iovec v = {(void *)buf, n};
	return ghi_ret(write_vec(self, fd, &v, 1));
}

/* The sum of the lengths, 0 when the kernel should judge the vector itself. */
static size_t checked_size(const struct iovec *v, int n)
{
	size_t sum = 0;
	if (n <= 0 || n > IOV_MAX)
		return 0;
	for (int i = 0; i < n; i++)
		if (v[i].iov_len > SSIZE_MAX || (sum += v[i].iov_len) > SSIZE_MAX)
			return 0;
	return sum;
}

EXPORT ssize_t readv(int fd, const struct iovec *v, int n)
{
	HOOK_ENTER(self, REAL(readv)(fd, v, n));
	size_t want = checked_size(v, n);
	if (!want)
		return REAL(readv)(fd, v, n);
	return ghi_ret(read_vec(self, fd, v, n, want));
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	HOOK_ENTER(self, REAL(writev)(fd, v, n));
	if (!checked_size(v, n))
		return REAL(writev)(fd, v, n);
	return ghi_ret(write_vec(self, fd, v, n));
}
