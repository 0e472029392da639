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

/* The second waits in flock(), with nothing between the barrier, where it parked, and that: it has
 * not lost its slot to a call before. */
static pthread_barrier_t taken;

__attribute__((noinline)) void lock_file(int fd)
{
	QUIET(flock(fd, LOCK_EX) == 0);
}

static void *first_locker(void *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	lock_file(fd);
	pthread_barrier_wait(&taken);
	sleep_unseen();
	close(fd);
	return NULL;
}

static void *second_locker(void *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	pthread_barrier_wait(&taken);
	lock_file(fd);
	sleep_unseen();
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	char name[] = "/tmp/blocked-XXXXXX", c;
	MUST(mkstemp(name) >= 0);
	pthread_barrier_init(&taken, NULL, 2);
	pthread_t s = spawn(sleeper, NULL), a = spawn(first_locker, name),
		  b = spawn(second_locker, name);
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
