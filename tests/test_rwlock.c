/* Suite of src/sync/rwlock.c: readers together, writers alone, and writers that get their turn. */
#include <time.h>

#include "src/sync/sync.h"
#include "tests/helpers.h"

enum { THREADS = 16, ROUNDS = 3000, READERS = 6 };

static const int kinds[] = {PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_RWLOCK_PREFER_WRITER_NP,
			    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP};
enum { KINDS = 3 };

static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;

static void init(int kind)
{
	pthread_rwlockattr_t a;
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, kind);
	must_eq(pthread_rwlock_init(&l, &a), 0);
	must(ghi_rwlock_ours(&l));
}

static void *try_both(void *arg)
{
	int *answers = arg;
	if ((answers[0] = pthread_rwlock_tryrdlock(&l)) == 0)
		pthread_rwlock_unlock(&l);
	if ((answers[1] = pthread_rwlock_trywrlock(&l)) == 0)
		pthread_rwlock_unlock(&l);
	return NULL;
}

START_TEST(readers_share_and_a_writer_excludes)
{
	int answers[2];
	start_runtime(1);
	init(kinds[_i]);
	must_eq(pthread_rwlock_rdlock(&l), 0);
	must_eq(pthread_rwlock_rdlock(&l), 0);
	join(spawn(try_both, answers));
	ck_assert_int_eq(answers[0], 0);
	ck_assert_int_eq(answers[1], EBUSY);
	must_eq(pthread_rwlock_unlock(&l), 0);
	must_eq(pthread_rwlock_unlock(&l), 0);
	must_eq(pthread_rwlock_wrlock(&l), 0);
	join(spawn_kernel(try_both, answers));
	ck_assert_int_eq(answers[0], EBUSY);
	ck_assert_int_eq(answers[1], EBUSY);
	ck_assert_int_eq(pthread_rwlock_rdlock(&l), EDEADLK);
	ck_assert_int_eq(pthread_rwlock_wrlock(&l), EDEADLK);
	must_eq(pthread_rwlock_unlock(&l), 0);
	join(spawn(try_both, answers));
	ck_assert_int_eq(answers[0], 0);
	ck_assert_int_eq(answers[1], 0);
	ck_assert_int_eq(pthread_rwlock_destroy(&l), 0);
}
END_TEST

START_TEST(a_shared_lock_is_libc_s)
{
	pthread_rwlockattr_t a;
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	must_eq(pthread_rwlock_init(&l, &a), 0);
	ck_assert(!ghi_rwlock_ours(&l));
}
END_TEST

static uint32_t inside_read, inside_write, writes;
static volatile uint64_t left, right;

static void *mix(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct timespec soon = ghi_ns_to_ts(ghi_clock_ns(CLOCK_REALTIME) + 30 * GHI_US);
		uint32_t what = random_next(&rnd) % 8;
		if (what < 5) {
			int r = what ? pthread_rwlock_rdlock(&l)
				     : pthread_rwlock_timedrdlock(&l, &soon);
			if (r) {
				must_eq(r, ETIMEDOUT);
				continue;
			}
			fetch_add_relaxed(&inside_read, 1u);
			must_eq(load_relaxed(&inside_write), 0);
			must(left == right);
			if (random_next(&rnd) % 8 == 0)
				yield();
			fetch_add_relaxed(&inside_read, 0u - 1);
		} else {
			int r = what > 5 ? pthread_rwlock_wrlock(&l)
					 : pthread_rwlock_timedwrlock(&l, &soon);
			if (r) {
				must_eq(r, ETIMEDOUT);
				continue;
			}
			must_eq(fetch_add_relaxed(&inside_write, 1u), 0);
			must_eq(load_relaxed(&inside_read), 0);
			left++;
			if (random_next(&rnd) % 8 == 0)
				yield();
			right++;
			writes++;
			fetch_add_relaxed(&inside_write, 0u - 1);
		}
		must_eq(pthread_rwlock_unlock(&l), 0);
	}
	return NULL;
}

