/* The program's allocator: all that the library makes lies there, and comes back. */
#include "rc.h"

static int64_t live, most, moved;

static void *take(void *user, size_t bytes)
{
	int64_t n = __atomic_add_fetch((int64_t *)user, 1, __ATOMIC_RELAXED);
	if (n > __atomic_load_n(&most, __ATOMIC_RELAXED))
		__atomic_store_n(&most, n, __ATOMIC_RELAXED);
	char *at = malloc(bytes + 32);
	memcpy(at, "from this allocator", 20);
	return at + 32; /* whoever gives it to free() is found */
}

static void give(void *user, void *memory)
{
	char *at = (char *)memory - 32;
	QUIET(!strcmp(at, "from this allocator"));
	__atomic_sub_fetch((int64_t *)user, 1, __ATOMIC_RELAXED);
	free(at);
}

static void *move(void *user, void *old, size_t bytes)
{
	(void)user;
	__atomic_add_fetch(&moved, 1, __ATOMIC_RELAXED);
	return (char *)realloc((char *)old - 32, bytes + 32) + 32;
}

static gh_chan *numbers;

static int sends(void *arg)
{
	int64_t n = (intptr_t)arg;
	QRC(0, gh_chan_send(numbers, &n));
	return n % 10 ? 0 : gh_group_fail(gh_error_new(-EXDEV, "number %d", (int)n));
}

static void *waits(void *arg)
{
	gh_sleep(GH_MS(1));
	return arg;
}

int main(void)
{
	enum { N = 500 };
	static const gh_allocator mine = {sizeof(mine), take, move, give, &live};
	gh_future *f[20];
	int64_t sum = 0, n;

	RC(-EINVAL, gh_set_allocator(NULL));
	RC(-EINVAL, gh_set_allocator(&(gh_allocator){.size = sizeof(gh_allocator)}));
	RC(0, gh_set_allocator(&mine));
	numbers = gh_chan_new(sizeof(int64_t), GH_CHAN_UNBOUNDED);
	RC(-EBUSY, gh_set_allocator(&mine));
	gh_group *g = gh_group_new(NULL, 0);
	for (intptr_t i = 1; i <= N; i++)
		QRC(0, gh_group_spawn(g, sends, (void *)i, NULL));
	RC(-EXDEV, gh_group_wait(g));
	RC(0, gh_group_free(g));
	for (int i = 0; i < 20; i++)
		MUST((f[i] = gh_async(waits, NULL)));
	CHECK(gh_await_any(f, 20, GH_FOREVER) >= 0);
	for (int i = 0; i < 20; i++) {
		QRC(0, gh_await(f[i], NULL));
		gh_future_unref(f[i]);
	}
	while (gh_chan_recv_try(numbers, &n) == 0)
		sum += n;
	CHECK(sum == N * (N + 1) / 2);
	gh_chan_unref(numbers);
	/* A task lets its future go when nobody waits for it any more. */
	for (int i = 0; i < 10000 && __atomic_load_n(&live, __ATOMIC_ACQUIRE); i++)
		gh_sleep(GH_MS(1));
	CHECK(live == 0 && most > 20);
	return check_done();
}
