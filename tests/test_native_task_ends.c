/* Suite of how tasks end: results, deferred functions, requests, deadlines, shields, sleeps, the
 * shutdown; by every sort of caller. */
#include <greenhook/chan.h>
#include <signal.h>

#include "src/native/task_int.h"
#include "tests/helpers.h"

static uint32_t ready, stop;
static char order[16];

static void *until_cancelled(void *arg)
{
	store_release(&ready, 1u);
	must_eq(gh_sleep(GH_FOREVER), -ECANCELED);
	return arg;
}

static gh_task *sleeper(void)
{
	store_relaxed(&ready, 0u);
	gh_task *t = gh_task_spawn(until_cancelled, order, NULL);
	until(load_acquire(&ready));
	return t;
}

/* ---- the end of a function, and what it deferred --------------------------------------------- */

static void note(void *text)
{
	gh_yield();
	must_eq(gh_sleep(GH_US(10)), 0); /* cancelled or not */
	strcat(order, text);
}

static void *defers(void *how)
{
	must_eq(gh_defer_pop(true), -ENOENT);
	must_eq(gh_defer_pop(false), -ENOENT);
	must_eq(gh_defer(NULL, order), -EINVAL);
	must_eq(gh_defer(note, "a"), 0);
	must_eq(gh_defer(note, "b"), 0);
	must_eq(gh_defer(note, "x"), 0);
	must_eq(gh_defer(note, "c"), 0);
	must_eq(gh_defer_pop(true), 0);
	must_eq(strcmp(order, "c"), 0);
	must_eq(gh_defer_pop(false), 0);
	must_eq(gh_task_cancel(gh_task_self()), 0);
	if (how)
		gh_task_exit(how);
	return "returned";
}

static void *ends(void *arg)
{
	*order = 0;
	must_eq(strcmp(end_task(gh_task_spawn(defers, NULL, NULL)), "returned"), 0);
	must_eq(strcmp(order, "cba"), 0);
	*order = 0;
	must_eq(strcmp(end_task(gh_task_spawn(defers, "left", NULL)), "left"), 0);
	must_eq(strcmp(order, "cba"), 0);
	must_eq(gh_defer(NULL, NULL), -EINVAL);
	return arg;
}

START_TEST(what_was_deferred_runs_before_the_joiner)
{
	everywhere(_i, ends);
}
END_TEST

static void *leaves(void *arg)
{
	gh_task_exit(arg);
	return NULL;
}

static void *is_no_task(void *arg)
{
	must_eq(gh_defer(note, NULL), -EPERM);
	must_eq(gh_defer_pop(true), -EPERM);
	must_eq(gh_defer_pop(false), -EPERM);
	must_eq(gh_task_shield(), -EPERM);
	must_eq(gh_task_unshield(), -EPERM);
	must_eq(gh_task_cancelled(), 0);
	must(gh_task_deadline() == GH_FOREVER);
	gh_task_exit(&stop); /* as by pthread_exit */
	return arg;
}

START_TEST(who_is_no_task_is_told)
{
	start_runtime(worker_counts[_i]);
	must(on(false, is_no_task, NULL) == &stop);
	must(on(true, is_no_task, NULL) == &stop);
	must(on(false, leaves, order) == order);
}
END_TEST

/* ---- requests ------------------------------------------------------------------------------- */

static void *shields(void *arg)
{
	gh_task *self = gh_task_self();
	must_eq(gh_task_cancelled(), 0);
	must_eq(gh_task_unshield(), -EINVAL);
	must_eq(gh_task_shield(), 0);
	must_eq(gh_task_shield(), 0);
	must_eq(gh_task_cancel(self), 0);
	must_eq(gh_task_cancelled(), -ECANCELED); /* whatever the shield */
	must_eq(gh_sleep(GH_US(100)), 0);
	must_eq(gh_task_unshield(), 0);
	must_eq(gh_sleep(GH_US(100)), 0);
	must_eq(gh_task_unshield(), 0);
	must_eq(gh_sleep(GH_US(100)), -ECANCELED);
	must_eq(gh_sleep(0), -ECANCELED);
	must_eq(gh_sleep_until(INT64_MIN), -ECANCELED);
	must_eq(gh_task_unshield(), -EINVAL);
	return arg;
}

static void *requests(void *arg)
{
	gh_task *t = sleeper();
	must_eq(gh_task_cancel(t), 0);
	must_eq(gh_task_cancel(t), 0); /* it stands */
	must(end_task(t) == order);
	t = gh_task_spawn(until_cancelled, order, NULL);
	must_eq(gh_task_cancel(t), 0); /* it may not have begun */
	must(end_task(t) == order);
	t = gh_task_spawn(leaves, order, NULL);
	until(load_acquire(&t->ended));
	must_eq(gh_task_cancel(t), 0); /* it has ended */
	must(end_task(t) == order);
	end_task(gh_task_spawn(shields, NULL, NULL));
	return arg;
}

