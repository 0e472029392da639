/* Suite of src/trace.c: what is read out of a ring while others write to it is one record, whole,
 * and the one that was asked for. */
#include "src/trace.h"
#include "tests/helpers.h"

enum { RECORDS = 2000000 };

static struct ghi_slot slot;
static uint32_t done;

/* One slot, ring 0; the ring of those without one is ring 1. */
static void begin(void)
{
	ghi_nslots = 1;
	ghi_clock_gettime = clock_gettime;
	must(ghi_trace_rings());
}

/* Three fields that belong together, from a counter. */
static void write_one(struct ghi_slot *s, uint64_t n)
{
	struct ghi_worker w = {.slot = s, .tid = 7};
	struct ghi_gthread from = {.id = n,
				   .reason = GHI_PARK_SEM,
				   .waits_for = (void *)(uintptr_t)(n * 3)},
			   to = {.id = n * 5};
	ghi_trace_switch(&w, &from, &to);
}

static bool is_whole(const struct ghi_trace_record *r)
{
	return r->kind == GHI_TRACE_SWITCH && r->why == GHI_PARK_SEM && r->tid == 7 && r->from &&
	       r->object == r->from * 3 && r->to == r->from * 5;
}

static void *writer(void *which)
{
	for (uint64_t n = 1; n <= RECORDS; n++)
		write_one(which, n);
	fetch_add_acq_rel(&done, 1u);
	return NULL;
}

/* Reads all that comes, as fast as it can; how many were whole, and the rest counted as lost. */
static void read_until(unsigned ring, uint32_t writers, uint64_t *ret_read, uint64_t *ret_lost)
{
	uint64_t next = 0, read = 0, lost = 0, last = 0;
	for (bool over = false; !over;) {
		over = load_acquire(&done) == writers;
		uint64_t head = ghi_trace_head(ring);
		for (; next < head; next++) {
			struct ghi_trace_record r;
			if (!ghi_trace_read(ring, next, &r)) {
				lost++;
				continue;
			}
			must(is_whole(&r) && r.seq == next + 1);
			must(writers > 1 || r.from == next + 1);
			must(writers > 1 || r.at >= last);
			last = r.at;
			read++;
		}
	}
	*ret_read = read;
	*ret_lost = lost;
}

START_TEST(one_that_is_read_is_whole)
{
	uint64_t read, lost;
	begin();
	pthread_t t = spawn_kernel(writer, &slot);
	read_until(0, 1, &read, &lost);
	must_eq(pthread_join(t, NULL), 0);
	must_eq(read + lost, RECORDS);
	must(read >= ghi_trace_capacity()); /* the last ones lie there when he has ended */
}
END_TEST

START_TEST(those_without_a_slot_share_one_ring)
{
	uint64_t read, lost;
	pthread_t t[3];
	begin();
	for (int i = 0; i < 3; i++)
		t[i] = spawn_kernel(writer, NULL);
	read_until(1, 3, &read, &lost);
	for (int i = 0; i < 3; i++)
		must_eq(pthread_join(t[i], NULL), 0);
	must_eq(read + lost, 3 * RECORDS);
	must_eq(ghi_trace_head(0), 0);
}
END_TEST

START_TEST(what_was_overwritten_is_not_read)
{
	struct ghi_trace_record r;
	begin();
	uint64_t n = ghi_trace_capacity();
	for (uint64_t i = 1; i <= n + 5; i++)
		write_one(&slot, i);
	must_eq(ghi_trace_head(0), n + 5);
	for (uint64_t i = 0; i < 5; i++)
		must(!ghi_trace_read(0, i, &r));
	for (uint64_t i = 5; i < n + 5; i++)
		must(ghi_trace_read(0, i, &r) && r.from == i + 1);
	must(!ghi_trace_read(0, n + 5, &r));
}
END_TEST

START_TEST(a_late_writer_disturbs_no_later_trace)
{
	struct ghi_trace_record r;
	begin();
	for (uint64_t i = 1; i <= 10; i++)
		write_one(&slot, i);
	ghi_trace_rings_empty();
	must(!ghi_trace_read(0, 9, &r));
	write_one(&slot, 11); /* it had seen that there was a trace */
	uint64_t head = ghi_trace_head(0);
	must_eq(head, 11);
	write_one(&slot, 12);
	must(ghi_trace_read(0, head, &r) && r.from == 12 && r.seq == 12);
	must_eq(ghi_trace_head(0), 12);
}
END_TEST

START_TEST(a_child_begins_with_nothing)
{
	begin();
	write_one(&slot, 1);
	ghi_trace_rings_forget();
	write_one(&slot, 2); /* no ring: nothing happens */
	must_eq(ghi_trace_head(0), 0);
	begin();
	write_one(&slot, 3);
	struct ghi_trace_record r;
	must(ghi_trace_read(0, 0, &r) && r.from == 3);
}
END_TEST

Suite *suite_trace(void)
{
	Suite *s = suite_create("trace");
	add_test(s, one_that_is_read_is_whole);
	add_test(s, those_without_a_slot_share_one_ring);
	add_test(s, what_was_overwritten_is_not_read);
	add_test(s, a_late_writer_disturbs_no_later_trace);
	add_test(s, a_child_begins_with_nothing);
	return s;
}
