/* A program with an allocator of its own, which reads the clock, locks, yields and opens files as
 * allocators do, from its first call on: before any constructor has run, and inside dlopen. */
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>

#include "check.h"

enum { HEAP = 64 << 20 };

static char heap[HEAP] __attribute__((aligned(16)));
static size_t used, calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *take(size_t n, size_t align)
{
	struct timespec now;
	int saved = errno;
	if (clock_gettime(CLOCK_MONOTONIC, &now) || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now))
		abort();
	pthread_mutex_lock(&lock);
	if (calls++ % 64 == 0) {
		char byte;
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, &byte, 1) == 0)
			close(fd);
		sched_yield();
	}
	size_t at = (used + 16 + align - 1) / align * align;
	if (at + n <= HEAP) {
		used = at + n;
		((size_t *)(heap + at))[-1] = n;
	}
	pthread_mutex_unlock(&lock);
	errno = at + n <= HEAP ? saved : ENOMEM;
	return at + n <= HEAP ? heap + at : NULL;
}

void *malloc(size_t n)
{
	return take(n, 16);
}

void free(void *p)
{
}

void *calloc(size_t n, size_t each)
{
	return take(n * each, 16); /* never used before: zero */
}

void *realloc(void *p, size_t n)
{
	void *q = take(n, 16);
	if (p && q)
		memcpy(q, p, ((size_t *)p)[-1] < n ? ((size_t *)p)[-1] : n);
	return q;
}

void *memalign(size_t align, size_t n)
{
	return take(n, align < 16 ? 16 : align);
}

void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	return (*p = memalign(align, n)) ? 0 : ENOMEM;
}

static void *work(void *arg)
{
	char *text[50];
	for (int i = 0; i < 50; i++) {
		QUIET(asprintf(&text[i], "%d of %d", i, (int)(intptr_t)arg) > 0);
		if (i % 10 == 0)
			usleep(100);
	}
	for (int i = 0; i < 50; i++) {
		QUIET(atoi(text[i]) == i);
		free(text[i]);
	}
	return arg;
}

int main(void)
{
	pthread_t t[40];
	CHECK(dlopen("libm.so.6", RTLD_NOW) != NULL);
	for (intptr_t i = 0; i < 40; i++)
		QUIET(pthread_create(&t[i], NULL, work, (void *)i) == 0);
	for (intptr_t i = 0; i < 40; i++) {
		void *result;
		QUIET(pthread_join(t[i], &result) == 0 && result == (void *)i);
	}
	CHECK(calls > 40 * 50);
	return check_done();
}
