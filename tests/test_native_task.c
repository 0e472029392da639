/* Suite of src/native/task.c: handles, join and detach; by every sort of caller. */
#include <greenhook/panic.h>
#include <greenhook/sched.h>

#include "src/native/task_int.h"
#include "tests/helpers.h"

static uint32_t stop, began;

static void *same(void *arg)
{
	return arg;
}

static void *until_stopped(void *arg)
{
	store_release(&began, 1u);
	until(load_acquire(&stop));
	return arg;
}

static gh_task *runs(void)
{
	store_relaxed(&stop, 0u);
	gh_task *t = gh_task_spawn(until_stopped, &stop, NULL);
	must(t != NULL);
	return t;
}

static void *stopped(gh_task *t)
{
	store_release(&stop, 1u);
	return end_task(t);
}

/* ---- handles -------------------------------------------------------------------------------- */

static void refused(gh_task *t)
{
	static const gh_time times[] = {INT64_MIN, 0, GH_FOREVER};
	int priority = 77;
	void *ret = &stop;
	for (int i = 0; i < 3; i++) {
		must_eq(gh_task_join_until(t, &ret, times[i]), -EINVAL);
		must_eq(gh_task_set_deadline(t, times[i]), -EINVAL);
	}
	must_eq(gh_task_join(t, &ret), -EINVAL);
	must_eq(gh_task_detach(t), -EINVAL);
	must_eq(gh_task_cancel(t), -EINVAL);
	must_eq(gh_task_set_priority(t, 0), -EINVAL);
	must_eq(gh_task_get_priority(t, &priority), -EINVAL);
	must(ret == &stop && priority == 77);
}

static void *no_handles(void *arg)
{
	uint64_t other[64] = {0};
	errno = 0;
	refused(NULL);
	refused((gh_task *)other);
	refused((gh_task *)((char *)other + 1));
	gh_task *t = gh_task_spawn(same, NULL, NULL);
	end_task(t);
	refused(t);
	t = runs();
	must_eq(gh_task_detach(t), 0);
	must_eq(gh_task_detach(t), -EINVAL);
	must_eq(gh_task_join(t, NULL), -EINVAL);
	must_eq(gh_task_join_until(t, NULL, 0), -EINVAL);
	must_eq(gh_task_cancel(t), 0); /* it runs */
	store_release(&stop, 1u);
	until(load_acquire(&t->magic) == 0);
	refused(t);
	must_eq(errno, 0);
	return arg;
}

START_TEST(what_is_no_handle_is_refused)
{
	everywhere(_i, no_handles);
}
END_TEST

static void *who(void *arg)
{
	until(load_acquire((gh_task **)arg) != NULL);
	must(gh_task_self() == *(gh_task **)arg);
	return gh_task_self();
}

static void *asks_who_it_is(void *arg)
{
	gh_task *self = gh_task_self(), *t = NULL;
	must(gh_task_self() == self);
	gh_task *made = gh_task_spawn(who, &t, NULL);
	store_release(&t, made);
	must(end_task(t) == t && t != self);
	must(gh_task_self() == self);
	return self;
}

static void *is_no_task(void *arg)
{
	errno = 17;
	must(asks_who_it_is(arg) == NULL);
	must_eq(errno, 17);
	return arg;
}

START_TEST(a_task_knows_itself)
{
	start_runtime(2);
	must(on_task(0, asks_who_it_is) != NULL);
	must(on_task(GH_TASK_OWN_TLS, asks_who_it_is) != NULL);
	is_no_task(NULL);
	on(false, is_no_task, NULL);
}
END_TEST

/* ---- join and detach ------------------------------------------------------------------------ */

static void *joins_itself(void *arg)
{
	must_eq(gh_task_join(gh_task_self(), NULL), -EDEADLK);
	must_eq(gh_task_join_until(gh_task_self(), NULL, 0), -EDEADLK);
	return arg;
}

static void *joins(void *task)
{
	return end_task(task);
}

