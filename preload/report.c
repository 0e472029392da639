/* report.c: `greenhook report PID`: which calls held up kernel threads. */
#include "preload/cli.h"

#include <stdio.h>

int report_main(int argc, char **argv)
{
	char buf[65536];
	long pid;
	size_t n, total = 0;
	FILE *answer;

	if (argc != 2)
		return usage_error("report: give the number of one process");
	if (!ask_pid(argv[1], &pid))
		return usage_error("report: '%s' is not the number of a process", argv[1]);
	int code = ask(pid, "report\n", &answer);
	if (code)
		return code;
	while ((n = fread(buf, 1, sizeof(buf), answer)) > 0) {
		/* One line that tells why there is no report. */
		bool none = !total && n > 19 && !memcmp(buf, "greenhook: process ", 19);
		fwrite(buf, 1, n, none ? stderr : stdout);
		code |= none ? EXIT_SELF : 0;
		total += n;
	}
	if (!total)
		code = ask_failed(pid, answer);
	fclose(answer);
	return code;
}
