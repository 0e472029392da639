/* Suite of src/native/chan.c: what each call answers, and that every element arrives
 * once and in order among gthreads and kernel threads. */
#include <greenhook/chan.h>

#include "src/native/chan.h"
#include "tests/helpers.h"

enum { ROUNDS = 2000 };

GH_CHAN_DEFINE(longs, long);

static longs ch, other;
static uint32_t arrived;

START_TEST(bad_arguments_are_refused)
{
	struct {
		char zero[256];
	} none = {{0}};
	gh_chan *bad = (gh_chan *)&none;
	long x = 0;
	gh_case no_op = {.op = 9, .fd = -1}, no_chan[] = {GH_RECV(bad, &x)};
	ch = longs_new(0);
	gh_case nothing[] = {GH_SEND(ch.chan, NULL)};
	errno = 0;
	ck_assert_ptr_null(gh_chan_new(SIZE_MAX / 2, 4));
	ck_assert_int_eq(errno, EINVAL);
	static const struct {
		size_t size, capacity;
	} absurd[] = {{SIZE_MAX, GH_CHAN_UNBOUNDED},
		      {SIZE_MAX - 100, 0},
		      {SIZE_MAX, 0},
		      {SIZE_MAX, 1},
		      {(size_t)PTRDIFF_MAX + 1, GH_CHAN_UNBOUNDED},
		      {(size_t)PTRDIFF_MAX + 1, 0},
		      {2, PTRDIFF_MAX},
		      {1, SIZE_MAX - 1},
		      {0, SIZE_MAX - 1}};
	for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
		errno = 0;
		ck_assert_ptr_null(gh_chan_new(absurd[i].size, absurd[i].capacity));
		ck_assert_int_eq(errno, EINVAL);
	}
	/* Less than all memory, but more than there is for a few of them. */
	gh_chan *large = gh_chan_new(PTRDIFF_MAX, GH_CHAN_UNBOUNDED);
	ck_assert_ptr_nonnull(large);
	ck_assert_int_eq(gh_chan_send(large, &x), -ENOMEM);
	gh_chan_unref(large);
	ck_assert_ptr_null(gh_chan_new(1, PTRDIFF_MAX));
	ck_assert_int_eq(errno, ENOMEM);
	gh_chan_unref(NULL);
	ck_assert_ptr_null(gh_chan_ref(NULL));
	gh_chan *c[] = {NULL, bad};
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(gh_chan_send(c[i], &x), -EINVAL);
		ck_assert_int_eq(gh_chan_send_try(c[i], &x), -EINVAL);
		ck_assert_int_eq(gh_chan_send_until(c[i], &x, 0), -EINVAL);
		ck_assert_int_eq(gh_chan_recv(c[i], &x), -EINVAL);
		ck_assert_int_eq(gh_chan_recv_try(c[i], &x), -EINVAL);
		ck_assert_int_eq(gh_chan_recv_until(c[i], &x, 0), -EINVAL);
		ck_assert_int_eq(gh_chan_close(c[i]), -EINVAL);
		ck_assert_int_eq(gh_chan_closed(c[i]), -EINVAL);
		ck_assert_int_eq(gh_chan_len(c[i]), -EINVAL);
	}
	ck_assert_int_eq(gh_chan_send(ch.chan, NULL), -EINVAL);
	ck_assert_int_eq(gh_select(&no_op, 1), -EINVAL);
	ck_assert_int_eq(gh_select(no_chan, 1), -EINVAL);
	ck_assert_int_eq(gh_select_try(nothing, 1), -EINVAL);
	ck_assert_int_eq(gh_select(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_select_until(&no_op, 1 << 20, 0), -E2BIG);
	longs_unref(ch);
}
END_TEST

