/* Suite of src/native/select.c: the choice is fair, the time kept, and nothing lost or doubled when
 * many select on many channels and descriptors. */
#include <greenhook/chan.h>
#include <poll.h>

#include "tests/helpers.h"

enum { ROUNDS = 2000 };

GH_CHAN_DEFINE(longs, long);

static longs ch;

static gh_time a_little_later(uint32_t *rnd)
{
	return gh_after((gh_time)(random_next(rnd) % 20000));
}

START_TEST(a_select_chooses_fairly_among_those_that_are_ready)
{
	enum { N = 9 };
	int chosen[N] = {0};
	gh_case c[N];
	long x = 0;
	int p[2];
	must_eq(pipe(p), 0);
	must_eq(write(p[1], "x", 1), 1);
	longs full = longs_new(1), empty = longs_new(1), closed = longs_new(1);
	ch = longs_new(GH_CHAN_UNBOUNDED);
	must_eq(longs_send(full, 1), 0);
	longs_close(closed);
	const gh_case of[N] = {GH_SEND(ch.chan, &x),	 GH_RECV(empty.chan, &x), /* never */
			       GH_SEND(full.chan, &x),				  /* never */
			       GH_RECV(closed.chan, &x), GH_READABLE(p[0]),
			       GH_WRITABLE(p[1]),	 GH_AT(1),
			       GH_AT(GH_FOREVER), /* never */
			       GH_RECV(NULL, &x) /* never */};
	memcpy(c, of, sizeof(c));
	for (int i = 0; i < 5000; i++) {
		int k = i % 2 ? gh_select(c, N) : gh_select_try(c, N);
		must(k >= 0 && k < N);
		chosen[k]++;
		if (k == 3)
			must_eq(c[k].result, -EPIPE);
		if (k == 4)
			must_eq(c[k].result, POLLIN);
	}
	static const bool ready[N] = {true, false, false, true, true, true, true, false, false};
	for (int i = 0; i < N; i++) /* 1000 each; far off is 15 standard deviations */
		must(ready[i] ? chosen[i] > 600 && chosen[i] < 1400 : chosen[i] == 0);
	gh_case bad[] = {GH_READABLE(999)};
	ck_assert_int_eq(gh_select(bad, 1), 0);
	ck_assert_int_eq(bad[0].result, -EBADF);
}
END_TEST

START_TEST(a_select_ends_in_time)
{
	long x;
	if (_i)
		start_runtime(1);
	ch = longs_new(0);
	gh_case c[] = {GH_RECV(ch.chan, &x), GH_SEND(ch.chan, &x), GH_AT(GH_FOREVER),
		       GH_READABLE(-1), GH_AT(0)};
	c[4].at = GH_FOREVER;
	ck_assert_int_eq(gh_select_try(c, 5), -EAGAIN); /* and never with itself */
	must_time_out(then, GH_MS(5), gh_select_until(c, 5, then));
	ck_assert_int_eq(gh_select_until(c, 5, -1), -ETIMEDOUT);
	gh_time at = c[4].at = gh_after(GH_MS(5));
	ck_assert_int_eq(gh_select(c, 5), 4);
	must(gh_now() >= at);
	must_time_out(then, GH_MS(5), gh_select_until(NULL, 0, then));
}
END_TEST

enum { CHANNELS = 6, MEMBERS = 9 };
static longs net[CHANNELS];
static uint64_t in_sum, out_sum, in_count, out_count;

