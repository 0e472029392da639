/* run.c: `greenhook run`: set the environment and become the program.
 *
 * There is no parent left behind: the exec makes pid, signals, terminal, standard streams and
 * exit status the program's own.  So nothing here may touch signal dispositions, the mask, or leave
 * a descriptor open, and everything that can fail is done before the exec.
 */
#include "preload/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_MIN (UINT64_C(16) << 10)
#define STACK_MAX (UINT64_C(1) << 40)

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#endif

/* Where the library may be, relative to the directory of this executable: the build directory
 * first, then the layouts of an installation. */
static const char *const library_places[] = {
    "libgreenhook.so",
    "../lib/libgreenhook.so.0",
    "../lib/" MULTIARCH "/libgreenhook.so.0",
    "../lib64/libgreenhook.so.0",
};

struct options {
	const char *workers; /* as given, checked; NULL when not given */
	char stack[24];	     /* bytes in decimal; empty when not given */
	int verbose;
	const char *report; /* a file's name or "1"; NULL: none */
};

/* Decimal digits only, as strtoull alone would take " -1" and "0x10". */
static bool parse_number(const char *text, uint64_t *ret_value, const char **ret_end)
{
	if (*text < '0' || *text > '9')
		return false;
	char *end;
	errno = 0;
	*ret_value = strtoull(text, &end, 10);
	*ret_end = end;
	return errno == 0;
}

static bool parse_workers(const char *text, struct options *options)
{
	uint64_t n;
	const char *end;
	if (!parse_number(text, &n, &end) || *end || n < 1 || n > WORKERS_MAX)
		return false;
	options->workers = text;
	return true;
}

static bool parse_stack(const char *text, struct options *options)
{
	uint64_t n;
	const char *end;
	if (!parse_number(text, &n, &end))
		return false;
	int shift = 0;
	if (*end) {
		const char *suffix = strchr("KkMmGg", *end);
		if (!suffix || end[1])
			return false;
		shift = 10 * (int)((suffix - "KkMmGg") / 2 + 1);
	}
	if (n > STACK_MAX >> shift || n << shift < STACK_MIN)
		return false;
	snprintf(options->stack, sizeof(options->stack), "%llu", (unsigned long long)(n << shift));
	return true;
}

/* A file that can be made or added to now, by a name that means the same in every directory. */
static bool parse_report(const char *text, struct options *options)
{
	static char path[PATH_MAX];
	int fd = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return false;
	close(fd);
	options->report = path;
	return realpath(text, path) != NULL;
}

/* Takes `--name VALUE` or `--name=VALUE`.  True when argv[*index] is that option; ret_value is NULL
 * when its value is missing. */
static bool take_value(int argc, char **argv, int *index, const char *name, const char **ret_value)
{
	size_t length = strlen(name);
	const char *arg = argv[*index];
	if (strncmp(arg, name, length) != 0 || (arg[length] && arg[length] != '='))
		return false;
	if (arg[length])
		*ret_value = arg + length + 1;
	else
		*ret_value = *index + 1 < argc ? argv[++*index] : NULL;
	return true;
}

/* Returns 0 and the index of PROGRAM, or the exit code. */
static int parse_options(int argc, char **argv, struct options *options, int *ret_program)
{
	int i;
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		const char *value;
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		} else if (strcmp(argv[i], "--verbose") == 0) {
			options->verbose++;
		} else if (strcmp(argv[i], "--report") == 0) {
			options->report = "1";
		} else if (strncmp(argv[i], "--report=", 9) == 0) {
			if (!parse_report(argv[i] + 9, options))
				return usage_error("--report: '%s' cannot be written: %s",
						   argv[i] + 9, strerror(errno));
		} else if (take_value(argc, argv, &i, "--workers", &value)) {
			if (!value)
				return usage_error("--workers needs a value");
			if (!parse_workers(value, options))
				return usage_error("--workers: '%s' is not a number from 1 to %d",
						   value, WORKERS_MAX);
		} else if (take_value(argc, argv, &i, "--stack", &value)) {
			if (!value)
				return usage_error("--stack needs a value");
			if (!parse_stack(value, options))
				return usage_error("--stack: '%s' is not a size from 16K to 1024G "
						   "(bytes, or with suffix K, M or G)",
						   value);
		} else {
			return usage_error("run: unknown option '%s'", argv[i]);
		}
	}
	if (i >= argc)
		return usage_error("run: no program given");
	*ret_program = i;
	return 0;
}

