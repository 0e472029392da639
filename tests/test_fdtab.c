/* Suite of src/fdtab.c: counters per direction, who is woken by what, generations.
 *
 * Waiters of the first half are bare wake words, fired at by hand; the second half waits for real.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "src/fdtab.h"
#include "src/park.h"
#include "src/poller.h"
#include "src/wait.h"
#include "tests/helpers.h"

enum { FD = 700, WAITERS = 4, RD = 1 << GHI_RD, WR = 1 << GHI_WR };

static struct {
	struct ghi_gthread g;
	struct ghi_fd_waiter w;
} w[WAITERS];

static struct ghi_fd *entry(void)
{
	struct ghi_fd *e = ghi_fd_get(FD);
	must(e != NULL);
	e->armed = true;
	e->kind = GHI_FD_POLLED;
	return e;
}

static void wait_for(struct ghi_fd *e, int i, unsigned dirs, bool all)
{
	ghi_wake_arm(&w[i].g.wake);
	w[i].w = (struct ghi_fd_waiter){.g = &w[i].g, .dirs = (uint8_t)dirs, .all = all};
	ghi_list_append(&e->waiters, &w[i].w.link);
}

static bool woken(int i)
{
	must_eq(ghi_wake_notified(&w[i].g.wake), w[i].w.link.next == NULL);
	return ghi_wake_notified(&w[i].g.wake);
}

static void fire(struct ghi_fd *e, uint32_t events)
{
	struct ghi_gthread *ready = NULL;
	ghi_fd_fire(FD, e->generation, events, &ready);
	must(ready == NULL); /* nobody is really parked */
}

START_TEST(numbers_that_no_descriptor_has_get_no_entry)
{
	ck_assert_ptr_null(ghi_fd_get(-1));
	ck_assert_ptr_null(ghi_fd_get(INT32_MIN));
	ck_assert_ptr_null(ghi_fd_get(INT32_MAX));
	ck_assert_ptr_null(ghi_fd_peek(FD));
	ck_assert_ptr_nonnull(ghi_fd_get(FD));
	ck_assert_ptr_eq(ghi_fd_peek(FD), ghi_fd_get(FD));
	ck_assert_ptr_nonnull(ghi_fd_get(1 << 20)); /* fs.nr_open's default */
}
END_TEST

static const struct {
	uint32_t events, rd, wr;
	bool hup;
} edges[] = {
    {EPOLLIN, 1, 0, false},   {EPOLLOUT, 0, 1, false}, {EPOLLIN | EPOLLOUT, 1, 1, false},
    {EPOLLRDHUP, 1, 0, true}, {EPOLLPRI, 1, 0, true},  {EPOLLHUP, 1, 1, true},
    {EPOLLERR, 1, 1, true},
};

START_TEST(an_event_counts_in_its_direction)
{
	struct ghi_fd *e = entry();
	fire(e, edges[_i].events);
	ck_assert_uint_eq(e->seq[GHI_RD], edges[_i].rd);
	ck_assert_uint_eq(e->seq[GHI_WR], edges[_i].wr);
	ck_assert_int_eq(e->hup, edges[_i].hup);
}
END_TEST

START_TEST(an_event_wakes_one_waiter_of_its_direction)
{
	struct ghi_fd *e = entry();
	wait_for(e, 0, WR, false);
	wait_for(e, 1, RD, false);
	wait_for(e, 2, RD, false);
	fire(e, EPOLLIN);
	ck_assert(!woken(0) && woken(1) && !woken(2));
	fire(e, EPOLLOUT);
	ck_assert(woken(0) && !woken(2));
	fire(e, EPOLLIN | EPOLLOUT);
	ck_assert(woken(2));
}
END_TEST

START_TEST(pollers_wake_together_and_take_nothing_from_a_reader)
{
	struct ghi_fd *e = entry();
	wait_for(e, 0, RD, true);
	wait_for(e, 1, RD | WR, true);
	wait_for(e, 2, RD, false);
	wait_for(e, 3, RD, false);
	fire(e, EPOLLIN);
	ck_assert(woken(0) && woken(1) && woken(2) && !woken(3));
}
END_TEST

START_TEST(hangup_wakes_everybody_in_both_directions)
{
	static const uint32_t ends[] = {EPOLLHUP, EPOLLERR, EPOLLIN | EPOLLHUP};
	struct ghi_fd *e = entry();
	wait_for(e, 0, RD, false);
	wait_for(e, 1, WR, false);
	wait_for(e, 2, RD, false);
	wait_for(e, 3, WR, true);
	fire(e, ends[_i]);
	for (int i = 0; i < WAITERS; i++)
		ck_assert(woken(i));
}
END_TEST