/* Everybody sends and receives on everything at once; elements are counted on both sides. */
static void *mingle(void *arg)
{
	uint32_t rnd = (uint32_t)(uintptr_t)arg * 31337 + 5;
	for (int i = 0; i < ROUNDS; i++) {
		long out[CHANNELS], in[CHANNELS];
		gh_case c[CHANNELS * 2 + 1];
		int n = 0;
		for (int k = 0; k < CHANNELS; k++) {
			out[k] = (long)(random_next(&rnd) & 0xffffff);
			in[k] = -1;
			if (random_next(&rnd) % 3)
				c[n++] = (gh_case)GH_SEND(net[k].chan, &out[k]);
			if (random_next(&rnd) % 3)
				c[n++] = (gh_case)GH_RECV(net[k].chan, &in[k]);
		}
		int r;
		if (random_next(&rnd) % 3 == 0) {
			c[n] = (gh_case)GH_AT(a_little_later(&rnd));
			r = gh_select(c, (size_t)n + 1);
		} else {
			r = gh_select_until(c, (size_t)n, a_little_later(&rnd));
		}
		must(r == -ETIMEDOUT || (r >= 0 && r <= n));
		for (int k = 0; k < CHANNELS; k++) /* nothing was received but by the chosen one */
			if (!(r >= 0 && r < n && c[r].element == &in[k]))
				must_eq(in[k], -1);
		if (r < 0 || r == n)
			continue;
		must_eq(c[r].result, 0);
		long x = *(long *)c[r].element;
		must(x >= 0);
		bool sends = c[r].op == GH_CASE_SEND;
		__atomic_add_fetch(sends ? &in_sum : &out_sum, (uint64_t)x, __ATOMIC_RELAXED);
		__atomic_add_fetch(sends ? &in_count : &out_count, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(selects_on_many_channels_lose_and_double_nothing)
{
	pthread_t t[MEMBERS];
	long x;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	for (int k = 0; k < CHANNELS; k++)
		net[k] = longs_new(_i < WORKER_COUNTS ? 0 : (size_t)k % 3);
	for (intptr_t i = 0; i < MEMBERS; i++)
		t[i] = i % 3 == 1 ? spawn_kernel(mingle, (void *)i) : spawn(mingle, (void *)i);
	for (int i = 0; i < MEMBERS; i++)
		join(t[i]);
	for (int k = 0; k < CHANNELS; k++)
		while (longs_recv_try(net[k], &x) == 0) {
			out_sum += (uint64_t)x;
			out_count++;
		}
	must_eq(in_count, out_count);
	must_eq(in_sum, out_sum);
	must(in_count > 0);
}
END_TEST

/* Nobody gives up: if two selects could miss each other this would stand still. */
static void *select_send(void *arg)
{
	long x = 1;
	for (int i = 0; i < ROUNDS; i++) {
		gh_case c[] = {GH_SEND(net[0].chan, &x), GH_SEND(net[1].chan, &x),
			       GH_SEND(net[2].chan, &x)};
		must(gh_select(c, (intptr_t)arg % 2 ? 3 : 2) >= 0);
	}
	return NULL;
}

static void *select_recv(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		long x = 0;
		gh_case c[] = {GH_RECV(net[2].chan, &x), GH_RECV(net[1].chan, &x),
			       GH_RECV(net[0].chan, &x)};
		must(gh_select(c, 3) >= 0);
		must_eq(x, 1);
	}
	return NULL;
}

static void *select_either(void *arg)
{
	return (intptr_t)arg < 4 ? select_send(arg) : select_recv(arg);
}

START_TEST(two_selects_always_meet)
{
	pthread_t t[8];
	start_runtime(worker_counts[_i]);
	for (int k = 0; k < 3; k++)
		net[k] = longs_new(0);
	for (intptr_t i = 0; i < 8; i++)
		t[i] = i % 4 == 3 ? spawn_kernel(select_either, (void *)i)
				  : spawn(select_either, (void *)i);
	for (int i = 0; i < 8; i++)
		join(t[i]);
}
END_TEST

static int pipes[2][2];

static void *feed(void *arg)
{
	uint32_t rnd = 99;
	for (long i = 0; i < ROUNDS; i++) {
		long x = i;
		if (random_next(&rnd) % 2)
			must_eq(longs_send(ch, x), 0);
		else
			must_eq(write(pipes[random_next(&rnd) % 2][1], &x, sizeof(x)), sizeof(x));
		if (i % 7 == 0)
			yield();
	}
	longs_close(ch);
	return NULL;
}

static void *eat(void *arg)
{
	uint64_t sum = 0;
	bool open = true;
	for (long got = 0; got < ROUNDS || open;) {
		long x = -1;
		gh_case c[] = {GH_RECV(open ? ch.chan : NULL, &x), GH_READABLE(pipes[0][0]),
			       GH_READABLE(pipes[1][0])};
		int r = gh_select(c, 3);
		must(r >= 0 && r <= 2);
		if (r == 0 && c[0].result == -EPIPE) {
			open = false;
			continue;
		}
		if (r > 0)
			must_eq(read(pipes[r - 1][0], &x, sizeof(x)), sizeof(x));
		sum += (uint64_t)x;
		got++;
	}
	must_eq(sum, (uint64_t)ROUNDS * (ROUNDS - 1) / 2);
	return NULL;
}

START_TEST(a_select_waits_for_channels_and_descriptors_at_once)
{
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	ch = longs_new(0);
	must_eq(pipe(pipes[0]), 0);
	must_eq(pipe(pipes[1]), 0);
	pthread_t e = _i < WORKER_COUNTS ? spawn(eat, NULL) : spawn_kernel(eat, NULL);
	pthread_t f = spawn(feed, NULL);
	join(f);
	join(e);
}
END_TEST

START_TEST(the_macros_make_cases)
{
	long x;
	ch = longs_new(0);
	gh_case c[] = {GH_SEND(ch.chan, &x), GH_RECV(ch.chan, &x), GH_READABLE(4), GH_WRITABLE(5),
		       GH_AT(7)};
	must(c[0].op == GH_CASE_SEND && c[0].chan == ch.chan && c[0].element == &x);
	must(c[1].op == GH_CASE_RECV && c[1].chan == ch.chan && c[1].element == &x);
	must(c[2].op == GH_CASE_READABLE && c[2].fd == 4 && !c[2].chan);
	must(c[3].op == GH_CASE_WRITABLE && c[3].fd == 5);
	must(c[4].op == GH_CASE_TIME && c[4].at == 7);
}
END_TEST

Suite *suite_native_select(void)
{
	Suite *s = suite_create("native_select");
	add_test(s, the_macros_make_cases);
	add_test(s, a_select_chooses_fairly_among_those_that_are_ready);
	add_loop(s, a_select_ends_in_time, 2);
	add_loop(s, selects_on_many_channels_lose_and_double_nothing, 2 * WORKER_COUNTS);
	add_loop(s, two_selects_always_meet, WORKER_COUNTS);
	add_loop(s, a_select_waits_for_channels_and_descriptors_at_once, 2 * WORKER_COUNTS);
	return s;
}
