/* Suite of src/native/memory.c: each function of the API with each of its allocations failing in
 * turn: an error that is documented, nothing lost, and the next call works. */
#include <fcntl.h>
#include <greenhook.h>
#include <sys/socket.h>

#include "integration/native/lib/handler.h"
#include "tests/helpers.h"

static int64_t fail_at, count, live; /* fail_at: 1 is the next allocation; 0: none fails */

static bool fails_now(void)
{
	fetch_add_relaxed(&count, (int64_t)1);
	return load_relaxed(&fail_at) && fetch_add_acq_rel(&fail_at, (int64_t)-1) == 1;
}

static int user;

static void *my_alloc(void *arg, size_t bytes)
{
	must(arg == &user);
	if (fails_now())
		return NULL;
	fetch_add_relaxed(&live, (int64_t)1);
	return memset(malloc(bytes), 0xa5, bytes); /* nobody relies on zeros */
}

static void *my_resize(void *arg, void *old, size_t bytes)
{
	must(arg == &user);
	if (fails_now())
		return NULL;
	if (!old)
		fetch_add_relaxed(&live, (int64_t)1);
	return realloc(old, bytes);
}

static void my_release(void *arg, void *memory)
{
	must(arg == &user && memory);
	fetch_add_relaxed(&live, (int64_t)-1);
	free(memory);
}

static const gh_allocator mine = {sizeof(mine), my_alloc, my_resize, my_release, &user};

/* ---- one function each: 0, or the error ----------------------------------------------------- */

static int chan_bounded(void)
{
	gh_chan *c = gh_chan_new(8, 4);
	int r = c ? 0 : -errno;
	gh_chan_unref(c);
	return r;
}

static int chan_grows(void)
{
	gh_chan *c = gh_chan_new(8, GH_CHAN_UNBOUNDED);
	int r = c ? 0 : -errno;
	for (uint64_t i = 0; c && !r && i < 100; i++) {
		r = gh_chan_send(c, &i);
		must_eq(gh_chan_len(c), i + !r);
	}
	for (uint64_t i = 0, k; c && gh_chan_recv_try(c, &k) == 0; i++)
		must_eq(i, k); /* a failure loses nothing */
	gh_chan_unref(c);
	return r;
}

static int selects(bool with_fds)
{
	int v = 0, ends[2] = {-1, -1}, r;
	gh_chan *c = gh_chan_new(sizeof(v), GH_CHAN_UNBOUNDED);
	if (!c)
		return -errno;
	must_eq(gh_pipe(ends), 0);
	must_eq(gh_write(ends[1], "x", 1), 1);
	gh_case none = GH_RECV(c, &v), fd = GH_READABLE(ends[0]);
	gh_case cases[] = {none, none, none, none, none, with_fds ? fd : (gh_case)GH_SEND(c, &v)};
	r = gh_select_until(cases, 6, gh_after(GH_S(10)));
	must(r == 5 || r == -ENOMEM);
	r = r < 0 ? r : 0;
	gh_close(ends[0]);
	gh_close(ends[1]);
	gh_chan_unref(c);
	return r;
}

static int select_many(void)
{
	return selects(false);
}

static int select_descriptors(void)
{
	return selects(true);
}

static void *nothing(void *arg)
{
	return arg;
}

static int future_new(void)
{
	gh_future *f = gh_future_new();
	int r = f ? 0 : -errno;
	gh_future_unref(f);
	return r;
}

static int async(void)
{
	gh_future *f = gh_async(nothing, &user);
	void *value = NULL;
	if (!f)
		return -errno;
	must_eq(gh_await(f, &value), 0);
	must(value == &user);
	return gh_future_unref(f);
}

static int await_any(void)
{
	enum { N = 9 };
	gh_future *f[N];
	int r = 0, n = 0;
	while (n < N && (f[n] = gh_future_new()))
		n++;
	if (n < N)
		r = -errno;
	else if ((r = gh_await_any(f, N, gh_after(GH_MS(1)))) == -ETIMEDOUT)
		r = 0;
	while (n)
		gh_future_unref(f[--n]);
	return r;
}

static int member(void *arg)
{
	return arg ? gh_group_fail(gh_error_new(-EXDEV, "member")) : 0;
}

static int group(void)
{
	gh_group *g = gh_group_new(NULL, 0);
	int r = g ? 0 : -errno;
	if (!r)
		r = gh_group_spawn(g, member, NULL, NULL);
	if (!r)
		r = gh_group_wait(g);
	gh_group_free(g);
	return r;
}

static int group_error(void)
{
	gh_group *g = gh_group_new(NULL, 0);
	int r = g ? gh_group_spawn(g, member, &user, NULL) : -errno;
	if (!r) {
		r = gh_group_wait(g);
		gh_error *e = gh_group_error(g);
		must_eq(gh_error_code(e), r);
		gh_error_unref(e);
		r = r == -EXDEV ? 0 : r;
	}
	gh_group_free(g);
	return r;
}

static void set_one(void *arg)
{
	*(int *)arg = 1;
}

static void *defers(void *arg)
{
	int done = 0;
	int r = gh_defer(set_one, &done);
	if (!r)
		must_eq(gh_defer_pop(true), 0);
	must_eq(done, r == 0);
	return (void *)(intptr_t)r;
}

static int defer(void)
{
	gh_task *t = gh_task_spawn(defers, NULL, NULL);
	void *r;
	must_eq(gh_task_join(t, &r), 0);
	return (int)(intptr_t)r;
}

static int dir(void)
{
	gh_dir *d = gh_dir_open("/proc/self/task");
	const char *name;
	if (!d)
		return -errno;
	must_eq(gh_dir_next(d, &name, NULL), 1);
	gh_dir_close(d);
	return 0;
}

