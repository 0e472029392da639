/* Suite of src/native/base.c, misuse.c, panic.c and of gh_stats(): the start, the version, errno,
 * debug runs, panics, counters. */
#include <greenhook/future.h>
#include <greenhook/panic.h>
#include <greenhook/sched.h>
#include <limits.h>

#include "tests/helpers.h"

static uint32_t stop;

static void *same(void *arg)
{
	return arg;
}

static void *until_stopped(void *arg)
{
	until(load_acquire(&stop));
	return arg;
}

static void *bad_stats(void *arg)
{
	struct gh_stats s = {.size = 0};
	must_eq(gh_stats(NULL), -EINVAL);
	must_eq(gh_stats(&s), -EINVAL);
	s.size = sizeof(size_t) - 1;
	must_eq(gh_stats(&s), -EINVAL);
	s.size = SIZE_MAX;
	must_eq(gh_stats(&s), -EINVAL);
	return arg;
}

START_TEST(counters_that_cannot_be_filled_are_refused)
{
	everywhere(_i, bad_stats);
}
END_TEST

START_TEST(counters_count)
{
	struct gh_stats s = {sizeof(s), 9, 9, 9, 9, 9}, before;
	must_eq(gh_stats(&s), 0);
	must(!s.tasks && !s.kernel_threads && !s.slots && !s.switches && !s.steals);
	start_runtime(worker_counts[_i]);
	gh_task *t[7];
	for (int i = 0; i < 7; i++)
		t[i] = gh_task_spawn(until_stopped, NULL, NULL);
	must_eq(gh_stats(&s), 0);
	must_eq(s.tasks, 7);
	must_eq(s.slots, worker_counts[_i]);
	must(s.kernel_threads >= 1);
	before = s;
	for (int i = 0; i < 1000; i++)
		gh_yield();
	must_eq(gh_stats(&s), 0);
	must(s.switches >= before.switches + (worker_counts[_i] == 1 ? 500 : 1));
	/* A caller that knows less of them, or more. */
	struct gh_stats less = {offsetof(struct gh_stats, slots), .slots = 99};
	must_eq(gh_stats(&less), 0);
	must(less.tasks == 7 && less.slots == 99 && less.size == offsetof(struct gh_stats, slots));
	struct {
		struct gh_stats s;
		uint64_t more;
	} later = {.s.size = sizeof(later), .more = 5};
	must_eq(gh_stats(&later.s), 0);
	must(later.s.tasks == 7 && later.s.size == sizeof(struct gh_stats) && later.more == 0);
	store_release(&stop, 1u);
	for (int i = 0; i < 7; i++)
		end_task(t[i]);
	must_eq(gh_stats(&s), 0);
	must_eq(s.tasks, 0);
}
END_TEST

/* ---- base.h --------------------------------------------------------------------------------- */

static void *cannot_start(void *arg)
{
	must_eq(gh_start(), -EAGAIN);
	return arg;
}

static void *finds_it_started(void *arg)
{
	must_eq(gh_start(), 0);
	return arg;
}

START_TEST(main_starts_the_runtime_and_nobody_else)
{
	on(true, cannot_start, NULL);
	must(!ghi_runtime_running());
	must_eq(gh_start(), 0);
	must(ghi_runtime_running());
	must_eq(gh_start(), 0);
	on(true, finds_it_started, NULL);
	on_task(0, finds_it_started);
}
END_TEST

static void *cannot_ever(void *arg)
{
	must_eq(gh_start(), -EPERM);
	return arg;
}

START_TEST(one_that_was_told_to_does_not_start)
{
	ghi_config.enabled = 0;
	must_eq(gh_start(), -EPERM);
	on(true, cannot_ever, NULL);
	must(!ghi_runtime_running());
	must(end_task(gh_task_spawn(same, &stop, NULL)) == &stop);
}
END_TEST

static void *errno_is_mine(void *arg)
{
	int *at = gh_errno_location();
	must(at == &errno);
	*at = 4711;
	must_eq(errno, 4711);
	return at;
}

START_TEST(errno_is_where_the_caller_s_is)
{
	start_runtime(worker_counts[_i]);
	void *mine = errno_is_mine(NULL);
	must(on(true, errno_is_mine, NULL) != mine);
	must(on(false, errno_is_mine, NULL) != mine);
	must(on_task(GH_TASK_OWN_TLS, errno_is_mine) != mine);
	on_task(0, errno_is_mine);
	must_eq(gh_version(), GREENHOOK_VERSION_NUMBER);
}
END_TEST

START_TEST(debug_is_what_it_was_set_to)
{
	must_eq(gh_debug(0), 0);
	must_eq(gh_debug(1), 0);
	must_eq(gh_debug(INT_MIN), 1);
	must_eq(gh_debug(0), 1);
	must_eq(gh_stats(NULL), -EINVAL); /* an error again */
}
END_TEST

START_TEST(a_mistake_in_a_debug_run_ends_it)
{
	uint64_t other[64] = {0};
	capture_stderr();
	gh_debug(1);
	switch (_i) {
	case 0:
		gh_task_join((gh_task *)other, NULL);
		break;
	case 1:
		gh_stats(NULL);
		break;
	case 2:
		gh_task_shield();
		break;
	default:
		gh_future_unref((gh_future *)other);
	}
}
END_TEST

START_TEST(a_panic_ends_the_process)
{
	capture_stderr();
	if (_i)
		start_runtime(worker_counts[_i - 1]);
	gh_panic(_i % 2 ? "%d" : (const char *)NULL, 1);
}
END_TEST

Suite *suite_native_base(void)
{
	Suite *s = suite_create("native_base");
	add_loop(s, counters_that_cannot_be_filled_are_refused, PLACES);
	add_loop(s, counters_count, WORKER_COUNTS);
	add_test(s, main_starts_the_runtime_and_nobody_else);
	add_test(s, one_that_was_told_to_does_not_start);
	add_loop(s, errno_is_where_the_caller_s_is, WORKER_COUNTS);
	add_test(s, debug_is_what_it_was_set_to);
	add_raising_loop(s, a_mistake_in_a_debug_run_ends_it, SIGABRT, 4);
	add_raising_loop(s, a_panic_ends_the_process, SIGABRT, 1 + WORKER_COUNTS);
	return s;
}
