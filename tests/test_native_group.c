/* Suite of src/native/group.c: members, the first failure, parts, requests; by every sort of
 * caller. */
#include <greenhook/group.h>

#include "src/native/task_int.h"
#include "tests/helpers.h"

static uint32_t ended, stop;

static int returns(void *arg)
{
	return (int)(intptr_t)arg;
}

static int until_cancelled(void *arg)
{
	int r = gh_sleep(GH_FOREVER);
	must_eq(r, -ECANCELED);
	fetch_add_acq_rel(&ended, 1u);
	return arg ? 0 : r;
}

static int until_stopped(void *arg)
{
	until(load_acquire(&stop));
	return (int)(intptr_t)arg;
}

static gh_group *make(gh_group *parent, unsigned flags)
{
	gh_group *g = gh_group_new(parent, flags);
	must(g != NULL);
	store_relaxed(&ended, 0u);
	store_relaxed(&stop, 0u);
	return g;
}

/* ---- bad input ------------------------------------------------------------------------------ */

static void refused(gh_group *g)
{
	must_eq(gh_group_spawn(g, returns, NULL, NULL), -EINVAL);
	must_eq(gh_group_wait(g), -EINVAL);
	must_eq(gh_group_wait_until(g, 0), -EINVAL);
	must_eq(gh_group_wait_until(g, INT64_MIN), -EINVAL);
	must_eq(gh_group_cancel(g), -EINVAL);
	must_eq(gh_group_count(g), -EINVAL);
	must_eq(gh_group_free(g), g ? -EINVAL : 0);
	errno = 0;
	must(g == NULL || (!gh_group_new(g, 0) && errno == EINVAL));
}

static void *no_groups(void *arg)
{
	uint64_t other[64] = {0};
	refused(NULL);
	refused((gh_group *)other);
	refused((gh_group *)((char *)other + 1));
	gh_group *g = make(NULL, 0);
	must_eq(gh_group_free(g), 0);
	refused(g);
	must(!gh_group_new(NULL, 4) && errno == EINVAL);
	must(!gh_group_new(NULL, ~0u) && errno == EINVAL);
	g = make(NULL, 0);
	must_eq(gh_group_spawn(g, NULL, NULL, NULL), -EINVAL);
	must_eq(gh_group_count(g), 0);
	must_eq(gh_group_wait(g), 0);
	must_eq(gh_group_free(g), 0);
	return arg;
}

START_TEST(what_is_no_group_is_refused)
{
	everywhere(_i, no_groups);
}
END_TEST

/* ---- members -------------------------------------------------------------------------------- */

static void *waits_for_members(void *arg)
{
	gh_group *g = make(NULL, 0);
	must_eq(gh_group_wait(g), 0); /* nobody */
	must_eq(gh_group_wait_until(g, 0), 0);
	for (int i = 0; i < 10; i++)
		must_eq(gh_group_spawn(g, until_stopped, (void *)(intptr_t)i, NULL), 0);
	must_eq(gh_group_count(g), 10);
	must_eq(gh_group_wait_until(g, 0), -ETIMEDOUT);
	must_eq(gh_group_wait_until(g, INT64_MIN), -ETIMEDOUT);
	must_time_out(at, GH_MS(2), gh_group_wait_until(g, at));
	must_eq(gh_group_count(g), 10); /* they go on */
	store_release(&stop, 1u);
	must_eq(gh_group_wait(g), 0);
	must_eq(gh_group_count(g), 0);
	/* The first failure, once; then it may be used again. */
	must_eq(gh_group_spawn(g, returns, (void *)(intptr_t)-EXDEV, NULL), 0);
	while (gh_group_count(g))
		gh_yield();
	must_eq(gh_group_spawn(g, returns, (void *)(intptr_t)-EROFS, NULL), 0);
	must_eq(gh_group_wait(g), -EXDEV);
	must_eq(gh_group_wait(g), 0);
	must_eq(gh_group_spawn(g, returns, (void *)(intptr_t)-EROFS, NULL), 0);
	must_eq(gh_group_wait_until(g, GH_FOREVER), -EROFS);
	must_eq(gh_group_free(g), 0);
	return arg;
}

START_TEST(a_wait_ends_with_the_last_member_and_tells_the_first_failure)
{
	everywhere(_i, waits_for_members);
}
END_TEST

static int waits_for_itself(void *group)
{
	must_eq(gh_group_wait(group), -EDEADLK);
	must_eq(gh_group_wait_until(group, 0), -EDEADLK);
	must_eq(gh_group_free(group), -EDEADLK);
	return 0;
}

static void *cancels(void *arg)
{
	gh_group *g = make(NULL, 0);
	must_eq(gh_group_spawn(g, waits_for_itself, g, NULL), 0);
	must_eq(gh_group_wait(g), 0);
	for (int i = 0; i < 5; i++)
		must_eq(gh_group_spawn(g, until_cancelled, g, NULL), 0);
	must_eq(gh_group_cancel(g), 0);
	must_eq(gh_group_cancel(g), 0);
	must_eq(gh_group_spawn(g, returns, NULL, NULL), -ECANCELED);
	must_eq(gh_group_wait(g), 0);
	must_eq(ended, 5);
	must_eq(gh_group_spawn(g, returns, NULL, NULL), -ECANCELED); /* for good */
	must_eq(gh_group_free(g), 0);
	/* The free alone does it, too. */
	g = make(NULL, 0);
	for (int i = 0; i < 5; i++)
		must_eq(gh_group_spawn(g, until_cancelled, g, NULL), 0);
	must_eq(gh_group_free(g), 0);
	must_eq(ended, 5);
	return arg;
}

