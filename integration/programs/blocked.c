/* Threads that block their kernel thread in ways that nothing in libc shows: a system call by its
 * own instruction, and a lock on a file that another thread holds.  With an argument, main itself
 * stays in such a call until its standard input ends. */
#include "check.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

static long inline_call(long nr, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

__attribute__((noinline)) void sleep_unseen(void)
{
	struct timespec ts = timespec_of_ns(200000000);
	inline_call(SYS_nanosleep, (long)&ts, 0, 0);
}

static void *sleeper(void *arg)
{
	sleep_unseen();
	return NULL;
}

/* Whoever comes second waits in flock(). */
__attribute__((noinline)) void lock_file(int fd)
{
	QUIET(flock(fd, LOCK_EX) == 0);
}

static void *locker(void *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	lock_file(fd);
	sleep_unseen();
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	char name[] = "/tmp/blocked-XXXXXX", c;
	MUST(mkstemp(name) >= 0);
	pthread_t s = spawn(sleeper, NULL), a = spawn(locker, name), b = spawn(locker, name);
	join(s);
	join(a);
	join(b);
	unlink(name);
	puts("ready");
	fflush(stdout);
	while (argc > 1 && inline_call(SYS_read, 0, (long)&c, 1) > 0)
		;
	return check_done();
}