START_TEST(a_waiter_that_somebody_else_woke_is_skipped)
{
	struct ghi_fd *e = entry();
	struct ghi_gthread *none = NULL;
	wait_for(e, 0, RD, false);
	wait_for(e, 1, RD, false);
	must(ghi_park_notify(&w[0].g, GHI_WOKEN_TIMEOUT, &none));
	fire(e, EPOLLIN);
	ck_assert(woken(1));
}
END_TEST

START_TEST(stale_events_are_ignored)
{
	struct ghi_fd *e = entry();
	struct ghi_gthread *none = NULL;
	wait_for(e, 0, RD, false);
	ghi_fd_fire(FD, e->generation - 1, EPOLLIN | EPOLLHUP, &none);
	ghi_fd_fire(FD + 5000, 0, EPOLLIN, &none); /* never seen */
	ck_assert(!woken(0));
	ck_assert_uint_eq(e->seq[GHI_RD], 0);
	ck_assert(!e->hup);
}
END_TEST

START_TEST(forget_wakes_all_as_closed_and_starts_a_generation)
{
	struct ghi_fd *e = entry();
	uint32_t generation = e->generation;
	e->timeout[GHI_RD] = 5;
	e->hup = true;
	for (int i = 0; i < WAITERS; i++)
		wait_for(e, i, i % 2 ? RD : WR, i == 3);
	ghi_fd_forget(FD);
	for (int i = 0; i < WAITERS; i++) {
		ck_assert(woken(i));
		ck_assert_uint_eq(ghi_wake_take(&w[i].g.wake), GHI_WOKEN_CLOSED);
	}
	ck_assert_uint_ne(e->generation, generation);
	ck_assert_uint_eq(e->seq[GHI_RD], 1); /* a caller between F1 and F3 must try again */
	ck_assert_uint_eq(e->seq[GHI_WR], 1);
	ck_assert(!e->armed && !e->hup && !e->timeout[GHI_RD] && e->kind == GHI_FD_UNKNOWN);
}
END_TEST

START_TEST(forgetting_what_nobody_used_costs_nothing)
{
	struct ghi_fd *e = ghi_fd_get(FD);
	uint32_t generation = e->generation;
	ghi_fd_forget(FD);
	ghi_fd_forget(FD + 5000);
	ghi_fd_forget(-1);
	ck_assert_uint_eq(e->generation, generation);
}
END_TEST

START_TEST(a_range_is_forgotten_and_no_more)
{
	for (int i = 0; i < 5; i++) {
		struct ghi_fd *e = ghi_fd_get(FD + i * 1000); /* several chunks */
		e->armed = true;
		e->generation = 10;
	}
	ghi_fd_forget_range(FD + 1000, FD + 3000);
	for (int i = 0; i < 5; i++)
		must_eq(ghi_fd_get(FD + i * 1000)->generation, i >= 1 && i <= 3 ? 11 : 10);
	ghi_fd_forget_range(FD + 3001, ~0u);
	must_eq(ghi_fd_get(FD + 4000)->generation, 11);
}
END_TEST

START_TEST(a_fresh_number_drops_what_was_known)
{
	struct ghi_fd *e = entry();
	uint32_t generation = e->generation;
	e->shared = true;
	e->accepting = GHI_FD_ACCEPT_HELD;
	ghi_fd_fresh(FD, GHI_FD_TCP);
	ck_assert(!e->armed && !e->shared && !e->accepting);
	ck_assert_uint_eq(e->kind, GHI_FD_TCP);
	ck_assert_uint_ne(e->generation, generation);
}
END_TEST

START_TEST(readiness_is_passed_on_to_one_more)
{
	struct ghi_fd *e = entry();
	wait_for(e, 0, RD, false);
	wait_for(e, 1, WR, false);
	wait_for(e, 2, RD, false);
	ghi_fd_pass_on(e, GHI_RD);
	ck_assert(woken(0) && !woken(1) && !woken(2));
	ghi_fd_pass_on(e, GHI_WR);
	ck_assert(woken(1) && !woken(2));
}
END_TEST

/* ---- with descriptors ----------------------------------------------------------------------- */

