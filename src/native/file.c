/* Files and directories; see include/greenhook/file.h.
 *
 * Owns: struct gh_dir.  Called by: programs.  Must not know: how a wait is made.
 *
 * A file is always ready: the call is made at once, and holds its kernel thread while the slot goes
 * on, or goes through io_uring (disk.h).  All else is tried without waiting (RWF_NOWAIT,
 * MSG_DONTWAIT), and waited for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <greenhook/file.h>
#include "src/base/config.h"
#include "src/native/disk.h"
#include "src/native/io.h"
#include "src/native/memory.h"
#include "src/native/misuse.h"
#include "src/signal.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

int gh_open(const char *path, int flags, unsigned mode)
{
	if (!path)
		return GHI_NULL("path");
	long fd = GHI_NATIVE_SYSCALL(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, mode);
	if (fd >= 0)
		ghi_fd_fresh((int)fd, GHI_FD_UNKNOWN);
	return (int)fd;
}

/* ---- reading and writing whatever it is ---------------------------------------------------------
 */

static long on_kernel_thread(struct ghi_native_io *io, long nr)
{
	long r = GHI_NATIVE_SYSCALL(nr, io->fd, (long)io->buf, (long)io->n);
	return r == -EAGAIN ? -EAGAIN : r;
}

/* Without RWF_NOWAIT (terminals, old kernels) readiness is asked first. */
static long try_any(struct ghi_native_io *io)
{
	bool reads = io->dir == GHI_RD;
	struct ghi_fd *e = io->e ? io->e : (io->e = ghi_fd_get(io->fd));
	struct iovec v = {io->buf, io->n};

	if (!e)
		return on_kernel_thread(io, reads ? SYS_read : SYS_write);
	ghi_fd_classify(io->fd, e);
	if (ghi_fd_is_socket(e)) {
		long r = reads ? ghi_sys_program(SYS_recvfrom, io->fd, io->buf, io->n, MSG_DONTWAIT,
						 NULL, NULL)
			       : ghi_sys_program(SYS_sendto, io->fd, io->buf, io->n,
						 MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		if (r != -ENOTSOCK)
			return r;
		e->kind = GHI_FD_UNKNOWN; /* the number was used anew behind our back */
		ghi_fd_classify(io->fd, e);
	}
	if (e->kind == GHI_FD_FILE)
		return on_kernel_thread(io, reads ? SYS_read : SYS_write);
	if (!e->no_nowait && ghi_config.rwf_nowait) {
		long r = ghi_sys_program(reads ? SYS_preadv2 : SYS_pwritev2, io->fd, &v, 1, -1L,
					 -1L, RWF_NOWAIT);
		if (r != -EOPNOTSUPP && r != -ENOSYS && r != -EPERM)
			return r;
		e->no_nowait = true;
	}
	return ghi_fd_ready_now(io->fd, io->dir)
		   ? on_kernel_thread(io, reads ? SYS_read : SYS_write)
		   : -EAGAIN;
}

int64_t gh_read_until(int fd, void *buf, size_t n, gh_time until)
{
	struct ghi_native_io io = {
	    .fd = fd, .dir = GHI_RD, .why = GHI_PARK_READ, .try = try_any, .buf = buf, .n = n};
	return ghi_native_io(&io, true, until);
}

int64_t gh_read(int fd, void *buf, size_t n)
{
	return gh_read_until(fd, buf, n, GH_FOREVER);
}

int64_t gh_write_until(int fd, const void *buf, size_t n, gh_time until)
{
	size_t done = 0;

	do {
		struct ghi_native_io io = {.fd = fd,
					   .dir = GHI_WR,
					   .why = GHI_PARK_WRITE,
					   .try = try_any,
					   .buf = (char *)buf + done,
					   .n = n - done};
		long r = ghi_native_io(&io, true, until);
		if (r == -EPIPE && ghi_self() && io.e && !ghi_fd_is_socket(io.e))
			ghi_signal_claim(ghi_self(), SIGPIPE); /* it is this gthread's */
		if (r < 0)
			return done ? (int64_t)done : r;
		done += (size_t)r;
	} while (done < n);
	return (int64_t)done;
}

int64_t gh_write(int fd, const void *buf, size_t n)
{
	return gh_write_until(fd, buf, n, GH_FOREVER);
}

/* ---- places -------------------------------------------------------------------------------------
 */

static int64_t at_place(long nr, int fd, char *buf, size_t n, int64_t at)
{
	size_t done = 0;

	if (at < 0)
		return ghi_misuse(nr == SYS_pread64 ? "gh_pread" : "gh_pwrite", -EINVAL,
				  "%ld is no place in a file", (long)at);
	do {
		long r = ghi_native_at(nr, fd, buf + done, n - done, at + (int64_t)done);
		if (r < 0)
			return done ? (int64_t)done : r;
		done += (size_t)r;
		if (r == 0)
			break;
	} while (done < n);
	return (int64_t)done;
}

int64_t gh_pread(int fd, void *buf, size_t n, int64_t at)
{
	return at_place(SYS_pread64, fd, buf, n, at);
}

int64_t gh_pwrite(int fd, const void *buf, size_t n, int64_t at)
{
	return at_place(SYS_pwrite64, fd, (char *)buf, n, at);
}

int gh_fsync(int fd)
{
	return (int)ghi_native_fsync(fd);
}

int gh_stat(const char *path, struct stat *ret)
{
	if (!path || !ret)
		return GHI_NULL("path or the result");
	return (int)GHI_NATIVE_SYSCALL(SYS_newfstatat, AT_FDCWD, (long)path, (long)ret, 0);
}

/* ---- directories --------------------------------------------------------------------------------
 */

#define GHI_DIR_MAGIC 0x72696467u

struct gh_dir {
	uint32_t magic;
	int fd;
	size_t at, end;
	_Alignas(8) char entries[8192];
};

struct entry { /* getdents64(2) */
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

gh_dir *gh_dir_open(const char *path)
{
	int fd = gh_open(path, O_RDONLY | O_DIRECTORY, 0);
	gh_dir *d = fd < 0 ? NULL : ghi_malloc(sizeof(*d));
	if (!d) {
		if (fd >= 0)
			ghi_sys(SYS_close, fd);
		errno = fd < 0 ? -fd : ENOMEM;
		return NULL;
	}
	d->magic = GHI_DIR_MAGIC;
	d->fd = fd;
	d->at = d->end = 0;
	return d;
}

int gh_dir_next(gh_dir *d, const char **name, int *type)
{
	if (!d || d->magic != GHI_DIR_MAGIC)
		return GHI_BAD(d, "directory");
	if (!name)
		return GHI_NULL("result");
	for (;;) {
		if (d->at >= d->end) {
			long r = GHI_NATIVE_SYSCALL(SYS_getdents64, d->fd, (long)d->entries,
						    sizeof(d->entries));
			if (r <= 0)
				return (int)r;
			d->at = 0;
			d->end = (size_t)r;
		}
		const struct entry *e = (const void *)(d->entries + d->at);
		d->at += e->length;
		if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
			continue;
		*name = e->name;
		if (type)
			*type = e->type;
		return 1;
	}
}

void gh_dir_close(gh_dir *d)
{
	if (d && d->magic != GHI_DIR_MAGIC)
		(void)GHI_BAD(d, "directory");
	if (!d || d->magic != GHI_DIR_MAGIC)
		return;
	d->magic = 0;
	ghi_fd_forget(d->fd);
	ghi_sys(SYS_close, d->fd);
	ghi_free(d);
}
