/* Suite of src/sync/sem.c: tokens of semaphores, rounds of barriers. */
#include <limits.h>
#include <semaphore.h>
#include <time.h>

#include "src/sync/sync.h"
#include "tests/helpers.h"

enum { THREADS = 12, ROUNDS = 3000, BARRIER_ROUNDS = 500 };

static sem_t s;

START_TEST(the_value_counts_tokens)
{
	int value;
	start_runtime(1);
	must_eq(sem_init(&s, 0, 2), 0);
	must(ghi_sem_ours(&s));
	ck_assert_int_eq(sem_wait(&s), 0);
	ck_assert_int_eq(sem_trywait(&s), 0);
	ck_assert_int_eq(sem_trywait(&s), -1);
	ck_assert_int_eq(errno, EAGAIN);
	must_eq(sem_post(&s), 0);
	must_eq(sem_post(&s), 0);
	must_eq(sem_getvalue(&s, &value), 0);
	ck_assert_int_eq(value, 2);
	must_eq(sem_destroy(&s), 0);
}
END_TEST

START_TEST(the_value_does_not_overflow)
{
	int value;
	start_runtime(1);
	must_eq(sem_init(&s, 0, SEM_VALUE_MAX), 0);
	ck_assert_int_eq(sem_post(&s), -1);
	ck_assert_int_eq(errno, EOVERFLOW);
	must_eq(sem_getvalue(&s, &value), 0);
	ck_assert_int_eq(value, SEM_VALUE_MAX);
}
END_TEST

START_TEST(a_shared_semaphore_is_libc_s)
{
	must_eq(sem_init(&s, 1, 0), 0);
	ck_assert(!ghi_sem_ours(&s));
}
END_TEST

START_TEST(a_timed_wait_ends_and_not_early)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
	clockid_t c = clocks[_i % 2];
	start_runtime(worker_counts[_i / 2]);
	must_eq(sem_init(&s, 0, 0), 0);
	struct timespec at = ghi_ns_to_ts(ghi_clock_ns(c) + 20 * GHI_MS);
	ck_assert_int_eq(sem_clockwait(&s, c, &at), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert(ghi_clock_ns(c) >= ghi_ts_to_ns(&at));
	at.tv_nsec = 1000000000;
	ck_assert_int_eq(sem_timedwait(&s, &at), -1);
	ck_assert_int_eq(errno, EINVAL);
	must_eq(sem_post(&s), 0);
	ck_assert_int_eq(sem_timedwait(&s, &at),
			 -1); /* libc looks at the time first, tokens or not */
	at.tv_nsec = 0;
	at.tv_sec = 1;
	ck_assert_int_eq(sem_timedwait(&s, &at), 0); /* passed, but there is no need to wait */
}
END_TEST

/* Half of the threads post, the others take; some waits end by time and must cost no token. */
static uint32_t taken;
static bool posting[THREADS];

static void *post_or_take(void *arg)
{
	uint32_t rnd = (uint32_t)((bool *)arg - posting) + 1;
	for (int i = 0; i < ROUNDS; i++) {
		if (*(bool *)arg) {
			must_eq(sem_post(&s), 0);
			if (random_next(&rnd) % 4 == 0)
				yield();
			continue;
		}
		for (int r = -1; r;) {
			struct timespec at = ghi_ns_to_ts(ghi_clock_ns(CLOCK_REALTIME) +
							  random_next(&rnd) % 30 * GHI_US);
			r = random_next(&rnd) % 2 ? sem_timedwait(&s, &at) : sem_wait(&s);
			must(r == 0 || errno == ETIMEDOUT);
		}
		fetch_add_relaxed(&taken, 1u);
	}
	return NULL;
}

START_TEST(every_token_is_taken_once)
{
	pthread_t t[THREADS];
	int value;
	start_runtime(worker_counts[_i]);
	must_eq(sem_init(&s, 0, 0), 0);
	for (int i = 0; i < THREADS; i++) {
		posting[i] = i % 2;
		t[i] = i % 6 > 3 ? spawn_kernel(post_or_take, &posting[i])
				 : spawn(post_or_take, &posting[i]);
	}
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	must_eq(taken, THREADS / 2 * ROUNDS);
	must_eq(sem_getvalue(&s, &value), 0);
	ck_assert_int_eq(value, 0);
}
END_TEST

/* ---- barriers -------------------------------------------------------------------------------- */

static pthread_barrier_t b;
static uint32_t serials, arrivals[BARRIER_ROUNDS];

static void *meet(void *arg)
{
	for (int i = 0; i < BARRIER_ROUNDS; i++) {
		fetch_add_acq_rel(&arrivals[i], 1u);
		int r = pthread_barrier_wait(&b);
		must(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
		must_eq(load_acquire(&arrivals[i]), THREADS); /* nobody left too early */
		if (r)
			fetch_add_relaxed(&serials, 1u);
	}
	return NULL;
}

START_TEST(a_barrier_is_used_round_after_round)
{
	pthread_t t[THREADS];
	start_runtime(worker_counts[_i]);
	must_eq(pthread_barrier_init(&b, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = i % 4 == 3 ? spawn_kernel(meet, NULL) : spawn(meet, NULL);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	must_eq(serials, BARRIER_ROUNDS);
	must_eq(pthread_barrier_destroy(&b), 0);
}
END_TEST

START_TEST(a_barrier_of_one_opens_at_once)
{
	start_runtime(1);
	must_eq(pthread_barrier_init(&b, NULL, 1), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_barrier_wait(&b), PTHREAD_BARRIER_SERIAL_THREAD);
	must_eq(pthread_barrier_destroy(&b), 0);
	ck_assert_int_eq(pthread_barrier_init(&b, NULL, 0), EINVAL);
}
END_TEST

static void *wait_at_barrier(void *arg)
{
	return (void *)(intptr_t)pthread_barrier_wait(&b);
}

/* POSIX: whoever is told so may destroy it while the others are still on their way out. */
START_TEST(the_serial_thread_may_destroy_the_barrier)
{
	static const pthread_barrier_t zero;
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 300; i++) {
		must_eq(pthread_barrier_init(&b, NULL, 3), 0);
		pthread_t one = spawn(wait_at_barrier, NULL), two = spawn(wait_at_barrier, NULL);
		pthread_barrier_wait(&b);
		must_eq(pthread_barrier_destroy(&b), 0);
		memset(&b, 0, sizeof(b)); /* another object may live here now */
		intptr_t first = (intptr_t)join(one), second = (intptr_t)join(two);
		must(first == 0 || first == PTHREAD_BARRIER_SERIAL_THREAD);
		must(second == 0 || second == PTHREAD_BARRIER_SERIAL_THREAD);
		must(memcmp(&b, &zero, sizeof(b)) == 0); /* nobody touched it on the way out */
	}
}
END_TEST

Suite *suite_sem(void)
{
	Suite *suite = suite_create("sem");
	add_test(suite, the_value_counts_tokens);
	add_test(suite, the_value_does_not_overflow);
	add_test(suite, a_shared_semaphore_is_libc_s);
	add_loop(suite, a_timed_wait_ends_and_not_early, 2 * WORKER_COUNTS);
	add_loop(suite, every_token_is_taken_once, WORKER_COUNTS);
	add_loop(suite, a_barrier_is_used_round_after_round, WORKER_COUNTS);
	add_test(suite, a_barrier_of_one_opens_at_once);
	add_loop(suite, the_serial_thread_may_destroy_the_barrier, WORKER_COUNTS);
	return suite;
}
