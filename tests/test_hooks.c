/* Suite of hooks/hooks.def against the library that was built and the libc that is here: what the
 * table says is exported, nothing newer than glibc 2.31 is imported, libunwind is not linked.
 *
 * Asks `nm` and `readelf`, as a packager would.
 */
#include <dlfcn.h>

#include "hooks/hook.h"
#include "tests/helpers.h"

enum kind { PARKS, OFFLOADS, TRACKS, PASSES, REFUSES, SPELLING };

static const struct row {
	const char *name, *family, *target; /* target: of an alias */
	enum kind kind;
} rows[] = {
#define HOOK(family, ret, name, params, args, kind, note) {#name, #family, NULL, kind},
#define ALIAS(family, name, target, note)		  {#name, #family, #target, SPELLING},
#include "hooks/hooks.def"
#undef HOOK
#undef ALIAS
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Names younger than glibc 2.31, which a libc may lack. */
static const char *const young[] = {"close_range", "closefrom", "epoll_pwait2"};

static bool listed(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}
#define LISTED(list, name) listed(list, sizeof(list) / sizeof(list[0]), name)

/* The output of a command, in memory. */
static const char *output_of(const char *command)
{
	static char text[1 << 20];
	FILE *f = popen(command, "r");
	must(f != NULL);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	must_eq(pclose(f), 0);
	must(n > 0);
	return text;
}

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);
	for (const char *p = text; (p = strstr(p, line)); p++)
		if ((p == text || p[-1] == '\n') && p[n] == '\n')
			return true;
	return false;
}

START_TEST(every_row_is_exported)
{
	const char *exports =
	    output_of("nm -D --defined-only " LIB_PATH " | sed 's/.* [TWi] //; s/@.*//'");
	for (int i = 0; i < ROWS; i++)
		if (!has_line(exports, rows[i].name))
			ck_abort_msg("%s is in the table and not exported", rows[i].name);
}
END_TEST

START_TEST(nothing_else_is_exported)
{
	char *exports =
	    (char *)output_of("nm -D --defined-only " LIB_PATH " | sed 's/.* . //; s/@.*//'");
	for (char *name = strtok(exports, "\n"); name; name = strtok(NULL, "\n")) {
		bool known = !strncmp(name, "gh_", 3) || !strncmp(name, "GREENHOOK_", 10) ||
			     !strncmp(name, "GLIBC_", 6); /* a version is a symbol, too */
		for (int i = 0; i < ROWS && !known; i++)
			known = !strcmp(name, rows[i].name);
		if (!known)
			ck_abort_msg("%s is exported and not in the table", name);
	}
}
END_TEST

START_TEST(no_name_is_in_the_table_twice)
{
	for (int i = 0; i < ROWS; i++)
		for (int k = 0; k < i; k++)
			if (!strcmp(rows[i].name, rows[k].name))
				ck_abort_msg("%s", rows[i].name);
}
END_TEST

START_TEST(an_alias_stands_for_a_hook)
{
	for (int i = 0; i < ROWS; i++) {
		bool found = rows[i].target == NULL;
		for (int k = 0; k < ROWS && !found; k++)
			found = !rows[k].target && !strcmp(rows[k].name, rows[i].target);
		if (!found)
			ck_abort_msg("%s is an alias of %s", rows[i].name, rows[i].target);
	}
}
END_TEST

START_TEST(libc_has_what_the_table_replaces)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *libpthread = dlopen("libpthread.so.0", RTLD_LAZY | RTLD_NOLOAD);
	must(libc != NULL);
	for (int i = 0; i < ROWS; i++) {
		if (rows[i].target || LISTED(young, rows[i].name) || dlsym(libc, rows[i].name) ||
		    (libpthread && dlsym(libpthread, rows[i].name)))
			continue;
		ck_abort_msg("this libc has no %s", rows[i].name);
	}
}
END_TEST

START_TEST(no_import_is_newer_than_glibc_2_31)
{
	char found[2000] = "";
	char *imports =
	    (char *)output_of("nm -D --undefined-only " LIB_PATH " | sed 's/.* [Uw] //'");
	for (char *line = strtok(imports, "\n"); line; line = strtok(NULL, "\n")) {
		char *version = strstr(line, "@GLIBC_");
		int major = 0, minor = 0;
		if (!version || sscanf(version, "@GLIBC_%d.%d", &major, &minor) != 2)
			continue;
		*version = 0;
		if (major > 2 || minor > 31)
			ghi_format(found + strlen(found), sizeof(found) - strlen(found),
				   " %s@%d.%d", line, major, minor);
	}
	ck_assert_msg(!*found, "too new:%s", found);
}
END_TEST

START_TEST(libunwind_is_not_linked)
{
	const char *dynamic = output_of("readelf -d " LIB_PATH);
	ck_assert_ptr_nonnull(strstr(dynamic, "libc.so.6"));
	ck_assert_ptr_null(strstr(dynamic, "libunwind"));
	ck_assert_ptr_null(strstr(dynamic, "TEXTREL"));
}
END_TEST

START_TEST(the_stack_is_not_executable)
{
	const char *headers = output_of("readelf -lW " LIB_PATH " | grep GNU_STACK");
	ck_assert_ptr_null(strstr(headers, "RWE"));
}
END_TEST

START_TEST(functions_are_found_as_dlsym_finds_them)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	must(libc != NULL);
	for (int i = 0; i < ROWS; i++)
		if (rows[i].kind != SPELLING)
			must(ghi_real_find(rows[i].name) == dlsym(libc, rows[i].name));
	must(ghi_real_find("no_such_function_of_libc") == NULL);
}
END_TEST

Suite *suite_hooks(void)
{
	Suite *s = suite_create("hooks");
	add_test(s, every_row_is_exported);
	add_test(s, nothing_else_is_exported);
	add_test(s, no_name_is_in_the_table_twice);
	add_test(s, an_alias_stands_for_a_hook);
	add_test(s, libc_has_what_the_table_replaces);
	add_test(s, functions_are_found_as_dlsym_finds_them);
	add_test(s, no_import_is_newer_than_glibc_2_31);
	add_test(s, libunwind_is_not_linked);
	add_test(s, the_stack_is_not_executable);
	return s;
}
