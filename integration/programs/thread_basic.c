/* Create, join, results, identity and the errors of join. */
#include "check.h"

static void *square(void *arg)
{
	intptr_t n = (intptr_t)arg;
	return (void *)(n * n);
}

/* pthread_exit from below the entry function: nothing after it may run. */
__attribute__((noinline)) static void leave(int depth)
{
	static volatile int certainly = 1; /* the compiler must not know that we never return */
	if (depth > 0)
		leave(depth - 1);
	if (certainly)
		pthread_exit((void *)0x1234);
	QUIET(!"code after pthread_exit ran");
}

static void *leave_deep(void *arg)
{
	leave(50);
	return (void *)1;
}

static void *who_am_i(void *arg)
{
	*(pthread_t *)arg = pthread_self();
	return (void *)(intptr_t)pthread_equal(*(pthread_t *)arg, pthread_self());
}

static void *join_self(void *arg)
{
	return (void *)(intptr_t)pthread_join(pthread_self(), NULL);
}

static void *join_other(void *arg)
{
	void *result;
	int rc = pthread_join(*(pthread_t *)arg, &result);
	return rc ? NULL : result;
}

/* A tree of threads: each joins two children. */
static void *tree(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	if (depth == 0)
		return (void *)1;
	pthread_t left = spawn(tree, (void *)(depth - 1));
	pthread_t right = spawn(tree, (void *)(depth - 1));
	return (void *)((intptr_t)join(left) + (intptr_t)join(right));
}

int main(void)
{
	pthread_t t[100], self = pthread_self(), other;
	int right = 1;

	for (intptr_t i = 0; i < 100; i++)
		t[i] = spawn(square, (void *)i);
	for (intptr_t i = 99; i >= 0; i--)
		right &= (intptr_t)join(t[i]) == i * i;
	CHECK(right);

	CHECK(join(spawn(leave_deep, NULL)) == (void *)0x1234);

	t[0] = spawn(who_am_i, &other);
	CHECK(join(t[0]) == (void *)1);
	CHECK(pthread_equal(t[0], other));
	CHECK(!pthread_equal(self, other));
	CHECK(pthread_equal(self, pthread_self()));

	CHECK_RC(EDEADLK, pthread_join(pthread_self(), NULL));
	CHECK((intptr_t)join(spawn(join_self, NULL)) == EDEADLK);

	/* Any thread may join any other; a NULL result pointer is fine. */
	t[0] = spawn(square, (void *)7);
	CHECK(join(spawn(join_other, &t[0])) == (void *)49);
	t[0] = spawn(square, (void *)7);
	CHECK_RC(0, pthread_join(t[0], NULL));

	CHECK((intptr_t)join(spawn(tree, (void *)7)) == 128);
	return check_done();
}
