/* Suite of src/base/report.c: formatting without libc, messages, panics. */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>

#include "tests/helpers.h"

#pragma GCC diagnostic ignored "-Wformat-truncation"

/* Formats once with ghi_format and once with libc's snprintf: they must agree. */
#define agree(...)                                                                                 \
	do {                                                                                       \
		char ours[256], theirs[256];                                                       \
		size_t n = ghi_format(ours, sizeof(ours), __VA_ARGS__);                            \
		int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                             \
		ck_assert_str_eq(ours, theirs);                                                    \
		ck_assert_int_eq((int)n, m);                                                       \
	} while (0)

START_TEST(numbers_read_as_printf_writes_them)
{
	agree("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	agree("%u %u", 0u, UINT_MAX);
	agree("%ld %ld", LONG_MAX, LONG_MIN);
	agree("%lu %zu", ULONG_MAX, (size_t)12345);
	agree("%x %lx", 0xdeadbeefu, 0xfedcba9876543210ul);
	agree("%5d|%05u|%4x|%016lx", 42, 42u, 0xau, 0xabcul);
	agree("%3d|%2u", 12345, 12345u);
	agree("%6d", -42);
}
END_TEST

START_TEST(text_reads_as_printf_writes_it)
{
	agree("plain");
	agree("%%");
	agree("%s and %s", "one", "");
	agree("%c%c", 'a', 'z');
	agree("%p", (void *)0x1234abcd);
}
END_TEST

START_TEST(a_width_pads_text_on_the_right)
{
	char buf[32];
	ghi_format(buf, sizeof(buf), "%6s|", "abc");
	ck_assert_str_eq(buf, "abc   |");
}
END_TEST

START_TEST(a_null_string_is_spelled_out)
{
	char buf[32];
	const char *none = NULL;
	__asm__("" : "+r"(none)); /* the compiler would warn */
	ghi_format(buf, sizeof(buf), "<%s>", none);
	ck_assert_str_eq(buf, "<(null)>");
}
END_TEST

START_TEST(a_long_text_is_cut_and_ends_with_zero)
{
	char buf[16];
	for (size_t size = 1; size <= 12; size++) {
		memset(buf, 'X', sizeof(buf));
		size_t n = ghi_format(buf, size, "%s", "abcdefghijkl");
		ck_assert_uint_eq(n, size - 1);
		ck_assert_uint_eq(strlen(buf), size - 1);
		ck_assert_int_eq(strncmp(buf, "abcdefghijkl", size - 1), 0);
		ck_assert_int_eq(buf[size], 'X');
	}
}
END_TEST

START_TEST(a_message_is_one_prefixed_line)
{
	int err = capture_stderr();
	ghi_say("%s is %d", "answer", 42);
	ck_assert_str_eq(captured(err), "greenhook: answer is 42\n");
}
END_TEST

START_TEST(an_endless_message_is_cut_but_still_a_line)
{
	char text[3000];
	int err = capture_stderr();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	ghi_say("%s", text);
	size_t n = strlen(captured(err));
	ck_assert_uint_le(n, 1024);
	ck_assert_int_eq(captured(err)[n - 1], '\n');
}
END_TEST

START_TEST(a_report_line_has_no_prefix)
{
	int err = capture_stderr();
	ghi_print("%4d|", 7);
	ck_assert_str_eq(captured(err), "   7|");
}
END_TEST

START_TEST(debug_messages_need_their_level)
{
	int err = capture_stderr();
	ghi_config.verbose = 1;
	ghi_debug(2, "hidden");
	ghi_debug(1, "seen");
	ck_assert_str_eq(captured(err), "greenhook: seen\n");
}
END_TEST

START_TEST(errno_is_left_alone)
{
	errno = EXDEV;
	close(2);
	ghi_say("to nobody");
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

/* A program may have SIGABRT handled, ignored or blocked. */
START_TEST(a_panic_ends_the_process_whatever_sigabrt_does)
{
	sigset_t abrt;
	capture_stderr();
	sigemptyset(&abrt);
	sigaddset(&abrt, SIGABRT);
	sigprocmask(SIG_BLOCK, &abrt, NULL);
	signal(SIGABRT, SIG_IGN);
	ghi_panic("file.c", 1, "seeded %d", 1);
}
END_TEST

START_TEST(an_assert_that_fails_panics)
{
	capture_stderr();
	ghi_assert(_i == 1);
}
END_TEST

Suite *suite_report(void)
{
	Suite *s = suite_create("report");
	add_test(s, numbers_read_as_printf_writes_them);
	add_test(s, text_reads_as_printf_writes_it);
	add_test(s, a_width_pads_text_on_the_right);
	add_test(s, a_null_string_is_spelled_out);
	add_test(s, a_long_text_is_cut_and_ends_with_zero);
	add_test(s, a_message_is_one_prefixed_line);
	add_test(s, an_endless_message_is_cut_but_still_a_line);
	add_test(s, a_report_line_has_no_prefix);
	add_test(s, debug_messages_need_their_level);
	add_test(s, errno_is_left_alone);
	add_raising(s, a_panic_ends_the_process_whatever_sigabrt_does, SIGABRT);
	add_raising(s, an_assert_that_fails_panics, SIGABRT);
	return s;
}
