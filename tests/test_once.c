/* Suite of src/sync/once.c: one call, everybody waits for its end, a cancelled call does not count.
 */
#include "src/sync/sync.h"
#include "src/wait.h"
#include "tests/helpers.h"

enum { CROWD = 40, OBJECTS = 200 };

static pthread_once_t once[OBJECTS]; /* all zero: PTHREAD_ONCE_INIT */
static uint32_t calls, finished, begun;

static void initialise(void)
{
	fetch_add_relaxed(&calls, 1u);
	for (int i = 0; i < 5; i++)
		yield(); /* let others arrive meanwhile */
	fetch_add_acq_rel(&finished, 1u);
}

static void *call_all(void *arg)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		must_eq(pthread_once(&once[i], initialise), 0);
		must(load_acquire(&finished) > i);
	}
	return NULL;
}

START_TEST(it_runs_once_and_all_see_its_end)
{
	pthread_t t[CROWD];
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < CROWD; i++)
		t[i] = i % 8 == 7 ? spawn_kernel(call_all, NULL) : spawn(call_all, NULL);
	for (int i = 0; i < CROWD; i++)
		join(t[i]);
	must_eq(calls, OBJECTS);
	ck_assert_int_eq(once[0], 2); /* NPTL's "done" */
}
END_TEST

static void wait_to_be_cancelled(void)
{
	if (fetch_add_acq_rel(&begun, 1u) == 0)
		for (;;)
			pause();
}

static void *call_one(void *arg)
{
	must_eq(pthread_once(&once[0], wait_to_be_cancelled), 0);
	return NULL;
}

START_TEST(a_cancelled_call_is_made_again_by_who_waits)
{
	start_runtime(worker_counts[_i]);
	pthread_t first = spawn(call_one, NULL);
	until(load_acquire(&begun) == 1);
	pthread_t second = spawn(call_one, NULL);
	yield();
	must_eq(pthread_cancel(first), 0);
	ck_assert_ptr_eq(join(first), PTHREAD_CANCELED);
	ck_assert_ptr_null(join(second));
	ck_assert_uint_eq(begun, 2);
	ck_assert_int_eq(once[0], 2);
}
END_TEST

extern uint32_t ghi_once_generation;

START_TEST(a_call_of_before_a_fork_is_made_again)
{
	ghi_once_generation = 4;
	once[0] = 1; /* somebody was in it, who does not exist in this process */
	once[1] = 2;
	ck_assert_int_eq(pthread_once(&once[0], initialise), 0);
	ck_assert_int_eq(pthread_once(&once[1], initialise), 0);
	ck_assert_uint_eq(calls, 1);
}
END_TEST

Suite *suite_once(void)
{
	Suite *s = suite_create("once");
	add_loop(s, it_runs_once_and_all_see_its_end, WORKER_COUNTS);
	add_loop(s, a_cancelled_call_is_made_again_by_who_waits, WORKER_COUNTS);
	add_test(s, a_call_of_before_a_fork_is_made_again);
	return s;
}