START_TEST(a_shared_number_is_disarmed_when_it_closes)
{
	const char *what;
	int p[2];
	ghi_clock_gettime = clock_gettime;
	must_eq(ghi_poller_init(&what), 0);
	must_eq(pipe(p), 0);
	must(dup(p[0]) >= 0);
	struct ghi_fd *e = ghi_fd_get(p[0]);
	must_eq(ghi_poller_arm(p[0], e->generation), 0);
	e->armed = true;
	e->own_epoch = ghi_fd_share_epoch; /* known to this process alone */
	e->shared = _i;
	ghi_fd_forget(p[0]);
	ghi_sys(SYS_close, p[0]);
	must_eq(write(p[1], "x", 1), 1);
	/* The kernel keeps the registration as long as the file: nobody could remove it now. */
	ck_assert_int_eq(ghi_poller_poll(0), _i ? 0 : 1);
	ck_assert_uint_eq(e->seq[GHI_RD], 1); /* from forget; the event was stale */
}
END_TEST

static int sv[2];
static uint32_t waiting;

static void *wait_readable(void *arg)
{
	uint32_t seq = ghi_fd_get(sv[0])->seq[GHI_RD];
	fetch_add_acq_rel(&waiting, 1u);
	return (void *)(intptr_t)ghi_wait_fd(ghi_self(), sv[0], GHI_RD, seq, GHI_NEVER,
					     GHI_PARK_READ);
}

static bool parked(pthread_t t)
{
	struct ghi_gthread *g = ghi_gthread_of((uintptr_t)t);
	return (load_acquire(&g->wake) & GHI_WAKE_MASK) == GHI_WAKE_PARKED;
}

START_TEST(a_close_ends_real_waits_with_ebadf)
{
	pthread_t t[3];
	start_runtime(worker_counts[_i]);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	for (int i = 0; i < 3; i++) {
		t[i] = spawn(wait_readable, NULL);
		until(load_acquire(&waiting) == (uint32_t)i + 1 && parked(t[i]));
	}
	must_eq(close(sv[0]), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq((intptr_t)join(t[i]), -EBADF);
}
END_TEST

START_TEST(data_ends_a_real_wait)
{
	start_runtime(worker_counts[_i]);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pthread_t t = spawn(wait_readable, NULL);
	until(load_acquire(&waiting) == 1 && parked(t));
	must_eq(write(sv[1], "x", 1), 1);
	ck_assert_int_eq((intptr_t)join(t), 0);
}
END_TEST

START_TEST(a_counter_that_moved_means_try_again)
{
	start_runtime(1);
	must_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	uint32_t seq = ghi_fd_get(sv[0])->seq[GHI_RD];
	ck_assert_int_eq(ghi_wait_fd(ghi_self(), sv[0], GHI_RD, seq - 1, GHI_NEVER, GHI_PARK_READ),
			 0);
	ck_assert_int_eq(
	    ghi_wait_fd(ghi_self(), sv[0], GHI_RD, seq, ghi_deadline_in(GHI_MS), GHI_PARK_READ),
	    -ETIMEDOUT);
	ck_assert(ghi_list_empty(&ghi_fd_get(sv[0])->waiters));
	int file = open("/proc/self/exe", O_RDONLY);
	ck_assert_int_eq(ghi_wait_fd(ghi_self(), file, GHI_RD, 0, GHI_NEVER, GHI_PARK_READ),
			 -EPERM);
	ck_assert_uint_eq(ghi_fd_get(file)->kind, GHI_FD_FILE);
}
END_TEST

Suite *suite_fdtab(void)
{
	Suite *s = suite_create("fdtab");
	add_test(s, numbers_that_no_descriptor_has_get_no_entry);
	add_loop(s, an_event_counts_in_its_direction, sizeof(edges) / sizeof(edges[0]));
	add_test(s, an_event_wakes_one_waiter_of_its_direction);
	add_test(s, pollers_wake_together_and_take_nothing_from_a_reader);
	add_loop(s, hangup_wakes_everybody_in_both_directions, 3);
	add_test(s, a_waiter_that_somebody_else_woke_is_skipped);
	add_test(s, stale_events_are_ignored);
	add_test(s, forget_wakes_all_as_closed_and_starts_a_generation);
	add_test(s, forgetting_what_nobody_used_costs_nothing);
	add_test(s, a_range_is_forgotten_and_no_more);
	add_test(s, a_fresh_number_drops_what_was_known);
	add_test(s, readiness_is_passed_on_to_one_more);
	add_loop(s, a_shared_number_is_disarmed_when_it_closes, 2);
	add_loop(s, a_close_ends_real_waits_with_ebadf, WORKER_COUNTS);
	add_loop(s, data_ends_a_real_wait, WORKER_COUNTS);
	add_test(s, a_counter_that_moved_means_try_again);
	return s;
}