static bool is_usable_library(const char *path)
{
	return access(path, R_OK) == 0;
}

/* Writes the library's absolute path; prints one line and returns false when there is none. */
static bool find_library(char ret_path[PATH_MAX])
{
	const char *override = getenv("GREENHOOK_LIBRARY");
	char exe[PATH_MAX];
	if (override && *override) {
		if (!realpath(override, ret_path) || !is_usable_library(ret_path)) {
			fprintf(stderr, "greenhook: GREENHOOK_LIBRARY=%s: %s\n", override,
				strerror(errno));
			return false;
		}
		return true;
	}
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (length < 0) {
		fprintf(stderr,
			"greenhook: cannot read /proc/self/exe: %s; set GREENHOOK_LIBRARY\n",
			strerror(errno));
		return false;
	}
	exe[length] = 0;
	const char *directory = dirname(exe);
	for (size_t i = 0; i < sizeof(library_places) / sizeof(*library_places); i++) {
		char candidate[PATH_MAX + 64];
		snprintf(candidate, sizeof(candidate), "%s/%s", directory, library_places[i]);
		if (is_usable_library(candidate) && realpath(candidate, ret_path))
			return true;
	}
	fprintf(stderr,
		"greenhook: libgreenhook.so not found next to %s/greenhook nor in ../lib; run "
		"`make`, or "
		"set GREENHOOK_LIBRARY\n",
		directory);
	return false;
}

/* Puts the library first in LD_PRELOAD, behind the runtime of a sanitizer only, and keeps what was
 * there. */
static bool prepend_preload(const char *library, const char *sanitizer)
{
	char entries[PATH_MAX + 64];
	if (strpbrk(library, " :")) {
		fprintf(stderr,
			"greenhook: %s: LD_PRELOAD cannot express a path with a space or a colon\n",
			library);
		return false;
	}
	snprintf(entries, sizeof(entries), "%s%s%s", sanitizer, *sanitizer ? ":" : "", library);
	const char *old = getenv("LD_PRELOAD");
	size_t length = strlen(entries);
	/* Nested use: already first. */
	if (old && strncmp(old, entries, length) == 0 &&
	    (!old[length] || strchr(" :", old[length])))
		return true;
	char *value = NULL;
	bool ok =
	    asprintf(&value, "%s%s%s", entries, old && *old ? ":" : "", old ? old : "") >= 0 &&
	    setenv("LD_PRELOAD", value, 1) == 0;
	if (!ok)
		fprintf(stderr, "greenhook: out of memory\n");
	free(value);
	return ok;
}

static bool set_environment(const struct options *options, const struct elf_facts *facts)
{
	char library[PATH_MAX];
	if (!facts->has_runtime &&
	    (!find_library(library) || !prepend_preload(library, facts->sanitizer)))
		return false;
	bool ok = true;
	if (options->workers)
		ok = ok && setenv("GREENHOOK_WORKERS", options->workers, 1) == 0;
	if (options->stack[0])
		ok = ok && setenv("GREENHOOK_STACK", options->stack, 1) == 0;
	if (options->verbose)
		ok = ok && setenv("GREENHOOK_VERBOSE", options->verbose > 1 ? "2" : "1", 1) == 0;
	if (options->report)
		ok = ok && setenv("GREENHOOK_REPORT", options->report, 1) == 0;
	if (!ok)
		fprintf(stderr, "greenhook: out of memory\n");
	return ok;
}

int run_main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage_print_help();
		return 0;
	}
	struct options options = {0};
	int program = 0;
	int code = parse_options(argc, argv, &options, &program);
	if (code)
		return code;
	char path[PATH_MAX];
	code = path_find(argv[program], path);
	if (code)
		return code;

	static struct diagnosis d;
	doctor_examine(path, &d);
	if (d.outlook == OUTLOOK_NATIVE)
		fprintf(stderr, "greenhook: %s: %s; running it natively\n", argv[program],
			d.reason);
	else if (!set_environment(&options, &d.facts))
		return EXIT_SELF;

	execv(path, argv + program);
	/* A text without #! is run by the shell, as execvp does; a bad binary had better not be. */
	if (errno == ENOEXEC && d.facts.form == ELF_FORM_OTHER)
		execvp(path, argv + program);
	int err = errno;
	fprintf(stderr, "greenhook: %s: %s\n", argv[program], strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
}
