/* main.c: the command table, the help text and the exit code of `greenhook`.  Each command lives in
 * its own file and gets its argv with its own name first. */
#include "preload/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: greenhook run [--workers N] [--stack SIZE] [--report[=FILE]] [--verbose] [--]\n"
    "                     PROGRAM [ARGUMENT]...\n"
    "       greenhook ps [--json]\n"
    "       greenhook dump [--all|--json] PID\n"
    "       greenhook stats [--json|--prometheus] [--sample MS] PID\n"
    "       greenhook top [--seconds S] [--count N] [--sort KEY] PID\n"
    "       greenhook trace [-d SECONDS] [-o FILE] PID\n"
    "       greenhook report PID\n"
    "       greenhook doctor PROGRAM\n"
    "       greenhook coverage [--markdown|--json]\n"
    "       greenhook --version | --help\n";

static const char help[] =
    "\n"
    "run       run PROGRAM with its pthreads as green threads\n"
    "  --workers N   kernel threads that run green threads at a time, 1 to 256\n"
    "                (default: the usable CPUs)\n"
    "  --stack SIZE  default stack size of a thread, at least 16K; suffix K, M or G\n"
    "                (default: RLIMIT_STACK)\n"
    "  --report      tell on stderr at exit, or append to FILE, which calls blocked a\n"
    "                kernel thread, how often, how long, and from where\n"
    "  --verbose     say on stderr what runs green; twice says more\n"
    "ps        list the processes that run green\n"
    "dump      every green thread of a process: state, what it waits for, backtrace;\n"
    "          grouped by backtrace, with --all one by one, with --json for programs\n"
    "stats     counters of a process: switches, parks by reason, queues, hand-offs;\n"
    "          with --sample, how long threads waited from ready to running\n"
    "top       the same, live; q quits, s sorts\n"
    "trace     who ran where and when, waits, hand-offs, I/O, for SECONDS (default 5), as JSON\n"
    "          for ui.perfetto.dev or chrome://tracing\n"
    "report    which calls blocked kernel threads, if it was started with --report\n"
    "doctor    tell whether PROGRAM will run green, and why not (exit 0: yes, 1: no)\n"
    "coverage  print every libc function greenhook replaces, and how\n"
    "\n"
    "Exit status of run: the program's own; 2 bad usage, 125 greenhook failed,\n"
    "126 PROGRAM cannot be executed, 127 PROGRAM not found.\n"
    "More: man 1 greenhook, man 7 greenhook.\n";

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
    {"run", run_main},	   {"doctor", doctor_main}, {"ps", ps_main},
    {"dump", dump_main},   {"stats", stats_main},   {"top", top_main},
    {"trace", trace_main}, {"report", report_main}, {"coverage", coverage_main},
};

int usage_error(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("greenhook: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	fputs(usage, stderr);
	return EXIT_USAGE;
}

void usage_print_help(void)
{
	fputs(usage, stdout);
	fputs(help, stdout);
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2)
		return usage_error("no command given");
	const char *name = argv[1];
	if (strcmp(name, "--version") == 0) {
		puts("greenhook " GREENHOOK_VERSION);
		return 0;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		usage_print_help();
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	return usage_error("unknown %s '%s'", name[0] == '-' ? "option" : "command", name);
}

int main(int argc, char **argv)
{
	int code = dispatch(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "greenhook: cannot write: %s\n", strerror(errno));
		return EXIT_SELF;
	}
	return code;
}
