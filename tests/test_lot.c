/* Suite of src/lot.c: order, selection, counts, and that each wake-up reaches exactly one waiter,
 * gthread or kernel thread. */
#include <limits.h>

#include "src/lot.h"
#include "tests/helpers.h"

enum { CROWD = 24, RACES = 1500 };

static int key, other_key, third_key;
static uint32_t queued, order, finished; /* queued counts under the bucket lock */

static bool count_queued(void *arg)
{
	fetch_add_acq_rel(&queued, 1u);
	return true;
}

struct request {
	struct ghi_lot_wait w;
	int result;
	uint32_t place; /* in the order of waking */
};

static void *wait_in_lot(void *arg)
{
	struct request *r = arg;
	r->result = ghi_lot_wait(&r->w);
	r->place = fetch_add_acq_rel(&order, 1u);
	fetch_add_acq_rel(&finished, 1u);
	return NULL;
}

static struct request requests[CROWD];
static pthread_t threads[CROWD];

/* Starts n waiters, one after the other, and returns when all are in the queue. */
static void queue_up(int n, const void *on, bool every_second_kernel)
{
	for (int i = 0; i < n; i++) {
		requests[i].w.key = on;
		requests[i].w.validate = count_queued;
		if (!requests[i].w.deadline)
			requests[i].w.deadline = GHI_NEVER;
		requests[i].w.why = GHI_PARK_FUTEX;
		threads[i] = every_second_kernel && i % 2 ? spawn_kernel(wait_in_lot, &requests[i])
							  : spawn(wait_in_lot, &requests[i]);
		until(load_acquire(&queued) == (uint32_t)i + 1);
	}
}

static void join_all(int n)
{
	for (int i = 0; i < n; i++)
		join(threads[i]);
}

static int wake(const void *on, int n)
{
	return ghi_lot_wake(on, n, 0, NULL, NULL);
}

START_TEST(waiters_are_woken_in_order)
{
	start_runtime(worker_counts[_i]);
	queue_up(CROWD, &key, false);
	for (uint32_t i = 0; i < CROWD; i++) {
		must_eq(wake(&key, 1), 1);
		until(load_acquire(&finished) == i + 1);
		must_eq(requests[i].place, i);
		must_eq(requests[i].result, 0);
	}
	must_eq(wake(&key, 1), 0);
	join_all(CROWD);
}
END_TEST

START_TEST(only_waiters_of_the_key_wake)
{
	start_runtime(1);
	queue_up(4, &key, false);
	must_eq(wake(&other_key, INT_MAX), 0);
	must_eq(wake(&key, 0), 0);
	must_eq(wake(&key, 3), 3);
	must_eq(wake(&key, 3), 1);
	join_all(4);
}
END_TEST

START_TEST(bits_choose_who_answers)
{
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 8; i++)
		requests[i].w.bits = i == 7 ? 0 : 1u << i % 2; /* the last answers to all */
	queue_up(8, &key, false);
	must_eq(ghi_lot_wake(&key, INT_MAX, 4, NULL, NULL), 1);
	until(load_acquire(&finished) == 1);
	must_eq(requests[7].place, 0);
	must_eq(ghi_lot_wake(&key, 2, 2, NULL, NULL), 2);
	must_eq(ghi_lot_wake(&key, INT_MAX, 2, NULL, NULL), 1);
	must_eq(wake(&key, INT_MAX), 4);
	join_all(8);
}
END_TEST

static bool no(void *arg)
{
	return false;
}

START_TEST(who_need_not_wait_is_told)
{
	struct ghi_lot_wait w = {.key = &key, .validate = no, .deadline = GHI_NEVER};
	start_runtime(1);
	ck_assert_int_eq(ghi_lot_wait(&w), -EAGAIN);
	ck_assert_int_eq(wake(&key, 1), 0);
	ck_assert_uint_eq(ghi_self()->reason, GHI_PARK_NONE);
	w.validate = NULL;
	w.deadline = 0;
	ck_assert_int_eq(ghi_lot_wait(&w), -ETIMEDOUT);
	w.deadline = GHI_PASSED;
	ck_assert_int_eq(ghi_lot_wait(&w), -ETIMEDOUT);
	ck_assert_int_eq(wake(&key, 1), 0);
}
END_TEST

static void note_remain(void *arg, bool remain)
{
	*(int *)arg = remain;
}

START_TEST(the_waker_learns_whether_waiters_remain)
{
	int remain = -1;
	start_runtime(1);
	queue_up(2, &key, false);
	ghi_lot_wake(&key, 1, 0, note_remain, &remain);
	ck_assert_int_eq(remain, 1);
	ghi_lot_wake(&key, 1, 0, note_remain, &remain);
	ck_assert_int_eq(remain, 0);
	join_all(2);
}
END_TEST

static void wake_own_key(void *arg)
{
	must_eq(wake(&key, 1), 1); /* it is queued already */
}