static void *joins_others(void *arg)
{
	void *ret = &began;
	gh_task *t = runs();
	must_eq(gh_task_join_until(t, &ret, 0), -ETIMEDOUT);
	must_eq(gh_task_join_until(t, &ret, INT64_MIN), -ETIMEDOUT);
	must_time_out(at, GH_MS(2), gh_task_join_until(t, &ret, at));
	must(ret == &began);
	must(stopped(t) == &stop);
	t = runs();
	store_release(&stop, 1u);
	must_eq(gh_task_join_until(t, NULL, GH_FOREVER), 0);
	on_task(0, joins_itself);
	/* Somebody else is at it. */
	t = runs();
	gh_task *joiner = gh_task_spawn(joins, t, NULL);
	until(load_acquire(&t->join) == GHI_TASK_JOINING);
	must_eq(gh_task_join(t, &ret), -EINVAL);
	must_eq(gh_task_join_until(t, &ret, 0), -EINVAL);
	must_eq(gh_task_detach(t), -EINVAL);
	must(stopped(joiner) == &stop);
	/* An ended one can be given up, too. */
	t = gh_task_spawn(same, NULL, NULL);
	until(load_acquire(&t->ended));
	must_eq(gh_task_detach(t), 0);
	refused(t);
	return arg;
}

START_TEST(one_joiner_gets_the_result)
{
	everywhere(_i, joins_others);
}
END_TEST

/* ---- rings ---------------------------------------------------------------------------------- */

enum { RING = 5 };
static gh_task *ring[RING];
static int members, answers[RING];
static gh_time limit;

static void *joins_the_next(void *arg)
{
	int i = (int)(intptr_t)arg;
	fetch_add_acq_rel(&began, 1u);
	until(load_acquire(&stop)); /* all are there */
	answers[i] = gh_task_join_until(ring[(i + 1) % members], NULL, limit);
	fetch_add_acq_rel(&began, (uint32_t)-1);
	return NULL;
}

static void make_ring(int n)
{
	store_relaxed(&stop, 0u);
	store_relaxed(&began, 0u);
	members = n;
	for (intptr_t i = 0; i < n; i++)
		ring[i] = gh_task_spawn(joins_the_next, (void *)i, NULL);
	until(load_acquire(&began) == (uint32_t)n);
}

/* Those that nobody has joined; how many of them said so by want. */
static int left_over(int want)
{
	int n = 0;
	until(load_acquire(&began) == 0);
	for (int i = 0; i < members; i++) {
		must(answers[i] == 0 || answers[i] == want);
		if (answers[i]) {
			end_task(ring[(i + 1) % members]);
			n++;
		}
	}
	return n;
}

static void *rings(void *arg)
{
	for (int round = 0; round < 20; round++) {
		limit = GH_FOREVER;
		make_ring(2 + round % (RING - 1));
		store_release(&stop, 1u);
		must(left_over(-EDEADLK) >= 1);
	}
	/* One of them leaves by itself: nobody is told. */
	make_ring(3);
	must_eq(gh_task_set_deadline(ring[1], gh_after(GH_MS(20))), 0);
	store_release(&stop, 1u);
	must_eq(left_over(-ECANCELED), 1);
	must_eq(answers[1], -ECANCELED);
	make_ring(2);
	must_eq(gh_task_cancel(ring[0]), 0);
	store_release(&stop, 1u);
	must_eq(left_over(-ECANCELED), 1);
	limit = gh_after(GH_MS(2));
	make_ring(3);
	store_release(&stop, 1u);
	must(left_over(-ETIMEDOUT) >= 1);
	return arg;
}

START_TEST(who_closes_a_ring_of_joiners_is_told)
{
	everywhere(_i, rings);
}
END_TEST

static void *left_the_ring(void *arg)
{
	must_eq(gh_task_join(ring[1], NULL), -ECANCELED);
	must_eq(gh_task_shield(), 0);
	store_release(&stop, 1u);
	until(load_acquire(&gh_task_self()->join) == GHI_TASK_JOINING);
	return arg;
}

static void *joins_it_then(void *arg)
{
	until(load_acquire(&stop));
	must_eq(gh_task_join(ring[0], NULL), 0);
	return arg;
}

START_TEST(who_has_left_joins_nobody)
{
	start_runtime(worker_counts[_i]);
	ring[1] = gh_task_spawn(joins_it_then, NULL, NULL);
	ring[0] = gh_task_spawn(left_the_ring, NULL, NULL);
	until(load_acquire(&ring[1]->join) == GHI_TASK_JOINING);
	must_eq(gh_task_cancel(ring[0]), 0);
	until(load_acquire(&stop));
	end_task(ring[1]);
}
END_TEST

static void *joins_a_chain(void *depth)
{
	if (!depth)
		return NULL;
	gh_task *t = gh_task_spawn(joins_a_chain, (char *)depth - 1, NULL);
	if ((intptr_t)depth % 3)
		gh_yield();
	must_eq(gh_task_join(t, NULL), 0);
	return NULL;
}

