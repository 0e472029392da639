/* Suite of src/sync/mutex.c: the kinds, mutual exclusion among gthreads and kernel threads,
 * timeouts. */
#include <time.h>

#include "src/sync/sync.h"
#include "tests/helpers.h"

enum { THREADS = 16, ROUNDS = 4000 };

static const struct kind {
	int type;
	int relock, foreign_unlock; /* what they answer */
} kinds[] = {
    {PTHREAD_MUTEX_NORMAL, EBUSY, 0}, /* EBUSY: by trylock */
    {PTHREAD_MUTEX_RECURSIVE, 0, EPERM},
    {PTHREAD_MUTEX_ERRORCHECK, EDEADLK, EPERM},
    {PTHREAD_MUTEX_ADAPTIVE_NP, EBUSY, 0},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static pthread_mutex_t m;

static void init(int type)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	must_eq(pthread_mutex_init(&m, &a), 0);
}

static void *try_and_unlock(void *arg)
{
	int *answers = arg;
	answers[0] = pthread_mutex_trylock(&m);
	answers[1] = pthread_mutex_unlock(&m);
	return NULL;
}

START_TEST(each_kind_answers_as_libc_does)
{
	const struct kind *k = &kinds[_i % KINDS];
	int answers[2];
	start_runtime(1);
	init(k->type);
	must(ghi_mutex_ours(&m));
	must_eq(pthread_mutex_lock(&m), 0);
	ck_assert_int_eq(m.__data.__owner, (int)ghi_lock_owner());
	if (k->relock == EBUSY) {
		ck_assert_int_eq(pthread_mutex_trylock(&m), EBUSY);
	} else {
		ck_assert_int_eq(pthread_mutex_lock(&m), k->relock);
		if (k->relock == 0)
			must_eq(pthread_mutex_unlock(&m), 0);
	}
	/* Another thread, of either sort. */
	pthread_t t =
	    _i < KINDS ? spawn(try_and_unlock, answers) : spawn_kernel(try_and_unlock, answers);
	join(t);
	ck_assert_int_eq(answers[0], EBUSY);
	ck_assert_int_eq(answers[1], k->foreign_unlock);
	if (k->foreign_unlock)
		must_eq(pthread_mutex_unlock(&m), 0);
	ck_assert_int_eq(m.__data.__lock, 0);
	ck_assert_int_eq(pthread_mutex_destroy(&m), 0);
}
END_TEST

START_TEST(static_initialisers_are_their_kinds)
{
	pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	pthread_mutex_t checked = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	start_runtime(1);
	for (int i = 0; i < 3; i++) {
		must_eq(pthread_mutex_lock(&normal), 0);
		must_eq(pthread_mutex_unlock(&normal), 0);
	}
	must_eq(pthread_mutex_lock(&recursive), 0);
	must_eq(pthread_mutex_lock(&recursive), 0);
	must_eq(pthread_mutex_trylock(&recursive), 0);
	ck_assert_uint_eq(recursive.__data.__count, 3);
	for (int i = 0; i < 3; i++)
		must_eq(pthread_mutex_unlock(&recursive), 0);
	ck_assert_int_eq(pthread_mutex_unlock(&recursive), EPERM);
	must_eq(pthread_mutex_lock(&checked), 0);
	ck_assert_int_eq(pthread_mutex_lock(&checked), EDEADLK);
	must_eq(pthread_mutex_unlock(&checked), 0);
	ck_assert_int_eq(pthread_mutex_unlock(&checked), EPERM);
}
END_TEST

START_TEST(shared_robust_and_protect_are_libc_s)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	if (_i == 0)
		pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	else if (_i == 1)
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	else
		pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT);
	must_eq(pthread_mutex_init(&m, &a), 0);
	ck_assert(!ghi_mutex_ours(&m));
}
END_TEST

START_TEST(a_recursion_count_does_not_wrap)
{
	start_runtime(1);
	init(PTHREAD_MUTEX_RECURSIVE);
	must_eq(pthread_mutex_lock(&m), 0);
	m.__data.__count = ~0u;
	ck_assert_int_eq(pthread_mutex_lock(&m), EAGAIN);
	ck_assert_int_eq(pthread_mutex_trylock(&m), EAGAIN);
	ck_assert_uint_eq(m.__data.__count, ~0u);
}
END_TEST

