/* Suite of src/native/future.c: done once, for all who await it; by every sort of caller. */
#include <greenhook/future.h>
#include <limits.h>
#include <sys/resource.h>

#include "src/native/task_int.h"
#include "tests/helpers.h"

static uint32_t stop, ended;

static void *same(void *arg)
{
	return arg;
}

static void *until_stopped(void *arg)
{
	until(load_acquire(&stop));
	return arg;
}

static void *until_cancelled(void *arg)
{
	must_eq(gh_sleep(GH_FOREVER), -ECANCELED);
	store_release(&ended, 1u);
	return arg;
}

static gh_future *pending(void)
{
	gh_future *f = gh_future_new();
	must(f != NULL);
	must_eq(gh_future_done(f), 0);
	return f;
}

/* ---- bad input ------------------------------------------------------------------------------ */

static void refused(gh_future *f)
{
	void *value = &stop;
	gh_future *good = pending(), *both[] = {good, f};
	must_eq(gh_future_set(f, 0, NULL), -EINVAL);
	must_eq(gh_future_done(f), -EINVAL);
	must_eq(gh_await(f, &value), -EINVAL);
	must_eq(gh_await_until(f, &value, 0), -EINVAL);
	must_eq(gh_await_until(f, &value, INT64_MIN), -EINVAL);
	must_eq(gh_future_cancel(f), -EINVAL);
	must_eq(gh_await_any(both, 2, GH_FOREVER), -EINVAL);
	errno = 0;
	must(!gh_future_ref(f) && errno == EINVAL);
	must_eq(gh_future_unref(f), f ? -EINVAL : 0);
	must(value == &stop);
	must_eq(gh_future_unref(good), 0);
}

static void *no_futures(void *arg)
{
	uint64_t other[64] = {0};
	gh_future *f = pending();
	must_eq(gh_future_unref(f), 0);
	refused(NULL);
	refused((gh_future *)other);
	refused((gh_future *)((char *)other + 1));
	errno = 0;
	must(!gh_async(NULL, NULL) && errno == EINVAL);
	f = pending();
	must_eq(gh_future_set(f, 1, NULL), -EINVAL);
	must_eq(gh_future_set(f, INT_MAX, NULL), -EINVAL);
	must_eq(gh_future_done(f), 0);
	must_eq(gh_await_any(NULL, 1, 0), -EINVAL);
	must_eq(gh_await_any(&f, 0, 0), -EINVAL);
	must_eq(gh_await_any(&f, -1, 0), -EINVAL);
	must_eq(gh_await_any(&f, INT_MIN, 0), -EINVAL);
	must_eq(gh_await_any(&f, 1025, 0), -EINVAL);
	must_eq(gh_future_unref(f), 0);
	return arg;
}

START_TEST(what_is_no_future_is_refused)
{
	everywhere(_i, no_futures);
}
END_TEST

/* ---- done ----------------------------------------------------------------------------------- */

static void *sets(void *future)
{
	gh_yield();
	must_eq(gh_future_set(future, 0, &stop), 0);
	return NULL;
}

static void *done_once(void *arg)
{
	void *value = NULL;
	gh_future *f = pending();
	must_eq(gh_await_until(f, &value, 0), -ETIMEDOUT);
	must_eq(gh_await_until(f, &value, INT64_MIN), -ETIMEDOUT);
	must_time_out(at, GH_MS(2), gh_await_until(f, &value, at));
	must(value == NULL);
	must_eq(gh_future_set(f, -EXDEV, &stop), 0);
	must_eq(gh_future_set(f, 0, &ended), -EALREADY);
	must_eq(gh_future_cancel(f), -EALREADY);
	must_eq(gh_future_done(f), 1);
	for (int i = 0; i < 2; i++, value = NULL) { /* it stays as it is */
		must_eq(gh_await(f, &value), -EXDEV);
		must(value == &stop);
	}
	must_eq(gh_await(f, NULL), -EXDEV);
	must_eq(gh_await_until(f, &value, INT64_MIN), -EXDEV);
	must(value == &stop);
	must(gh_future_ref(f) == f);
	must_eq(gh_future_unref(f), 0);
	must_eq(gh_future_done(f), 1); /* there is a reference left */
	must_eq(gh_future_unref(f), 0);
	f = pending();
	gh_task *t = gh_task_spawn(sets, f, NULL);
	must_eq(gh_await(f, &value), 0);
	must(value == &stop);
	end_task(t);
	must_eq(gh_future_unref(f), 0);
	return arg;
}

