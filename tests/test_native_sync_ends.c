/* Suite of what all objects of src/native/sync*.c have in common: bad arguments are refused, a
 * cancellation ends a wait, a signal does not. */
#include <greenhook/sync.h>
#include <signal.h>

#include "tests/helpers.h"

static gh_mutex m;
static gh_cond c;
static gh_sem sem;
static gh_event event;
static gh_wg wg;
static gh_barrier barrier;
static uint32_t given;

START_TEST(bad_arguments_are_refused)
{
	gh_mutex_init(&m, GH_MUTEX_PLAIN);
	ck_assert_int_eq(gh_mutex_init(&m, 3), -EINVAL);
	ck_assert_int_eq(gh_mutex_init(&m, -1), -EINVAL);
	ck_assert_int_eq(gh_mutex_init(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_mutex_lock(NULL), -EINVAL);
	ck_assert_int_eq(gh_mutex_lock_try(NULL), -EINVAL);
	ck_assert_int_eq(gh_mutex_lock_until(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_mutex_unlock(NULL), -EINVAL);
	ck_assert_int_eq(gh_cond_wait(NULL, &m), -EINVAL);
	ck_assert_int_eq(gh_cond_wait(&c, NULL), -EINVAL);
	ck_assert_int_eq(gh_cond_wait(&c, &m), -EPERM);
	ck_assert_int_eq(gh_cond_wait_until(NULL, &m, 0), -EINVAL);
	ck_assert_int_eq(gh_cond_signal(NULL), -EINVAL);
	ck_assert_int_eq(gh_cond_broadcast(NULL), -EINVAL);
	ck_assert_int_eq(gh_rwlock_rdlock(NULL), -EINVAL);
	ck_assert_int_eq(gh_rwlock_rdlock_try(NULL), -EINVAL);
	ck_assert_int_eq(gh_rwlock_rdlock_until(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_rwlock_wrlock(NULL), -EINVAL);
	ck_assert_int_eq(gh_rwlock_wrlock_try(NULL), -EINVAL);
	ck_assert_int_eq(gh_rwlock_wrlock_until(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_rwlock_unlock(NULL), -EINVAL);
	ck_assert_int_eq(gh_sem_init(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_sem_init(&sem, -1), -EINVAL);
	ck_assert_int_eq(gh_sem_init(&sem, (int64_t)GH_SEM_MAX + 1), -EINVAL);
	ck_assert_int_eq(gh_sem_wait(NULL), -EINVAL);
	ck_assert_int_eq(gh_sem_wait_try(NULL), -EINVAL);
	ck_assert_int_eq(gh_sem_wait_until(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_sem_post(NULL), -EINVAL);
	ck_assert_int_eq(gh_sem_value(NULL), -EINVAL);
	ck_assert_int_eq(gh_event_init(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_event_init(&event, 2), -EINVAL);
	ck_assert_int_eq(gh_event_set(NULL), -EINVAL);
	ck_assert_int_eq(gh_event_reset(NULL), -EINVAL);
	ck_assert_int_eq(gh_event_wait(NULL), -EINVAL);
	ck_assert_int_eq(gh_event_wait_try(NULL), -EINVAL);
	ck_assert_int_eq(gh_event_wait_until(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_once_do(NULL, NULL, NULL), -EINVAL);
	ck_assert_int_eq(gh_barrier_init(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_barrier_init(&barrier, 0), -EINVAL);
	ck_assert_int_eq(gh_barrier_wait(&barrier), -EINVAL); /* not made */
	ck_assert_int_eq(gh_barrier_wait_until(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_barrier_destroy(NULL), -EINVAL);
	ck_assert_int_eq(gh_wg_add(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_wg_done(NULL), -EINVAL);
	ck_assert_int_eq(gh_wg_wait(NULL), -EINVAL);
	ck_assert_int_eq(gh_wg_wait_try(NULL), -EINVAL);
	ck_assert_int_eq(gh_wg_wait_until(NULL, 0), -EINVAL);
}
END_TEST

/* ---- cancellation ------------------------------------------------------------------------------
 */

static int arrive(void)
{
	return gh_barrier_wait(&barrier);
}
static int wait_cond(void)
{
	gh_mutex_lock(&m);
	int r = gh_cond_wait(&c, &m);
	must_eq(gh_mutex_unlock(&m), 0); /* it is ours again */
	return r;
}
static int wait_sem(void)
{
	return gh_sem_wait(&sem);
}
static int wait_event(void)
{
	return gh_event_wait(&event);
}
static int wait_wg(void)
{
	return gh_wg_wait(&wg);
}
static int wait_sem_until(void)
{
	return gh_sem_wait_until(&sem, gh_after(GH_S(1000)));
}

static int (*const waits[])(void) = {wait_cond, wait_sem, wait_event,
				     wait_wg,	arrive,	  wait_sem_until};
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };
static int answers[3];

static void *wait_and_again(void *arg)
{
	int (*wait)(void) = (int (*)(void))arg;
	answers[0] = wait();
	answers[1] = wait(); /* from the request on, each time */
	answers[2] = gh_mutex_lock(&m);
	gh_mutex_unlock(&m);
	store_release(&given, 1u);
	return NULL;
}

START_TEST(a_request_ends_waits_but_no_locks)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must_eq(gh_wg_add(&wg, 1), 0);
	must_eq(gh_barrier_init(&barrier, 2), 0);
	pthread_t t = spawn(wait_and_again, (void *)waits[_i / WORKER_COUNTS]);
	if (_i % 2)
		until(ghi_gthread_of((uintptr_t)t)->reason != GHI_PARK_NONE);
	must_eq(pthread_cancel(t), 0);
	join(t);
	if (!given) /* before it began: a pthread is cancelled at its first hook */
		return;
	ck_assert_int_eq(answers[0], -ECANCELED);
	ck_assert_int_eq(answers[1], -ECANCELED);
	ck_assert_int_eq(answers[2], 0);
}
END_TEST

/* ---- signals do not end waits ------------------------------------------------------------------
 */

static uint32_t handled;

static void on_signal(int sig)
{
	fetch_add_acq_rel(&handled, 1u);
}

static void *wait_through_signals(void *arg)
{
	answers[0] = ((int (*)(void))arg)();
	store_release(&given, 1u);
	return NULL;
}

START_TEST(handlers_run_and_the_wait_goes_on)
{
	struct sigaction a = {.sa_handler = on_signal}; /* no SA_RESTART */
	bool kernel = _i / WORKER_COUNTS % 2;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must_eq(sigaction(SIGUSR1, &a, NULL), 0);
	must_eq(gh_wg_add(&wg, 1), 0);
	must_eq(gh_barrier_init(&barrier, 2), 0);
	int which = _i / WORKER_COUNTS / 2;
	pthread_t t = kernel ? spawn_kernel(wait_through_signals, (void *)waits[which])
			     : spawn(wait_through_signals, (void *)waits[which]);
	for (uint32_t i = 1; i <= 20; i++) {
		must_eq(pthread_kill(t, SIGUSR1), 0);
		until(load_acquire(&handled) >= i);
	}
	must(!load_acquire(&given));
	switch (which) {
	case 0:
		while (!load_acquire(&given)) {
			gh_cond_broadcast(&c);
			yield();
		}
		break;
	case 2:
		must_eq(gh_event_set(&event), 0);
		break;
	case 3:
		must_eq(gh_wg_done(&wg), 0);
		break;
	case 4:
		must(gh_barrier_wait(&barrier) >= 0);
		break;
	default:
		must_eq(gh_sem_post(&sem), 0);
	}
	join(t);
	ck_assert_int_ge(answers[0], 0);
}
END_TEST

Suite *suite_native_sync_ends(void)
{
	Suite *s = suite_create("native_sync_ends");
	add_test(s, bad_arguments_are_refused);
	add_loop(s, a_request_ends_waits_but_no_locks, WAITS * WORKER_COUNTS);
	add_loop(s, handlers_run_and_the_wait_goes_on, 2 * WAITS * WORKER_COUNTS);
	return s;
}
