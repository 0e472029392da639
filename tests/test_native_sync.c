/* Suite of src/native/sync*.c: what each function answers, and that nothing is lost when gthreads
 * and kernel threads share an object. */
#include <greenhook/sync.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <limits.h>
#include <sys/syscall.h>

#include "src/native/native.h"
#include "src/real.h"
#include "tests/helpers.h"

enum { THREADS = 16, ROUNDS = 3000 };

static gh_mutex m;
static gh_cond c;
static gh_sem sem;
static gh_event event;
static gh_wg wg;
static gh_rwlock rw;
static gh_barrier barrier;

/* Every third one a kernel thread; the rest gthreads. */
static void run_mixed(int n, void *(*fn)(void *))
{
	pthread_t t[TEST_MAX_THREADS];
	for (intptr_t i = 0; i < n; i++)
		t[i] = i % 3 == 2 ? spawn_kernel(fn, (void *)(i + 1)) : spawn(fn, (void *)(i + 1));
	for (int i = 0; i < n; i++)
		join(t[i]);
}

static void *elsewhere(int (*fn)(void))
{
	return (void *)(intptr_t)fn();
}

static void *call(void *fn)
{
	return elsewhere((int (*)(void))fn);
}

/* What a function answers to another gthread, or kernel thread. */
static int by_another(int (*fn)(void), bool kernel)
{
	return (int)(intptr_t)join(kernel ? spawn_kernel(call, (void *)fn)
					  : spawn(call, (void *)fn));
}

/* ---- mutexes ----------------------------------------------------------------------------------
 */

static int unlock_m(void)
{
	return gh_mutex_unlock(&m);
}

static int try_m(void)
{
	return gh_mutex_lock_try(&m);
}

static int lock_m_for_a_while(void)
{
	gh_time until = gh_after(GH_MS(10));
	int r = gh_mutex_lock_until(&m, until);
	must(gh_now() >= until);
	return r;
}

START_TEST(each_kind_of_mutex_answers_its_own_way)
{
	static const struct {
		int again, again_try, foreign_unlock;
	} kinds[] = {{-ETIMEDOUT, -EBUSY, 0}, {-EDEADLK, -EBUSY, -EPERM}, {0, 0, -EPERM}};
	int kind = _i % 3;
	bool kernel = _i >= 3;
	start_runtime(2);
	must_eq(gh_mutex_init(&m, kind), 0);
	ck_assert_int_eq(gh_mutex_unlock(&m), -EPERM);
	must_eq(gh_mutex_lock(&m), 0);
	ck_assert_int_eq(gh_mutex_lock_until(&m, gh_after(GH_MS(5))), kinds[kind].again);
	ck_assert_int_eq(gh_mutex_lock_try(&m), kinds[kind].again_try);
	if (kind == GH_MUTEX_RECURSIVE) {
		must_eq(gh_mutex_unlock(&m), 0);
		must_eq(gh_mutex_unlock(&m), 0);
	}
	ck_assert_int_eq(by_another(try_m, kernel), -EBUSY);
	ck_assert_int_eq(by_another(lock_m_for_a_while, kernel), -ETIMEDOUT);
	ck_assert_int_eq(by_another(unlock_m, kernel), kinds[kind].foreign_unlock);
	if (kinds[kind].foreign_unlock)
		must_eq(gh_mutex_unlock(&m), 0);
	ck_assert_int_eq(gh_mutex_lock_try(&m), 0);
	must_eq(gh_mutex_unlock(&m), 0);
	ck_assert_uint_eq(m.word, 0);
}
END_TEST

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

static volatile uint64_t left, right;

static void *add_both(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	for (int i = 0; i < ROUNDS; i++) {
		switch (random_next(&rnd) % 3) {
		case 0:
			must_eq(gh_mutex_lock(&m), 0);
			break;
		case 1:
			must_eq(gh_mutex_lock_until(&m, gh_after(GH_S(1000))), 0);
			break;
		default:
			until(gh_mutex_lock_try(&m) == 0);
		}
		must(left == right);
		left++;
		if (random_next(&rnd) % 16 == 0)
			yield();
		right++;
		must_eq(gh_mutex_unlock(&m), 0);
	}
	return NULL;
}

START_TEST(one_has_the_mutex_at_a_time)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must_eq(gh_mutex_init(&m, _i / WORKER_COUNTS), 0);
	run_mixed(THREADS, add_both);
	must_eq(left, THREADS * ROUNDS);
	ck_assert_uint_eq(m.word, 0);
	ck_assert_int_eq(m.owner, 0);
}
END_TEST