START_TEST(a_request_ends_waits_that_are_not_shielded)
{
	everywhere(_i, requests);
}
END_TEST

/* ---- deadlines ------------------------------------------------------------------------------ */

static void *inherits(void *at)
{
	must(gh_task_deadline() == *(gh_time *)at);
	must_eq(gh_sleep(GH_FOREVER), -ECANCELED);
	must(gh_now() >= *(gh_time *)at);
	must_eq(gh_task_cancelled(), -ETIMEDOUT);
	return at;
}

static void *has_deadlines(void *arg)
{
	gh_task *self = gh_task_self();
	gh_time at = gh_after(GH_MS(3));
	must(gh_task_deadline() == GH_FOREVER);
	must_eq(gh_task_set_deadline(self, gh_after(GH_S(1000))), 0);
	must_eq(gh_task_set_deadline(self, GH_FOREVER), 0);
	must(gh_task_deadline() == GH_FOREVER);
	must_eq(gh_task_set_deadline(self, at), 0);
	gh_task *child = gh_task_spawn(inherits, &at, NULL);
	inherits(&at);
	must_eq(gh_task_set_deadline(self, GH_FOREVER), 0);
	must_eq(gh_task_cancelled(), -ETIMEDOUT); /* once it has come */
	must_eq(gh_task_shield(), 0);
	end_task(child);
	return arg;
}

static void *is_late(void *at)
{
	must_eq(gh_task_set_deadline(gh_task_self(), *(gh_time *)at), 0);
	must_eq(gh_sleep(GH_FOREVER), -ECANCELED);
	must_eq(gh_task_cancelled(), -ETIMEDOUT);
	return at;
}

static void *deadlines(void *arg)
{
	static gh_time past[] = {INT64_MIN, -1, 0, 1};
	end_task(gh_task_spawn(has_deadlines, NULL, NULL));
	for (int i = 0; i < 4; i++)
		end_task(gh_task_spawn(is_late, &past[i], NULL));
	gh_task *t = gh_task_spawn(leaves, NULL, NULL);
	until(load_acquire(&t->ended));
	must_eq(gh_task_set_deadline(t, 0), -ESRCH);
	must_eq(gh_task_set_deadline(t, GH_FOREVER), -ESRCH);
	end_task(t);
	return arg;
}

START_TEST(a_deadline_cancels_its_task_and_is_inherited)
{
	everywhere(_i, deadlines);
}
END_TEST

/* ---- time ----------------------------------------------------------------------------------- */

static void *sleeps(void *arg)
{
	gh_time now = gh_now();
	must(gh_after(0) >= now && gh_after(0) < GH_FOREVER);
	must(gh_after(GH_FOREVER) == GH_FOREVER && gh_after(GH_FOREVER - 1) == GH_FOREVER);
	must(gh_after(-1) < gh_now() && gh_after(INT64_MIN) < 0);
	must_eq(gh_sleep(0), 0);
	must_eq(gh_sleep(-1), 0);
	must_eq(gh_sleep(INT64_MIN), 0);
	must_eq(gh_sleep_until(INT64_MIN), 0);
	must_eq(gh_sleep_until(0), 0);
	must_eq(gh_sleep_until(now), 0);
	now = gh_now();
	must_eq(gh_sleep(GH_MS(2)), 0);
	must(gh_now() >= now + GH_MS(2));
	gh_time at = gh_after(GH_MS(2));
	must_eq(gh_sleep_until(at), 0);
	must(gh_now() >= at);
	return arg;
}

START_TEST(a_sleep_is_not_early_and_past_ones_are_none)
{
	everywhere(_i, sleeps);
}
END_TEST

static void on_signal(int sig)
{
	(void)sig;
	store_release(&stop, 1u);
}

static void *is_interrupted(void *arg)
{
	store_release(&ready, 1u);
	must_eq(arg ? gh_sleep(GH_FOREVER) : gh_sleep_until(GH_FOREVER - 1), -EINTR);
	must_eq(load_acquire(&stop), 1);
	return arg;
}

START_TEST(a_handler_ends_a_sleep)
{
	struct sigaction a = {.sa_handler = on_signal};
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must_eq(sigaction(SIGUSR1, &a, NULL), 0);
	void *how = _i / WORKER_COUNTS % 2 ? order : NULL;
	bool kernel = _i / WORKER_COUNTS / 2;
	pthread_t t = kernel ? spawn_kernel(is_interrupted, how) : spawn(is_interrupted, how);
	if (kernel)
		until(load_acquire(&ready));
	else
		until(ghi_gthread_of((uintptr_t)t)->reason == GHI_PARK_SLEEP);
	if (kernel) /* nobody tells when it sleeps */
		usleep(20000);
	must_eq(pthread_kill(t, SIGUSR1), 0);
	join(t);
}
END_TEST

