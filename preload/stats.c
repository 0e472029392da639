/* stats.c: `greenhook stats PID`: the counters of a process, once: text, JSON, Prometheus. */
#include "preload/stats.h"

#include <stddef.h>
#include <stdlib.h>

int stats_read(long pid, unsigned ms, struct stats *ret)
{
	char *line = NULL, *f[8], what[32];
	size_t size = 0;
	bool complete = false;
	FILE *answer;

	*ret = (struct stats){.nvalues = 0};
	snprintf(what, sizeof(what), "stats %u\n", ms);
	int code = ask(pid, what, &answer);
	if (code)
		return code;
	while (!complete && getline(&line, &size, answer) > 0) {
		int n = fields_split(line, f, 8);
		if (n == 3 && (!strcmp(f[0], "c") || !strcmp(f[0], "v")) &&
		    ret->nvalues < STATS_NAMES) {
			struct value *v = &ret->values[ret->nvalues++];
			snprintf(v->name, sizeof(v->name), "%s", f[1]);
			v->value = strtoul(f[2], NULL, 10);
			v->counter = f[0][0] == 'c';
		} else if (n == 7 && !strcmp(f[0], "slot") && ret->nslots < STATS_SLOTS) {
			struct slot *s = &ret->slots[ret->nslots++];
			s->switches = strtoul(f[2], NULL, 10);
			s->steals = strtoul(f[3], NULL, 10);
			s->events = strtoul(f[4], NULL, 10);
			s->queue = strtoul(f[5], NULL, 10);
			snprintf(s->state, sizeof(s->state), "%s", f[6]);
		} else if (n == 3 && !strcmp(f[0], "park") && ret->nparks < STATS_REASONS) {
			struct park *p = &ret->parks[ret->nparks++];
			snprintf(p->reason, sizeof(p->reason), "%s", f[1]);
			p->count = strtoul(f[2], NULL, 10);
		} else if (n == 3 && !strcmp(f[0], "latency") && ret->nlatency < STATS_BUCKETS) {
			ret->latency[ret->nlatency].below = strtoul(f[1], NULL, 10);
			ret->latency[ret->nlatency++].count = strtoul(f[2], NULL, 10);
		} else if (n == 4 && !strcmp(f[0], "greenhook") && !strcmp(f[1], "3")) {
			snprintf(ret->version, sizeof(ret->version), "%s", f[2]);
		} else if (!strcmp(f[0], "end")) {
			complete = true;
		} else {
			fprintf(stderr,
				"greenhook: process %ld runs another version of greenhook, "
				"whose answer is not understood\n",
				pid);
			code = EXIT_SELF;
			break;
		}
	}
	if (!code && !complete)
		code = ask_failed(pid, answer);
	free(line);
	fclose(answer);
	return code;
}

uint64_t stats_value(const struct stats *s, const char *name)
{
	for (int i = 0; i < s->nvalues; i++)
		if (!strcmp(s->values[i].name, name))
			return s->values[i].value;
	return 0;
}

uint64_t stats_percentile(const struct stats *s, double percent)
{
	uint64_t all = 0, n = 0;
	for (int i = 0; i < s->nlatency; i++)
		all += s->latency[i].count;
	for (int i = 0; all && i < s->nlatency; i++) {
		n += s->latency[i].count;
		if ((double)n * 100 >= percent * (double)all)
			return s->latency[i].below;
	}
	return 0;
}

void stats_put_ns(FILE *f, uint64_t ns)
{
	if (ns < 10000)
		fprintf(f, "%lu ns", ns);
	else if (ns < 10000000)
		fprintf(f, "%lu us", ns / 1000);
	else
		fprintf(f, "%lu ms", ns / 1000000);
}

static void put_text(const struct stats *s)
{
	for (int i = 0; i < s->nvalues; i++)
		printf("%-20s %12lu\n", s->values[i].name, s->values[i].value);
	puts("\nslot     switches     steals     events  queue  state");
	for (int i = 0; i < s->nslots; i++)
		printf("%4d %12lu %10lu %10lu %6lu  %s\n", i, s->slots[i].switches,
		       s->slots[i].steals, s->slots[i].events, s->slots[i].queue,
		       s->slots[i].state);
	puts("\nparked in                   times");
	for (int i = 0; i < s->nparks; i++)
		if (s->parks[i].count)
			printf("%-20s %12lu\n", s->parks[i].reason, s->parks[i].count);
	if (!s->nlatency)
		return;
	puts("\nready to running in less than");
	for (int i = 0; i < s->nlatency; i++)
		if (s->latency[i].count) {
			printf("  ");
			stats_put_ns(stdout, s->latency[i].below);
			printf(": %lu\n", s->latency[i].count);
		}
}

