/* Files: reads that may miss the page cache, flushing, locks, directories.
 *
 * Nothing tells when a disk will answer, so these hold their kernel thread and the slot goes on.
 * The position-less reads and writes are refused at once by whatever has no position; with offset
 * -1 preadv2 and pwritev2 are readv and writev, which park.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statfs.h>

#include "hooks/io.h"
#include "hooks/offload.h"

enum { POINT = GHI_OFF_POINT, BOTH = GHI_OFF_POINT | GHI_OFF_RESTART };

#define LONG(x) (long)(x)

/* ---- at an offset --------------------------------------------------------------------------- */

EXPORT ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	HOOK_ENTER(self, REAL(pread)(fd, buf, n, at));
	return ghi_ret(OFFLOAD(self, BOTH, SYS_pread64, fd, LONG(buf), LONG(n), at));
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	HOOK_ENTER(self, REAL(pwrite)(fd, buf, n, at));
	return ghi_ret(OFFLOAD(self, BOTH, SYS_pwrite64, fd, LONG(buf), LONG(n), at));
}

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t n, off_t at, size_t room)
{
	if (n > room)
		return REAL(__pread_chk)(fd, buf, n, at, room); /* ends the program */
	return pread(fd, buf, n, at);
}

EXPORT ssize_t preadv(int fd, const struct iovec *v, int n, off_t at)
{
	HOOK_ENTER(self, REAL(preadv)(fd, v, n, at));
	return ghi_ret(OFFLOAD(self, BOTH, SYS_preadv, fd, LONG(v), n, at, 0));
}

EXPORT ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	HOOK_ENTER(self, REAL(pwritev)(fd, v, n, at));
	return ghi_ret(OFFLOAD(self, BOTH, SYS_pwritev, fd, LONG(v), n, at, 0));
}

EXPORT ssize_t preadv2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
	HOOK_ENTER(self, REAL(preadv2)(fd, v, n, at, flags));
	if (at == -1 && !flags)
		return readv(fd, v, n);
	return ghi_ret(OFFLOAD(self, BOTH, SYS_preadv2, fd, LONG(v), n, at, 0, flags));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
	HOOK_ENTER(self, REAL(pwritev2)(fd, v, n, at, flags));
	if (at == -1 && !flags)
		return writev(fd, v, n);
	return ghi_ret(OFFLOAD(self, BOTH, SYS_pwritev2, fd, LONG(v), n, at, 0, flags));
}

EXPORT ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t n,
			       unsigned flags)
{
	HOOK_ENTER(self, REAL(copy_file_range)(in, in_at, out, out_at, n, flags));
	return ghi_ret(OFFLOAD(self, BOTH, SYS_copy_file_range, in, LONG(in_at), out, LONG(out_at),
			       LONG(n), flags));
}

/* ---- to the disk ---------------------------------------------------------------------------- */

EXPORT int fsync(int fd)
{
	HOOK_ENTER(self, REAL(fsync)(fd));
	return (int)ghi_ret(OFFLOAD(self, BOTH, SYS_fsync, fd));
}

EXPORT int fdatasync(int fd)
{
	HOOK_ENTER(self, REAL(fdatasync)(fd));
	return (int)ghi_ret(OFFLOAD(self, BOTH, SYS_fdatasync, fd));
}

EXPORT int msync(void *at, size_t n, int flags)
{
	HOOK_ENTER(self, REAL(msync)(at, n, flags));
	return (int)ghi_ret(OFFLOAD(self, BOTH, SYS_msync, LONG(at), LONG(n), flags));
}

EXPORT int sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
	HOOK_ENTER(self, REAL(sync_file_range)(fd, at, n, flags));
	return (int)ghi_ret(OFFLOAD(self, BOTH, SYS_sync_file_range, fd, at, n, flags));
}

EXPORT int syncfs(int fd)
{
	HOOK_ENTER(self, REAL(syncfs)(fd));
	return (int)ghi_ret(OFFLOAD(self, GHI_OFF_RESTART, SYS_syncfs, fd));
}

