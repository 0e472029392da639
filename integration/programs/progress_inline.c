/* A thread blocks in the kernel by an inline system call, which no library can see; the thread that
 * ends its wait must run all the same, and so must everybody else. */
#include "check.h"

static int fd[2], to_main[2];

static long inline_read(int from, void *buffer, long size)
{
#if defined(__x86_64__)
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(0L), "D"((long)from), "S"(buffer), "d"(size)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = 63, x0 __asm__("x0") = from;
	register long x1 __asm__("x1") = (long)buffer, x2 __asm__("x2") = size;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
	return read(from, buffer, size);
#endif
}

static void *blocks(void *arg)
{
	char byte = 0;
	long n = inline_read(fd[0], &byte, 1);
	QUIET(n == 1 && byte == 'x');
	QUIET(write(to_main[1], "y", 1) == 1);
	return NULL;
}

static void *releases(void *arg)
{
	for (int i = 0; i < 20; i++)
		sleep_ms(1); /* timers run as well while the other is stuck */
	for (int i = 0; i < 3; i++)
		QUIET(write(fd[1], "x", 1) == 1);
	return NULL;
}

int main(void)
{
	pthread_t t[3];
	char bytes[3];
	MUST(pipe(fd) == 0 && pipe(to_main) == 0);
	for (int i = 0; i < 3; i++)
		t[i] = spawn(blocks, NULL);
	pthread_t releaser = spawn(releases, NULL);
	for (int i = 0; i < 3; i++)
		QUIET(read(to_main[0], bytes + i, 1) == 1);
	for (int i = 0; i < 3; i++)
		join(t[i]);
	join(releaser);
	/* Main itself stuck, with only threads to help it. */
	releaser = spawn(releases, NULL);
	CHECK(inline_read(fd[0], bytes, 1) == 1);
	join(releaser);
	return check_done();
}