static void put_json(long pid, const struct stats *s)
{
	bool first = true;
	printf("{\"pid\":%ld,\"version\":", pid);
	json_string(stdout, s->version);
	printf(",\"values\":{");
	for (int i = 0; i < s->nvalues; i++) {
		json_member(stdout, &first, s->values[i].name);
		printf("%lu", s->values[i].value);
	}
	printf("},\"slots\":[");
	for (int i = 0; i < s->nslots; i++) {
		const struct slot *t = &s->slots[i];
		printf(
		    "%s\n{\"switches\":%lu,\"steals\":%lu,\"events\":%lu,\"queue\":%lu,\"state\":",
		    i ? "," : "", t->switches, t->steals, t->events, t->queue);
		json_string(stdout, t->state);
		putchar('}');
	}
	printf("\n],\"parks\":{");
	first = true;
	for (int i = 0; i < s->nparks; i++) {
		json_member(stdout, &first, s->parks[i].reason);
		printf("%lu", s->parks[i].count);
	}
	printf("},\"latency_ns\":[");
	for (int i = 0; i < s->nlatency; i++)
		printf("%s[%lu,%lu]", i ? "," : "", s->latency[i].below, s->latency[i].count);
	puts("]}");
}

/* Label values come from our own tables of names: nothing in them needs an escape. */
static void put_prometheus(long pid, const struct stats *s)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} columns[] = {
	    {"switches_total", "Switches between green threads.", offsetof(struct slot, switches)},
	    {"steals_total", "Times that work was taken from another slot.",
	     offsetof(struct slot, steals)},
	    {"events_total", "Events of the poller.", offsetof(struct slot, events)},
	    {"run_queue", "Green threads that wait for the slot.", offsetof(struct slot, queue)},
	};

	for (int i = 0; i < s->nvalues; i++) {
		const struct value *v = &s->values[i];
		const char *total = v->counter ? "_total" : "";
		printf("# TYPE greenhook_%s%s %s\ngreenhook_%s%s{pid=\"%ld\"} %lu\n", v->name,
		       total, v->counter ? "counter" : "gauge", v->name, total, pid, v->value);
	}
	for (size_t c = 0; c < sizeof(columns) / sizeof(*columns); c++) {
		printf("# HELP greenhook_%s %s\n# TYPE greenhook_%s %s\n", columns[c].name,
		       columns[c].help, columns[c].name,
		       strstr(columns[c].name, "_total") ? "counter" : "gauge");
		for (int i = 0; i < s->nslots; i++)
			printf("greenhook_%s{pid=\"%ld\",slot=\"%d\"} %lu\n", columns[c].name, pid,
			       i, *(const uint64_t *)((const char *)&s->slots[i] + columns[c].at));
	}
	puts("# HELP greenhook_parks_total Waits that parked a green thread.\n"
	     "# TYPE greenhook_parks_total counter");
	for (int i = 0; i < s->nparks; i++)
		printf("greenhook_parks_total{pid=\"%ld\",reason=\"%s\"} %lu\n", pid,
		       s->parks[i].reason, s->parks[i].count);
	if (!s->nlatency)
		return;
	/* Of one sample, so a gauge; the form is that of a histogram without its sum. */
	uint64_t n = 0;
	puts("# HELP greenhook_ready_to_running_samples Samples up to this many seconds.\n"
	     "# TYPE greenhook_ready_to_running_samples gauge");
	for (int i = 0; i < s->nlatency; i++) {
		n += s->latency[i].count;
		printf("greenhook_ready_to_running_samples{pid=\"%ld\",le=\"%.9f\"} %lu\n", pid,
		       (double)s->latency[i].below / 1e9, n);
	}
}

int stats_main(int argc, char **argv)
{
	static struct stats s;
	bool json = false, prometheus = false;
	long pid, ms = 0;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--prometheus"))
			prometheus = true;
		else if (strcmp(argv[i], "--sample"))
			return usage_error("stats: unknown option '%s'", argv[i]);
		else if (++i == argc || !ask_pid(argv[i], &ms) || ms > 10000)
			return usage_error("stats: --sample needs milliseconds, 1 to 10000");
	}
	if (json && prometheus)
		return usage_error("stats: --json or --prometheus, not both");
	if (argc - i != 1)
		return usage_error("stats: give the number of one process");
	if (!ask_pid(argv[i], &pid))
		return usage_error("stats: '%s' is not the number of a process", argv[i]);
	int code = stats_read(pid, (unsigned)ms, &s);
	if (code)
		return code;
	if (json)
		put_json(pid, &s);
	else if (prometheus)
		put_prometheus(pid, &s);
	else
		put_text(&s);
	return 0;
}