/* Before the runtime, and in threads that the kernel makes. */
START_TEST(objects_work_before_the_runtime_starts)
{
	pthread_t t[6];
	for (intptr_t i = 0; i < 6; i++)
		t[i] = spawn_kernel(add_both, (void *)(i + 1));
	for (int i = 0; i < 6; i++)
		join(t[i]);
	must(!ghi_runtime_running());
	must_eq(left, 6 * ROUNDS);
}
END_TEST

/* Whoever has the lock last may unmap it at once. */
struct counted {
	gh_mutex m;
	int refs;
};

static void *drop(void *arg)
{
	struct counted *o = arg;
	gh_mutex_lock(&o->m);
	yield();
	int rest = --o->refs;
	gh_mutex_unlock(&o->m);
	if (!rest)
		munmap(o, 4096);
	return NULL;
}

START_TEST(a_mutex_may_be_unmapped_after_the_last_unlock)
{
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < 500; i++) {
		struct counted *o =
		    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		o->refs = 3;
		pthread_t k = spawn_kernel(drop, o);
		run_gthreads(2, drop, o, 0);
		join(k);
	}
}
END_TEST

/* ---- a thread of the kernel's that no library made ---------------------------------------------
 */

extern void *_dl_allocate_tls(void *);

static int raw_tid;
static uint64_t raw_seen;

static int raw_thread(void *arg)
{
	raw_seen = (uint64_t)(intptr_t)add_both((void *)7);
	must_eq(gh_sem_wait(&sem), 0);
	must_eq(gh_event_wait(&event), 0);
	must_eq(gh_sem_post(&sem), 0);
	return 0;
}

START_TEST(a_thread_made_by_clone_shares_them)
{
	char *stack =
	    mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *block =
	    mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* The thread block proper lies above, the thread-locals below; its first and third word are
	 * its own address. */
	char *tcb = _dl_allocate_tls(block + (1 << 15));
	must(tcb != NULL);
	((void **)tcb)[0] = ((void **)tcb)[2] = tcb;
	memcpy(tcb + 0x28, (char *)pthread_self() + 0x28, 16); /* stack and pointer guards */
	start_runtime(worker_counts[_i]);
	must_eq(gh_sem_init(&sem, 0), 0);
	raw_tid = -1;
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	must(clone(raw_thread, stack + (1 << 20), flags, NULL, &raw_tid, tcb, &raw_tid) > 0);
	run_mixed(5, add_both);
	must_eq(gh_sem_post(&sem), 0);
	must_eq(gh_event_set(&event), 0);
	until(load_acquire(&raw_tid) == 0); /* by the kernel, when it is gone */
	must_eq(left, 6 * ROUNDS);
	ck_assert_int_eq(gh_sem_value(&sem), 1);
}
END_TEST

/* ---- conditions -------------------------------------------------------------------------------
 */

static int items, taken, producers;

static void *consume(void *arg)
{
	gh_mutex_lock(&m);
	for (;;) {
		while (!items && producers)
			must_eq((intptr_t)arg % 2
				    ? gh_cond_wait(&c, &m)
				    : gh_cond_wait_until(&c, &m, gh_after(GH_S(1000))),
				0);
		if (!items)
			break;
		items--;
		taken++;
	}
	gh_mutex_unlock(&m);
	return NULL;
}

static void *produce(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		gh_mutex_lock(&m);
		items++;
		gh_mutex_unlock(&m);
		gh_cond_signal(&c);
	}
	gh_mutex_lock(&m);
	producers--;
	gh_mutex_unlock(&m);
	gh_cond_broadcast(&c);
	return NULL;
}

static void *produce_or_consume(void *arg)
{
	return (intptr_t)arg <= 4 ? produce(arg) : consume(arg);
}

START_TEST(no_signal_is_lost)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	must_eq(gh_mutex_init(&m, _i / WORKER_COUNTS), 0);
	producers = 4;
	run_mixed(THREADS, produce_or_consume);
	must_eq(taken, 4 * ROUNDS);
}
END_TEST

