/* Suite of src/native/sync_count.c and sync_event.c: read-write locks, semaphores, events, wait
 * groups, once, barriers; nothing is lost when gthreads and kernel threads share one. */
#include <greenhook/sync.h>

#include "tests/helpers.h"

enum { THREADS = 16, ROUNDS = 3000 };

static gh_sem sem;
static gh_event event;
static gh_wg wg;
static gh_rwlock rw;
static gh_barrier barrier;

/* ---- read-write locks -------------------------------------------------------------------------
 */
static volatile uint64_t left, right;

static void *read_or_write(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg * 77;
	for (int i = 0; i < ROUNDS; i++) {
		bool write = random_next(&rnd) % 4 == 0;
		switch (random_next(&rnd) % 3) {
		case 0:
			must_eq(write ? gh_rwlock_wrlock(&rw) : gh_rwlock_rdlock(&rw), 0);
			break;
		case 1:
			must_eq(write ? gh_rwlock_wrlock_until(&rw, gh_after(GH_S(1000)))
				      : gh_rwlock_rdlock_until(&rw, gh_after(GH_S(1000))),
				0);
			break;
		default:
			until((write ? gh_rwlock_wrlock_try(&rw) : gh_rwlock_rdlock_try(&rw)) == 0);
		}
		must(left == right);
		if (write) {
			left++;
			if (i % 8 == 0)
				yield();
			right++;
		} else if (i % 8 == 0) {
			yield();
			must(left == right);
		}
		must_eq(gh_rwlock_unlock(&rw), 0);
	}
	return NULL;
}

static int rdlock_for_a_while(void)
{
	return gh_rwlock_rdlock_until(&rw, gh_after(GH_MS(5)));
}
static int wrlock_for_a_while(void)
{
	return gh_rwlock_wrlock_until(&rw, gh_after(GH_MS(5)));
}
static int rdtry(void)
{
	return gh_rwlock_rdlock_try(&rw);
}
static int rwunlock(void)
{
	return gh_rwlock_unlock(&rw);
}

START_TEST(readers_share_and_writers_do_not)
{
	start_runtime(worker_counts[_i]);
	ck_assert_int_eq(gh_rwlock_unlock(&rw), -EPERM);
	must_eq(gh_rwlock_rdlock(&rw), 0);
	ck_assert_int_eq(by_another(rdtry, true), 0);
	must_eq(gh_rwlock_unlock(&rw), 0);
	ck_assert_int_eq(by_another(wrlock_for_a_while, false), -ETIMEDOUT);
	ck_assert_int_eq(by_another(wrlock_for_a_while, true), -ETIMEDOUT);
	must_eq(gh_rwlock_unlock(&rw), 0);
	must_eq(gh_rwlock_wrlock(&rw), 0);
	ck_assert_int_eq(gh_rwlock_wrlock(&rw), -EDEADLK);
	ck_assert_int_eq(gh_rwlock_rdlock(&rw), -EDEADLK);
	ck_assert_int_eq(gh_rwlock_wrlock_try(&rw), -EBUSY);
	ck_assert_int_eq(by_another(rdlock_for_a_while, false), -ETIMEDOUT);
	ck_assert_int_eq(by_another(rwunlock, false), -EPERM);
	must_eq(gh_rwlock_unlock(&rw), 0);
	run_mixed(THREADS, read_or_write);
	must(left > 0 && left == right);
}
END_TEST

/* ---- semaphores, events, wait groups -----------------------------------------------------------
 */

static uint32_t given, got;

static void *give_or_take(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if ((intptr_t)arg % 2) {
			must_eq(gh_sem_post(&sem), 0);
		} else {
			must_eq((intptr_t)arg % 4 ? gh_sem_wait(&sem)
						  : gh_sem_wait_until(&sem, gh_after(GH_S(1000))),
				0);
		}
	}
	return NULL;
}

START_TEST(every_token_is_taken_once)
{
	start_runtime(worker_counts[_i]);
	must_eq(gh_sem_init(&sem, 3), 0);
	run_mixed(THREADS, give_or_take);
	ck_assert_int_eq(gh_sem_value(&sem), 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gh_sem_wait_try(&sem), 0);
	ck_assert_int_eq(gh_sem_wait_try(&sem), -EAGAIN);
	must_time_out(at, GH_MS(5), gh_sem_wait_until(&sem, at));
	ck_assert_int_eq(gh_sem_wait_until(&sem, 0), -ETIMEDOUT);
	must_eq(gh_sem_init(&sem, GH_SEM_MAX), 0);
	ck_assert_int_eq(gh_sem_post(&sem), -EOVERFLOW);
}
END_TEST