START_TEST(a_chain_is_no_ring)
{
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 20; i++) {
		gh_task *t = gh_task_spawn(joins_a_chain, (void *)100, NULL);
		joins_a_chain((void *)50);
		end_task(t);
	}
}
END_TEST

static gh_task *other;
static void *is_cancelled_in_join(void *arg)
{
	must_eq(gh_task_join(other, NULL), -ECANCELED);
	must_eq(gh_task_join_until(other, NULL, GH_FOREVER), -ECANCELED);
	must_eq(gh_task_join_until(other, NULL, 0), -ETIMEDOUT);
	return arg;
}

START_TEST(a_cancelled_joiner_leaves_the_handle_as_it_was)
{
	start_runtime(worker_counts[_i]);
	other = runs();
	gh_task *t = gh_task_spawn(is_cancelled_in_join, NULL, NULL);
	until(load_acquire(&other->join) == GHI_TASK_JOINING);
	must_eq(gh_task_cancel(t), 0);
	end_task(t);
	must(stopped(other) == &stop);
}
END_TEST

static void *panics(void *arg)
{
	gh_panic("for %s", (char *)arg);
}

static void *joins_one_that_failed(void *arg)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_RECOVER};
	void *ret = &o;
	int err = capture_stderr();
	gh_task *t = gh_task_spawn(panics, "join", &o);
	must_eq(gh_task_join(t, &ret), -ENOTRECOVERABLE);
	must(ret == NULL);
	must_eq(gh_task_join(t, &ret), -EINVAL);
	t = gh_task_spawn(panics, "join_until", &o);
	must_eq(gh_task_join_until(t, NULL, GH_FOREVER), -ENOTRECOVERABLE);
	must_eq(gh_task_join_until(t, NULL, GH_FOREVER), -EINVAL);
	const char *said = captured(err);
	must(strstr(said, "*** panic in task") && strstr(said, ": for join"));
	return arg;
}

START_TEST(the_joiner_of_one_that_failed_is_told)
{
	everywhere(_i, joins_one_that_failed);
}
END_TEST

static void *panics_outside(void *arg)
{
	gh_panic("%s", "nobody recovers");
}

START_TEST(a_panic_of_others_ends_the_process)
{
	capture_stderr();
	everywhere(_i, panics_outside);
}
END_TEST

START_TEST(a_fork_s_child_has_no_tasks_but_ended_ones)
{
	start_runtime(worker_counts[_i]);
	gh_task *running = runs(), *over = gh_task_spawn(same, &over, NULL);
	until(load_acquire(&over->ended));
	pid_t pid = fork();
	if (pid == 0) {
		int priority;
		refused(running);
		must_eq(gh_task_cancel(over), 0);
		must_eq(gh_task_set_deadline(over, 0), -ESRCH);
		must_eq(gh_task_set_priority(over, 0), -ESRCH);
		must_eq(gh_task_get_priority(over, &priority), -ESRCH);
		must(end_task(over) == &over);
		refused(over);
		must(end_task(gh_task_spawn(same, &pid, NULL)) == &pid);
		_exit(0);
	}
	int status;
	must_eq(waitpid(pid, &status, 0), pid);
	must_eq(status, 0);
	must(end_task(over) == &over);
	must(stopped(running) == &stop);
}
END_TEST

Suite *suite_native_task(void)
{
	Suite *s = suite_create("native_task");
	add_loop(s, what_is_no_handle_is_refused, PLACES);
	add_test(s, a_task_knows_itself);
	add_loop(s, one_joiner_gets_the_result, PLACES);
	add_loop(s, who_closes_a_ring_of_joiners_is_told, PLACES);
	add_loop(s, who_has_left_joins_nobody, WORKER_COUNTS);
	add_loop(s, a_chain_is_no_ring, WORKER_COUNTS);
	add_loop(s, a_cancelled_joiner_leaves_the_handle_as_it_was, WORKER_COUNTS);
	add_loop(s, the_joiner_of_one_that_failed_is_told, PLACES);
	add_raising_loop(s, a_panic_of_others_ends_the_process, SIGABRT, 5 * WORKER_COUNTS);
	add_loop(s, a_fork_s_child_has_no_tasks_but_ended_ones, WORKER_COUNTS);
	return s;
}