START_TEST(a_timed_wait_for_a_condition_ends_with_the_mutex)
{
	start_runtime(1);
	must_eq(gh_mutex_init(&m, GH_MUTEX_RECURSIVE), 0);
	must_eq(gh_mutex_lock(&m), 0);
	gh_time at = gh_after(GH_MS(10));
	ck_assert_int_eq(gh_cond_wait_until(&c, &m, at), -ETIMEDOUT);
	must(gh_now() >= at);
	ck_assert_int_eq(gh_cond_wait_until(&c, &m, -1), -ETIMEDOUT);
	ck_assert_int_eq(by_another(try_m, false), -EBUSY);
	must_eq(gh_mutex_lock(&m), 0); /* twice: given up once, and taken once */
	ck_assert_int_eq(gh_cond_wait_until(&c, &m, gh_after(GH_MS(5))), -ETIMEDOUT);
	ck_assert_uint_eq(m.count, 2);
	must_eq(gh_mutex_unlock(&m), 0);
	must_eq(gh_mutex_unlock(&m), 0);
	ck_assert_int_eq(gh_cond_wait(&c, &m), -EPERM);
}
END_TEST

/* ---- read-write locks -------------------------------------------------------------------------
 */

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
	gh_time at = gh_after(GH_MS(5));
	ck_assert_int_eq(gh_sem_wait_until(&sem, at), -ETIMEDOUT);
	must(gh_now() >= at);
	ck_assert_int_eq(gh_sem_wait_until(&sem, 0), -ETIMEDOUT);
	must_eq(gh_sem_init(&sem, GH_SEM_MAX), 0);
	ck_assert_int_eq(gh_sem_post(&sem), -EOVERFLOW);
}
END_TEST

START_TEST(a_manual_event_lets_all_through_until_it_is_reset)
{
	start_runtime(1);
	ck_assert_int_eq(gh_event_wait_try(&event), -EAGAIN);
	gh_time at = gh_after(GH_MS(5));
	ck_assert_int_eq(gh_event_wait_until(&event, at), -ETIMEDOUT);
	must(gh_now() >= at);
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
	gh_time at = gh_after(GH_MS(5));
	ck_assert_int_eq(gh_wg_wait_until(&wg, at), -ETIMEDOUT);
	must(gh_now() >= at);
	must_eq(gh_wg_add(&wg, -GH_WG_MAX), 0);
	ck_assert_int_eq(gh_wg_add(&wg, INT32_MIN), -EINVAL);
	ck_assert_int_eq(gh_wg_wait_try(&wg), 0);
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
	gh_time at = gh_after(GH_MS(5));
	ck_assert_int_eq(gh_barrier_wait_until(&barrier, at), -ETIMEDOUT);
	must(gh_now() >= at);
	ck_assert_int_eq(gh_barrier_wait_until(&barrier, 0), -ETIMEDOUT);
	pthread_t t = spawn(call, (void *)arrive);
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

/* ---- cancellation ------------------------------------------------------------------------------
 */

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

Suite *suite_native_sync(void)
{
	Suite *s = suite_create("native_sync");
	add_loop(s, each_kind_of_mutex_answers_its_own_way, 6);
	add_test(s, bad_arguments_are_refused);
	add_loop(s, one_has_the_mutex_at_a_time, 3 * WORKER_COUNTS);
	add_test(s, objects_work_before_the_runtime_starts);
	add_loop(s, a_mutex_may_be_unmapped_after_the_last_unlock, WORKER_COUNTS);
	add_loop(s, a_thread_made_by_clone_shares_them, WORKER_COUNTS);
	add_loop(s, no_signal_is_lost, 3 * WORKER_COUNTS);
	add_test(s, a_timed_wait_for_a_condition_ends_with_the_mutex);
	add_loop(s, readers_share_and_writers_do_not, WORKER_COUNTS);
	add_loop(s, every_token_is_taken_once, WORKER_COUNTS);
	add_test(s, a_manual_event_lets_all_through_until_it_is_reset);
	add_loop(s, an_auto_event_is_taken_by_one, WORKER_COUNTS);
	add_loop(s, setting_a_manual_event_wakes_all, WORKER_COUNTS);
	add_loop(s, a_wait_group_counts_to_zero, WORKER_COUNTS);
	add_loop(s, once_is_once, WORKER_COUNTS);
	add_test(s, once_is_done_anew_when_a_pthread_leaves_it);
	add_loop(s, a_barrier_meets_round_after_round, WORKER_COUNTS);
	add_test(s, who_gives_up_has_not_arrived_at_the_barrier);
	add_loop(s, a_request_ends_waits_but_no_locks, WAITS * WORKER_COUNTS);
	add_loop(s, handlers_run_and_the_wait_goes_on, 2 * WAITS * WORKER_COUNTS);
	return s;
}
