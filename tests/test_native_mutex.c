/* Suite of src/native/sync.c: mutexes and conditions, among gthreads, kernel threads, and threads
 * that no library made. */
#include <greenhook/sync.h>
#include <linux/sched.h>

#include "tests/helpers.h"

enum { THREADS = 16, ROUNDS = 3000 };

static gh_mutex m;
static gh_cond c;
static gh_sem sem;
static gh_event event;

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
	must_time_out(at, GH_MS(10), gh_cond_wait_until(&c, &m, at));
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

Suite *suite_native_mutex(void)
{
	Suite *s = suite_create("native_mutex");
	add_loop(s, each_kind_of_mutex_answers_its_own_way, 6);
	add_loop(s, one_has_the_mutex_at_a_time, 3 * WORKER_COUNTS);
	add_test(s, objects_work_before_the_runtime_starts);
	add_loop(s, a_mutex_may_be_unmapped_after_the_last_unlock, WORKER_COUNTS);
	add_loop(s, a_thread_made_by_clone_shares_them, WORKER_COUNTS);
	add_loop(s, no_signal_is_lost, 3 * WORKER_COUNTS);
	add_test(s, a_timed_wait_for_a_condition_ends_with_the_mutex);
	return s;
}
