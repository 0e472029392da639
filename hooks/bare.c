/* libc's functions as bare system calls; see bare.h.
 *
 * Called on kernel threads that are no gthreads (libc's own helpers, a fork's child) and by hooks
 * that leave a call to the kernel.  The same system calls with the same arguments as libc makes,
 * errno, and the same cancellation points: libc's thread may be cancelled at any moment between the
 * two changes of its type, which is what libc does itself.
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "hooks/bare.h"

/* Before glibc 2.34 the functions of threads may not even be there: then nobody cancels. */
#define CANCELLABLE(call)                                                                          \
	({                                                                                         \
		int type_ = 0;                                                                     \
		if (real.pthread_setcanceltype)                                                    \
			real.pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type_);           \
		long r_ = (call);                                                                  \
		if (real.pthread_setcanceltype)                                                    \
			real.pthread_setcanceltype(type_, NULL);                                   \
		r_;                                                                                \
	})

static ssize_t bare_read(int fd, void *buf, size_t n)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_read, fd, buf, n)));
}

static ssize_t bare_write(int fd, const void *buf, size_t n)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_write, fd, buf, n)));
}

static ssize_t bare_readv(int fd, const struct iovec *v, int n)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_readv, fd, v, n)));
}

static ssize_t bare_writev(int fd, const struct iovec *v, int n)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_writev, fd, v, n)));
}

static int bare_connect(int fd, const struct sockaddr *a, socklen_t n)
{
	return (int)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_connect, fd, a, n)));
}

static int bare_accept(int fd, struct sockaddr *a, socklen_t *n)
{
	return (int)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_accept, fd, a, n)));
}

static int bare_poll(struct pollfd *f, nfds_t n, int ms)
{
	return (int)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_poll, f, n, ms)));
}

static ssize_t bare_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *a,
			     socklen_t *an)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_recvfrom, fd, buf, n, flags, a, an)));
}

static ssize_t bare_recv(int fd, void *buf, size_t n, int flags)
{
	return bare_recvfrom(fd, buf, n, flags, NULL, NULL);
}

static ssize_t bare_recvmsg(int fd, struct msghdr *m, int flags)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_recvmsg, fd, m, flags)));
}

static ssize_t bare_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *a,
			   socklen_t an)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_sendto, fd, buf, n, flags, a, an)));
}

static ssize_t bare_send(int fd, const void *buf, size_t n, int flags)
{
	return bare_sendto(fd, buf, n, flags, NULL, 0);
}

static ssize_t bare_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return ghi_ret(CANCELLABLE(ghi_sys_program(SYS_sendmsg, fd, m, flags)));
}

static int bare_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	return (int)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_sendmmsg, fd, m, n, flags)));
}

/* As glibc: the calling thread's CPU clock is refused, the process's has another number. */
static int bare_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
				struct timespec *rem)
{
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return EINVAL;
	if (clock == CLOCK_PROCESS_CPUTIME_ID)
		clock = (clockid_t)((~0u << 3) | 2);
	return (int)-CANCELLABLE(ghi_sys_program(SYS_clock_nanosleep, clock, flags, t, rem));
}

static pid_t bare_wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	return (pid_t)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_wait4, pid, status, options, usage)));
}

static int bare_openat(int dir, const char *path, int flags, unsigned mode)
{
	if (!(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE)
		mode = 0; /* the caller gave none */
	return (int)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_openat, dir, path, flags, mode)));
}

static int bare_open(const char *path, int flags, unsigned mode)
{
	return bare_openat(AT_FDCWD, path, flags, mode);
}

static int bare_close(int fd)
{
	return (int)ghi_ret(CANCELLABLE(ghi_sys_program(SYS_close, fd)));
}

static int bare_socket(int domain, int type, int proto)
{
	return (int)ghi_ret(ghi_sys_program(SYS_socket, domain, type, proto));
}

static int bare_pipe2(int *fds, int flags)
{
	return (int)ghi_ret(ghi_sys_program(SYS_pipe2, fds, flags));
}

static int bare_pipe(int *fds)
{
	return bare_pipe2(fds, 0);
}

/* glibc lets nobody block its own two signals. */
static int bare_sigprocmask(int how, const sigset_t *s, sigset_t *old)
{
	uint64_t set = 0;
	if (s) {
		memcpy(&set, s, sizeof(set));
		set &= ~GHI_SIG_OURS;
	}
	return (int)ghi_ret(ghi_sys_program(SYS_rt_sigprocmask, how, s ? &set : NULL, old, 8));
}

const struct ghi_real ghi_bare = {
#define DETOUR(name, nr) .name = bare_##name,
#include "hooks/detours.def"
#undef DETOUR
};