START_TEST(before_park_runs_when_queued_and_may_be_the_waker)
{
	struct ghi_lot_wait w = {.key = &key, .before_park = wake_own_key, .deadline = GHI_NEVER};
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 100; i++)
		must_eq(ghi_lot_wait(&w), 0);
}
END_TEST

START_TEST(requeue_counts_what_it_wakes_and_moves)
{
	int moved = -1;
	start_runtime(worker_counts[_i]);
	queue_up(10, &key, false);
	ck_assert_int_eq(ghi_lot_requeue(&key, &other_key, 2, 5, no, NULL, &moved), -EAGAIN);
	ck_assert_int_eq(ghi_lot_requeue(&key, &other_key, 2, 5, NULL, NULL, &moved), 2);
	ck_assert_int_eq(moved, 5);
	ck_assert_int_eq(wake(&key, INT_MAX), 3);
	ck_assert_int_eq(wake(&other_key, INT_MAX), 5);
	join_all(10);
}
END_TEST

START_TEST(requeue_to_the_same_key_ends)
{
	int moved = -1;
	start_runtime(1);
	queue_up(4, &key, false);
	ck_assert_int_eq(ghi_lot_requeue(&key, &key, 1, INT_MAX, NULL, NULL, &moved), 1);
	ck_assert_int_eq(moved, 3);
	ck_assert_int_eq(wake(&key, INT_MAX), 3);
	join_all(4);
}
END_TEST

START_TEST(a_deadline_holds_after_a_move)
{
	int moved;
	start_runtime(worker_counts[_i]);
	requests[0].w.deadline = ghi_deadline_in(50 * GHI_MS);
	queue_up(1, &key, false);
	ghi_lot_requeue(&key, &other_key, 0, 1, NULL, NULL, &moved);
	must_eq(moved, 1);
	join_all(1);
	ck_assert(ghi_now() >= requests[0].w.deadline);
	ck_assert_int_eq(requests[0].result, -ETIMEDOUT);
	ck_assert_int_eq(wake(&other_key, 1), 0);
}
END_TEST

START_TEST(gthreads_and_kernel_threads_queue_together)
{
	start_runtime(worker_counts[_i]);
	queue_up(CROWD, &key, true);
	for (uint32_t i = 0; i < CROWD / 2; i++) {
		must_eq(wake(&key, 1), 1);
		until(load_acquire(&finished) == i + 1);
		must_eq(requests[i].place, i);
	}
	must_eq(wake(&key, INT_MAX), CROWD / 2);
	join_all(CROWD);
}
END_TEST

/* ---- morphing: what condition variables need ------------------------------------------------- */

static bool hold_answer;
static int hold_calls, hold_awake;

static bool hold(void *token, bool one_is_awake)
{
	must(token == &third_key);
	hold_calls++;
	hold_awake += one_is_awake;
	return hold_answer || one_is_awake;
}

START_TEST(morph_moves_waiters_to_a_held_mutex)
{
	start_runtime(1);
	for (int i = 0; i < 6; i++)
		requests[i].w.token = &third_key;
	queue_up(6, &key, false);
	hold_answer = true;
	ck_assert_int_eq(ghi_lot_morph(&key, 4, hold, NULL, NULL), 4);
	ck_assert_int_eq(wake(&third_key, INT_MAX), 4);
	ck_assert_int_eq(wake(&key, INT_MAX), 2);
	join_all(6);
}
END_TEST

START_TEST(morph_wakes_one_when_the_mutex_is_free)
{
	int remain = -1;
	start_runtime(1);
	for (int i = 0; i < 6; i++)
		requests[i].w.token = &third_key;
	queue_up(6, &key, false);
	ck_assert_int_eq(ghi_lot_morph(&key, INT_MAX, hold, note_remain, &remain), 6);
	ck_assert_int_eq(hold_calls, 6);
	ck_assert_int_eq(hold_awake, 5);
	ck_assert_int_eq(remain, 0);
	until(load_acquire(&finished) == 1);
	ck_assert_int_eq(wake(&third_key, INT_MAX), 5);
	join_all(6);
}
END_TEST

START_TEST(morph_of_nobody_is_zero)
{
	int remain = -1;
	start_runtime(1);
	ck_assert_int_eq(ghi_lot_morph(&key, INT_MAX, hold, note_remain, &remain), 0);
	ck_assert_int_eq(remain, 0);
	ck_assert_int_eq(ghi_lot_morph(&key, 0, hold, note_remain, &remain), 0);
}
END_TEST

/* ---- races ---------------------------------------------------------------------------------- */

static uint32_t got, timed_out;

