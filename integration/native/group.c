/* Groups and futures: results, the first error, cancellation downwards, misuse, storms. */
#include "rc.h"

#define MANY 2000

static int ended;

static int member(void *arg)
{
	gh_sleep(GH_MS(1));
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
	return (int)(intptr_t)arg;
}

static int stays(void *arg)
{
	(void)arg;
	int r = gh_sleep(GH_S(60));
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
	return r;
}

static int waits_for_itself(void *g)
{
	RC(-EDEADLK, gh_group_wait(g));
	RC(-EDEADLK, gh_group_free(g));
	return 0;
}

static void misuse(void)
{
	RC(-EINVAL, gh_group_wait(NULL));
	RC(-EINVAL, gh_group_cancel(NULL));
	RC(-EINVAL, gh_group_count(NULL));
	RC(-EINVAL, gh_group_spawn(NULL, member, NULL, NULL));
	RC(0, gh_group_free(NULL));
	CHECK(!gh_group_new(NULL, 1u << 9) && errno == EINVAL);
	CHECK(!gh_group_new((gh_group *)&ended, 0) && errno == EINVAL);
	gh_group *g = gh_group_new(NULL, 0), *part = gh_group_new(g, 0);
	RC(-EINVAL, gh_group_spawn(g, NULL, NULL, NULL));
	RC(0, gh_group_wait(g));
	RC(0, gh_group_spawn(g, waits_for_itself, g, NULL));
	RC(0, gh_group_wait(g));
	RC(-EBUSY, gh_group_free(g));
	RC(0, gh_group_free(part));
	RC(0, gh_group_free(g));
	RC(-EINVAL, gh_future_set(NULL, 0, NULL));
	RC(-EINVAL, gh_await(NULL, NULL));
	RC(-EINVAL, gh_future_cancel(NULL));
	RC(0, gh_future_unref(NULL));
	CHECK(!gh_future_ref(NULL) && errno == EINVAL);
	CHECK(!gh_async(NULL, NULL) && errno == EINVAL);
	RC(-EINVAL, gh_await_any(NULL, 1, 0));
	gh_future *f = gh_future_new(), *none = NULL;
	RC(-EINVAL, gh_await_any(&f, 0, 0));
	RC(-EINVAL, gh_await_any(&f, -1, 0));
	RC(-EINVAL, gh_await_any(&none, 1, 0));
	RC(-EINVAL, gh_future_set(f, 1, NULL));
	RC(0, gh_future_unref(f));
}

static int nested(void *arg)
{
	gh_group *g = gh_group_new(NULL, 0);
	for (int i = 0; i < 10; i++)
		QRC(0, gh_group_spawn(g, stays, NULL, NULL));
	int r = gh_group_wait(g); /* the caller's cancellation goes on to them */
	QRC(0, gh_group_count(g));
	gh_group_free(g);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
	return r;
}

static void groups(void)
{
	gh_group *g = gh_group_new(NULL, 0);
	for (int i = 0; i < MANY; i++)
		QRC(0, gh_group_spawn(g, member, (void *)(intptr_t)(i == 700 ? -EIO : 0), NULL));
	RC(-EIO, gh_group_wait(g));
	CHECK(ended == MANY && gh_group_count(g) == 0);
	RC(0, gh_group_wait(g)); /* the error was told */

	ended = 0;
	for (int i = 0; i < MANY; i++)
		QRC(0, gh_group_spawn(g, stays, NULL, NULL));
	RC(-ETIMEDOUT, gh_group_wait_until(g, 0));
	RC(-ETIMEDOUT, gh_group_wait_until(g, gh_after(GH_MS(3))));
	CHECK(gh_group_count(g) == MANY);
	RC(0, gh_group_cancel(g));
	RC(-ECANCELED, gh_group_wait(g));
	CHECK(ended == MANY);
	RC(-ECANCELED, gh_group_spawn(g, member, NULL, NULL));
	RC(0, gh_group_free(g));

	g = gh_group_new(NULL, GH_GROUP_CANCEL_ON_ERROR);
	ended = 0;
	for (int i = 0; i < 100; i++)
		QRC(0, gh_group_spawn(g, stays, NULL, NULL));
	RC(0, gh_group_spawn(g, member, (void *)(intptr_t)-EPIPE, NULL));
	RC(-EPIPE, gh_group_wait(g));
	CHECK(ended == 101);
	RC(0, gh_group_free(g));

	/* Groups within members, and parts of a group. */
	int inner = 0;
	g = gh_group_new(NULL, 0);
	gh_group *part = gh_group_new(g, 0);
	for (int i = 0; i < 20; i++) {
		QRC(0, gh_group_spawn(g, nested, &inner, NULL));
		QRC(0, gh_group_spawn(part, stays, NULL, NULL));
	}
	gh_sleep(GH_MS(5));
	ended = 0;
	RC(0, gh_group_cancel(g));
	RC(-ECANCELED, gh_group_wait(g));
	RC(-ECANCELED, gh_group_wait(part));
	CHECK(inner == 20);
	RC(0, gh_group_free(part));
	RC(0, gh_group_free(g));

	/* Freed while members run: they are cancelled, none is left. */
	for (int round = 0; round < 200; round++) {
		ended = 0;
		g = gh_group_new(NULL, 0);
		for (int i = 0; i < 5; i++)
			QRC(0, gh_group_spawn(g, i & 1 ? stays : member, NULL, NULL));
		QRC(0, gh_group_free(g));
		QUIET(ended == 5);
	}
}

