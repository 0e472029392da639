/* Suite of src/native/module.c: versions of a module, by gthreads, light tasks and kernel threads.
 */
#include <greenhook/module.h>
#include <greenhook/sched.h>
#include <limits.h>
#include <sys/stat.h>

#include "integration/native/lib/handler.h"
#include "tests/helpers.h"

static struct host host;
static gh_module *module;

static void pauses(void)
{
	sched_yield();
}

static void make(void)
{
	host.pause = pauses;
	must((module = gh_module_new(INTERFACE_OF_TESTS, &host)));
}

static void load(void)
{
	char why[256];
	int r = gh_module_load(module, HANDLER, why, sizeof(why));
	if (r)
		ck_abort_msg("%d: %s", r, why);
}

static void *use_it(void *arg)
{
	make();
	must(!gh_module_acquire(module) && errno == ENOENT);
	must_eq(gh_module_unload(module), -ENOENT);
	must_eq(gh_module_count(module), 0);
	load();
	gh_module_version *v = gh_module_acquire(module);
	const struct calls *c = gh_module_calls(v);
	must_eq(c->handle(&host, gh_module_state(v), 1), 1001);
	must(gh_module_symbol(v, "exported_by_handler") != NULL);
	must(!gh_module_symbol(v, "nothing") && errno == ENOENT);
	must_eq(gh_module_number(v), 1);
	must_eq(gh_module_current(v), 1);
	load();
	must_eq(gh_module_current(v), 0);
	must_eq(gh_module_count(module), 2);
	must_eq(gh_module_drain(module, 0), -ETIMEDOUT);
	must_eq(gh_module_go(v, c->run, &host, NULL), 0);
	must_eq(gh_module_release(v), 0);
	must_eq(gh_module_drain(module, gh_after(GH_S(10))), 0);
	must_eq(host.runs, 1);
	must_eq(host.started, 2);
	must_eq(host.ended, 1);
	must_eq(gh_module_unload(module), 0);
	must_eq(gh_module_drain(module, GH_FOREVER), 0);
	must_eq(host.ended, 2);
	must_eq(gh_module_free(module), 0);
	return arg;
}

START_TEST(versions_are_loaded_used_and_unloaded)
{
	on_both(_i, use_it);
}
END_TEST

START_TEST(light_tasks_load_as_well)
{
	start_runtime(worker_counts[_i]);
	must_eq(gh_task_join(gh_task_spawn(use_it, NULL, NULL), NULL), 0);
}
END_TEST

START_TEST(what_is_no_module_is_refused)
{
	uint64_t other[8] = {0};
	gh_module *m = (gh_module *)other;
	gh_module_version *v = (gh_module_version *)other;
	for (int i = 0; i < 2; i++, m = NULL, v = NULL) {
		must_eq(gh_module_load(m, HANDLER, NULL, 0), -EINVAL);
		must_eq(gh_module_unload(m), -EINVAL);
		must_eq(gh_module_drain(m, 0), -EINVAL);
		must_eq(gh_module_count(m), -EINVAL);
		must_eq(gh_module_free(m), m ? -EINVAL : 0);
		must(!gh_module_acquire(m) && errno == EINVAL);
		must_eq(gh_module_release(v), v ? -EINVAL : 0);
		must(!gh_module_calls(v) && errno == EINVAL);
		must(!gh_module_state(v) && errno == EINVAL);
		must(!gh_module_symbol(v, "x") && errno == EINVAL);
		must_eq(gh_module_number(v), -EINVAL);
		must_eq(gh_module_current(v), -EINVAL);
		must_eq(gh_module_go(v, use_it, NULL, NULL), -EINVAL);
	}
}
END_TEST

START_TEST(a_bad_file_leaves_the_version_in_use)
{
	char why[256] = "old", cut[2] = "x";
	make();
	load();
	must_eq(gh_module_load(module, "/dev/null", why, sizeof(why)), -ENOEXEC);
	must(strstr(why, "/dev/null: not a regular file"));
	must_eq(gh_module_load(module, "/nowhere", why, sizeof(why)), -ENOENT);
	must(strstr(why, "/nowhere: cannot open it: "));
	must_eq(gh_module_load(module, "/nowhere", cut, sizeof(cut)), -ENOENT);
	must(cut[0] == '/' && !cut[1]);
	must_eq(gh_module_load(module, "/proc/self/exe", why, sizeof(why)), -ENOEXEC);
	must_eq(gh_module_count(module), 1);
	gh_module_version *v = gh_module_acquire(module);
	must_eq(gh_module_number(v), 1);
	gh_module_release(v);
	must_eq(gh_module_load(module, HANDLER, why, sizeof(why)), 0);
	must(!why[0]);
}
END_TEST