START_TEST(a_bounded_channel_holds_its_capacity)
{
	long x;
	if (_i)
		start_runtime(1);
	ch = longs_new(3);
	for (int round = 0; round < 5; round++) {
		for (long i = 0; i < 3; i++)
			ck_assert_int_eq(longs_send(ch, i + round), 0);
		ck_assert_int_eq(longs_send_try(ch, 9), -EAGAIN);
		ck_assert_int_eq(longs_send_until(ch, 9, 0), -ETIMEDOUT);
		must_time_out(at, GH_MS(3), longs_send_until(ch, 9, at));
		ck_assert_int_eq(gh_chan_len(ch.chan), 3);
		for (long i = 0; i < 3; i++) {
			ck_assert_int_eq(longs_recv(ch, &x), 0);
			ck_assert_int_eq(x, i + round);
		}
		ck_assert_int_eq(longs_recv_try(ch, &x), -EAGAIN);
		ck_assert_int_eq(longs_recv_until(ch, &x, gh_after(GH_MS(3))), -ETIMEDOUT);
		ck_assert_int_eq(longs_recv_until(ch, &x, -7), -ETIMEDOUT);
		/* One, so that the ring turns. */
		ck_assert_int_eq(longs_send_try(ch, 1), 0);
		ck_assert_int_eq(gh_chan_recv_try(ch.chan, NULL), 0);
	}
	longs_unref(longs_ref(ch));
	ck_assert_int_eq(gh_chan_len(ch.chan), 0);
	longs_unref(ch);
}
END_TEST

START_TEST(a_closed_channel_gives_its_rest)
{
	long x;
	ch = longs_new(4);
	must_eq(longs_send(ch, 5), 0);
	must_eq(longs_send(ch, 6), 0);
	ck_assert_int_eq(gh_chan_closed(ch.chan), 0);
	ck_assert_int_eq(longs_close(ch), 0);
	ck_assert_int_eq(longs_close(ch), -EALREADY);
	ck_assert_int_eq(gh_chan_closed(ch.chan), 1);
	ck_assert_int_eq(longs_send(ch, 7), -EPIPE);
	ck_assert_int_eq(longs_send_try(ch, 7), -EPIPE);
	ck_assert_int_eq(longs_recv(ch, &x), 0);
	ck_assert_int_eq(x, 5);
	ck_assert_int_eq(longs_recv_try(ch, &x), 0);
	ck_assert_int_eq(x, 6);
	ck_assert_int_eq(longs_recv(ch, &x), -EPIPE);
	ck_assert_int_eq(longs_recv_try(ch, &x), -EPIPE);
	ck_assert_int_eq(longs_recv_until(ch, &x, GH_FOREVER), -EPIPE);
	longs_unref(ch);
}
END_TEST

START_TEST(an_unbounded_channel_grows_and_forgets)
{
	long x;
	ch = longs_new(GH_CHAN_UNBOUNDED);
	for (int round = 0; round < 3; round++) {
		for (long i = 0; i < 7; i++) /* so that the ring is turned when it grows */
			must(longs_send(ch, i) == 0 && longs_recv(ch, &x) == 0 && x == i);
		for (long i = 0; i < 30000; i++)
			must_eq(longs_send(ch, i), 0);
		ck_assert_int_eq(gh_chan_len(ch.chan), 30000);
		for (long i = 0; i < 30000; i++) {
			must_eq(longs_recv(ch, &x), 0);
			must_eq(x, i);
		}
		ck_assert_uint_eq(ch.chan->core.room, 0); /* its memory is given back */
	}
	gh_chan *facts = gh_chan_new(0, GH_CHAN_UNBOUNDED);
	for (int i = 0; i < 100; i++)
		must_eq(gh_chan_send(facts, NULL), 0);
	for (int i = 0; i < 100; i++)
		must_eq(gh_chan_recv(facts, NULL), 0);
	ck_assert_int_eq(gh_chan_recv_try(facts, NULL), -EAGAIN);
	gh_chan_unref(facts);
	longs_unref(ch);
}
END_TEST

/* ---- many of both sorts ------------------------------------------------------------------------
 */

enum { SENDERS = 6, RECEIVERS = 5 };

static struct {
	uint64_t sum, count, timeouts;
	long last[SENDERS]; /* of each sender, seen by this receiver */
} tally[RECEIVERS];
static uint64_t sent_sum, sent_count, unsent;
static bool impatient;

static gh_time a_little_later(uint32_t *rnd)
{
	return gh_after((gh_time)(random_next(rnd) % 20000));
}