static int tick(void)
{
	gh_chan *c = gh_tick(GH_MS(1));
	gh_time at;
	if (!c)
		return -errno;
	must_eq(gh_chan_recv(c, &at), 0);
	gh_chan_close(c);
	gh_chan_unref(c);
	return 0;
}

static int resolve(void)
{
	gh_addr a[4];
	int r = gh_resolve("localhost", 80, a, 4);
	return r > 0 ? 0 : r;
}

static int errors(void)
{
	gh_error *e = gh_error_wrap(gh_error_new(-EIO, "one"), -EXDEV, "two");
	int r = gh_error_code(e) == -EXDEV ? 0 : -ENOMEM;
	must(gh_error_code(e) == -EXDEV || gh_error_code(e) == -EIO || gh_error_code(e) == -ENOMEM);
	FILE *f = fopen("/dev/null", "w");
	must_eq(gh_error_print(e, f), 0);
	fclose(f);
	gh_error_unref(e);
	return r;
}

static int timer(void)
{
	int fired = 0;
	gh_timer *t = gh_timer_new(set_one, &fired);
	int r = t ? gh_timer_set(t, 0, 0) : -errno;
	if (!r)
		until(__atomic_load_n(&fired, __ATOMIC_ACQUIRE));
	gh_timer_free(t);
	return r;
}

static void pauses(void)
{
}

static int modules(void)
{
	static struct host host = {.pause = pauses};
	gh_module *m = gh_module_new(INTERFACE_OF_TESTS, &host);
	int r = m ? 0 : -errno;
	if (!r && !(r = gh_module_load(m, HANDLER, NULL, 0))) {
		gh_module_version *v = gh_module_acquire(m);
		const struct calls *c = gh_module_calls(v);
		r = gh_module_go(v, c->run, &host, NULL);
		gh_module_release(v);
		must_eq(gh_module_unload(m), 0);
		must_eq(gh_module_drain(m, gh_after(GH_S(10))), 0);
	}
	gh_module_free(m);
	return r;
}

static const struct scenario {
	const char *name;
	int (*run)(void);
	int least; /* allocations */
} scenarios[] = {
    {"gh_chan_new", chan_bounded, 2},
    {"gh_chan_send", chan_grows, 4},
    {"gh_select of many", select_many, 3},
    {"gh_select on descriptors", select_descriptors, 3},
    {"gh_future_new", future_new, 1},
    {"gh_async", async, 1},
    {"gh_await_any", await_any, 10},
    {"gh_group", group, 2},
    {"gh_group_fail", group_error, 3},
    {"gh_defer", defer, 1},
    {"gh_dir_open", dir, 1},
    {"gh_tick", tick, 3},
    {"gh_resolve", resolve, 0},
    {"gh_error", errors, 3},
    {"gh_module", modules, 3},
    {"gh_timer_new", timer, 1},
};
enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void *each_allocation_fails(void *arg)
{
	const struct scenario *s = arg;
	int64_t before = load_relaxed(&live), n = 0;
	int failed = 0;

	must_eq(s->run(), 0); /* what it has on the side may come now */
	until(load_acquire(&live) == before);
	for (bool hit = true; hit;) {
		store_relaxed(&fail_at, ++n);
		int r = s->run();
		hit = load_relaxed(&fail_at) <= 0;
		store_relaxed(&fail_at, (int64_t)0);
		if (r && r != -ENOMEM && r != -EAGAIN)
			ck_abort_msg("%s: allocation %d fails: %d", s->name, (int)n, r);
		if (r && !hit)
			ck_abort_msg("%s: fails by itself: %d", s->name, r);
		failed += r != 0;
		until(load_acquire(&live) == before);
		must_eq(s->run(), 0);
		until(load_acquire(&live) == before);
	}
	if (n - 1 < s->least || (s->least && !failed))
		ck_abort_msg("%s: %d allocations, %d failures", s->name, (int)n - 1, failed);
	return NULL;
}

START_TEST(each_function_survives_each_failure)
{
	must_eq(gh_set_allocator(&mine), 0);
	start_runtime(2);
	void *s = (void *)&scenarios[_i % SCENARIOS];
	switch (_i / SCENARIOS) {
	case 0:
		on(false, each_allocation_fails, s);
		break;
	case 1:
		on(true, each_allocation_fails, s);
		break;
	default:
		must_eq(gh_task_join(gh_task_spawn(each_allocation_fails, s, NULL), NULL), 0);
	}
}
END_TEST

START_TEST(it_is_set_before_the_first_object)
{
	gh_allocator part = mine;
	must_eq(gh_set_allocator(NULL), -EINVAL);
	part.size = 1;
	must_eq(gh_set_allocator(&part), -EINVAL);
	part = mine;
	part.resize = NULL;
	must_eq(gh_set_allocator(&part), -EINVAL);
	must_eq(gh_set_allocator(&mine), 0);
	must_eq(gh_set_allocator(&mine), 0);
	gh_future *f = gh_future_new();
	must_eq(count, 1);
	must_eq(gh_set_allocator(&mine), -EBUSY);
	gh_future_unref(f);
	must_eq(live, 0);
	must_eq(gh_set_allocator(&mine), -EBUSY);
}
END_TEST

START_TEST(libc_s_cannot_be_replaced_any_more_either)
{
	gh_chan_unref(gh_chan_new(1, 1));
	must_eq(gh_set_allocator(&mine), -EBUSY);
}
END_TEST

Suite *suite_native_memory(void)
{
	Suite *s = suite_create("native_memory");
	add_loop(s, each_function_survives_each_failure, 3 * SCENARIOS);
	add_test(s, it_is_set_before_the_first_object);
	add_test(s, libc_s_cannot_be_replaced_any_more_either);
	return s;
}