START_TEST(a_future_is_done_once)
{
	everywhere(_i, done_once);
}
END_TEST

static void *await_functions(void *arg)
{
	void *value = NULL;
	gh_future *f = gh_async(same, &stop);
	must_eq(gh_await(f, &value), 0);
	must(value == &stop);
	must_eq(gh_future_unref(f), 0);
	store_relaxed(&stop, 0u);
	f = gh_async(until_stopped, &stop);
	must_eq(gh_future_done(f), 0);
	must_eq(gh_future_unref(f), 0); /* it runs on */
	f = gh_async(until_stopped, &ended);
	must_eq(gh_await_until(f, &value, gh_after(GH_MS(1))), -ETIMEDOUT);
	store_release(&stop, 1u);
	must_eq(gh_await_until(f, &value, GH_FOREVER), 0);
	must(value == &ended);
	must_eq(gh_future_unref(f), 0);
	f = gh_async((gh_fn)(void *)gh_task_exit, &stop); /* it has no result */
	must_eq(gh_await(f, &value), -ECANCELED);
	must(value == NULL);
	must_eq(gh_future_unref(f), 0);
	return arg;
}

START_TEST(the_result_of_a_function_is_awaited)
{
	everywhere(_i, await_functions);
}
END_TEST

static void *cancel_them(void *arg)
{
	void *value = &stop;
	store_relaxed(&ended, 0u);
	gh_future *f = gh_async(until_cancelled, NULL);
	must_eq(gh_future_cancel(f), 0);
	must_eq(gh_future_cancel(f), -EALREADY);
	must_eq(gh_future_set(f, 0, NULL), -EALREADY);
	must_eq(gh_await(f, &value), -ECANCELED);
	must(value == NULL);
	must_eq(gh_await_until(f, &value, 0), -ECANCELED);
	until(load_acquire(&ended)); /* its task, too */
	must_eq(gh_future_unref(f), 0);
	f = pending();
	must_eq(gh_future_cancel(f), 0);
	must_eq(gh_await(f, NULL), -ECANCELED);
	must_eq(gh_future_unref(f), 0);
	return arg;
}

START_TEST(a_future_may_be_cancelled)
{
	everywhere(_i, cancel_them);
}
END_TEST

/* ---- several -------------------------------------------------------------------------------- */

static void *await_several(void *arg)
{
	enum { N = 12 };
	gh_future *f[N];
	for (int n = 1; n <= N; n += N - 1) { /* a few need no memory */
		for (int i = 0; i < n; i++)
			f[i] = pending();
		must_eq(gh_await_any(f, n, 0), -ETIMEDOUT);
		must_eq(gh_await_any(f, n, INT64_MIN), -ETIMEDOUT);
		must_time_out(at, GH_MS(2), gh_await_any(f, n, at));
		gh_task *t = gh_task_spawn(sets, f[n - 1], NULL);
		must_eq(gh_await_any(f, n, GH_FOREVER), n - 1);
		end_task(t);
		must_eq(gh_future_set(f[n / 2], n == 1 ? 0 : -EXDEV, NULL), n == 1 ? -EALREADY : 0);
		must_eq(gh_await_any(f, n, 0), n / 2); /* the lowest, failed or not */
		for (int i = 0; i < n; i++)
			must_eq(gh_future_unref(f[i]), 0);
	}
	gh_future *many[1024], *one = pending();
	for (int i = 0; i < 1024; i++)
		many[i] = one;
	must_eq(gh_await_any(many, 1024, 0), -ETIMEDOUT);
	must_eq(gh_await_any(many, 1024, gh_after(GH_MS(1))), -ETIMEDOUT);
	must_eq(gh_future_set(one, 0, NULL), 0);
	must_eq(gh_await_any(many, 1024, 0), 0);
	must_eq(gh_future_unref(one), 0);
	return arg;
}

