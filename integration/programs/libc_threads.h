/* libc_threads.h: for programs about what libc does inside itself. How many kernel threads it took
 * goes to stderr, where it may differ between a native and a green run. */
#ifndef LIBC_THREADS_H
#define LIBC_THREADS_H

#include "check.h"
#include <dirent.h>
#include <sys/resource.h>

static int kernel_threads_now(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	MUST(d != NULL);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void tell_kernel_threads(void)
{
	fprintf(stderr, "kernel threads: %d\n", kernel_threads_now());
}

static void raise_descriptor_limit(void)
{
	struct rlimit rl;
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = rl.rlim_max < 8192 ? rl.rlim_max : 8192;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
}

/* Until all of n threads have counted themselves and then gone to wait: they sleep natively. */
static int counted;
static void count_me(void)
{
	__atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
}
static void wait_counted(int n)
{
	while (__atomic_load_n(&counted, __ATOMIC_SEQ_CST) < n)
		sleep_ms(1);
	sleep_ms(50); /* they are about to wait: this only makes the count on stderr telling */
}

#endif
