/* Suite of src/timer.c: the heap alone, with sleepers that are nothing but a wake word; then ten
 * thousand real ones. */
#include "src/park.h"
#include "src/timer.h"
#include "src/wait.h"
#include "tests/helpers.h"

enum { MANY = 10000, STEPS = 40000, LIVE = 2000 };

/* A gthread that is always "about to park": a notify wins and has nothing more to do. */
static struct sleeper {
	struct ghi_gthread g;
	struct ghi_timer t;
	bool started;
} * sleepers;

static struct ghi_slot slot;
static struct ghi_worker worker = {.slot = &slot};

static void setup(int n)
{
	sleepers = calloc((size_t)n, sizeof(*sleepers));
	slot.timers = ghi_timers_new();
	must(sleepers && slot.timers);
}

static void start(struct sleeper *s, uint64_t when)
{
	s->g.worker = &worker;
	ghi_wake_arm(&s->g.wake);
	ghi_timer_start(&s->t, &s->g, when);
	s->started = true;
}

static bool fired(struct sleeper *s)
{
	return ghi_wake_notified(&s->g.wake);
}

START_TEST(timers_fire_when_due_and_in_order)
{
	uint32_t rnd = 1;
	setup(1000);
	for (int i = 0; i < 1000; i++)
		start(&sleepers[i], 1000 + random_next(&rnd) % 5000);
	for (uint64_t now = 900; now < 6100; now += 7) {
		ghi_timers_run(slot.timers, now);
		for (int i = 0; i < 1000; i++)
			must_eq(fired(&sleepers[i]), sleepers[i].t.when <= now);
	}
	must(ghi_timers_next(slot.timers) == GHI_NEVER);
}
END_TEST

START_TEST(a_fired_timer_says_timeout)
{
	setup(1);
	start(&sleepers[0], 5);
	ghi_timers_run(slot.timers, 4);
	ck_assert(!fired(&sleepers[0]));
	ghi_timers_run(slot.timers, 5);
	ck_assert_uint_eq(ghi_wake_take(&sleepers[0].g.wake), GHI_WOKEN_TIMEOUT);
	ck_assert_int_eq(sleepers[0].t.index, -1);
}
END_TEST

START_TEST(a_cancelled_timer_does_not_fire)
{
	setup(3);
	for (int i = 0; i < 3; i++)
		start(&sleepers[i], 10 + (uint64_t)i);
	ghi_timer_cancel(&sleepers[_i].t);
	ghi_timers_run(slot.timers, 100);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fired(&sleepers[i]), i != _i);
}
END_TEST

START_TEST(cancelling_after_it_fired_is_harmless)
{
	setup(2);
	start(&sleepers[0], 10);
	start(&sleepers[1], 20);
	ghi_timers_run(slot.timers, 10);
	ghi_timer_cancel(&sleepers[0].t);
	ghi_timer_cancel(&sleepers[0].t);
	ck_assert_uint_eq(ghi_timers_next(slot.timers), 20);
}
END_TEST

START_TEST(next_is_the_earliest_deadline)
{
	setup(3);
	ck_assert(ghi_timers_next(slot.timers) == GHI_NEVER);
	start(&sleepers[0], 30);
	ck_assert_uint_eq(ghi_timers_next(slot.timers), 30);
	start(&sleepers[1], 10);
	start(&sleepers[2], 20);
	ck_assert_uint_eq(ghi_timers_next(slot.timers), 10);
	ghi_timer_cancel(&sleepers[1].t);
	ck_assert_uint_eq(ghi_timers_next(slot.timers), 20);
	ghi_timers_run(slot.timers, 20);
	ck_assert_uint_eq(ghi_timers_next(slot.timers), 30);
	ghi_timer_cancel(&sleepers[0].t);
	ck_assert(ghi_timers_next(slot.timers) == GHI_NEVER);
}
END_TEST

START_TEST(a_fork_empties_the_heap)
{
	setup(1);
	start(&sleepers[0], 10);
	ghi_timers_after_fork(slot.timers);
	ghi_timers_run(slot.timers, 100);
	ck_assert(!fired(&sleepers[0]));
	ck_assert(ghi_timers_next(slot.timers) == GHI_NEVER);
}
END_TEST