START_TEST(the_first_of_several_is_awaited)
{
	everywhere(_i, await_several);
}
END_TEST

/* ---- who is told no ------------------------------------------------------------------------- */

static void *is_cancelled(void *arg)
{
	gh_future *f = pending(), *both[] = {f, f};
	void *value = &stop;
	must_eq(gh_task_cancel(gh_task_self()), 0);
	must_eq(gh_await(f, &value), -ECANCELED);
	must_eq(gh_await_until(f, &value, GH_FOREVER), -ECANCELED);
	must_eq(gh_await_any(both, 2, GH_FOREVER), -ECANCELED);
	must(value == &stop);
	must_eq(gh_future_set(f, 0, NULL), 0);
	must_eq(gh_await(f, &value), 0); /* no need to wait */
	must_eq(gh_await_any(both, 2, GH_FOREVER), 0);
	must_eq(gh_future_unref(f), 0);
	return arg;
}

static void *in_a_task(void *arg)
{
	end_task(gh_task_spawn(is_cancelled, NULL, NULL));
	return arg;
}

START_TEST(a_cancelled_task_awaits_nothing)
{
	everywhere(_i, in_a_task);
}
END_TEST

static void *runs_without_memory(void *arg)
{
	struct rlimit all, none;
	gh_future *f = NULL;
	must_eq(getrlimit(RLIMIT_AS, &all), 0);
	none = all;
	none.rlim_cur = 1;
	must_eq(setrlimit(RLIMIT_AS, &none), 0);
	for (int i = 0; i < 1 << 20; i++)
		if (!(f = gh_async(until_stopped, NULL)))
			break;
	int said = errno;
	must_eq(setrlimit(RLIMIT_AS, &all), 0);
	must(f == NULL);
	must_eq(said, EAGAIN);
	store_release(&stop, 1u);
	f = gh_async(same, NULL);
	must_eq(gh_await(f, NULL), 0);
	return arg;
}

START_TEST(without_memory_no_function_is_started)
{
	everywhere(_i, runs_without_memory);
}
END_TEST

static gh_future *asked, *promised, *kept;

START_TEST(a_fork_s_child_is_told_of_those_that_nobody_will_set)
{
	void *value = &value;
	start_runtime(worker_counts[_i]);
	asked = gh_async(until_stopped, &stop);
	promised = pending();
	kept = pending();
	must_eq(gh_future_set(kept, -EXDEV, &stop), 0);
	pid_t pid = fork();
	if (pid == 0) {
		must_eq(gh_await(asked, &value), -ECANCELED);
		must(value == NULL);
		must_eq(gh_await_until(promised, NULL, 0), -ETIMEDOUT);
		must_eq(gh_future_set(promised, 0, NULL), 0);
		must_eq(gh_await(promised, NULL), 0);
		must_eq(gh_await(kept, &value), -EXDEV);
		must(value == &stop);
		_exit(0);
	}
	int status;
	must_eq(waitpid(pid, &status, 0), pid);
	must_eq(status, 0);
	store_release(&stop, 1u);
	must_eq(gh_await(asked, &value), 0);
	must(value == &stop);
	must_eq(gh_future_done(promised), 0);
}
END_TEST

Suite *suite_native_future(void)
{
	Suite *s = suite_create("native_future");
	add_loop(s, what_is_no_future_is_refused, PLACES);
	add_loop(s, a_future_is_done_once, PLACES);
	add_loop(s, the_result_of_a_function_is_awaited, PLACES);
	add_loop(s, a_future_may_be_cancelled, PLACES);
	add_loop(s, the_first_of_several_is_awaited, PLACES);
	add_loop(s, a_cancelled_task_awaits_nothing, PLACES);
	add_loop(s, without_memory_no_function_is_started, PLACES);
	add_loop(s, a_fork_s_child_is_told_of_those_that_nobody_will_set, WORKER_COUNTS);
	return s;
}
