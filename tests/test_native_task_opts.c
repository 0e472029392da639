/* Suite of the options of src/native/task.c, as all take them that start a task. */
#include <greenhook/group.h>
#include <greenhook/sched.h>
#include <limits.h>
#include <sys/resource.h>

#include "tests/helpers.h"

static void *same(void *arg)
{
	return arg;
}

static int member(void *arg)
{
	return arg != NULL;
}

/* No function that takes options takes these. */
static void bad(gh_fn fn, const gh_task_opts *o, int want)
{
	gh_group *g = gh_group_new(NULL, 0);
	errno = 0;
	must(!gh_task_spawn(fn, NULL, o));
	must_eq(errno, -want);
	errno = 0;
	must_eq(gh_go(fn, NULL, o), want);
	must_eq(gh_group_spawn(g, fn ? member : NULL, NULL, o), want);
	must_eq(errno, 0);
	must_eq(gh_group_count(g), 0);
	must_eq(gh_group_free(g), 0);
}

static struct {
	gh_task_opts o;
	char more[64];
} newer = {.o.size = sizeof(newer)};

static void *options(void *arg)
{
	gh_group *g = gh_group_new(NULL, 0);
	bad(NULL, NULL, -EINVAL);
	bad(same, &(gh_task_opts){0}, -EINVAL);
	bad(same, &(gh_task_opts){.size = sizeof(size_t) - 1}, -EINVAL);
	bad(same, &(gh_task_opts){.size = SIZE_MAX}, -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = 16}, -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = ~0u}, -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .priority = 3}, -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .priority = INT_MIN}, -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .stack_size = SIZE_MAX}, -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = UINT_MAX},
	    -EINVAL);
	bad(same, &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED, .slot = 8}, -EINVAL);
	newer.more[sizeof(newer.more) - 1] = 1;
	bad(same, &newer.o, -E2BIG);
	must_eq(gh_go(same, NULL, &newer.o), -E2BIG);
	must_eq(gh_group_spawn(g, member, NULL, &newer.o), -E2BIG);
	must_eq(gh_group_free(g), 0);
	newer.more[sizeof(newer.more) - 1] = 0;
	must(end_task(gh_task_spawn(same, &newer, &newer.o)) == &newer);
	/* One that was compiled when there were fewer fields. */
	gh_task_opts older = {offsetof(gh_task_opts, flags), .flags = ~0u, .priority = 99};
	must(end_task(gh_task_spawn(same, &older, &older)) == &older);
	must(end_task(gh_task_spawn(same, NULL, NULL)) == NULL);
	return arg;
}

START_TEST(options_without_a_meaning_are_refused)
{
	everywhere(_i, options);
}
END_TEST

static void *uses_its_stack(void *size)
{
	volatile char room[(size_t)size];
	for (size_t i = 0; i < (size_t)size; i += 512)
		room[i] = (char)i;
	return (void *)(uintptr_t)(room[1024] == 0);
}

static void *name_of(void *arg)
{
	return memcpy(arg, ghi_self()->name, sizeof(ghi_self()->name));
}

START_TEST(options_are_kept)
{
	char long_name[] = "0123456789abcdefghij", name[16];
	start_runtime(worker_counts[_i]);
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .stack_size = 32 << 20};
	for (o.flags = 0; o.flags <= GH_TASK_OWN_TLS; o.flags += GH_TASK_OWN_TLS)
		must(end_task(gh_task_spawn(uses_its_stack, (void *)(o.stack_size - 32768), &o)));
	o = (gh_task_opts){GH_TASK_OPTS_SIZE, .stack_size = 1}; /* the least that there is */
	must(end_task(gh_task_spawn(same, &o, &o)) == &o);
	o = (gh_task_opts){GH_TASK_OPTS_SIZE, .name = long_name};
	gh_task *t = gh_task_spawn(name_of, name, &o);
	long_name[0] = 'x'; /* it was copied */
	end_task(t);
	ck_assert_str_eq(name, "0123456789abcde");
	memcpy(ghi_self()->name, "maker", 6);
	end_task(gh_task_spawn(name_of, name, NULL));
	ck_assert_str_eq(name, "maker");
}
END_TEST

static void *runs_without_memory(void *arg)
{
	struct rlimit all, none = {1, RLIM_INFINITY};
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .stack_size = 1ul << 36};
	gh_group *g = gh_group_new(NULL, 0);
	must(end_task(gh_task_spawn(same, &o, NULL)) == &o);
	must_eq(getrlimit(RLIMIT_AS, &all), 0);
	none.rlim_max = all.rlim_max;
	must_eq(setrlimit(RLIMIT_AS, &none), 0);
	must(!gh_task_spawn(same, NULL, &o) && errno == EAGAIN);
	must_eq(gh_go(same, NULL, &o), -EAGAIN);
	must_eq(gh_group_spawn(g, member, NULL, &o), -EAGAIN);
	must_eq(setrlimit(RLIMIT_AS, &all), 0);
	must_eq(gh_group_count(g), 0);
	must_eq(gh_group_wait(g), 0);
	must_eq(gh_group_free(g), 0);
	must(end_task(gh_task_spawn(same, &o, NULL)) == &o);
	return arg;
}

START_TEST(without_memory_there_is_no_task)
{
	everywhere(_i, runs_without_memory);
}
END_TEST

static void *pins_another(void *arg)
{
	gh_task_opts o = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED};
	gh_group *g = gh_group_new(NULL, 0);
	must(end_task(gh_task_spawn(same, &o, &o)) == &o);
	must_eq(gh_own_thread(), 0);
	must(!gh_task_spawn(same, NULL, &o) && errno == EBUSY);
	must_eq(gh_go(same, NULL, &o), -EBUSY);
	must_eq(gh_group_spawn(g, member, NULL, &o), -EBUSY);
	must_eq(gh_group_free(g), 0);
	return arg;
}

START_TEST(who_has_a_kernel_thread_starts_none_that_is_pinned)
{
	start_runtime(worker_counts[_i]);
	on_task(0, pins_another);
	on(false, pins_another, NULL);
	pins_another(NULL);
}
END_TEST

Suite *suite_native_task_opts(void)
{
	Suite *s = suite_create("native_task_opts");
	add_loop(s, options_without_a_meaning_are_refused, PLACES);
	add_loop(s, options_are_kept, WORKER_COUNTS);
	add_loop(s, without_memory_there_is_no_task, PLACES);
	add_loop(s, who_has_a_kernel_thread_starts_none_that_is_pinned, WORKER_COUNTS);
	return s;
}
