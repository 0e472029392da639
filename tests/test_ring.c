/* Suite of src/proto/ring.h at its real size and with real threads; every interleaving of tiny
 * rings is model_runq.c's business. */
#include "src/proto/ring.h"
#include "tests/helpers.h"

enum { ITEMS = 1000000, HALF = GHI_RING_SIZE / 2 };

static struct ghi_ring ring, other;

static void *item(uintptr_t i)
{
	return (void *)(i + 1);
}

static void fill(uintptr_t n)
{
	for (uintptr_t i = 0; i < n; i++)
		must(ghi_ring_put(&ring, item(i)));
}

/* The loop variable moves the counters: 1 to where they wrap. */
static void place(int where)
{
	ring.head = ring.tail = other.head = other.tail = where ? 0u - 100 : 0;
}

START_TEST(first_in_first_out)
{
	place(_i);
	fill(GHI_RING_SIZE);
	for (uintptr_t i = 0; i < GHI_RING_SIZE; i++)
		must(ghi_ring_get(&ring) == item(i));
	ck_assert_ptr_null(ghi_ring_get(&ring));
}
END_TEST

START_TEST(a_full_ring_refuses_and_loses_nothing)
{
	place(_i);
	fill(GHI_RING_SIZE);
	ck_assert(!ghi_ring_put(&ring, item(999)));
	ck_assert_uint_eq(ghi_ring_length(&ring), GHI_RING_SIZE);
	ck_assert_ptr_eq(ghi_ring_get(&ring), item(0));
	ck_assert(ghi_ring_put(&ring, item(GHI_RING_SIZE)));
	for (uintptr_t i = 1; i <= GHI_RING_SIZE; i++)
		must(ghi_ring_get(&ring) == item(i));
}
END_TEST

START_TEST(a_thief_takes_the_older_half_rounded_up)
{
	for (uintptr_t n = 1; n <= GHI_RING_SIZE; n++) {
		uintptr_t half = n - n / 2;
		place(_i);
		fill(n);
		must(ghi_ring_steal(&other, &ring) == item(0));
		must_eq(ghi_ring_length(&other), half - 1);
		must_eq(ghi_ring_length(&ring), n - half);
		for (uintptr_t i = 1; i < half; i++)
			must(ghi_ring_get(&other) == item(i));
		for (uintptr_t i = half; i < n; i++)
			must(ghi_ring_get(&ring) == item(i));
	}
}
END_TEST

START_TEST(stealing_from_an_empty_ring_takes_nothing)
{
	place(_i);
	ck_assert_ptr_null(ghi_ring_steal(&other, &ring));
	ck_assert_uint_eq(ghi_ring_length(&other), 0);
}
END_TEST

START_TEST(lengths_follow_puts_and_gets)
{
	place(_i);
	for (uintptr_t i = 0; i < GHI_RING_SIZE; i++) {
		must_eq(ghi_ring_length(&ring), i);
		must(ghi_ring_put(&ring, item(i)));
	}
	for (uintptr_t i = GHI_RING_SIZE; i > 0; i--) {
		must_eq(ghi_ring_length(&ring), i);
		ghi_ring_get(&ring);
	}
	must_eq(ghi_ring_length(&ring), 0);
}
END_TEST

/* One kernel thread puts and gets, others steal into rings of their own. */
static uint8_t seen[ITEMS];
static uint32_t done;

static void note(void *task)
{
	if (task)
		must_eq(__atomic_fetch_add(&seen[(uintptr_t)task - 1], 1, __ATOMIC_RELAXED), 0);
}

static void *holder(void *arg)
{
	uint32_t rnd = 1;
	for (uintptr_t i = 0; i < ITEMS; i++) {
		while (!ghi_ring_put(&ring, item(i)))
			note(ghi_ring_get(&ring));
		if (random_next(&rnd) % 4 == 0)
			note(ghi_ring_get(&ring));
	}
	store_release(&done, 1u);
	for (void *t; (t = ghi_ring_get(&ring));)
		note(t);
	return NULL;
}

static void *thief(void *mine)
{
	for (bool last = false; !last;) {
		last = load_acquire(&done);
		for (void *t; (t = ghi_ring_steal(mine, &ring));) {
			note(t);
			while ((t = ghi_ring_get(mine)))
				note(t);
		}
	}
	return NULL;
}

START_TEST(nothing_is_lost_or_doubled_between_threads)
{
	struct ghi_ring *mine = calloc(2, sizeof(*mine));
	pthread_t t[3];
	place(1);
	t[0] = spawn_kernel(holder, NULL);
	t[1] = spawn_kernel(thief, &mine[0]);
	t[2] = spawn_kernel(thief, &mine[1]);
	for (int i = 0; i < 3; i++)
		must_eq(pthread_join(t[i], NULL), 0);
	for (int i = 0; i < ITEMS; i++)
		must_eq(seen[i], 1);
	free(mine);
}
END_TEST

Suite *suite_ring(void)
{
	Suite *s = suite_create("ring");
	add_loop(s, first_in_first_out, 2);
	add_loop(s, a_full_ring_refuses_and_loses_nothing, 2);
	add_loop(s, a_thief_takes_the_older_half_rounded_up, 2);
	add_loop(s, stealing_from_an_empty_ring_takes_nothing, 2);
	add_loop(s, lengths_follow_puts_and_gets, 2);
	add_test(s, nothing_is_lost_or_doubled_between_threads);
	return s;
}
