/* Suite of src/native/error.c: codes, chains, references, texts, the first error of a group. */
#include <greenhook/error.h>

#include "tests/helpers.h"

static char text[16384];

__attribute__((noinline)) static gh_error *made_here(void)
{
	gh_error *e = gh_error_new(-EBADF, "file %d", 7);
	__asm__ volatile("" ::: "memory");
	return e;
}

static void *a_chain(void *arg)
{
	gh_error *first = made_here();
	gh_error *e = gh_error_wrap(gh_error_ref(first), EIO, "reading");
	must_eq(gh_error_code(e), -EIO);
	must_eq(gh_error_code(first), -EBADF);
	must_eq(strcmp(gh_error_message(e), "reading"), 0);
	must_eq(strcmp(gh_error_message(first), "file 7"), 0);
	must(gh_error_cause(e) == first && !gh_error_cause(first));
	must(gh_error_is(e, -EBADF) && gh_error_is(e, EBADF) && !gh_error_is(e, EPERM));
	int64_t n = gh_error_text(e, text, sizeof(text));
	must_eq(n, strlen(text));
	must(strstr(text, "reading (-5, ") && strstr(text, "\ncaused by: file 7 (-9, "));
	must(strstr(text, "made_here+0x") && strstr(text, "a_chain+0x"));
	must_eq(gh_error_text(e, text, 8), n);
	must_eq(strcmp(text, "reading"), 0);
	must_eq(gh_error_text(e, NULL, 0), n);
	gh_error_unref(e);
	must_eq(gh_error_code(first), -EBADF);
	gh_error_unref(first);
	return arg;
}

START_TEST(an_error_tells_its_causes_and_where_it_was_made)
{
	on_both(_i, a_chain);
}
END_TEST

START_TEST(before_the_runtime_starts_as_well)
{
	a_chain(NULL);
}
END_TEST

START_TEST(in_a_light_task_as_well)
{
	start_runtime(worker_counts[_i]);
	must_eq(gh_task_join(gh_task_spawn(a_chain, NULL, NULL), NULL), 0);
}
END_TEST

START_TEST(no_error_is_no_error)
{
	uint64_t other[16] = {0};
	gh_error *e = (gh_error *)other;
	for (int i = 0; i < 2; i++, e = NULL) {
		must_eq(gh_error_code(e), e ? -EINVAL : 0);
		must_eq(gh_error_message(e)[0], 0);
		must(!gh_error_cause(e));
		must(gh_error_ref(e) == e);
		must(gh_error_wrap(e, -EIO, "x") == e);
		must_eq(gh_error_is(e, -EINVAL), 0);
		must_eq(gh_error_text(e, text, sizeof(text)), 0);
		must_eq(gh_error_text(e, NULL, 5), -EINVAL);
		must_eq(gh_error_print(e, NULL), -EINVAL);
		must_eq(gh_group_fail(e), e ? -EINVAL : 0);
		must(!gh_group_error((gh_group *)e));
		gh_error_unref(e);
	}
}
END_TEST

START_TEST(printed_is_what_the_text_says)
{
	char *printed;
	size_t n;
	FILE *f = open_memstream(&printed, &n);
	gh_error *e = made_here();
	must_eq(gh_error_print(e, f), 0);
	fclose(f);
	must_eq(gh_error_text(e, text, sizeof(text)), n);
	must_eq(strcmp(text, printed), 0);
	free(printed);
	gh_error_unref(e);
	f = fopen("/dev/full", "w");
	setbuf(f, NULL);
	e = made_here();
	must_eq(gh_error_print(e, f), -EIO);
	fclose(f);
	gh_error_unref(e);
}
END_TEST

static int fails(void *arg)
{
	return gh_group_fail(gh_error_new((int)(intptr_t)arg, "member"));
}

START_TEST(a_group_has_the_error_of_its_first_failure)
{
	start_runtime(worker_counts[_i]);
	gh_group *g = gh_group_new(NULL, 0);
	must(!gh_group_error(g));
	must_eq(gh_group_spawn(g, fails, (void *)(intptr_t)-EXDEV, NULL), 0);
	must_eq(gh_group_wait(g), -EXDEV);
	must_eq(gh_group_spawn(g, fails, (void *)(intptr_t)-EROFS, NULL), 0);
	must_eq(gh_group_wait(g), -EROFS);
	gh_error *e = gh_group_error(g);
	must_eq(gh_error_code(e), -EROFS);
	gh_error_unref(e);
	must(!gh_group_error(g));
	for (int i = 0; i < 8; i++)
		must_eq(gh_group_spawn(g, fails, (void *)(intptr_t)-EXDEV, NULL), 0);
	must_eq(gh_group_wait(g), -EXDEV);
	must_eq(gh_group_free(g), 0);
}
END_TEST

Suite *suite_native_error(void)
{
	Suite *s = suite_create("native_error");
	add_loop(s, an_error_tells_its_causes_and_where_it_was_made, 2 * WORKER_COUNTS);
	add_test(s, before_the_runtime_starts_as_well);
	add_loop(s, in_a_light_task_as_well, WORKER_COUNTS);
	add_test(s, no_error_is_no_error);
	add_test(s, printed_is_what_the_text_says);
	add_loop(s, a_group_has_the_error_of_its_first_failure, WORKER_COUNTS);
	return s;
}
