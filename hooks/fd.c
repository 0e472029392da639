/* close, dup, fcntl, ioctl: what the program does to descriptor numbers. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hooks/offload.h"
#include "src/fdtab.h"
#include "src/poller.h"

/* Programs that close every number (daemons, before exec) must not close the runtime's. */
static bool runtime_owns(int fd)
{
	return ghi_self() && ghi_poller_owns(fd);
}

EXPORT int close(int fd)
{
	struct ghi_gthread *self = ghi_hook_self();
	if (runtime_owns(fd))
		return (int)ghi_ret(-EBADF);
	if (self)
		ghi_cancel_point(self);
	ghi_fd_forget(fd);
	if (!self)
		return REAL(close)(fd);
	/* A socket may linger, a terminal drain.  Never again after EINTR: the number is gone. */
	return (int)ghi_ret(BLOCKING(self, ghi_sys_program(SYS_close, fd)));
}

/* What closing would write is written first: it may wait, and a number that is being waited for
 * must not be forgotten yet.  What a failed attempt leaves is gone, so there is no second one. */
static int close_begins(FILE *f)
{
	int r = f && ghi_self() && __fpending(f) ? fflush(f) : 0;
	int saved = errno, fd = f ? fileno_unlocked(f) : -1;
	if (fd >= 0)
		ghi_fd_forget(fd);
	errno = saved;
	return r;
}

EXPORT int fclose(FILE *f)
{
	int flushed = close_begins(f), r = REAL(fclose)(f);
	return r ? r : flushed;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *f)
{
	close_begins(f);
	return REAL(freopen)(path, mode, f);
}

EXPORT int pclose(FILE *f)
{
	int flushed = close_begins(f), r = REAL(pclose)(f);
	return r ? r : flushed;
}

/* New numbers: what a close that we did not see left in the books is dropped. */
static int fresh(int fd)
{
	if (fd >= 0)
		ghi_fd_fresh(fd, GHI_FD_UNKNOWN);
	return fd;
}

EXPORT int pipe(int fds[2])
{
	int r = REAL(pipe)(fds);
	if (r == 0)
		fresh(fds[0]), fresh(fds[1]);
	return r;
}

EXPORT int pipe2(int fds[2], int flags)
{
	int r = REAL(pipe2)(fds, flags);
	if (r == 0)
		fresh(fds[0]), fresh(fds[1]);
	return r;
}

EXPORT int eventfd(unsigned n, int flags)
{
	return fresh(REAL(eventfd)(n, flags));
}

EXPORT int timerfd_create(clockid_t clock, int flags)
{
	return fresh(REAL(timerfd_create)(clock, flags));
}

EXPORT int epoll_create(int n)
{
	return fresh(REAL(epoll_create)(n));
}

EXPORT int epoll_create1(int flags)
{
	return fresh(REAL(epoll_create1)(flags));
}

/* Opening a FIFO waits for its other end, and a disk may be slow: the slot goes on. */
static int opened(struct ghi_gthread *self, int dir, const char *path, int flags, unsigned mode)
{
	return fresh((int)ghi_ret(OFFLOAD(self, GHI_OFF_POINT | GHI_OFF_RESTART, SYS_openat, dir,
					  (long)path, flags, (long)mode)));
}