/* Random starts, cancels and runs against the plainest model: a look at every timer. */
START_TEST(random_use_agrees_with_a_list)
{
	uint32_t rnd = 12345;
	uint64_t now = 1000;
	setup(LIVE);
	for (int step = 0; step < STEPS; step++) {
		struct sleeper *s = &sleepers[random_next(&rnd) % LIVE];
		if (!s->started) {
			start(s, now + random_next(&rnd) % 2000);
		} else if (random_next(&rnd) % 2) {
			ghi_timer_cancel(&s->t);
			must(!fired(s));
			s->started = false;
		}
		if (step % 100)
			continue;
		now += random_next(&rnd) % 100;
		uint64_t next = GHI_NEVER;
		ghi_timers_run(slot.timers, now);
		for (int i = 0; i < LIVE; i++) {
			if (!sleepers[i].started)
				continue;
			must_eq(fired(&sleepers[i]), sleepers[i].t.when <= now);
			if (fired(&sleepers[i]))
				sleepers[i].started = false;
			else if (sleepers[i].t.when < next)
				next = sleepers[i].t.when;
		}
		must(ghi_timers_next(slot.timers) == next);
	}
}
END_TEST

/* ---- with the runtime ----------------------------------------------------------------------- */

static uint32_t done, early;

static void *sleep_random(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg;
	uint64_t deadline =
	    ghi_deadline_in(random_next(&rnd) % 400 * GHI_MS + random_next(&rnd) % GHI_MS);
	if (ghi_wait_until(ghi_self(), deadline, GHI_PARK_SLEEP) != -ETIMEDOUT ||
	    ghi_now() < deadline)
		fetch_add_relaxed(&early, 1u);
	fetch_add_relaxed(&done, 1u);
	return NULL;
}

START_TEST(ten_thousand_sleepers_wake_and_none_early)
{
	static pthread_t t[MANY];
	pthread_attr_t small;
	start_runtime(worker_counts[_i]);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 32 << 10);
	for (uintptr_t i = 0; i < MANY; i++)
		must_eq(pthread_create(&t[i], &small, sleep_random, (void *)(i + 1)), 0);
	for (int i = 0; i < MANY; i++)
		join(t[i]);
	must_eq(done, MANY);
	must_eq(early, 0);
}
END_TEST

/* The earliest deadline may be started while the worker sleeps until a later one. */
static void *sleep_ms(void *ms)
{
	uint64_t deadline = ghi_deadline_in((uintptr_t)ms * GHI_MS);
	must_eq(ghi_wait_until(ghi_self(), deadline, GHI_PARK_SLEEP), -ETIMEDOUT);
	return (void *)(uintptr_t)(ghi_now() - deadline);
}

START_TEST(an_earlier_deadline_shortens_the_sleep)
{
	start_runtime(worker_counts[_i]);
	uint64_t begin = ghi_now();
	pthread_t t = spawn(sleep_ms, (void *)60000);
	/* Without a yield: another worker has to be made for it, and goes to sleep behind it. */
	while (ghi_nslots > 1 &&
	       load_relaxed(&ghi_gthread_of((uintptr_t)t)->reason) == GHI_PARK_NONE)
		;
	for (int i = 0; i < 20; i++) {
		/* The first to sleep does so in the poller, until that minute is over. */
		until(ghi_worker_asleep() > 0 || ghi_nslots == 1);
		sleep_ms((void *)5);
	}
	ck_assert_uint_lt(ghi_now() - begin, 10 * GHI_SEC);
}
END_TEST

Suite *suite_timer(void)
{
	Suite *s = suite_create("timer");
	add_test(s, timers_fire_when_due_and_in_order);
	add_test(s, a_fired_timer_says_timeout);
	add_loop(s, a_cancelled_timer_does_not_fire, 3);
	add_test(s, cancelling_after_it_fired_is_harmless);
	add_test(s, next_is_the_earliest_deadline);
	add_test(s, a_fork_empties_the_heap);
	add_test(s, random_use_agrees_with_a_list);
	add_loop(s, ten_thousand_sleepers_wake_and_none_early, WORKER_COUNTS);
	add_loop(s, an_earlier_deadline_shortens_the_sleep, WORKER_COUNTS);
	return s;
}
