/* Suite of src/monitor.c: whatever a gthread does with its kernel thread, the others go on.
 *
 * With one slot, anything but a hand-over by the monitor would stand still until the limit.
 */

#include "src/monitor.h"
#include "src/wait.h"
#include "tests/helpers.h"

enum { SPINNERS = 4, HOPS = 2000 };

static uint32_t stop, running;

/* No call at all: nothing of ours runs in it. */
static void *spin(void *arg)
{
	fetch_add_acq_rel(&running, 1u);
	while (!load_relaxed(&stop))
		__asm__ volatile("");
	return NULL;
}

static void *end_spin(void *arg)
{
	store_release(&stop, 1u);
	return NULL;
}

START_TEST(a_spinning_gthread_does_not_stop_the_others)
{
	pthread_t t[SPINNERS];
	start_runtime(worker_counts[_i]);
	for (int i = 0; i < SPINNERS; i++)
		t[i] = spawn(spin, NULL);
	until(load_acquire(&running) == SPINNERS); /* main runs again each time */
	join(spawn(end_spin, NULL));
	for (int i = 0; i < SPINNERS; i++)
		join(t[i]);
	if (worker_counts[_i] == 1)
		ck_assert_uint_ge(ghi_monitor_stats.handoffs_running, 1);
}
END_TEST

START_TEST(a_spinning_main_does_not_stop_the_others)
{
	start_runtime(1);
	pthread_t t = spawn(end_spin, NULL);
	spin(NULL);
	join(t);
}
END_TEST

static int p[2];

/* A system call of the program's own, which no hook sees. */
static void *read_unseen(void *arg)
{
	char c;
	fetch_add_acq_rel(&running, 1u);
	must_eq(ghi_sys(SYS_read, p[0], &c, 1), 1);
	return NULL;
}

static uint32_t hops;

static void *hop(void *arg)
{
	for (int i = 0; i < HOPS; i++) {
		fetch_add_relaxed(&hops, 1u);
		yield();
	}
	return NULL;
}

START_TEST(a_blocked_gthread_does_not_stop_the_others)
{
	char none[4] = {0};
	start_runtime(worker_counts[_i]);
	must_eq(pipe(p), 0);
	pthread_t t = spawn(read_unseen, NULL);
	until(load_acquire(&running) == 1);
	run_gthreads(4, hop, none, 1);
	must_eq(hops, 4 * HOPS);
	must_eq(ghi_sys(SYS_write, p[1], "x", 1), 1);
	join(t);
	if (worker_counts[_i] == 1)
		ck_assert_uint_ge(ghi_monitor_stats.handoffs_asleep, 1);
}
END_TEST

/* Everybody but the blocked one is parked: deadlines must still be kept by somebody. */
START_TEST(deadlines_come_while_a_worker_is_blocked)
{
	start_runtime(worker_counts[_i]);
	must_eq(pipe(p), 0);
	pthread_t t = spawn(read_unseen, NULL);
	until(load_acquire(&running) == 1);
	uint64_t begin = ghi_now();
	must_eq(ghi_wait_until(ghi_self(), begin + 20 * GHI_MS, GHI_PARK_SLEEP), -ETIMEDOUT);
	ck_assert_uint_lt(ghi_now() - begin, 10 * GHI_SEC);
	must_eq(ghi_sys(SYS_write, p[1], "x", 1), 1);
	join(t);
}
END_TEST

static void *block_many_times(void *arg)
{
	struct timespec ts = {.tv_nsec = 300000};
	for (int i = 0; i < 100; i++) {
		must_eq(ghi_sys(SYS_nanosleep, &ts, NULL), 0);
		yield(); /* after a hand-over: without a slot */
	}
	return NULL;
}

START_TEST(gthreads_come_back_from_hand_overs)
{
	char none[16] = {0};
	start_runtime(worker_counts[_i]);
	run_gthreads(16, block_many_times, none, 1);
	/* Nothing is left behind: every slot works. */
	run_gthreads(16, hop, none, 1);
	must_eq(hops, 16 * HOPS);
}
END_TEST

START_TEST(workers_stay_below_their_cap)
{
	char none[32] = {0};
	ghi_config.max_workers = 4;
	start_runtime(1);
	run_gthreads(32, block_many_times, none, 1);
	ck_assert_uint_le(ghi_worker_count(), 4);
}
END_TEST

/* Awake, the monitor looks 5,000 times a second and, later, 100 times. */
START_TEST(the_monitor_sleeps_when_the_process_sleeps)
{
	start_runtime(worker_counts[_i]);
	ghi_wait_until(ghi_self(), ghi_deadline_in(100 * GHI_MS), GHI_PARK_SLEEP);
	uint64_t before = ghi_monitor_stats.wakeups;
	ghi_wait_until(ghi_self(), ghi_deadline_in(2 * GHI_SEC), GHI_PARK_SLEEP);
	ck_assert_uint_lt(ghi_monitor_stats.wakeups - before, 120);
}
END_TEST

Suite *suite_monitor(void)
{
	Suite *s = suite_create("monitor");
	add_loop(s, a_spinning_gthread_does_not_stop_the_others, WORKER_COUNTS);
	add_test(s, a_spinning_main_does_not_stop_the_others);
	add_loop(s, a_blocked_gthread_does_not_stop_the_others, WORKER_COUNTS);
	add_loop(s, deadlines_come_while_a_worker_is_blocked, WORKER_COUNTS);
	add_loop(s, gthreads_come_back_from_hand_overs, WORKER_COUNTS);
	add_test(s, workers_stay_below_their_cap);
	add_loop(s, the_monitor_sleeps_when_the_process_sleeps, WORKER_COUNTS);
	return s;
}