START_TEST(a_manual_event_lets_all_through_until_it_is_reset)
{
	start_runtime(1);
	ck_assert_int_eq(gh_event_wait_try(&event), -EAGAIN);
	must_time_out(at, GH_MS(5), gh_event_wait_until(&event, at));
	must_eq(gh_event_set(&event), 0);
	ck_assert_int_eq(gh_event_wait(&event), 0);
	ck_assert_int_eq(gh_event_wait_until(&event, 0), 0);
	ck_assert_int_eq(gh_event_wait_try(&event), 0);
	must_eq(gh_event_reset(&event), 0);
	ck_assert_int_eq(gh_event_wait_try(&event), -EAGAIN);
	must_eq(gh_event_init(&event, GH_EVENT_AUTO), 0);
	must_eq(gh_event_set(&event), 0);
	must_eq(gh_event_set(&event), 0);
	ck_assert_int_eq(gh_event_wait(&event), 0);
	ck_assert_int_eq(gh_event_wait_try(&event), -EAGAIN);
}
END_TEST

/* Auto: a baton.  Each set is answered before the next one, so none may be lost or doubled. */
static void *run_with_baton(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		must_eq((intptr_t)arg % 2 ? gh_event_wait(&event)
					  : gh_event_wait_until(&event, gh_after(GH_S(1000))),
			0);
		must(fetch_add_acq_rel(&given, 1u) == got);
		got++;
		if (i % 16 == 0)
			yield();
		must_eq(gh_event_set(&event), 0);
	}
	return NULL;
}

START_TEST(an_auto_event_is_taken_by_one)
{
	start_runtime(worker_counts[_i]);
	must_eq(gh_event_init(&event, GH_EVENT_AUTO), 0);
	must_eq(gh_event_set(&event), 0);
	run_mixed(THREADS, run_with_baton);
	must_eq(got, THREADS * ROUNDS);
}
END_TEST

static void *wait_for_event(void *arg)
{
	must_eq(gh_event_wait(&event), 0);
	fetch_add_acq_rel(&got, 1u);
	return NULL;
}

START_TEST(setting_a_manual_event_wakes_all)
{
	pthread_t t[12];
	start_runtime(worker_counts[_i]);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 12; i++)
			t[i] = i % 3 ? spawn(wait_for_event, NULL)
				     : spawn_kernel(wait_for_event, NULL);
		for (int i = 0; i < round % 5; i++)
			yield();
		must_eq(gh_event_set(&event), 0);
		for (int i = 0; i < 12; i++)
			join(t[i]);
		must_eq(gh_event_reset(&event), 0);
	}
	must_eq(got, 600);
}
END_TEST

static void *finish_one(void *arg)
{
	if ((intptr_t)arg % 2)
		yield();
	fetch_add_acq_rel(&got, 1u);
	must_eq(gh_wg_done(&wg), 0);
	return NULL;
}

static void *wait_for_group(void *arg)
{
	uint32_t least = *(uint32_t *)arg;
	must_eq(gh_wg_wait(&wg), 0);
	must(load_acquire(&got) >= least);
	return NULL;
}

START_TEST(a_wait_group_counts_to_zero)
{
	pthread_t t[9], waiters[2];
	start_runtime(worker_counts[_i]);
	ck_assert_int_eq(gh_wg_done(&wg), -EINVAL);
	ck_assert_int_eq(gh_wg_wait(&wg), 0);
	for (int round = 0; round < 200; round++) {
		uint32_t least = got + 9;
		must_eq(gh_wg_add(&wg, 9), 0);
		ck_assert_int_eq(gh_wg_wait_try(&wg), -EAGAIN);
		waiters[0] = spawn(wait_for_group, &least);
		waiters[1] = spawn_kernel(wait_for_group, &least);
		for (intptr_t i = 0; i < 9; i++)
			t[i] = i == 4 ? spawn_kernel(finish_one, (void *)i)
				      : spawn(finish_one, (void *)i);
		must_eq(gh_wg_wait_until(&wg, gh_after(GH_S(1000))), 0);
		must_eq(load_acquire(&got), least);
		join(waiters[0]);
		join(waiters[1]);
		for (int i = 0; i < 9; i++)
			join(t[i]);
	}
	must_eq(gh_wg_add(&wg, GH_WG_MAX), 0);
	ck_assert_int_eq(gh_wg_add(&wg, 1), -EOVERFLOW);
	must_time_out(at, GH_MS(5), gh_wg_wait_until(&wg, at));
	must_eq(gh_wg_add(&wg, -GH_WG_MAX), 0);
	ck_assert_int_eq(gh_wg_add(&wg, INT32_MIN), -EINVAL);
	ck_assert_int_eq(gh_wg_wait_try(&wg), 0);
}
END_TEST