/* start() of another version, which wants something of its module. */
static int asked;
static void starts_in_its_turn(void)
{
	must_eq(gh_module_load(module, HANDLER, NULL, 0), -EDEADLK);
	must_eq(gh_module_unload(module), -EDEADLK);
	must_eq(gh_module_free(module), -EDEADLK);
	asked++;
}

START_TEST(a_start_that_changes_its_module_is_told)
{
	make();
	host.pause = starts_in_its_turn;
	must_eq(gh_module_load(module, HANDLER, NULL, 0), 0);
	must_eq(asked, 1);
	must_eq(gh_module_count(module), 1);
	host.pause = pauses;
	must_eq(gh_module_free(module), 0);
}
END_TEST

static void ends_its_task(void)
{
	gh_task_exit(NULL);
}

static void *loads_what_fails(void *arg)
{
	char why[256];
	make();
	load();
	host.pause = ends_its_task;
	must_eq(gh_module_load(module, HANDLER, why, sizeof(why)), -ENOTRECOVERABLE);
	must(strstr(why, "ended the task"));
	host.pause = pauses;
	gh_module *other = gh_module_new(INTERFACE_OF_TESTS + 1, &host);
	must_eq(gh_module_load(other, HANDLER, why, sizeof(why)), -EPROTO);
	must_eq(gh_module_load(other, NULL, why, sizeof(why)), -EINVAL);
	must(!gh_module_acquire(other) && errno == ENOENT);
	must_eq(gh_module_free(other), 0);
	must_eq(gh_module_count(module), 1);
	gh_module_version *v = gh_module_acquire(module);
	must_eq(gh_module_number(v), 1); /* the old one stays */
	must(!gh_module_symbol(v, NULL) && errno == EINVAL);
	must_eq(gh_module_release(v), 0);
	must_eq(gh_module_free(module), 0);
	return arg;
}

START_TEST(a_start_that_fails_changes_nothing)
{
	everywhere(_i, loads_what_fails);
}
END_TEST

static void *options_of_tasks(void *arg)
{
	struct {
		gh_task_opts o;
		long more;
	} newer = {.o.size = sizeof(newer), .more = 1};
	make();
	load();
	gh_module_version *v = gh_module_acquire(module);
	gh_task_opts none = {0}, pinned = {GH_TASK_OPTS_SIZE, .flags = GH_TASK_PINNED};
	must_eq(gh_module_go(v, NULL, NULL, NULL), -EINVAL);
	must_eq(gh_module_go(v, use_it, NULL, &none), -EINVAL);
	must_eq(gh_module_go(v, use_it, NULL, &newer.o), -E2BIG);
	pinned.slot = UINT_MAX;
	must_eq(gh_module_go(v, use_it, NULL, &pinned), -EINVAL);
	pinned.slot = 0;
	if (ghi_self()) {
		must_eq(gh_own_thread(), 0);
		must_eq(gh_module_go(v, use_it, NULL, &pinned), -EBUSY);
	}
	must_eq(gh_module_unload(module), 0);
	must_eq(gh_module_drain(module, INT64_MIN), -ETIMEDOUT);
	must_eq(gh_module_release(v), 0); /* none of these has it */
	must_eq(gh_module_drain(module, gh_after(GH_S(10))), 0);
	must_eq(gh_module_free(module), 0);
	return arg;
}

START_TEST(a_task_that_is_refused_has_no_version)
{
	everywhere(_i, options_of_tasks);
}
END_TEST

START_TEST(a_module_that_was_given_up_stays_for_its_users)
{
	make();
	load();
	gh_module_version *v = gh_module_acquire(module);
	must_eq(gh_module_free(module), 0);
	const struct calls *c = gh_module_calls(v);
	must_eq(c->handle(&host, gh_module_state(v), 2), 1002);
	must_eq(host.ended, 0);
	gh_module_release(v);
	until(__atomic_load_n(&host.ended, __ATOMIC_ACQUIRE) == 1);
}
END_TEST

Suite *suite_native_module(void)
{
	Suite *s = suite_create("native_module");
	add_loop(s, versions_are_loaded_used_and_unloaded, 2 * WORKER_COUNTS);
	add_loop(s, light_tasks_load_as_well, WORKER_COUNTS);
	add_test(s, what_is_no_module_is_refused);
	add_test(s, a_bad_file_leaves_the_version_in_use);
	add_test(s, a_start_that_changes_its_module_is_told);
	add_loop(s, a_start_that_fails_changes_nothing, PLACES);
	add_loop(s, a_task_that_is_refused_has_no_version, PLACES);
	add_test(s, a_module_that_was_given_up_stays_for_its_users);
	return s;
}
