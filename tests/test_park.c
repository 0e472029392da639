/* Suite of src/park.c and the sleeping half of src/sched.c: one notify wins, none is lost.
 *
 * The protocol alone is model_park.c's business; here it runs on real gthreads and workers.  A test
 * that wakes a gthread without a lock may do so because the gthread outlives the wake-up.
 */
#include "src/handover.h"
#include "src/park.h"
#include "src/wait.h"
#include "tests/helpers.h"

enum { ROUNDS = 20000, RACES = 2000, CROWD = 64, CROWD_ROUNDS = 300 };

/* Parks once; what ended it. */
static uint32_t park_once(uint32_t *visible)
{
	struct ghi_gthread *self = ghi_self();
	ghi_nosig_enter();
	ghi_park_arm(self, GHI_PARK_FOREVER, visible);
	store_release(visible, 1u);
	uint32_t why = ghi_park(self);
	ghi_nosig_leave();
	return why;
}

static bool wake(struct ghi_gthread *g, enum ghi_wakeup why)
{
	struct ghi_gthread *ready = NULL;
	ghi_nosig_enter();
	bool won = ghi_park_notify(g, why, &ready);
	ghi_ready_batch(ready);
	ghi_nosig_leave();
	return won;
}

static struct {
	struct ghi_gthread *g;
	uint32_t armed;
	uint32_t why;
} sleeper;

static void *sleep_once(void *arg)
{
	sleeper.g = ghi_self();
	sleeper.why = park_once(&sleeper.armed);
	return NULL;
}

START_TEST(ready_before_park_is_not_lost)
{
	start_runtime(worker_counts[_i]);
	struct ghi_gthread *self = ghi_self(), *ready = NULL;
	ghi_nosig_enter();
	ghi_park_arm(self, GHI_PARK_FOREVER, NULL);
	ck_assert(ghi_park_notify(self, GHI_WOKEN_FD, &ready));
	ck_assert_ptr_null(ready); /* it is awake: nobody may run it */
	ck_assert_uint_eq(ghi_park(self), GHI_WOKEN_FD);
	ghi_nosig_leave();
}
END_TEST

START_TEST(nobody_wins_a_gthread_that_does_not_sleep)
{
	start_runtime(1);
	ck_assert(!wake(ghi_self(), GHI_WOKEN_LOT));
	pthread_t t = spawn(sleep_once, NULL);
	until(load_acquire(&sleeper.armed));
	ck_assert(wake(sleeper.g, GHI_WOKEN_LOT));
	ck_assert(!wake(sleeper.g, GHI_WOKEN_LOT));
	join(t);
}
END_TEST

START_TEST(the_first_notify_names_the_reason)
{
	start_runtime(worker_counts[_i]);
	pthread_t t = spawn(sleep_once, NULL);
	until(load_acquire(&sleeper.armed));
	ck_assert(wake(sleeper.g, GHI_WOKEN_CLOSED));
	wake(sleeper.g, GHI_WOKEN_LOT);
	join(t);
	ck_assert_uint_eq(sleeper.why, GHI_WOKEN_CLOSED);
}
END_TEST

START_TEST(a_parked_gthread_says_why)
{
	start_runtime(1);
	pthread_t t = spawn(sleep_once, NULL);
	until(load_acquire(&sleeper.armed));
	ck_assert_uint_eq(sleeper.g->reason, GHI_PARK_FOREVER);
	ck_assert_ptr_eq(sleeper.g->waits_for, &sleeper.armed);
	ck_assert_str_eq(ghi_reason_names[sleeper.g->reason], "forever");
	wake(sleeper.g, GHI_WOKEN_LOT);
	join(t);
	for (int i = 0; i < GHI_PARK_NREASONS; i++)
		ck_assert_ptr_nonnull(ghi_reason_names[i]);
}
END_TEST

/* Two gthreads wake each other in turn: every park races with its wake-up. */
static struct player {
	struct ghi_gthread *g;
	uint32_t armed;
	struct player *peer;
	bool serves;
} players[2];

static void *play(void *arg)
{
	struct player *me = arg;
	me->g = ghi_self();
	for (int i = 0; i < ROUNDS; i++) {
		if (i || !me->serves)
			must_eq(park_once(&me->armed), GHI_WOKEN_LOT);
		/* The peer armed itself, or will. */
		until(load_acquire(&me->peer->armed));
		store_relaxed(&me->peer->armed, 0u);
		must(wake(me->peer->g, GHI_WOKEN_LOT));
	}
	if (me->serves)
		must_eq(park_once(&me->armed), GHI_WOKEN_LOT);
	return NULL;
}

START_TEST(ping_pong_loses_no_wake_up)
{
	start_runtime(worker_counts[_i]);
	players[0] = (struct player){.peer = &players[1], .serves = true};
	players[1] = (struct player){.peer = &players[0]};
	run_gthreads(2, play, players, sizeof(players[0]));
}
END_TEST

static struct ghi_gthread *main_g;
static uint32_t main_armed;

static void *wake_main(void *arg)
{
	for (int i = 0; i < RACES; i++) {
		while (!load_acquire(&main_armed))
			cpu_relax(); /* a kernel thread: it owns its CPU */
		store_relaxed(&main_armed, 0u);
		must(wake(main_g, GHI_WOKEN_SIGNAL));
	}
	return NULL;
}