static bool makes(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

EXPORT int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	unsigned mode = makes(flags) ? va_arg(ap, unsigned) : 0;
	va_end(ap);
	HOOK_ENTER(self, fresh(REAL(open)(path, flags, mode)));
	return opened(self, AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	unsigned mode = makes(flags) ? va_arg(ap, unsigned) : 0;
	va_end(ap);
	HOOK_ENTER(self, fresh(REAL(openat)(dir, path, flags, mode)));
	return opened(self, dir, path, flags, mode);
}

/* Without a mode where one is needed libc ends the program. */
EXPORT int __open_2(const char *path, int flags)
{
	HOOK_ENTER(self, fresh(REAL(__open_2)(path, flags)));
	return makes(flags) ? REAL(__open_2)(path, flags) : opened(self, AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	HOOK_ENTER(self, fresh(REAL(__openat_2)(dir, path, flags)));
	return makes(flags) ? REAL(__openat_2)(dir, path, flags)
			    : opened(self, dir, path, flags, 0);
}

EXPORT int creat(const char *path, mode_t mode)
{
	HOOK_ENTER(self, fresh(REAL(creat)(path, mode)));
	return opened(self, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int open_by_handle_at(int mount, struct file_handle *h, int flags)
{
	HOOK_ENTER(self, fresh(REAL(open_by_handle_at)(mount, h, flags)));
	return fresh((int)ghi_ret(OFFLOAD(self, GHI_OFF_POINT | GHI_OFF_RESTART,
					  SYS_open_by_handle_at, mount, (long)h, flags)));
}

/* A second number for the same open file. */
static int duplicated(int from, int to)
{
	if (to >= 0 && from != to && ghi_self()) {
		struct ghi_fd *a = ghi_fd_get(from), *b;
		ghi_fd_fresh(to, a ? (enum ghi_fd_kind)a->kind : GHI_FD_UNKNOWN);
		b = ghi_fd_get(to);
		if (a && b) {
			b->timeout[GHI_RD] = a->timeout[GHI_RD];
			b->timeout[GHI_WR] = a->timeout[GHI_WR];
			a->shared = b->shared = true;
			b->own_epoch = a->own_epoch;
		}
	}
	return to;
}

EXPORT int dup(int fd)
{
	return duplicated(fd, REAL(dup)(fd));
}

EXPORT int dup2(int fd, int to)
{
	if (runtime_owns(to))
		return (int)ghi_ret(-EBUSY); /* what the kernel says for a number in flux */
	if (fd != to && ghi_sys(SYS_fcntl, fd, F_GETFD) >= 0)
		ghi_fd_forget(to);
	return duplicated(fd, REAL(dup2)(fd, to));
}

EXPORT int dup3(int fd, int to, int flags)
{
	if (runtime_owns(to))
		return (int)ghi_ret(-EBUSY);
	if (fd != to && ghi_sys(SYS_fcntl, fd, F_GETFD) >= 0)
		ghi_fd_forget(to);
	return duplicated(fd, REAL(dup3)(fd, to, flags));
}

EXPORT int close_range(unsigned lo, unsigned hi, int flags)
{
	if (!(flags & 4 /* CLOSE_RANGE_CLOEXEC */))
		ghi_fd_forget_range(lo, hi);
	if (!ghi_self())
		return real.close_range
			   ? real.close_range(lo, hi, flags)
			   : (int)ghi_ret(ghi_sys_program(SYS_close_range, lo, hi, flags));
	if (lo > hi)
		return (int)ghi_ret(-EINVAL);
	/* In pieces around the runtime's own numbers. */
	long r = 0;
	unsigned from = lo;
	for (unsigned fd = lo; fd <= hi && fd < 1u << 20; fd++) {
		if (!ghi_poller_owns((int)fd))
			continue;
		if (fd > from)
			r = ghi_sys_program(SYS_close_range, from, fd - 1, flags);
		from = fd + 1;
	}
	if (r >= 0 && from <= hi)
		r = ghi_sys_program(SYS_close_range, from, hi, flags);
	return (int)ghi_ret(r);
}

EXPORT void closefrom(int lo)
{
	int saved = errno;
	if (!ghi_self() && real.closefrom)
		real.closefrom(lo);
	else
		close_range(lo < 0 ? 0 : (unsigned)lo, ~0u, 0);
	errno = saved;
}

static int fcntl_any(int (*libc)(int, int, long), int fd, int cmd, long arg)
{
	struct ghi_gthread *self = ghi_hook_self();
	int r;

	if (!self) {
		if (cmd == F_SETFL)
			ghi_fd_flags_changed();
		return libc(fd, cmd, arg);
	}
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return duplicated(fd, libc(fd, cmd, arg));
	case F_SETFL:
		r = libc(fd, cmd, arg);
		ghi_fd_flags_changed();
		return r;
	case F_SETLKW:
	case F_OFD_SETLKW:
		return (int)ghi_ret(ghi_file_lock(self, fd, cmd, arg));
	default:
		return libc(fd, cmd, arg);
	}
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	long arg = va_arg(ap, long);
	va_end(ap);
	return fcntl_any(&REAL(fcntl), fd, cmd, arg);
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	long arg = va_arg(ap, long);
	va_end(ap);
	return fcntl_any(&REAL(fcntl64), fd, cmd, arg);
}

/* Some requests wait: output that drains, a modem's lines, a device. */
EXPORT int ioctl(int fd, unsigned long req, ...)
{
	va_list ap;
	va_start(ap, req);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	if (req == FIONBIO)
		ghi_fd_flags_changed();
	HOOK_ENTER(self, REAL(ioctl)(fd, req, arg));
	long r = OFFLOAD(self, GHI_OFF_RESTART, SYS_ioctl, fd, (long)req, (long)arg);
	if (req == FIONBIO)
		ghi_fd_flags_changed();
	return (int)ghi_ret(r);
}

EXPORT int tcdrain(int fd)
{
	HOOK_ENTER(self, REAL(tcdrain)(fd));
	return (int)ghi_ret(
	    OFFLOAD(self, GHI_OFF_POINT | GHI_OFF_RESTART, SYS_ioctl, fd, TCSBRK, 1));
}

EXPORT int tcsendbreak(int fd, int how_long)
{
	HOOK_ENTER(self, REAL(tcsendbreak)(fd, how_long));
	return BLOCKING(self, REAL(tcsendbreak)(fd, how_long));
}

EXPORT int eventfd_read(int fd, eventfd_t *value)
{
	return read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

EXPORT int eventfd_write(int fd, eventfd_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}