static void *runs(void *arg)
{
	store_release(&ready, 1u);
	return arg;
}

/* Once it counted on strict turns, which the monitor may change on a busy machine. */
static void *lets_others_run(void *arg)
{
	int at_once = 0;
	for (int i = 0; i < 200; i++) {
		store_relaxed(&ready, 0u);
		gh_task *t = gh_task_spawn(runs, NULL, NULL);
		gh_yield();
		at_once += load_acquire(&ready) != 0;
		end_task(t);
	}
	must(at_once >= 100);
	return arg;
}

START_TEST(a_yield_lets_the_next_one_run)
{
	start_runtime(1);
	lets_others_run(NULL);
	on(false, lets_others_run, NULL);
	on_task(0, lets_others_run);
	gh_yield();
}
END_TEST

static void *yields(void *arg)
{
	errno = 17;
	gh_yield();
	must_eq(errno, 17);
	return arg;
}

START_TEST(anybody_may_yield)
{
	everywhere(_i, yields);
}
END_TEST

/* ---- all of them ---------------------------------------------------------------------------- */

static void *is_stubborn(void *arg)
{
	until(load_acquire(&stop));
	return arg;
}

static void *shuts_down(void *arg)
{
	gh_task *t = sleeper();
	must_eq(gh_shutdown(gh_after(GH_S(10))), 0);
	must(end_task(t) == order);
	must_eq(gh_task_cancelled(), 0); /* the caller is left alone */
	store_relaxed(&stop, 0u);
	t = gh_task_spawn(is_stubborn, order, NULL);
	must_eq(gh_shutdown(INT64_MIN), 1);
	must_eq(gh_shutdown(0), 1);
	gh_time at = gh_after(GH_MS(2));
	must_eq(gh_shutdown(at), 1);
	must(gh_now() >= at);
	store_release(&stop, 1u);
	must(end_task(t) == order);
	must_eq(gh_shutdown(GH_FOREVER), 0);
	t = sleeper(); /* afterwards all is as before */
	must_eq(gh_task_cancel(t), 0);
	end_task(t);
	return arg;
}

START_TEST(a_shutdown_cancels_all_and_counts_who_is_left)
{
	everywhere(_i, shuts_down);
}
END_TEST

static void *shuts_down_cancelled(void *arg)
{
	gh_task *t = gh_task_spawn(is_stubborn, order, NULL);
	must_eq(gh_task_cancel(gh_task_self()), 0);
	must_eq(gh_shutdown(GH_FOREVER), -ECANCELED);
	store_release(&stop, 1u);
	must_eq(gh_task_shield(), 0);
	must(end_task(t) == order);
	return arg;
}

START_TEST(a_cancelled_task_waits_for_no_shutdown)
{
	start_runtime(worker_counts[_i]);
	on_task(0, shuts_down_cancelled);
}
END_TEST

static int program(int argc, char **argv)
{
	must_eq(gh_start(), 0);
	must_eq(argc, 2);
	must(argv == (char **)order);
	gh_go(until_cancelled, NULL, NULL);
	until(load_acquire(&ready));
	return 42;
}

START_TEST(main_cancels_what_is_left)
{
	must_eq(gh_main(NULL, 0, NULL), -EINVAL);
	must(!ghi_runtime_running());
	must_eq(gh_main(program, 2, (char **)order), 42);
	must_eq(ghi_tasks_alive, 0);
}
END_TEST

Suite *suite_native_task_ends(void)
{
	Suite *s = suite_create("native_task_ends");
	add_loop(s, what_was_deferred_runs_before_the_joiner, PLACES);
	add_loop(s, who_is_no_task_is_told, WORKER_COUNTS);
	add_loop(s, a_request_ends_waits_that_are_not_shielded, PLACES);
	add_loop(s, a_deadline_cancels_its_task_and_is_inherited, PLACES);
	add_loop(s, a_sleep_is_not_early_and_past_ones_are_none, PLACES);
	add_loop(s, a_handler_ends_a_sleep, 4 * WORKER_COUNTS);
	add_test(s, a_yield_lets_the_next_one_run);
	add_loop(s, anybody_may_yield, PLACES);
	add_loop(s, a_shutdown_cancels_all_and_counts_who_is_left, PLACES);
	add_loop(s, a_cancelled_task_waits_for_no_shutdown, WORKER_COUNTS);
	add_test(s, main_cancels_what_is_left);
	return s;
}