static void *later(void *arg)
{
	gh_sleep(GH_MS(2));
	return arg;
}

static void *forever(void *arg)
{
	*(int *)arg = gh_sleep(GH_FOREVER);
	return arg;
}

static void *awaits(void *f)
{
	return (void *)(intptr_t)gh_await(f, NULL);
}

static void futures(void)
{
	void *value = NULL;
	int x = 0;
	gh_future *f = gh_async(later, &x);
	RC(-ETIMEDOUT, gh_await_until(f, &value, 0));
	RC(0, gh_await(f, &value));
	CHECK(value == &x);
	RC(0, gh_await(f, &value));
	CHECK(gh_future_done(f) == 1);
	RC(-EALREADY, gh_future_set(f, 0, NULL));
	RC(-EALREADY, gh_future_cancel(f));
	RC(0, gh_future_unref(f));

	f = gh_future_new();
	gh_task *t[20];
	for (int i = 0; i < 20; i++)
		t[i] = gh_task_spawn(awaits, f, NULL);
	CHECK(gh_future_done(f) == 0);
	gh_sleep(GH_MS(3));
	gh_task_cancel(t[0]);
	gh_task_join(t[0], &value);
	CHECK((intptr_t)value == -ECANCELED);
	RC(0, gh_future_set(f, -ENOENT, &x));
	for (int i = 1; i < 20; i++) {
		gh_task_join(t[i], &value);
		QUIET((intptr_t)value == -ENOENT);
	}
	RC(-ENOENT, gh_await(f, &value));
	CHECK(value == &x);
	gh_future_unref(f);

	x = 0;
	f = gh_async(forever, &x);
	gh_sleep(GH_MS(2));
	RC(0, gh_future_cancel(f));
	RC(-ECANCELED, gh_await(f, NULL));
	gh_future_unref(f);
	for (int i = 0; i < 1000 && !__atomic_load_n(&x, __ATOMIC_RELAXED); i++)
		gh_sleep(GH_MS(1));
	CHECK(x == -ECANCELED);

	gh_future *many[50];
	for (int i = 0; i < 50; i++)
		many[i] = gh_future_new();
	RC(-ETIMEDOUT, gh_await_any(many, 50, 0));
	RC(-ETIMEDOUT, gh_await_any(many, 50, gh_after(GH_MS(2))));
	gh_future_set(many[30], 0, NULL);
	RC(30, gh_await_any(many, 50, GH_FOREVER));
	for (int i = 0; i < 50; i++)
		gh_future_unref(many[i]);
	for (int round = 0; round < 500; round++) {
		gh_future *two[2] = {gh_async(later, NULL), gh_async(later, NULL)};
		int first = gh_await_any(two, 2, GH_FOREVER);
		QUIET(first == 0 || first == 1);
		QRC(0, gh_await(two[!first], NULL));
		gh_future_unref(two[0]);
		gh_future_unref(two[1]);
	}
}

/* A deadline that all have: whoever is told first, it is the reason. */
static int until_the_deadline(void *arg)
{
	(void)arg;
	QRC(-ECANCELED, gh_sleep(GH_S(60)));
	QRC(-ETIMEDOUT, gh_task_cancelled());
	return 0;
}

static void *with_a_deadline(void *arg)
{
	(void)arg;
	RC(0, gh_task_set_deadline(gh_task_self(), gh_after(GH_MS(10))));
	gh_group *g = gh_group_new(NULL, 0), *part = gh_group_new(g, 0);
	for (int i = 0; i < 300; i++)
		QRC(0, gh_group_spawn(i % 2 ? g : part, until_the_deadline, NULL, NULL));
	gh_group_wait(g);
	RC(-ETIMEDOUT, gh_task_cancelled());
	RC(0, gh_group_free(part));
	RC(0, gh_group_free(g));
	return NULL;
}

static void deadlines(void)
{
	for (int i = 0; i < 20; i++) {
		gh_task *t = gh_task_spawn(with_a_deadline, NULL, NULL);
		RC(0, gh_task_join(t, NULL));
	}
}

static int program(int argc, char **argv)
{
	(void)argc, (void)argv;
	misuse();
	groups();
	deadlines();
	futures();
	return check_done();
}

int main(int argc, char **argv)
{
	return gh_main(program, argc, argv);
}