START_TEST(a_request_to_a_group_is_for_all_members)
{
	everywhere(_i, cancels);
}
END_TEST

static void *fails_together(void *arg)
{
	gh_group *g = make(NULL, GH_GROUP_CANCEL_ON_ERROR);
	must_eq(gh_group_spawn(g, until_cancelled, g, NULL), 0);
	must_eq(gh_group_spawn(g, until_cancelled, g, NULL), 0);
	must_eq(gh_group_spawn(g, returns, (void *)(intptr_t)-EXDEV, NULL), 0);
	must_eq(gh_group_wait(g), -EXDEV);
	must_eq(ended, 2);
	must_eq(gh_group_free(g), 0);
	g = make(NULL, 0); /* without the flag they go on */
	must_eq(gh_group_spawn(g, until_stopped, NULL, NULL), 0);
	must_eq(gh_group_spawn(g, returns, (void *)(intptr_t)-EXDEV, NULL), 0);
	until(gh_group_count(g) == 1);
	must_eq(gh_group_wait_until(g, gh_after(GH_MS(1))), -ETIMEDOUT);
	store_release(&stop, 1u);
	must_eq(gh_group_wait(g), -EXDEV);
	must_eq(gh_group_free(g), 0);
	return arg;
}

START_TEST(a_failure_cancels_the_others_if_that_is_wanted)
{
	everywhere(_i, fails_together);
}
END_TEST

static void *has_parts(void *arg)
{
	gh_group *g = make(NULL, 0), *part = make(g, 0), *deep = make(part, 0);
	must_eq(gh_group_spawn(part, until_cancelled, g, NULL), 0);
	must_eq(gh_group_spawn(deep, until_cancelled, g, NULL), 0);
	must_eq(gh_group_count(g), 0); /* its own only */
	must_eq(gh_group_free(g), -EBUSY);
	must_eq(gh_group_free(part), -EBUSY);
	must_eq(gh_group_cancel(g), 0);
	must_eq(gh_group_wait(deep), 0);
	must_eq(gh_group_wait(part), 0);
	must_eq(ended, 2);
	gh_group *late = make(g, 0);
	must_eq(gh_group_spawn(late, returns, NULL, NULL), -ECANCELED);
	must_eq(gh_group_free(late), 0);
	must_eq(gh_group_free(deep), 0);
	must_eq(gh_group_free(g), -EBUSY);
	must_eq(gh_group_free(part), 0);
	must_eq(gh_group_free(g), 0);
	return arg;
}

START_TEST(a_group_has_parts)
{
	everywhere(_i, has_parts);
}
END_TEST

/* ---- a waiter that is cancelled ------------------------------------------------------------- */

static void *is_cancelled(void *arg)
{
	must_eq(gh_task_cancel(gh_task_self()), 0);
	gh_group *g = make(NULL, 0);
	must_eq(gh_group_spawn(g, until_cancelled, g, NULL), 0);
	must_eq(gh_group_wait(g), -ECANCELED); /* and nobody is left behind */
	must_eq(ended, 1);
	must_eq(gh_group_free(g), 0);
	g = make(NULL, 0);
	must_eq(gh_group_spawn(g, until_stopped, NULL, NULL), 0);
	must_eq(gh_group_wait_until(g, gh_after(GH_S(1000))), -ECANCELED);
	must_eq(gh_group_count(g), 1); /* it may still run */
	must_eq(gh_group_spawn(g, returns, NULL, NULL), -ECANCELED);
	store_release(&stop, 1u);
	must_eq(gh_group_free(g), 0); /* waits, cancelled or not */
	g = make(NULL, 0);
	must_eq(gh_group_spawn(g, until_cancelled, NULL, NULL), 0);
	must_eq(gh_group_wait(g), -ECANCELED);
	must_eq(gh_group_free(g), 0);
	return arg;
}

static void *has_failed_before(void *arg)
{
	gh_group *g = make(NULL, 0);
	must_eq(gh_group_spawn(g, returns, (void *)(intptr_t)-EXDEV, NULL), 0);
	until(gh_group_count(g) == 0);
	must_eq(gh_group_spawn(g, until_cancelled, g, NULL), 0);
	must_eq(gh_task_cancel(gh_task_self()), 0);
	must_eq(gh_group_wait(g), -EXDEV);
	must_eq(gh_group_free(g), 0);
	return arg;
}

static void *by_tasks(void *arg)
{
	end_task(gh_task_spawn(is_cancelled, NULL, NULL));
	end_task(gh_task_spawn(has_failed_before, NULL, NULL));
	return arg;
}

START_TEST(a_cancelled_waiter_cancels_the_group)
{
	everywhere(_i, by_tasks);
}
END_TEST

Suite *suite_native_group(void)
{
	Suite *s = suite_create("native_group");
	add_loop(s, what_is_no_group_is_refused, PLACES);
	add_loop(s, a_wait_ends_with_the_last_member_and_tells_the_first_failure, PLACES);
	add_loop(s, a_request_to_a_group_is_for_all_members, PLACES);
	add_loop(s, a_failure_cancels_the_others_if_that_is_wanted, PLACES);
	add_loop(s, a_group_has_parts, PLACES);
	add_loop(s, a_cancelled_waiter_cancels_the_group, PLACES);
	return s;
}
