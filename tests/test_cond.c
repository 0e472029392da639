/* Suite of src/sync/cond.c: no signal is lost or spent on nobody, with one worker and with many. */
#include <time.h>

#include "src/sync/sync.h"
#include "tests/helpers.h"

enum { PAIRS = 8, ITEMS = 3000, ROOM = 3, CROWD = 32, RACES = 1000 };

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t full = PTHREAD_COND_INITIALIZER, c = PTHREAD_COND_INITIALIZER;

/* A bounded buffer that uses pthread_cond_signal only: one lost wake-up and it stands still. */
static int in_buffer;
static uint64_t taken;

static void *produce(void *arg)
{
	for (int i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&m);
		while (in_buffer == ROOM)
			must_eq(pthread_cond_wait(&full, &m), 0);
		in_buffer++;
		if (i % 2) /* under the mutex, and after it */
			pthread_cond_signal(&c);
		pthread_mutex_unlock(&m);
		if (i % 2 == 0)
			pthread_cond_signal(&c);
	}
	return NULL;
}

static void *consume(void *arg)
{
	for (int i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&m);
		while (in_buffer == 0)
			must_eq(pthread_cond_wait(&c, &m), 0);
		must(in_buffer > 0 && in_buffer <= ROOM);
		in_buffer--;
		taken++;
		pthread_cond_signal(&full);
		pthread_mutex_unlock(&m);
	}
	return NULL;
}

START_TEST(a_bounded_buffer_never_stands_still)
{
	pthread_t t[2 * PAIRS];
	bool kernel_too = _i >= WORKER_COUNTS;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	for (int i = 0; i < 2 * PAIRS; i++) {
		void *(*fn)(void *) = i % 2 ? produce : consume;
		t[i] = kernel_too && i % 4 > 1 ? spawn_kernel(fn, NULL) : spawn(fn, NULL);
	}
	for (int i = 0; i < 2 * PAIRS; i++)
		join(t[i]);
	must_eq(taken, PAIRS * ITEMS);
	must_eq(in_buffer, 0);
}
END_TEST

static uint32_t waiting, woken, round_no;

static void *wait_for_round(void *arg)
{
	pthread_mutex_lock(&m);
	waiting++;
	while (!round_no)
		must_eq(pthread_cond_wait(&c, &m), 0);
	woken++;
	must_eq(m.__data.__owner, ghi_lock_owner());
	pthread_mutex_unlock(&m);
	return NULL;
}

/* The loop variable: workers, and whether the mutex is held by the one who broadcasts. */
START_TEST(a_broadcast_wakes_everybody)
{
	pthread_t t[CROWD];
	start_runtime(worker_counts[_i / 2]);
	for (int i = 0; i < CROWD; i++)
		t[i] =
		    i % 4 == 3 ? spawn_kernel(wait_for_round, NULL) : spawn(wait_for_round, NULL);
	for (uint32_t n = 0; n < CROWD; yield()) {
		pthread_mutex_lock(&m);
		n = waiting;
		pthread_mutex_unlock(&m);
	}
	pthread_mutex_lock(&m);
	round_no = 1;
	if (_i % 2)
		pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
	if (_i % 2 == 0)
		pthread_cond_broadcast(&c);
	for (int i = 0; i < CROWD; i++)
		join(t[i]);
	must_eq(woken, CROWD);
	must_eq(m.__data.__lock, 0);
}
END_TEST

START_TEST(a_signal_wakes_one_and_leaves_the_others)
{
	pthread_t t[4];
	start_runtime(1);
	for (int i = 0; i < 4; i++) {
		t[i] = spawn(wait_for_round, NULL);
		yield();
	}
	until(waiting == 4);
	round_no = 1;
	for (uint32_t i = 1; i <= 4; i++) {
		pthread_cond_signal(&c);
		until(woken == i);
		for (int k = 0; k < 20; k++)
			yield();
		must_eq(woken, i);
	}
	for (int i = 0; i < 4; i++)
		join(t[i]);
}
END_TEST

START_TEST(a_signal_to_nobody_is_not_kept)
{
	struct timespec at;
	start_runtime(1);
	pthread_cond_signal(&c);
	pthread_cond_broadcast(&c);
	pthread_mutex_lock(&m);
	clock_gettime(CLOCK_REALTIME, &at);
	ck_assert_int_eq(pthread_cond_timedwait(&c, &m, &at), ETIMEDOUT);
	ck_assert_int_eq(m.__data.__owner, (int)ghi_lock_owner());
	pthread_mutex_unlock(&m);
}
END_TEST