/* Two words that must change together; yields inside make others run into the lock. */
static volatile uint64_t left, right;

static void *add_both(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct timespec at = {.tv_sec = 4000000000};
		switch (random_next(&rnd) % 3) {
		case 0:
			must_eq(pthread_mutex_lock(&m), 0);
			break;
		case 1:
			must_eq(pthread_mutex_timedlock(&m, &at), 0);
			break;
		default:
			until(pthread_mutex_trylock(&m) == 0);
		}
		must(left == right);
		left++;
		if (random_next(&rnd) % 16 == 0)
			yield();
		right++;
		must_eq(pthread_mutex_unlock(&m), 0);
	}
	return NULL;
}

START_TEST(one_at_a_time)
{
	pthread_t t[THREADS];
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	init(kinds[_i / WORKER_COUNTS].type);
	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = i % 5 == 4 ? spawn_kernel(add_both, (void *)(i + 1))
				  : spawn(add_both, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	must_eq(left, THREADS * ROUNDS);
	must_eq(right, THREADS * ROUNDS);
	ck_assert_int_eq(m.__data.__lock, 0);
	ck_assert_int_eq(m.__data.__owner, 0);
}
END_TEST

static void *lock_until(void *clock)
{
	clockid_t c = (clockid_t)(intptr_t)clock;
	struct timespec at = ghi_ns_to_ts(ghi_clock_ns(c) + 20 * GHI_MS);
	int r = pthread_mutex_clocklock(&m, c, &at);
	must(ghi_clock_ns(c) >= ghi_ts_to_ns(&at));
	return (void *)(intptr_t)r;
}

START_TEST(a_timed_lock_ends_in_its_own_clock_and_not_early)
{
	static const intptr_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
	start_runtime(worker_counts[_i / 2]);
	must_eq(pthread_mutex_lock(&m), 0);
	ck_assert_int_eq((intptr_t)join(spawn(lock_until, (void *)clocks[_i % 2])), ETIMEDOUT);
	/* The one who left must not be woken instead of somebody else: this is a plain handover. */
	pthread_t t = spawn(add_both, (void *)1);
	yield();
	must_eq(pthread_mutex_unlock(&m), 0);
	join(t);
}
END_TEST

START_TEST(a_malformed_time_matters_only_to_who_must_wait)
{
	struct timespec bad = {.tv_nsec = 1000000000}, past = {.tv_nsec = 1};
	start_runtime(1);
	init(PTHREAD_MUTEX_NORMAL);
	ck_assert_int_eq(pthread_mutex_timedlock(&m, &bad), 0);
	ck_assert_int_eq(pthread_mutex_timedlock(&m, &bad), EINVAL);
	ck_assert_int_eq(pthread_mutex_timedlock(&m, &past), ETIMEDOUT);
	must_eq(pthread_mutex_unlock(&m), 0);
}
END_TEST

/* Whoever gets the lock last may free it at once, as POSIX allows: unlock must not look again. */
struct counted {
	pthread_mutex_t m;
	int refs;
};

static void *drop(void *arg)
{
	struct counted *c = arg;
	pthread_mutex_lock(&c->m);
	yield();
	int rest = --c->refs;
	pthread_mutex_unlock(&c->m);
	if (!rest)
		munmap(c, 4096);
	return NULL;
}

START_TEST(a_mutex_may_be_unmapped_after_the_last_unlock)
{
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 500; i++) {
		struct counted *c =
		    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		c->refs = 3;
		run_gthreads(3, drop, c, 0);
	}
}
END_TEST

Suite *suite_mutex(void)
{
	Suite *s = suite_create("mutex");
	add_loop(s, each_kind_answers_as_libc_does, 2 * KINDS);
	add_test(s, static_initialisers_are_their_kinds);
	add_loop(s, shared_robust_and_protect_are_libc_s, 3);
	add_test(s, a_recursion_count_does_not_wrap);
	add_loop(s, one_at_a_time, WORKER_COUNTS * KINDS);
	add_loop(s, a_timed_lock_ends_in_its_own_clock_and_not_early, 2 * WORKER_COUNTS);
	add_test(s, a_malformed_time_matters_only_to_who_must_wait);
	add_loop(s, a_mutex_may_be_unmapped_after_the_last_unlock, WORKER_COUNTS);
	return s;
}