/* A round that ended has ended for all who waited for it, though the next one has begun. */
START_TEST(a_wait_group_ends_its_round_before_the_next)
{
	uint32_t none = 0;
	start_runtime(worker_counts[_i]);
	for (int round = 0; round < 50; round++) {
		must_eq(gh_wg_add(&wg, 1), 0);
		pthread_t t = spawn(wait_for_group, &none), k = spawn_kernel(wait_for_group, &none);
		until(ghi_gthread_of((uintptr_t)t)->reason == GHI_PARK_EVENT);
		yield();
		must_eq(gh_wg_done(&wg), 0);
		must_eq(gh_wg_add(&wg, 1), 0);
		join(t);
		must_eq(gh_wg_done(&wg), 0);
		join(k); /* of either round */
	}
}
END_TEST

/* ---- once, barriers ----------------------------------------------------------------------------
 */

static gh_once once;

static void initialise(void *arg)
{
	must(arg == &once);
	yield();
	fetch_add_acq_rel(&given, 1u);
}

static void *do_once(void *arg)
{
	must_eq(gh_once_do(&once, initialise, &once), 0);
	must_eq(load_acquire(&given), 1);
	return NULL;
}

START_TEST(once_is_once)
{
	start_runtime(worker_counts[_i]);
	run_mixed(THREADS, do_once);
	must_eq(given, 1);
}
END_TEST

static void park_in_once(void *arg)
{
	fetch_add_acq_rel(&given, 1u);
	must_eq(gh_sem_wait(&sem), *(int *)arg);
	if (*(int *)arg)
		pthread_exit(NULL);
}

static void *once_until_cancelled(void *arg)
{
	static int answer = -ECANCELED;
	gh_once_do(&once, park_in_once, &answer);
	ck_abort_msg("it should have left");
	return NULL;
}

START_TEST(once_is_done_anew_when_a_pthread_leaves_it)
{
	int none = 0;
	start_runtime(1);
	pthread_t t = spawn(once_until_cancelled, NULL);
	until(load_acquire(&given) == 1);
	yield();
	must_eq(pthread_cancel(t), 0);
	join(t);
	must_eq(gh_sem_post(&sem), 0);
	must_eq(gh_once_do(&once, park_in_once, &none), 0);
	must_eq(given, 2);
	must_eq(gh_once_do(&once, park_in_once, &none), 0);
	must_eq(given, 2);
}
END_TEST

static uint32_t rounds_seen[4];

static void *meet(void *arg)
{
	for (int i = 0; i < 500; i++) {
		fetch_add_acq_rel(&rounds_seen[i % 4], 1u);
		int r = i % 2 ? gh_barrier_wait(&barrier)
			      : gh_barrier_wait_until(&barrier, gh_after(GH_S(1000)));
		must(r == 0 || r == 1);
		if (r == 1) {
			must_eq(load_acquire(&rounds_seen[i % 4]) % 8, 0);
			fetch_add_acq_rel(&got, 1u);
		}
	}
	return NULL;
}

START_TEST(a_barrier_meets_round_after_round)
{
	start_runtime(worker_counts[_i]);
	must_eq(gh_barrier_init(&barrier, 8), 0);
	run_mixed(8, meet);
	must_eq(got, 500);
	must_eq(gh_barrier_destroy(&barrier), 0);
}
END_TEST

static int arrive(void)
{
	return gh_barrier_wait(&barrier);
}