START_TEST(a_kernel_thread_wakes_the_main_gthread)
{
	start_runtime(worker_counts[_i]);
	main_g = ghi_self();
	must(main_g == ghi_runtime_main());
	pthread_t t = spawn_kernel(wake_main, NULL);
	for (int i = 0; i < RACES; i++)
		must_eq(park_once(&main_armed), GHI_WOKEN_SIGNAL);
	must_eq(pthread_join(t, NULL), 0);
}
END_TEST

START_TEST(a_deadline_ends_a_wait_and_not_early)
{
	start_runtime(worker_counts[_i]);
	for (unsigned us = 0; us < 5000; us += 500) {
		uint64_t deadline = ghi_deadline_in(us * GHI_US);
		must_eq(ghi_wait_until(ghi_self(), deadline, GHI_PARK_SLEEP), -ETIMEDOUT);
		must(ghi_now() >= deadline);
	}
}
END_TEST

/* A timer and a waker race for the same park: exactly one of them wins, and it is told. */
static uint32_t timed_armed, wakes_won, woken, timed_out;

static void *wait_timed(void *arg)
{
	struct ghi_gthread *self = ghi_self();
	sleeper.g = self;
	for (int i = 0; i < RACES; i++) {
		store_release(&timed_armed, 1u);
		int r = ghi_wait_until(self, ghi_deadline_in((uint64_t)(i % 40) * GHI_US),
				       GHI_PARK_SLEEP);
		if (r == -ETIMEDOUT)
			timed_out++;
		else
			woken++;
	}
	store_release(&timed_armed, 2u);
	return NULL;
}

START_TEST(a_deadline_and_a_waker_never_both_win)
{
	start_runtime(worker_counts[_i]);
	pthread_t t = spawn(wait_timed, NULL);
	until(load_acquire(&timed_armed));
	while (load_acquire(&timed_armed) != 2) {
		wakes_won += wake(sleeper.g, GHI_WOKEN_LOT);
		yield();
	}
	join(t);
	must_eq(woken, wakes_won);
	must_eq(woken + timed_out, RACES);
}
END_TEST

/* More gthreads than a ring holds, through yields. */
static uint32_t turns;

static void *take_turns(void *arg)
{
	for (int i = 0; i < CROWD_ROUNDS; i++) {
		fetch_add_relaxed(&turns, 1u);
		ghi_yield();
	}
	return NULL;
}

START_TEST(yielding_gthreads_all_finish)
{
	char none[CROWD];
	start_runtime(worker_counts[_i]);
	run_gthreads(CROWD, take_turns, none, 1);
	must_eq(turns, CROWD * CROWD_ROUNDS);
}
END_TEST

/* ---- handing over --------------------------------------------------------------------------- */

static void *returns(void *arg)
{
	return arg;
}

static void *wakes(void *arg)
{
	until(wake(arg, GHI_WOKEN_LOT)); /* it may run early, when the other has no slot */
	return arg;
}

/* It takes one that has not begun, to run it when it leaves, and then does not leave, or has lost
 * its slot: that one runs all the same. */
START_TEST(whom_it_did_not_hand_over_to_runs)
{
	bool leaves = _i;
	start_runtime(1);
	struct ghi_gthread *self = ghi_self(), *none = NULL;
	for (int i = 0; i < 10; i++) {
		until(self->worker->slot);
		pthread_t t = spawn(leaves ? wakes : returns, self);
		ghi_nosig_enter();
		ghi_park_arm(self, GHI_PARK_JOIN, NULL);
		ghi_handover_to(self, ghi_gthread_of((uintptr_t)t));
		struct ghi_slot *s = self->worker->slot;
		if (!leaves)
			ghi_park_notify(self, GHI_WOKEN_LOT, &none);
		else if (s && ghi_slot_take(&s->owner, (uintptr_t)self->worker | GHI_SLOT_USER))
			ghi_worker_idle_slot(s); /* as the monitor */
		must_eq(ghi_park(self), GHI_WOKEN_LOT);
		must(!self->hands_to);
		ghi_nosig_leave();
		must(join(t) == self);
	}
}
END_TEST

Suite *suite_park(void)
{
	Suite *s = suite_create("park");
	add_loop(s, ready_before_park_is_not_lost, WORKER_COUNTS);
	add_test(s, nobody_wins_a_gthread_that_does_not_sleep);
	add_loop(s, the_first_notify_names_the_reason, WORKER_COUNTS);
	add_test(s, a_parked_gthread_says_why);
	add_loop(s, ping_pong_loses_no_wake_up, WORKER_COUNTS);
	add_loop(s, a_kernel_thread_wakes_the_main_gthread, WORKER_COUNTS);
	add_loop(s, a_deadline_ends_a_wait_and_not_early, WORKER_COUNTS);
	add_loop(s, a_deadline_and_a_waker_never_both_win, WORKER_COUNTS);
	add_loop(s, yielding_gthreads_all_finish, WORKER_COUNTS);
	add_loop(s, whom_it_did_not_hand_over_to_runs, 2);
	return s;
}