static void *wait_with_deadlines(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	for (int i = 0; i < RACES; i++) {
		struct ghi_lot_wait w = {
		    .key = &key, .deadline = ghi_deadline_in(random_next(&rnd) % 60 * GHI_US)};
		int r = ghi_lot_wait(&w);
		must(r == 0 || r == -ETIMEDOUT);
		fetch_add_relaxed(r ? &timed_out : &got, 1u);
	}
	fetch_add_acq_rel(&finished, 1u);
	return NULL;
}

START_TEST(wake_ups_given_are_wake_ups_received)
{
	enum { N = 6 };
	uint32_t given = 0;
	pthread_t t[N];
	start_runtime(worker_counts[_i]);
	for (uintptr_t i = 0; i < N; i++)
		t[i] = i % 3 == 2 ? spawn_kernel(wait_with_deadlines, (void *)(i + 1))
				  : spawn(wait_with_deadlines, (void *)(i + 1));
	while (load_acquire(&finished) < N) {
		given += (uint32_t)wake(&key, (int)(given % 3) + 1);
		yield();
	}
	for (int i = 0; i < N; i++)
		join(t[i]);
	must_eq(given, got);
	must_eq(got + timed_out, N * RACES);
}
END_TEST

static bool accept(void *arg, int n, bool remain)
{
	*(int *)arg = remain ? -n : n;
	return true;
}

static bool refuse(void *arg, int n, bool remain)
{
	*(int *)arg = n;
	return false;
}

START_TEST(a_grant_is_for_all_that_match_or_for_nobody)
{
	int n = 0;
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 6; i++)
		requests[i].w.bits = i < 4 ? 1 : 2;
	queue_up(6, &key, true);
	must_eq(ghi_lot_grant(&key, 1, refuse, &n), 0);
	must_eq(n, 4);
	must_eq(load_acquire(&finished), 0);
	must_eq(ghi_lot_grant(&key, 1, accept, &n), 4);
	must_eq(n, -4);
	until(load_acquire(&finished) == 4);
	must_eq(ghi_lot_grant(&key, 3, accept, &n), 2);
	must_eq(n, 2);
	join_all(6);
	for (int i = 0; i < 6; i++)
		must_eq(requests[i].result, 1);
	must_eq(ghi_lot_grant(&key, 3, accept, &n), 0);
	must_eq(n, 0);
}
END_TEST

static uint32_t granted;

static void *wait_for_grants(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	for (int i = 0; i < RACES; i++) {
		struct ghi_lot_wait w = {
		    .key = &key, .deadline = ghi_deadline_in(random_next(&rnd) % 60 * GHI_US)};
		int r = ghi_lot_wait(&w);
		must(r == 1 || r == -ETIMEDOUT);
		fetch_add_acq_rel(r == 1 ? &granted : &timed_out, 1u);
	}
	fetch_add_acq_rel(&finished, 1u);
	return NULL;
}

/* A waiter that was counted has what it waits for, also when its deadline came at that moment. */
START_TEST(grants_given_are_grants_received)
{
	enum { N = 6 };
	pthread_t t[N];
	uint32_t given = 0;
	int n;
	start_runtime(worker_counts[_i]);
	for (uintptr_t i = 0; i < N; i++)
		t[i] = i % 3 == 2 ? spawn_kernel(wait_for_grants, (void *)(i + 1))
				  : spawn(wait_for_grants, (void *)(i + 1));
	while (load_acquire(&finished) < N) {
		given += (uint32_t)ghi_lot_grant(&key, ~0u, accept, &n);
		yield();
	}
	for (int i = 0; i < N; i++)
		join(t[i]);
	must_eq(given, granted);
	must_eq(granted + timed_out, N * RACES);
}
END_TEST

Suite *suite_lot(void)
{
	Suite *s = suite_create("lot");
	add_loop(s, waiters_are_woken_in_order, WORKER_COUNTS);
	add_test(s, only_waiters_of_the_key_wake);
	add_loop(s, bits_choose_who_answers, WORKER_COUNTS);
	add_test(s, who_need_not_wait_is_told);
	add_test(s, the_waker_learns_whether_waiters_remain);
	add_loop(s, before_park_runs_when_queued_and_may_be_the_waker, WORKER_COUNTS);
	add_loop(s, requeue_counts_what_it_wakes_and_moves, WORKER_COUNTS);
	add_test(s, requeue_to_the_same_key_ends);
	add_loop(s, a_deadline_holds_after_a_move, WORKER_COUNTS);
	add_loop(s, gthreads_and_kernel_threads_queue_together, WORKER_COUNTS);
	add_test(s, morph_moves_waiters_to_a_held_mutex);
	add_test(s, morph_wakes_one_when_the_mutex_is_free);
	add_test(s, morph_of_nobody_is_zero);
	add_loop(s, wake_ups_given_are_wake_ups_received, WORKER_COUNTS);
	add_loop(s, a_grant_is_for_all_that_match_or_for_nobody, WORKER_COUNTS);
	add_loop(s, grants_given_are_grants_received, WORKER_COUNTS);
	return s;
}
