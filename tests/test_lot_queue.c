/* Suite of src/lot_queue.h: keys of one bucket, against plain arrays. */
#include <string.h>

#include "src/lot_queue.h"
#include "tests/helpers.h"

enum { KEYS = 3, WAITERS = 7, STEPS = 100000 };

static struct ghi_lot_bucket bucket;
static struct ghi_lot_waiter waiters[WAITERS];
static char keys[KEYS];
/* Who should wait for each key, in order. */
static struct expected {
	struct ghi_lot_waiter *of[WAITERS];
	int n;
} expected[KEYS];

static void agrees(void)
{
	int firsts = 0, listed = 0;

	for (int k = 0; k < KEYS; k++) {
		struct expected *e = &expected[k];
		int n = 0;
		must(ghi_lot_first(&bucket, &keys[k]) == (e->n ? e->of[0] : NULL));
		GHI_LOT_FOR_EACH (w, &bucket, &keys[k]) {
			must(n < e->n && ghi_lot_queued(w));
			must(w == e->of[n]);
			n++;
		}
		must_eq(n, e->n);
		firsts += e->n > 0;
	}
	/* Nobody passes by more than one waiter of another key. */
	for (struct ghi_list *l = bucket.firsts.next; l && l != &bucket.firsts; l = l->next)
		listed++;
	must_eq(listed, firsts);
}

static void put(struct ghi_lot_waiter *w, int k)
{
	w->key = &keys[k];
	ghi_lot_enqueue(&bucket, w);
	expected[k].of[expected[k].n++] = w;
}

static void take(struct ghi_lot_waiter *w)
{
	struct expected *e = &expected[(const char *)w->key - keys];
	int i = 0;

	while (e->of[i] != w)
		i++;
	e->n--;
	memmove(&e->of[i], &e->of[i + 1], (size_t)(e->n - i) * sizeof(*e->of));
	ghi_lot_dequeue(w);
	must(!ghi_lot_queued(w));
}

START_TEST(each_key_has_its_own_order)
{
	uint32_t rnd = 1;

	for (int i = 0; i < STEPS; i++) {
		struct ghi_lot_waiter *w = &waiters[random_next(&rnd) % WAITERS];
		if (ghi_lot_queued(w))
			take(w);
		else
			put(w, (int)(random_next(&rnd) % KEYS));
		agrees();
	}
}
END_TEST

/* A key that loses its first waiter keeps its place: looking for it costs the same. */
START_TEST(the_second_takes_the_place_of_the_first)
{
	put(&waiters[0], 0);
	put(&waiters[1], 1);
	put(&waiters[2], 0);
	take(&waiters[0]);
	must(bucket.firsts.next == &waiters[2].first);
	must(bucket.firsts.next->next == &waiters[1].first);
	agrees();
}
END_TEST

/* What a waker does: each is taken out by the body of the loop, all or those that match. */
START_TEST(the_body_takes_out)
{
	for (int i = 0; i < WAITERS; i++)
		put(&waiters[i], i % 2);
	GHI_LOT_FOR_EACH (w, &bucket, &keys[0]) {
		if (w != &waiters[2])
			take(w);
	}
	agrees();
	must_eq(expected[0].n, 1);
	GHI_LOT_FOR_EACH (w, &bucket, &keys[1])
		take(w);
	agrees();
	must_eq(expected[1].n, 0);
}
END_TEST

Suite *suite_lot_queue(void)
{
	Suite *s = suite_create("lot_queue");
	add_test(s, each_key_has_its_own_order);
	add_test(s, the_second_takes_the_place_of_the_first);
	add_test(s, the_body_takes_out);
	return s;
}
