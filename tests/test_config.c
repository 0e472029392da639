/* Suite of src/base/config.c: what is read from the environment, and what a bad value does. */
#include "tests/helpers.h"

static void load(const char *setting)
{
	char *envp[] = {(char *)"HOME=/", (char *)setting, NULL};
	ghi_config_load(envp);
}

static const struct {
	const char *setting;
	uint64_t want;
} good_sizes[] = {
    {"GREENHOOK_STACK=65536", 65536},  {"GREENHOOK_STACK=64K", 64 << 10},
    {"GREENHOOK_STACK=64k", 64 << 10}, {"GREENHOOK_STACK=2M", 2 << 20},
    {"GREENHOOK_STACK=1G", 1 << 30},   {"GREENHOOK_STACK=1099511627776", 1ull << 40},
    {"GREENHOOK_STACK=0", 0},
};

START_TEST(sizes_take_suffixes)
{
	int err = capture_stderr();
	load(good_sizes[_i].setting);
	ck_assert_uint_eq(ghi_config.stack, good_sizes[_i].want);
	ck_assert_str_eq(captured(err), "");
}
END_TEST

static const char *const bad[] = {
    "GREENHOOK_WORKERS=abc",
    "GREENHOOK_WORKERS=-1",
    "GREENHOOK_WORKERS=257",
    "GREENHOOK_WORKERS=2x",
    "GREENHOOK_WORKERS= 2",
    "GREENHOOK_WORKERS=2 ",
    "GREENHOOK_WORKERS=0x2",
    "GREENHOOK_WORKERS=1.5",
    "GREENHOOK_WORKERS=2KK",
    "GREENHOOK_WORKERS=1K",
    "GREENHOOK_WORKERS=K",
    "GREENHOOK_WORKERS=18446744073709551617",
    "GREENHOOK_WORKERS=18446744073709551615G",
};

START_TEST(a_bad_value_is_named_and_the_default_kept)
{
	char value[64];
	int err = capture_stderr();
	load(bad[_i]);
	ck_assert_uint_eq(ghi_config.workers, 0);
	snprintf(value, sizeof(value), "greenhook: %s is not a number from 0 to 256", bad[_i]);
	ck_assert_msg(strncmp(captured(err), value, strlen(value)) == 0, "said: %s", captured(err));
	ck_assert_ptr_eq(strchr(captured(err), '\n') + 1, captured(err) + strlen(captured(err)));
}
END_TEST

START_TEST(an_empty_value_is_the_default)
{
	int err = capture_stderr();
	load("GREENHOOK_MONITOR_US=");
	ck_assert_uint_eq(ghi_config.monitor_us, 200);
	ck_assert_str_eq(captured(err), "");
}
END_TEST

START_TEST(the_minimum_is_checked)
{
	int err = capture_stderr();
	load("GREENHOOK_MONITOR_US=19");
	ck_assert_uint_eq(ghi_config.monitor_us, 200);
	ck_assert_ptr_nonnull(strstr(captured(err), "from 20 to 100000"));
	load("GREENHOOK_MONITOR_US=20");
	ck_assert_uint_eq(ghi_config.monitor_us, 20);
}
END_TEST

START_TEST(a_name_that_only_begins_alike_is_not_read)
{
	load("GREENHOOK_STACKS=4096");
	ck_assert_uint_eq(ghi_config.stack, 0);
	load("XGREENHOOK_STACK=4096");
	ck_assert_uint_eq(ghi_config.stack, 0);
	load("GREENHOOK_VERBOSE=2"); /* must not be taken for GREENHOOK=... */
	ck_assert_uint_eq(ghi_config.enabled, 1);
}
END_TEST

START_TEST(no_environment_is_no_problem)
{
	ghi_config_load(NULL);
	ck_assert_uint_eq(ghi_config.enabled, 1);
}
END_TEST

START_TEST(defaults_lie_within_their_bounds)
{
#define OPT(field, var, def, min, max, help)                                                       \
	ck_assert_msg((uint64_t)(def) + 1 > (uint64_t)(min) && (uint64_t)(def) <= (uint64_t)(max), \
		      var);                                                                        \
	ck_assert_msg(strlen(help) > 0, var);
#include "src/base/config.def"
#undef OPT
}
END_TEST

Suite *suite_config(void)
{
	Suite *s = suite_create("config");
	add_loop(s, sizes_take_suffixes, sizeof(good_sizes) / sizeof(good_sizes[0]));
	add_loop(s, a_bad_value_is_named_and_the_default_kept, sizeof(bad) / sizeof(bad[0]));
	add_test(s, an_empty_value_is_the_default);
	add_test(s, the_minimum_is_checked);
	add_test(s, a_name_that_only_begins_alike_is_not_read);
	add_test(s, no_environment_is_no_problem);
	add_test(s, defaults_lie_within_their_bounds);
	return s;
}