START_TEST(who_gives_up_has_not_arrived_at_the_barrier)
{
	start_runtime(1);
	must_eq(gh_barrier_init(&barrier, 2), 0);
	must_time_out(at, GH_MS(5), gh_barrier_wait_until(&barrier, at));
	ck_assert_int_eq(gh_barrier_wait_until(&barrier, 0), -ETIMEDOUT);
	pthread_t t = spawn(call_by_another, (void *)arrive);
	yield();
	ck_assert_int_eq(gh_barrier_destroy(&barrier), -EBUSY);
	int sum = gh_barrier_wait(&barrier) + (int)(intptr_t)join(t);
	ck_assert_int_eq(sum, 1);
	must_eq(gh_barrier_destroy(&barrier), 0);
	/* From now on it is not made, to anybody, until it is made again. */
	ck_assert_int_eq(gh_barrier_wait(&barrier), -EINVAL);
	ck_assert_int_eq(by_another(arrive, false), -EINVAL);
	ck_assert_int_eq(by_another(arrive, true), -EINVAL);
	ck_assert_int_eq(gh_barrier_wait_until(&barrier, gh_after(GH_S(10))), -EINVAL);
	ck_assert_int_eq(gh_barrier_destroy(&barrier), -EINVAL);
	must_eq(gh_barrier_init(&barrier, 1), 0);
	ck_assert_int_eq(gh_barrier_wait(&barrier), 1);
	must_eq(gh_barrier_destroy(&barrier), 0);
}
END_TEST

/* ---- who is overtaken ------------------------------------------------------------------------ */

enum { MUTEX, RWLOCK, SEM, EVENT, KINDS };
static gh_mutex mutex;
static int kind;
static uint32_t enough, holds;

static void lock(void)
{
	must_eq(kind == MUTEX	 ? gh_mutex_lock(&mutex)
		: kind == RWLOCK ? gh_rwlock_wrlock(&rw)
		: kind == SEM	 ? gh_sem_wait(&sem)
				 : gh_event_wait(&event),
		0);
}

static void unlock(void)
{
	must_eq(kind == MUTEX	 ? gh_mutex_unlock(&mutex)
		: kind == RWLOCK ? gh_rwlock_unlock(&rw)
		: kind == SEM	 ? gh_sem_post(&sem)
				 : gh_event_set(&event),
		0);
}

/* Nobody else runs while it is free. */
static void *sleeps_while_it_has_it(void *arg)
{
	while (!load_acquire(&enough)) {
		lock();
		fetch_add_acq_rel(&holds, 1u);
		gh_sleep(GH_MS(1));
		unlock();
		for (uint64_t until = ghi_now() + GHI_US * 100; ghi_now() < until;)
			cpu_relax();
	}
	return arg;
}

static void *wants_it(void *arg)
{
	for (int i = 0; i < 3; i++) {
		uint32_t before = load_acquire(&holds);
		lock();
		unlock();
		until(load_acquire(&holds) != before);
	}
	return arg;
}

START_TEST(waiters_are_not_overtaken_for_ever)
{
	start_runtime(1);
	kind = _i;
	gh_sem_init(&sem, 1);
	gh_event_init(&event, GH_EVENT_AUTO);
	gh_event_set(&event);
	gh_task *holder = gh_task_spawn(sleeps_while_it_has_it, NULL, NULL);
	gh_task *t[2] = {gh_task_spawn(wants_it, NULL, NULL), gh_task_spawn(wants_it, NULL, NULL)};
	end_task(t[0]);
	end_task(t[1]);
	store_release(&enough, 1u);
	end_task(holder);
}
END_TEST

Suite *suite_native_sync(void)
{
	Suite *s = suite_create("native_sync");
	add_loop(s, readers_share_and_writers_do_not, WORKER_COUNTS);
	add_loop(s, every_token_is_taken_once, WORKER_COUNTS);
	add_test(s, a_manual_event_lets_all_through_until_it_is_reset);
	add_loop(s, an_auto_event_is_taken_by_one, WORKER_COUNTS);
	add_loop(s, setting_a_manual_event_wakes_all, WORKER_COUNTS);
	add_loop(s, a_wait_group_counts_to_zero, WORKER_COUNTS);
	add_loop(s, a_wait_group_ends_its_round_before_the_next, WORKER_COUNTS);
	add_loop(s, once_is_once, WORKER_COUNTS);
	add_test(s, once_is_done_anew_when_a_pthread_leaves_it);
	add_loop(s, a_barrier_meets_round_after_round, WORKER_COUNTS);
	add_test(s, who_gives_up_has_not_arrived_at_the_barrier);
	add_loop(s, waiters_are_not_overtaken_for_ever, KINDS);
	return s;
}
