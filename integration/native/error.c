/* Error values: codes, chains, who has them, and that they tell where they were made. */
#include <limits.h>
#include "rc.h"

static char text[16384];

__attribute__((noinline)) static gh_error *innermost(int n)
{
	gh_error *e = gh_error_new(-ENOENT, "no such thing: %d", n);
	__asm__ volatile("" ::: "memory");
	return e;
}

__attribute__((noinline)) static gh_error *outer(int n)
{
	gh_error *e = gh_error_wrap(innermost(n), 0, "while looking for %s", "it");
	__asm__ volatile("" ::: "memory");
	return e;
}

/* With much on the stack: what lies farther out than 4 KiB is not copied. */
__attribute__((noinline)) static gh_error *deep(int n)
{
	volatile char room[512];
	room[n] = 0;
	gh_error *e = n ? deep(n - 1) : innermost(0);
	__asm__ volatile("" ::: "memory");
	return room[n] ? NULL : e;
}

static void chain(void)
{
	gh_error *e = gh_error_wrap(outer(3), -EIO, "cannot start");
	CHECK(gh_error_code(e) == -EIO && !strcmp(gh_error_message(e), "cannot start"));
	const gh_error *second = gh_error_cause(e), *third = gh_error_cause(second);
	CHECK(gh_error_code(second) == -ENOENT &&
	      !strcmp(gh_error_message(second), "while looking for it"));
	CHECK(gh_error_code(third) == -ENOENT &&
	      !strcmp(gh_error_message(third), "no such thing: 3"));
	CHECK(!gh_error_cause(third));
	CHECK(gh_error_is(e, -EIO) && gh_error_is(e, ENOENT) && !gh_error_is(e, -EPERM) &&
	      !gh_error_is(NULL, 0));
	CHECK(gh_error_ref(e) == e);
	gh_error_unref(e);
	errno = 77;
	int64_t n = gh_error_text(e, text, sizeof(text));
	CHECK(errno == 77);
	CHECK(n == (int64_t)strlen(text));
	CHECK(gh_error_text(e, NULL, 0) == n && gh_error_text(e, text, 10) == n &&
	      strlen(text) == 9);
	gh_error_unref(e);
}

static void misuse(void)
{
	uint64_t other[8] = {0};
	gh_error *no = (gh_error *)other;
	CHECK(gh_error_code(NULL) == 0 && gh_error_code(no) == -EINVAL);
	CHECK(!*gh_error_message(NULL) && !*gh_error_message(no));
	CHECK(!gh_error_cause(NULL) && !gh_error_cause(no) && !gh_error_ref(NULL) &&
	      gh_error_ref(no) == no);
	CHECK(!gh_error_wrap(NULL, -EIO, "nothing"));
	CHECK(gh_error_text(NULL, text, sizeof(text)) == 0 && !*text &&
	      gh_error_text(no, NULL, 1) == -EINVAL);
	RC(-EINVAL, gh_error_print(NULL, NULL));
	RC(0, gh_error_print(NULL, stdout));
	gh_error_unref(NULL);
	gh_error_unref(no);
	RC(0, gh_group_fail(NULL));
	RC(-EINVAL, gh_group_fail(no));
	RC(-EPERM, gh_group_fail(gh_error_new(EPERM, "outside of a group")));
	CHECK(!gh_group_error(NULL) && !gh_group_error((gh_group *)no));
	gh_error *e = gh_error_new(0, NULL);
	CHECK(gh_error_code(e) == -EINVAL && !strcmp(gh_error_message(e), "(no reason)"));
	gh_error_unref(e);
	e = gh_error_new(INT_MIN, "no number");
	CHECK(gh_error_code(e) == -EINVAL);
	gh_error_unref(e);
}

/* Frames in their order, whatever runs the thread. */
static void told(gh_error *e, const char *who)
{
	static const char *const names[] = {"caused by: no such thing: 3 (-2, ",
					    "#0 0x",
					    "innermost+0x",
					    "(error+0x",
					    "#1 0x",
					    "outer+0x",
					    "makes_one+0x"};
	gh_error_text(e, text, sizeof(text));
	const char *at = text;
	int found = 0;
	QUIET(!strncmp(text, "while looking for it (-2, ", 26) && strstr(text, "    #0 0x"));
	for (; found < 7 && (at = strstr(at, names[found])); found++)
		;
	check_report(found == 7, who, text, __LINE__, 0);
}

__attribute__((noinline)) static void *makes_one(void *arg)
{
	gh_error *e = outer(3);
	__asm__ volatile("" ::: "memory");
	(void)arg;
	return e;
}

