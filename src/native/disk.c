/* Which calls go through io_uring; see disk.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "src/base/config.h"
#include "src/disk.h"
#include "src/native/disk.h"
#include "src/native/io.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* Kernel threads that are in a call below.  A hint: a handler may jump out of one, or fork in it.
 */
static int32_t direct;

/* What is left of those that there may be is kept for others: whoever goes on with one call after
 * another does not park, and gives its kernel thread to nobody. */
static bool threads_run_out(void)
{
	int64_t cap = (int64_t)ghi_config.max_workers;
	return load_relaxed(&direct) >= cap - (cap / 4 ? cap / 4 : 1);
}

static bool worth_it(struct ghi_gthread *self)
{
	if (!ghi_config.uring || !self || self->own)
		return false;
	return (ghi_config.uring == 2 || threads_run_out()) && ghi_disk_ready() &&
	       !ghi_native_cancelled();
}

static bool is_file(int fd)
{
	struct stat st;
	return ghi_sys(SYS_fstat, fd, &st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode));
}

static bool size_limited(void)
{
	struct {
		uint64_t cur, max;
	} limit = {0, 0};
	ghi_sys(SYS_prlimit64, 0, 1 /* RLIMIT_FSIZE */, NULL, &limit);
	return limit.cur != UINT64_MAX;
}

/* True: *ret is what came of it. */
static bool by_ring(enum ghi_disk_op op, int fd, char *buf, size_t n, int64_t at, long *ret)
{
	return is_file(fd) && ghi_disk_call(ghi_self(), op, fd, buf, n, at, ret);
}

static bool at_by_ring(long nr, int fd, char *buf, size_t n, int64_t at, long *ret)
{
	struct iovec v = {buf, n};
	long flags = ghi_sys(SYS_fcntl, fd, F_GETFL);

	if (flags < 0 || !n)
		return false;
	if (nr == SYS_pwrite64)
		return flags & (O_DIRECT | O_DSYNC) && !size_limited() &&
		       by_ring(GHI_DISK_WRITE, fd, buf, n, at, ret);
	if (!(flags & O_DIRECT)) {
		/* As far as the cache goes; the caller comes back for the rest. */
		*ret = ghi_sys_program(SYS_preadv2, fd, &v, 1, (long)at, 0L, RWF_NOWAIT);
		if (*ret == -EOPNOTSUPP || *ret == -ENOSYS || *ret == -EINTR)
			return false;
		if (*ret != -EAGAIN)
			return true;
	}
	return by_ring(GHI_DISK_READ, fd, buf, n, at, ret);
}

static long call(long nr, int fd, char *buf, size_t n, int64_t at)
{
	fetch_add_relaxed(&direct, 1);
	long r = nr == SYS_fsync ? GHI_NATIVE_SYSCALL(nr, fd)
				 : GHI_NATIVE_SYSCALL(nr, fd, (long)buf, (long)n, (long)at);
	fetch_add_relaxed(&direct, -1);
	return r;
}

long ghi_native_at(long nr, int fd, char *buf, size_t n, int64_t at)
{
	long r;
	if (worth_it(ghi_self()) && at_by_ring(nr, fd, buf, n, at, &r))
		return r;
	return call(nr, fd, buf, n, at);
}

long ghi_native_fsync(int fd)
{
	long r;
	if (worth_it(ghi_self()) && by_ring(GHI_DISK_FSYNC, fd, NULL, 0, 0, &r))
		return r;
	return call(SYS_fsync, fd, NULL, 0, 0);
}

/* The others are not in the child. */
void ghi_native_disk_after_fork(void)
{
	direct = 0;
}