EXPORT void sync(void)
{
	struct ghi_gthread *self = ghi_hook_self();
	if (self)
		OFFLOAD(self, GHI_OFF_RESTART, SYS_sync, 0);
	else
		REAL(sync)();
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t n)
{
	HOOK_ENTER(self, REAL(fallocate)(fd, mode, at, n));
	return (int)ghi_ret(OFFLOAD(self, POINT, SYS_fallocate, fd, mode, at, n));
}

/* Answers an error number; where the file system cannot do it, libc writes zeroes. */
EXPORT int posix_fallocate(int fd, off_t at, off_t n)
{
	HOOK_ENTER(self, REAL(posix_fallocate)(fd, at, n));
	long r = OFFLOAD(self, 0, SYS_fallocate, fd, 0, at, n);
	if (r == -EOPNOTSUPP)
		return BLOCKING(self, REAL(posix_fallocate)(fd, at, n));
	return (int)-r;
}

/* ---- locks ---------------------------------------------------------------------------------- */

EXPORT int flock(int fd, int op)
{
	static const struct ghi_offload_nowait busy = {1, 0, -EWOULDBLOCK};
	HOOK_ENTER(self, REAL(flock)(fd, op));
	struct ghi_offload c = {.how = GHI_OFF_RESTART, .nr = SYS_flock, .a = {fd, op}};
	struct ghi_offload_nowait n = busy;

	if ((op & LOCK_NB) || (op & LOCK_UN))
		return (int)ghi_ret(ghi_sys_program(SYS_flock, fd, op));
	n.value = op | LOCK_NB;
	return (int)ghi_ret(ghi_offload_gated(self, &c, &n));
}

/* A record lock may be asked for by a thread of this process and be held by another one only with
 * locks of open file descriptions; the others belong to the process. */
long ghi_file_lock(struct ghi_gthread *self, int fd, int cmd, long arg)
{
	struct ghi_offload c = {
	    .how = GHI_OFF_POINT | GHI_OFF_RESTART, .nr = SYS_fcntl, .a = {fd, cmd, arg}};
	struct ghi_offload_nowait n = {1, cmd == F_SETLKW ? F_SETLK : F_OFD_SETLK, -EAGAIN};

	return ghi_offload_gated(self, &c, &n);
}

EXPORT int lockf(int fd, int op, off_t len)
{
	HOOK_ENTER(self, REAL(lockf)(fd, op, len));
	if (op != F_LOCK)
		return REAL(lockf)(fd, op, len);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = len};
	return (int)ghi_ret(ghi_file_lock(self, fd, F_SETLKW, LONG(&l)));
}

/* ---- other ---------------------------------------------------------------------------------- */

EXPORT int statfs(const char *path, struct statfs *s)
{
	HOOK_ENTER(self, REAL(statfs)(path, s));
	return (int)ghi_ret(OFFLOAD(self, GHI_OFF_RESTART, SYS_statfs, LONG(path), LONG(s)));
}

EXPORT int fstatfs(int fd, struct statfs *s)
{
	HOOK_ENTER(self, REAL(fstatfs)(fd, s));
	return (int)ghi_ret(OFFLOAD(self, GHI_OFF_RESTART, SYS_fstatfs, fd, LONG(s)));
}

EXPORT ssize_t getdents64(int fd, void *buf, size_t n)
{
	HOOK_ENTER(self, REAL(getdents64)(fd, buf, n));
	return ghi_ret(OFFLOAD(self, GHI_OFF_RESTART, SYS_getdents64, fd, LONG(buf),
			       LONG(n > INT32_MAX ? INT32_MAX : n)));
}

EXPORT ssize_t getrandom(void *buf, size_t n, unsigned flags)
{
	HOOK_ENTER(self, REAL(getrandom)(buf, n, flags));
	return ghi_ret(OFFLOAD(self, BOTH, SYS_getrandom, LONG(buf), LONG(n), flags));
}
