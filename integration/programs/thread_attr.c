/* Attributes: what can be set is what pthread_getattr_np and the thread itself see. */
#include "check.h"
#include <limits.h>
#include <sched.h>
#include <sys/mman.h>

static int on_stack(void *base, size_t size)
{
	char local;
	return &local >= (char *)base && &local < (char *)base + size;
}

struct seen {
	void *base;
	size_t size, guard;
	int inside;
};

static void *look(void *arg)
{
	struct seen *seen = arg;
	pthread_attr_t attr;
	MUST(pthread_getattr_np(pthread_self(), &attr) == 0);
	pthread_attr_getstack(&attr, &seen->base, &seen->size);
	pthread_attr_getguardsize(&attr, &seen->guard);
	seen->inside = on_stack(seen->base, seen->size);
	pthread_attr_destroy(&attr);
	return NULL;
}

/* Touches nearly all of the requested stack. */
static void *use_stack(void *arg)
{
	size_t size = (size_t)arg - 16384;
	volatile char *big = __builtin_alloca(size);
	for (size_t i = 0; i < size; i += 1024)
		big[i] = (char)i;
	return (void *)(intptr_t)(big[1024 * 3] == 0);
}

int main(void)
{
	pthread_attr_t attr;
	struct seen seen;
	pthread_t t;
	size_t size, guard;
	int value;
	void *base;

	pthread_attr_init(&attr);
	pthread_attr_getdetachstate(&attr, &value);
	CHECK(value == PTHREAD_CREATE_JOINABLE);
	pthread_attr_getguardsize(&attr, &guard);
	CHECK(guard == (size_t)sysconf(_SC_PAGESIZE));
	pthread_attr_getstacksize(&attr, &size);
	printf("default stack size %zu\n", size);
	pthread_attr_getinheritsched(&attr, &value);
	CHECK(value == PTHREAD_INHERIT_SCHED);
	pthread_attr_getscope(&attr, &value);
	CHECK(value == PTHREAD_SCOPE_SYSTEM);
	pthread_attr_getschedpolicy(&attr, &value);
	CHECK(value == SCHED_OTHER);

	CHECK_RC(EINVAL, pthread_attr_setstacksize(&attr, 100));
	CHECK_RC(0, pthread_attr_setstacksize(&attr, 1 << 20));
	MUST(pthread_create(&t, &attr, look, &seen) == 0);
	join(t);
	CHECK(seen.inside);
	CHECK(seen.size == 1 << 20);
	MUST(pthread_create(&t, &attr, use_stack, (void *)(1 << 20)) == 0);
	CHECK(join(t) == (void *)1);

	CHECK_RC(0, pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN));
	MUST(pthread_create(&t, &attr, check_nothing, &seen) == 0);
	CHECK(join(t) == &seen);

	CHECK_RC(0, pthread_attr_setstacksize(&attr, SIZE_MAX));
	CHECK_RC(EINVAL, pthread_create(&t, &attr, check_nothing, NULL));
	CHECK_RC(0, pthread_attr_setstacksize(&attr, 64 << 20));
	MUST(pthread_create(&t, &attr, use_stack, (void *)(64 << 20)) == 0);
	CHECK(join(t) == (void *)1);

	/* Memory of the caller as the stack; it stays the caller's after the join. */
	size = 256 * 1024;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(base != MAP_FAILED);
	CHECK_RC(0, pthread_attr_setstack(&attr, base, size));
	for (int i = 0; i < 20; i++) {
		memset(&seen, 0, sizeof(seen));
		MUST(pthread_create(&t, &attr, look, &seen) == 0);
		join(t);
		QUIET(seen.inside && seen.base == base && seen.size == size);
	}
	memset(base, 1, size);
	CHECK(munmap(base, size) == 0);
	pthread_attr_destroy(&attr);

	pthread_attr_init(&attr);
	CHECK_RC(0, pthread_attr_setguardsize(&attr, 65536));
	MUST(pthread_create(&t, &attr, look, &seen) == 0);
	join(t);
	CHECK(seen.guard == 65536);
	CHECK_RC(0, pthread_attr_setguardsize(&attr, 0));
	MUST(pthread_create(&t, &attr, look, &seen) == 0);
	join(t);
	CHECK(seen.guard == 0);
	CHECK_RC(EINVAL, pthread_attr_setscope(&attr, 42));
	CHECK_RC(EINVAL, pthread_attr_setinheritsched(&attr, 42));
	pthread_attr_destroy(&attr);

	pthread_attr_init(&attr);
	pthread_attr_getstacksize(&attr, &size);
	CHECK_RC(0, pthread_attr_setstacksize(&attr, 2 << 20));
	CHECK_RC(0, pthread_setattr_default_np(&attr));
	join(spawn(look, &seen));
	CHECK(seen.inside && seen.size == 2 << 20);
	return check_done();
}
