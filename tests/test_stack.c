/* Suite of src/stack.c: guards that fault, mappings that are zero, what a guard costs.
 *
 * The guard mode settles at the first mapping of a process, so every test begins with it.
 */
#include <signal.h>
#include <sys/resource.h>

#include "src/stack.h"
#include "tests/helpers.h"

enum { GUARD_MADVISE = 1, GUARD_MPROTECT, GUARD_NONE };
enum { SIZE = 64 << 10, MANY = 200 };

static volatile char *map(unsigned guard)
{
	ghi_config.guard = guard;
	char *m = ghi_stack_map(NULL, SIZE, GHI_PAGE);
	must(m != NULL);
	return m;
}

static int count_vmas(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;
	must(f != NULL);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

START_TEST(a_mapping_is_zero_and_writable_above_the_guard)
{
	volatile char *m = map((unsigned)_i);
	must_eq((uintptr_t)m % GHI_PAGE, 0);
	for (size_t i = GHI_PAGE; i < SIZE; i++) {
		must(m[i] == 0);
		m[i] = 1;
	}
}
END_TEST

/* The loop variable is the mode: 0 automatic, 1 madvise, 2 mprotect. */
START_TEST(a_write_to_the_guard_faults)
{
	map((unsigned)_i)[GHI_PAGE - 1] = 1;
}
END_TEST

START_TEST(a_read_of_the_guard_faults)
{
	(void)map((unsigned)_i)[0];
}
END_TEST

START_TEST(without_a_guard_the_lowest_page_is_stack)
{
	map(GUARD_NONE)[0] = 1;
	ghi_config.guard = GUARD_MADVISE;
	volatile char *m = ghi_stack_map(NULL, SIZE, 0);
	m[0] = 1;
}
END_TEST

START_TEST(trimmed_pages_read_as_zero)
{
	volatile char *m = map(0);
	memset((char *)m + GHI_PAGE, 'x', SIZE - GHI_PAGE);
	ghi_stack_trim((char *)m + 4 * GHI_PAGE, (char *)m + 8 * GHI_PAGE);
	for (size_t i = GHI_PAGE; i < SIZE; i++)
		must_eq(m[i], i >= 4 * GHI_PAGE && i < 8 * GHI_PAGE ? 0 : 'x');
}
END_TEST

START_TEST(trimming_nothing_changes_nothing)
{
	volatile char *m = map(0);
	m[5 * GHI_PAGE] = 'x';
	ghi_stack_trim((char *)m + 5 * GHI_PAGE, (char *)m + 5 * GHI_PAGE);
	ghi_stack_trim((char *)m + 6 * GHI_PAGE, (char *)m + 4 * GHI_PAGE);
	must_eq(m[5 * GHI_PAGE], 'x');
}
END_TEST

START_TEST(a_trim_leaves_the_guard)
{
	volatile char *m = map((unsigned)_i);
	ghi_stack_trim((char *)m + GHI_PAGE, (char *)m + SIZE);
	m[GHI_PAGE - 1] = 1;
}
END_TEST

/* Linux before 6.13 answers EINVAL, and the mode falls back: there this shows nothing. */
START_TEST(guards_by_madvise_cost_no_mapping)
{
	void *probe = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (madvise(probe, 4096, 102 /* MADV_GUARD_INSTALL */) != 0)
		return;
	map(0);
	int before = count_vmas();
	for (int i = 0; i < MANY; i++)
		must(ghi_stack_map(NULL, SIZE, GHI_PAGE) != NULL);
	ck_assert_int_lt(count_vmas() - before, MANY / 4);
}
END_TEST

START_TEST(guards_by_mprotect_are_mappings)
{
	map(GUARD_MPROTECT);
	int before = count_vmas();
	for (int i = 0; i < MANY; i++)
		must(ghi_stack_map(NULL, SIZE, GHI_PAGE) != NULL);
	ck_assert_int_ge(count_vmas() - before, MANY);
}
END_TEST

START_TEST(mprotect_guards_stop_before_the_limit_and_say_so)
{
	unsigned long limit = 0;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	if (!f || fscanf(f, "%lu", &limit) != 1 || limit > 200000)
		return; /* too many to try */
	fclose(f);
	int err = capture_stderr();
	map(GUARD_MPROTECT);
	for (unsigned long i = 0; i < limit; i++) /* guards alone would need twice the limit */
		must(ghi_stack_map(NULL, 2 * GHI_PAGE, GHI_PAGE) != NULL);
	ck_assert_str_eq(captured(err),
			 "greenhook: stacks are created without guard pages from now "
			 "on: raise vm.max_map_count\n");
	ck_assert_int_lt(count_vmas(), (int)limit);
}
END_TEST

START_TEST(no_memory_is_null)
{
	struct ghi_stack_slab slab = {.made = MANY};
	ck_assert_ptr_null(ghi_stack_map(NULL, 1ul << 50, GHI_PAGE));
	ck_assert_ptr_null(ghi_stack_map(&slab, 1ul << 50, GHI_PAGE));
	must_eq(slab.left, 0);
}
END_TEST

static char *several[MANY];

static void map_several(size_t size)
{
	struct ghi_stack_slab slab = {0};
	for (int i = 0; i < MANY; i++)
		must((several[i] = ghi_stack_map(&slab, size, GHI_PAGE)) != NULL);
}

START_TEST(mappings_of_a_slab_are_apart)
{
	ghi_config.guard = (unsigned)_i;
	map_several(SIZE);
	for (int i = 0; i < MANY; i++) {
		must_eq(several[i][GHI_PAGE], 0);
		must_eq(several[i][SIZE - 1], 0);
		several[i][GHI_PAGE] = several[i][SIZE - 1] = (char)(i + 1);
	}
	for (int i = 0; i < MANY; i++)
		must(several[i][GHI_PAGE] == (char)(i + 1) &&
		     several[i][SIZE - 1] == (char)(i + 1));
}
END_TEST

START_TEST(each_mapping_of_a_slab_has_its_guard)
{
	map_several(SIZE);
	several[_i * 16][0] = 1;
}
END_TEST

/* The kernel gives one below the other; those of one call lie one above the other. */
static int calls(size_t size)
{
	int n = 1;
	for (int i = 1; i < MANY; i++)
		n += several[i] != several[i - 1] + size;
	return n;
}

START_TEST(a_slab_is_one_call)
{
	map_several(SIZE);
	ck_assert_int_le(calls(SIZE), 7 + MANY / 64); /* 1, 1, 2, 4 ... 64 */
	map_several(4 << 20);
	must_eq(calls(4 << 20), MANY);
}
END_TEST

/* Where there is no room for several there may be for one. */
START_TEST(a_slab_that_does_not_fit_is_one_mapping)
{
#ifndef __SANITIZE_ADDRESS__ /* it needs the room */
	struct ghi_stack_slab slab = {.made = MANY};
	struct rlimit none = {0};
	void *room = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	must(f && fscanf(f, "%ld", &pages) == 1);
	fclose(f);
	none.rlim_cur = none.rlim_max = (rlim_t)pages * GHI_PAGE;
	must(setrlimit(RLIMIT_AS, &none) == 0);
	ck_assert_ptr_null(ghi_stack_map(&slab, SIZE, GHI_PAGE));
	munmap(room, SIZE);
	must(ghi_stack_map(&slab, SIZE, GHI_PAGE) != NULL);
	must_eq(slab.left, 0);
#endif
}
END_TEST

static void *overflow(void *arg)
{
	volatile char frame[512];
	frame[0] = arg != NULL;
	return frame[0] ? (char *)overflow(arg) + frame[0] : NULL;
}

START_TEST(a_gthread_that_recurses_without_end_faults)
{
	ghi_config.crash_report = 0;
	capture_stderr();
	start_runtime(1);
	join(spawn(overflow, ""));
}
END_TEST

Suite *suite_stack(void)
{
	Suite *s = suite_create("stack");
	add_loop(s, a_mapping_is_zero_and_writable_above_the_guard, 4);
	add_raising_loop(s, a_write_to_the_guard_faults, SIGSEGV, 3);
	add_raising_loop(s, a_read_of_the_guard_faults, SIGSEGV, 3);
	add_test(s, without_a_guard_the_lowest_page_is_stack);
	add_test(s, trimmed_pages_read_as_zero);
	add_test(s, trimming_nothing_changes_nothing);
	add_raising_loop(s, a_trim_leaves_the_guard, SIGSEGV, 3);
	add_test(s, guards_by_madvise_cost_no_mapping);
	add_test(s, guards_by_mprotect_are_mappings);
	add_test(s, mprotect_guards_stop_before_the_limit_and_say_so);
	add_test(s, no_memory_is_null);
	add_loop(s, mappings_of_a_slab_are_apart, 4);
	add_raising_loop(s, each_mapping_of_a_slab_has_its_guard, SIGSEGV, MANY / 16);
	add_test(s, a_slab_is_one_call);
	add_test(s, a_slab_that_does_not_fit_is_one_mapping);
	add_raising(s, a_gthread_that_recurses_without_end_faults, SIGSEGV);
	return s;
}
