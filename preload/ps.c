/* ps.c: `greenhook ps`: the processes that run green. */
#include "preload/cli.h"

#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct row {
	long pid, gthreads, kernel_threads;
	char user[33], version[16], command[256];
};

struct rows {
	struct row *all;
	size_t n;
};

/* What /proc knows: its user, its kernel threads, its command. */
static void fill(struct row *r)
{
	char path[64], line[256];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%ld", r->pid);
	if (stat(path, &st) == 0) {
		struct passwd *pw = getpwuid(st.st_uid);
		if (pw)
			snprintf(r->user, sizeof(r->user), "%s", pw->pw_name);
		else
			snprintf(r->user, sizeof(r->user), "%u", st.st_uid);
	}
	snprintf(path, sizeof(path), "/proc/%ld/status", r->pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Threads:", 8))
			r->kernel_threads = atol(line + 8);
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%ld/cmdline", r->pid);
	f = fopen(path, "re");
	size_t n = f ? fread(r->command, 1, sizeof(r->command) - 1, f) : 0;
	if (f)
		fclose(f);
	while (n && !r->command[n - 1])
		n--;
	for (size_t i = 0; i < n; i++)
		if (!r->command[i])
			r->command[i] = ' ';
	r->command[n] = 0;
}

static void found(long pid, char *answer, void *arg)
{
	struct rows *rows = arg;
	char *field[8];

	for (size_t i = 0; i < rows->n; i++)
		if (rows->all[i].pid == pid)
			return;
	struct row *room = realloc(rows->all, (rows->n + 1) * sizeof(*room));
	if (!room)
		return;
	rows->all = room;
	struct row *r = &room[rows->n++];
	*r = (struct row){.pid = pid, .gthreads = -1, .version = "?"};
	/* One that is stopped, or busy with another question, is listed all the same. */
	if (strchr(answer, '\n') && fields_split(answer, field, 8) >= 6 &&
	    !strcmp(field[0], "greenhook")) {
		snprintf(r->version, sizeof(r->version), "%s", field[2]);
		r->gthreads = atol(field[4]);
	}
	fill(r);
}

static int by_pid(const void *a, const void *b)
{
	long x = ((const struct row *)a)->pid, y = ((const struct row *)b)->pid;
	return x < y ? -1 : x > y;
}

static void print_json(const struct rows *rows)
{
	putchar('[');
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->all[i];
		printf("%s\n{\"pid\":%ld,\"user\":", i ? "," : "", r->pid);
		json_string(stdout, r->user);
		printf(",\"version\":");
		json_string(stdout, r->version);
		printf(",\"gthreads\":");
		if (r->gthreads < 0)
			printf("null");
		else
			printf("%ld", r->gthreads);
		printf(",\"kernel_threads\":%ld,\"command\":", r->kernel_threads);
		json_string(stdout, r->command);
		putchar('}');
	}
	puts("\n]");
}

int ps_main(int argc, char **argv)
{
	struct rows rows = {NULL, 0};
	bool json = argc == 2 && !strcmp(argv[1], "--json");

	if (argc > 1 && !json)
		return usage_error("ps: unknown argument '%s'", argv[1]);
	ask_all(found, &rows);
	if (rows.n)
		qsort(rows.all, rows.n, sizeof(*rows.all), by_pid);
	if (json) {
		print_json(&rows);
		free(rows.all);
		return 0;
	}
	printf("%7s %-12s %9s %8s %-8s %s\n", "PID", "USER", "GTHREADS", "KTHREADS", "VERSION",
	       "COMMAND");
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.all[i];
		printf("%7ld %-12s ", r->pid, r->user);
		if (r->gthreads < 0)
			printf("%9s", "?");
		else
			printf("%9ld", r->gthreads);
		printf(" %8ld ", r->kernel_threads);
		fields_print(stdout, r->version);
		printf("%*s ", (int)(8 - (strlen(r->version) > 8 ? 8 : strlen(r->version))), "");
		fields_print(stdout, r->command);
		putchar('\n');
	}
	free(rows.all);
	return 0;
}