static void *prints(void *arg)
{
	told(arg, "printed by another");
	return NULL;
}

static void everywhere(void)
{
	void *e = makes_one(NULL);
	told(e, "on main");
	RC(0, gh_task_join(gh_task_spawn(prints, e, NULL), NULL));
	gh_error_unref(e);
	RC(0, gh_task_join(gh_task_spawn(makes_one, NULL, NULL), &e));
	told(e, "in a light task");
	gh_error_unref(e);
	RC(0,
	   gh_task_join(gh_task_spawn(makes_one, NULL,
				      &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_OWN_TLS}),
			&e));
	told(e, "in a task");
	gh_error_unref(e);
	pthread_t t;
	MUST(!pthread_create(&t, NULL, makes_one, NULL));
	MUST(!pthread_join(t, &e));
	told(e, "in a pthread");
	gh_error_unref(e);
	e = deep(30);
	gh_error_text(e, text, sizeof(text));
	CHECK(strstr(text, "#0 0x") && strstr(text, "innermost+0x") && strstr(text, "deep+0x"));
	gh_error_unref(e);
}

static int fails(void *arg)
{
	gh_sleep(GH_MS((intptr_t)arg));
	return gh_group_fail(outer(3));
}

static int panics(void *arg)
{
	(void)arg;
	gh_panic("in a member");
}

static void groups(void)
{
	gh_group *g = gh_group_new(NULL, GH_GROUP_CANCEL_ON_ERROR);
	for (intptr_t i = 1; i < 50; i++) {
		int r = gh_group_spawn(g, fails, (void *)(i > 3 ? 1000 : i), NULL);
		QUIET(r == 0 || r == -ECANCELED);
	}
	RC(-ENOENT, gh_group_wait(g));
	gh_error *e = gh_group_error(g);
	CHECK(gh_error_code(e) == -ENOENT && !gh_group_error(g));
	gh_error_unref(e);
	RC(0, gh_group_free(g));
	g = gh_group_new(NULL, 0); /* nobody takes it, twice */
	for (int i = 0; i < 2; i++) {
		RC(0, gh_group_spawn(g, fails, NULL, NULL));
		RC(-ENOENT, gh_group_wait(g));
	}
	RC(0, gh_group_spawn(g, panics, NULL,
			     &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = GH_TASK_RECOVER}));
	int r = gh_group_wait(g);
	e = gh_group_error(g);
	CHECK(r == -ENOTRECOVERABLE && gh_error_code(e) == -ENOTRECOVERABLE &&
	      !strcmp(gh_error_message(e), "in a member"));
	gh_error_text(e, text, sizeof(text));
	CHECK(strstr(text, "panics+0x"));
	gh_error_unref(e);
	RC(0, gh_group_free(g));
}

static void futures(void)
{
	gh_future *f = gh_future_new();
	gh_error *e = outer(3);
	void *got = NULL;
	RC(0, gh_future_set(f, gh_error_code(e), e));
	RC(-ENOENT, gh_await(f, &got));
	CHECK(got == e);
	gh_error_unref(got);
	RC(0, gh_future_unref(f));
}

/* Many at once, of one error and of their own. */
static gh_error *shared;
static void *storm(void *arg)
{
	char mine[8192];
	for (int i = 0; i < 20; i++) {
		gh_error *e = gh_error_wrap(gh_error_ref(shared), 0, "round %d", i);
		QUIET(gh_error_text(e, mine, sizeof(mine)) > 100 && strstr(mine, "innermost+0x"));
		gh_error_unref(e);
		e = makes_one(arg);
		if (i % 8 == 0)
			QUIET(gh_error_text(e, mine, sizeof(mine)) > 100 &&
			      strstr(mine, "makes_one+0x"));
		gh_yield();
		gh_error_unref(e);
	}
	return NULL;
}

int main(void)
{
	gh_task *t[16];
	misuse();
	chain();
	everywhere();
	groups();
	futures();
	shared = outer(3);
	for (int i = 0; i < 16; i++)
		t[i] = gh_task_spawn(
		    storm, NULL,
		    &(gh_task_opts){GH_TASK_OPTS_SIZE, .flags = i % 2 ? GH_TASK_OWN_TLS : 0});
	for (int i = 0; i < 16; i++)
		QRC(0, gh_task_join(t[i], NULL));
	RC(0, gh_error_print(shared, stderr));
	gh_error_unref(shared);
	return check_done();
}