static void *send_many(void *arg)
{
	long me = (long)(intptr_t)arg;
	uint32_t rnd = (uint32_t)me * 7919 + 1;
	for (long i = 1; i <= ROUNDS; i++) {
		long x = me * 1000000 + i;
		int r;
		switch (impatient ? random_next(&rnd) % 4 : 0) {
		case 1:
			r = longs_send_until(ch, x, a_little_later(&rnd));
			must(r == 0 || r == -ETIMEDOUT);
			break;
		case 2: {
			gh_case c[] = {GH_SEND(ch.chan, &x), GH_AT(a_little_later(&rnd))};
			r = gh_select(c, 2);
			must(r == 0 || r == 1);
			break;
		}
		case 3:
			r = longs_send_try(ch, x);
			must(r == 0 || r == -EAGAIN);
			break;
		default:
			r = longs_send(ch, x);
			must_eq(r, 0);
		}
		if (r == 0) {
			__atomic_add_fetch(&sent_sum, (uint64_t)x, __ATOMIC_RELAXED);
			__atomic_add_fetch(&sent_count, 1, __ATOMIC_RELAXED);
		} else {
			__atomic_add_fetch(&unsent, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void *receive_many(void *arg)
{
	int me = (int)(intptr_t)arg, r;
	uint32_t rnd = (uint32_t)me * 104729 + 1;
	long x;
	for (;;) {
		switch (impatient ? random_next(&rnd) % 3 : 0) {
		case 1:
			r = longs_recv_until(ch, &x, a_little_later(&rnd));
			break;
		case 2: {
			gh_case c[] = {GH_AT(a_little_later(&rnd)), GH_RECV(ch.chan, &x)};
			r = gh_select(c, 2);
			must(r == 0 || r == 1);
			r = r == 0 ? -ETIMEDOUT : c[1].result;
			break;
		}
		default:
			r = longs_recv(ch, &x);
		}
		if (r == -EPIPE)
			break;
		if (r == -ETIMEDOUT) {
			tally[me].timeouts++;
			continue;
		}
		must_eq(r, 0);
		tally[me].sum += (uint64_t)x;
		tally[me].count++;
		/* One receiver sees the elements of one sender in order. */
		must(x % 1000000 > tally[me].last[x / 1000000]);
		tally[me].last[x / 1000000] = x % 1000000;
	}
	return NULL;
}

static const size_t capacities[] = {0, 1, 7, GH_CHAN_UNBOUNDED};
enum { CAPACITIES = 4 };

START_TEST(every_element_arrives_once_and_in_order)
{
	pthread_t s[SENDERS], r[RECEIVERS];
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	impatient = _i / WORKER_COUNTS / CAPACITIES;
	ch = longs_new(capacities[_i / WORKER_COUNTS % CAPACITIES]);
	for (intptr_t i = 0; i < RECEIVERS; i++)
		r[i] = i % 3 == 1 ? spawn_kernel(receive_many, (void *)i)
				  : spawn(receive_many, (void *)i);
	for (intptr_t i = 0; i < SENDERS; i++)
		s[i] =
		    i % 3 == 1 ? spawn_kernel(send_many, (void *)i) : spawn(send_many, (void *)i);
	for (int i = 0; i < SENDERS; i++)
		join(s[i]);
	must_eq(longs_close(ch), 0);
	uint64_t sum = 0, count = 0;
	for (int i = 0; i < RECEIVERS; i++) {
		join(r[i]);
		sum += tally[i].sum;
		count += tally[i].count;
	}
	must_eq(count, sent_count);
	must_eq(sum, sent_sum);
	must_eq(sent_count + unsent, SENDERS * ROUNDS);
	must(ch.chan != NULL);
	longs_unref(ch);
}
END_TEST

static void *answer(void *arg)
{
	long x;
	while (longs_recv(ch, &x) == 0)
		must_eq(longs_send(other, x + 1), 0);
	longs_close(other);
	return NULL;
}

START_TEST(two_that_meet_hand_over_each_time)
{
	long x;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	ch = longs_new(0);
	other = longs_new(0);
	pthread_t t = _i < WORKER_COUNTS ? spawn(answer, NULL) : spawn_kernel(answer, NULL);
	for (long i = 0; i < 5000; i++) {
		must_eq(longs_send(ch, i), 0);
		must_eq(longs_recv(other, &x), 0);
		must_eq(x, i + 1);
	}
	longs_close(ch);
	must_eq(longs_recv(other, &x), -EPIPE);
	join(t);
}
END_TEST

/* The receiver of the only message frees the channel, while the sender is on its way out.  A kernel
 * thread used to look at the channel once more. */
static void *send_one(void *c)
{
	long x = 77;
	must_eq(gh_chan_send(c, &x), 0);
	return NULL;
}

static void *select_one(void *c)
{
	long x = 77;
	gh_case of[] = {GH_SEND((gh_chan *)c, &x), GH_RECV(other.chan, &x)};
	must_eq(gh_select(of, 2), 0);
	must_eq(of[0].result, 0);
	return NULL;
}

START_TEST(whoever_received_last_may_free)
{
	bool kernel = _i / WORKER_COUNTS % 2, selects = _i / WORKER_COUNTS / 2;
	void *(*send)(void *) = selects ? select_one : send_one;
	start_runtime(worker_counts[_i % WORKER_COUNTS]);
	other = longs_new(0);
	for (int i = 0; i < 500; i++) {
		gh_chan *c = gh_chan_new(sizeof(long), 0);
		pthread_t t = kernel ? spawn_kernel(send, c) : spawn(send, c);
		long x = 0;
		if (i % 2)
			until(!ghi_list_empty((struct ghi_list *)&c->core.senders));
		must_eq(gh_chan_recv(c, &x), 0);
		must_eq(x, 77);
		gh_chan_unref(c);
		/* A select may hold it a moment longer; else the memory is somebody else's. */
		unsigned char *again = malloc(sizeof(gh_chan));
		memset(again, 0xee, sizeof(gh_chan));
		join(t);
		for (size_t k = 0; k < sizeof(gh_chan); k++)
			must_eq(again[k], 0xee);
		free(again);
	}
}
END_TEST

static void *wait_for_close(void *arg)
{
	long x;
	fetch_add_acq_rel(&arrived, 1u);
	switch ((intptr_t)arg % 4) {
	case 0:
		must_eq(longs_send(ch, 1), -EPIPE);
		break;
	case 1: /* it carries one from the main thread */
		must_eq(longs_recv(other, &x), -EPIPE);
		break;
	case 2: {
		gh_case c[] = {GH_SEND(ch.chan, &x), GH_RECV(NULL, &x)};
		must_eq(gh_select(c, 2), 0);
		must_eq(c[0].result, -EPIPE);
		break;
	}
	default: {
		gh_case c[] = {GH_RECV(NULL, &x), GH_RECV(other.chan, &x)};
		must_eq(gh_select(c, 2), 1);
		must_eq(c[1].result, -EPIPE);
	}
	}
	return NULL;
}

START_TEST(a_close_wakes_all)
{
	pthread_t t[24];
	start_runtime(worker_counts[_i]);
	for (int round = 0; round < 20; round++) {
		ch = longs_new(1);
		other = longs_new(1);
		must_eq(longs_send(ch, 0), 0);
		arrived = 0;
		for (intptr_t i = 0; i < 24; i++)
			t[i] = i % 5 == 4 ? spawn_kernel(wait_for_close, (void *)i)
					  : spawn(wait_for_close, (void *)i);
		if (round % 2)
			until(load_acquire(&arrived) == 24);
		must_eq(longs_close(ch), 0);
		must_eq(longs_close(other), 0);
		for (int i = 0; i < 24; i++)
			join(t[i]);
		ck_assert_int_eq(gh_chan_len(ch.chan), 1);
		longs_unref(ch);
		longs_unref(other);
	}
}
END_TEST

Suite *suite_native_chan(void)
{
	Suite *s = suite_create("native_chan");
	add_test(s, bad_arguments_are_refused);
	add_loop(s, a_bounded_channel_holds_its_capacity, 2);
	add_test(s, a_closed_channel_gives_its_rest);
	add_test(s, an_unbounded_channel_grows_and_forgets);
	add_loop(s, every_element_arrives_once_and_in_order, 2 * WORKER_COUNTS * CAPACITIES);
	add_loop(s, two_that_meet_hand_over_each_time, 2 * WORKER_COUNTS);
	add_loop(s, whoever_received_last_may_free, 4 * WORKER_COUNTS);
	add_loop(s, a_close_wakes_all, WORKER_COUNTS);
	return s;
}