START_TEST(readers_and_writers_never_overlap)
{
	pthread_t t[THREADS];
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	init(kinds[_i / WORKER_COUNTS]);
	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] =
		    i % 5 == 4 ? spawn_kernel(mix, (void *)(i + 1)) : spawn(mix, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	must(left == writes && right == writes);
	must_eq(l.__data.__readers & 0xbfffffff, 0); /* free; a mark that somebody waits may stay */
	must_eq(l.__data.__writers, 0);
	must_eq(l.__data.__cur_writer, 0);
}
END_TEST

/* Readers that overlap for ever: each holds the lock until another has come in, or cannot. */
static uint32_t entries, stop;

static void *read_in_relay(void *arg)
{
	while (!load_acquire(&stop)) {
		must_eq(pthread_rwlock_rdlock(&l), 0);
		uint32_t mine = fetch_add_acq_rel(&entries, 1u) + 1;
		for (int i = 0; i < 100 && load_acquire(&entries) == mine && !load_acquire(&stop);
		     i++)
			yield();
		must_eq(pthread_rwlock_unlock(&l), 0);
	}
	return NULL;
}

START_TEST(a_preferred_writer_is_not_starved)
{
	pthread_t t[READERS];
	start_runtime(worker_counts[_i]);
	init(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (int i = 0; i < READERS; i++)
		t[i] = spawn(read_in_relay, NULL);
	until(load_acquire(&entries) >= 2 * READERS);
	for (int i = 0; i < 50; i++) {
		must_eq(pthread_rwlock_wrlock(&l), 0);
		must_eq(pthread_rwlock_unlock(&l), 0);
	}
	store_release(&stop, 1u);
	for (int i = 0; i < READERS; i++)
		join(t[i]);
}
END_TEST

static uint32_t writer_done;

static void *write_once(void *arg)
{
	must_eq(pthread_rwlock_wrlock(&l), 0);
	store_release(&writer_done, 1u);
	must_eq(pthread_rwlock_unlock(&l), 0);
	return NULL;
}

/* The loop variable is the kind: only the last lets no reader pass a writer that waits. */
START_TEST(a_waiting_writer_stops_readers_of_its_kind_only)
{
	int answers[2];
	start_runtime(1);
	init(kinds[_i]);
	must_eq(pthread_rwlock_rdlock(&l), 0);
	pthread_t t = spawn(write_once, NULL);
	until(load_acquire(&l.__data.__writers) == 1);
	join(spawn(try_both, answers));
	ck_assert_int_eq(answers[0], _i == 2 ? EBUSY : 0);
	ck_assert_uint_eq(load_acquire(&writer_done), 0);
	must_eq(pthread_rwlock_unlock(&l), 0);
	join(t);
}
END_TEST

static void *write_until_soon(void *arg)
{
	struct timespec at = ghi_ns_to_ts(ghi_clock_ns(CLOCK_MONOTONIC) + 20 * GHI_MS);
	return (void *)(intptr_t)pthread_rwlock_clockwrlock(&l, CLOCK_MONOTONIC, &at);
}

static void *read_once(void *arg)
{
	must_eq(pthread_rwlock_rdlock(&l), 0);
	must_eq(pthread_rwlock_unlock(&l), 0);
	return NULL;
}

START_TEST(a_writer_that_gives_up_lets_readers_in)
{
	start_runtime(worker_counts[_i]);
	init(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	must_eq(pthread_rwlock_rdlock(&l), 0);
	pthread_t writer = spawn(write_until_soon, NULL);
	until(load_acquire(&l.__data.__writers) == 1);
	pthread_t reader = spawn(read_once, NULL); /* queues behind the writer */
	ck_assert_int_eq((intptr_t)join(writer), ETIMEDOUT);
	join(reader); /* although this thread still holds it */
	must_eq(pthread_rwlock_unlock(&l), 0);
	must_eq(l.__data.__writers, 0);
}
END_TEST

Suite *suite_rwlock(void)
{
	Suite *s = suite_create("rwlock");
	add_loop(s, readers_share_and_a_writer_excludes, KINDS);
	add_test(s, a_shared_lock_is_libc_s);
	add_loop(s, readers_and_writers_never_overlap, WORKER_COUNTS * KINDS);
	add_loop(s, a_preferred_writer_is_not_starved, WORKER_COUNTS);
	add_loop(s, a_waiting_writer_stops_readers_of_its_kind_only, KINDS);
	add_loop(s, a_writer_that_gives_up_lets_readers_in, WORKER_COUNTS);
	return s;
}