static clockid_t clock_of(pthread_cond_t *cond, int which)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	must_eq(pthread_condattr_setclock(&a, clocks[which]), 0);
	must_eq(pthread_cond_init(cond, &a), 0);
	return clocks[which];
}

START_TEST(a_timed_wait_ends_in_the_clock_of_the_condition)
{
	pthread_cond_t timed;
	start_runtime(worker_counts[_i / 2]);
	clockid_t clock = clock_of(&timed, _i % 2);
	ck_assert_int_eq(ghi_cond_clock(&timed), clock);
	pthread_mutex_lock(&m);
	struct timespec at = ghi_ns_to_ts(ghi_clock_ns(clock) + 20 * GHI_MS);
	int r;
	while ((r = pthread_cond_timedwait(&timed, &m, &at)) == 0)
		;
	ck_assert_int_eq(r, ETIMEDOUT);
	ck_assert(ghi_clock_ns(clock) >= ghi_ts_to_ns(&at));
	at.tv_nsec = -1;
	ck_assert_int_eq(pthread_cond_timedwait(&timed, &m, &at), EINVAL);
	ck_assert_int_eq(m.__data.__owner, (int)ghi_lock_owner());
	pthread_mutex_unlock(&m);
	pthread_cond_destroy(&timed);
}
END_TEST

/* Waits that end by time, on the way of signals: what is signalled must be taken by somebody. */
static int tokens;
static uint64_t got;
static bool closing;

static void *take_tokens(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	pthread_mutex_lock(&m);
	while (!closing || tokens) {
		struct timespec at =
		    ghi_ns_to_ts(ghi_clock_ns(CLOCK_REALTIME) + random_next(&rnd) % 50 * GHI_US);
		if (tokens) {
			tokens--;
			got++;
		} else {
			/* An even one waits for ever: it depends on the signal being its own. */
			int r = random_next(&rnd) % 2 ? pthread_cond_timedwait(&c, &m, &at)
						      : pthread_cond_wait(&c, &m);
			must(r == 0 || r == ETIMEDOUT);
		}
	}
	pthread_mutex_unlock(&m);
	pthread_cond_signal(&c);
	return NULL;
}

START_TEST(a_signal_is_not_lost_to_a_wait_that_times_out)
{
	pthread_t t[6];
	start_runtime(worker_counts[_i]);
	for (uintptr_t i = 0; i < 6; i++)
		t[i] = i == 5 ? spawn_kernel(take_tokens, (void *)(i + 1))
			      : spawn(take_tokens, (void *)(i + 1));
	for (int i = 0; i < RACES; i++) {
		pthread_mutex_lock(&m);
		tokens++;
		pthread_cond_signal(&c);
		pthread_mutex_unlock(&m);
		until(__atomic_load_n(&tokens, __ATOMIC_RELAXED) == 0);
	}
	pthread_mutex_lock(&m);
	closing = true;
	pthread_mutex_unlock(&m);
	pthread_cond_broadcast(&c);
	for (int i = 0; i < 6; i++)
		join(t[i]);
	must_eq(got, RACES);
}
END_TEST

START_TEST(a_recursive_mutex_comes_back_with_one_level)
{
	pthread_mutex_t r = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	pthread_mutex_t e = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	struct timespec at = {0};
	start_runtime(1);
	pthread_mutex_lock(&r);
	ck_assert_int_eq(pthread_cond_timedwait(&c, &r, &at), ETIMEDOUT);
	ck_assert_uint_eq(r.__data.__count, 1);
	ck_assert_int_eq(pthread_mutex_unlock(&r), 0);
	ck_assert_int_eq(pthread_cond_wait(&c, &e), EPERM); /* not held: nobody is queued */
	ck_assert_int_eq(pthread_cond_timedwait(&c, &e, &at), EPERM);
}
END_TEST

Suite *suite_cond(void)
{
	Suite *s = suite_create("cond");
	add_loop(s, a_bounded_buffer_never_stands_still, 2 * WORKER_COUNTS);
	add_loop(s, a_broadcast_wakes_everybody, 2 * WORKER_COUNTS);
	add_test(s, a_signal_wakes_one_and_leaves_the_others);
	add_test(s, a_signal_to_nobody_is_not_kept);
	add_loop(s, a_timed_wait_ends_in_the_clock_of_the_condition, 2 * WORKER_COUNTS);
	add_loop(s, a_signal_is_not_lost_to_a_wait_that_times_out, WORKER_COUNTS);
	add_test(s, a_recursive_mutex_comes_back_with_one_level);
	return s;
}
