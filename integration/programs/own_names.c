/* A program that brings its own wrappers by the names of libc's functions, as those written before
 * libc had gettid() do: each goes to syscall(), which must not come back to the wrapper. */
#include "check.h"
#include <sys/syscall.h>

static unsigned wrapped;

pid_t gettid(void)
{
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return (pid_t)syscall(SYS_gettid);
}

int tgkill(pid_t pid, pid_t tid, int sig)
{
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return (int)syscall(SYS_tgkill, pid, tid, sig);
}

int sched_yield(void)
{
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return (int)syscall(SYS_sched_yield);
}

int close(int fd)
{
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *buf, size_t n)
{
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return syscall(SYS_write, fd, buf, n);
}

ssize_t read(int fd, void *buf, size_t n)
{
	__atomic_add_fetch(&wrapped, 1, __ATOMIC_RELAXED);
	return syscall(SYS_read, fd, buf, n);
}

static void *thread(void *arg)
{
	int fds[2];
	char c = 'x';

	CHECK(gettid() == gettid() && gettid() != getpid());
	CHECK(tgkill(getpid(), gettid(), 0) == 0);
	CHECK(sched_yield() == 0);
	MUST(pipe(fds) == 0);
	CHECK(write(fds[1], "y", 1) == 1);
	CHECK(read(fds[0], &c, 1) == 1 && c == 'y');
	CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
	CHECK_ERRNO(EBADF, close(fds[1]));
	CHECK_ERRNO(EBADF, read(fds[0], &c, 1));
	return NULL;
}

int main(void)
{
	join(spawn(thread, NULL));
	CHECK(wrapped == 12);
	return check_done();
}
