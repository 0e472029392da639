/* Suite of src/native/timer.c: set, stop, set again, free; by gthreads and kernel threads. */
#include <greenhook/timer.h>

#include "tests/helpers.h"

static int calls;
static gh_timer *timer;

static void counts(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_ACQ_REL);
}

static int counted(void)
{
	return __atomic_load_n(&calls, __ATOMIC_ACQUIRE);
}

static void *use_it(void *arg)
{
	must((timer = gh_timer_new(counts, &calls)) != NULL);
	must_eq(gh_timer_stop(timer), 0);
	gh_time at = gh_after(GH_MS(5));
	must_eq(gh_timer_set(timer, at, 0), 0);
	until(counted() == 1);
	must(gh_now() >= at);
	must_eq(gh_timer_set(timer, 0, 0), 0); /* past: now */
	until(counted() == 2);
	must_eq(gh_timer_set(timer, gh_after(GH_S(1000)), 0), 0);
	must_eq(gh_timer_stop(timer), 1);
	must_eq(gh_timer_stop(timer), 0);
	must_eq(gh_timer_set(timer, gh_after(GH_S(1000)), 0), 0);
	must_eq(gh_timer_set(timer, INT64_MIN, GH_MS(1)), 0); /* sooner, and again */
	until(counted() >= 6);
	must_eq(gh_timer_set(timer, GH_FOREVER, 0), 0);
	must_eq(gh_timer_stop(timer), 0);
	must_eq(gh_timer_free(timer), 0);
	int n = counted();
	must_eq(gh_sleep(GH_MS(5)), 0);
	must_eq(counted(), n);
	return arg;
}

START_TEST(a_timer_calls_when_it_is_due)
{
	on_both(_i, use_it);
}
END_TEST

START_TEST(light_tasks_use_it_as_well)
{
	start_runtime(worker_counts[_i]);
	must_eq(gh_task_join(gh_task_spawn(use_it, NULL, NULL), NULL), 0);
}
END_TEST

static int inside, left;
static void waits(void *arg)
{
	__atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
	gh_sleep(GH_MS(20));
	__atomic_store_n(&left, 1, __ATOMIC_RELEASE);
}

START_TEST(free_waits_for_a_call_in_progress)
{
	start_runtime(worker_counts[_i]);
	timer = gh_timer_new(waits, NULL);
	must_eq(gh_timer_set(timer, 0, GH_MS(1)), 0);
	until(__atomic_load_n(&inside, __ATOMIC_ACQUIRE));
	must_eq(gh_timer_free(timer), 0);
	must_eq(left, 1);
}
END_TEST

static void frees_itself(void *arg)
{
	must_eq(gh_timer_free(timer), 0);
	must_eq(gh_timer_set(timer, 0, 0), -EINVAL);
	counts(&calls);
}

START_TEST(its_function_may_free_it)
{
	start_runtime(worker_counts[_i]);
	timer = gh_timer_new(frees_itself, NULL);
	must_eq(gh_timer_set(timer, 0, GH_MS(1)), 0);
	until(counted() == 1);
	must_eq(gh_shutdown(gh_after(GH_S(10))), 0);
	must_eq(counted(), 1);
}
END_TEST

static void sets_itself(void *arg)
{
	if (__atomic_add_fetch(&calls, 1, __ATOMIC_ACQ_REL) < 5)
		must_eq(gh_timer_set(timer, gh_after(GH_MS(1)), 0), 0);
	else
		gh_task_exit(NULL);
}

START_TEST(its_function_may_set_it_and_end_its_task)
{
	start_runtime(worker_counts[_i]);
	timer = gh_timer_new(sets_itself, NULL);
	must_eq(gh_timer_set(timer, 0, 0), 0);
	until(counted() == 5);
	must_eq(gh_shutdown(gh_after(GH_S(10))), 0);
	must_eq(gh_timer_set(timer, 0, 0), 0);
	until(counted() == 6);
	must_eq(gh_timer_free(timer), 0);
}
END_TEST

static void *sets_and_is_late(void *arg)
{
	must_eq(gh_task_set_deadline(gh_task_self(), 1), 0);
	must_eq(gh_task_cancelled(), -ETIMEDOUT);
	must_eq(gh_timer_set(timer, gh_after(GH_MS(1)), 0), 0);
	return arg;
}

START_TEST(whoever_sets_it_may_be_past_his_deadline)
{
	start_runtime(worker_counts[_i]);
	timer = gh_timer_new(counts, &calls);
	must_eq(gh_task_join(gh_task_spawn(sets_and_is_late, NULL, NULL), NULL), 0);
	until(counted() == 1);
	must_eq(gh_timer_free(timer), 0);
}
END_TEST

START_TEST(a_shutdown_stops_it)
{
	start_runtime(worker_counts[_i]);
	timer = gh_timer_new(counts, &calls);
	must_eq(gh_timer_set(timer, gh_after(GH_S(1000)), 0), 0);
	must_eq(gh_shutdown(gh_after(GH_S(10))), 0);
	must_eq(gh_timer_stop(timer), 0);
	must_eq(gh_timer_set(timer, 0, 0), 0);
	until(counted() == 1);
	must_eq(gh_timer_free(timer), 0);
}
END_TEST

static void sets_itself_when_cancelled(void *arg)
{
	counts(&calls);
	must_eq(gh_sleep(GH_S(1000)), -ECANCELED);
	must_eq(gh_timer_set(timer, 0, GH_MS(1)), 0);
}

START_TEST(a_shutdown_stops_what_is_set_meanwhile)
{
	start_runtime(worker_counts[_i]);
	timer = gh_timer_new(sets_itself_when_cancelled, NULL);
	must_eq(gh_timer_set(timer, 0, 0), 0);
	until(counted() == 1);
	must_eq(gh_shutdown(gh_after(GH_S(10))), 0);
	must_eq(gh_timer_stop(timer), 0);
	must_eq(counted(), 1);
	must_eq(gh_timer_free(timer), 0);
}
END_TEST

START_TEST(what_is_no_timer_is_refused)
{
	uint64_t other[16] = {0};
	must(!gh_timer_new(NULL, NULL) && errno == EINVAL);
	must_eq(gh_timer_set(NULL, 0, 0), -EINVAL);
	must_eq(gh_timer_set((gh_timer *)other, 0, 0), -EINVAL);
	must_eq(gh_timer_stop(NULL), -EINVAL);
	must_eq(gh_timer_free(NULL), 0);
	must_eq(gh_timer_free((gh_timer *)other), -EINVAL);
	timer = gh_timer_new(counts, &calls);
	must_eq(gh_timer_set(timer, 0, -1), -EINVAL);
	must_eq(gh_timer_free(timer), 0);
}
END_TEST

Suite *suite_native_timer(void)
{
	Suite *s = suite_create("native_timer");
	add_loop(s, a_timer_calls_when_it_is_due, 2 * WORKER_COUNTS);
	add_loop(s, light_tasks_use_it_as_well, WORKER_COUNTS);
	add_loop(s, free_waits_for_a_call_in_progress, WORKER_COUNTS);
	add_loop(s, its_function_may_free_it, WORKER_COUNTS);
	add_loop(s, its_function_may_set_it_and_end_its_task, WORKER_COUNTS);
	add_loop(s, whoever_sets_it_may_be_past_his_deadline, WORKER_COUNTS);
	add_loop(s, a_shutdown_stops_it, WORKER_COUNTS);
	add_loop(s, a_shutdown_stops_what_is_set_meanwhile, WORKER_COUNTS);
	add_test(s, what_is_no_timer_is_refused);
	return s;
}
