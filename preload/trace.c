/* trace.c: `greenhook trace PID`: reads the records of a trace, brings them into the order of their
 * times and has them written.
 *
 * Each ring's records come in order.  Those of all are sorted, and what is younger than HOLD_NS
 * before the last round is held back, for a record of another ring may be older.
 */
#include "preload/trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define HOLD_NS 200000000ull
enum { MOST_RUNNING = 4096, MOST_SECONDS = 3600 };

struct running {
	long tid, slot;
	uint64_t id;
};

static struct {
	long pid;
	struct trace_head head;
	struct trace_record *held;
	size_t n, size;
	struct running first[MOST_RUNNING], last[MOST_RUNNING]; /* at the begin, at the end */
	int nfirst, nlast;
	bool begun, rounds, complete;
	uint64_t at; /* of the last round */
	const char *path;
	FILE *f;
} in;
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = sig;
}

static int by_time(const void *a, const void *b)
{
	const struct trace_record *x = a, *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->ring != y->ring)
		return x->ring - y->ring;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void hold(struct trace_record r)
{
	if (in.n == in.size) {
		size_t size = in.size ? in.size * 2 : 4096;
		struct trace_record *more = realloc(in.held, size * sizeof(*more));
		if (!more) {
			fprintf(stderr, "greenhook: out of memory\n");
			exit(EXIT_SELF);
		}
		in.held = more;
		in.size = size;
	}
	in.held[in.n++] = r;
}

/* Writes what is older than that. */
static void release(uint64_t until)
{
	size_t i = 0;
	if (!in.n)
		return;
	qsort(in.held, in.n, sizeof(*in.held), by_time);
	for (; i < in.n && in.held[i].at < until; i++)
		trace_json_put(&in.held[i]);
	memmove(in.held, in.held + i, (in.n - i) * sizeof(*in.held));
	in.n -= i;
}

/* "r RING LOST COUNT" and the records; false: too few came. */
static bool read_records(FILE *answer, int ring, uint64_t lost, uint64_t count)
{
	for (uint64_t i = 0; i < count || lost; i++) {
		struct trace_record r = {.at = in.at};
		if (i < count && fread(&r, sizeof(r), 1, answer) != 1)
			return false;
		r.ring = ring;
		if (lost) { /* before the first that is there */
			struct trace_record gone = r;
			gone.kind = TRACE_LOST;
			gone.object = lost;
			gone.seq = 0;
			hold(gone);
			lost = 0;
		}
		if (i < count)
			hold(r);
	}
	return true;
}

/* One line; 0, or the exit code; -1: it is not understood. */
static int take(FILE *answer, char **f, int n)
{
	if (n == 6 && !strcmp(f[0], "greenhook") && !strcmp(f[1], "4")) {
		snprintf(in.head.version, sizeof(in.head.version), "%s", f[2]);
		in.head.pid = in.pid;
		in.head.slots = (unsigned)strtoul(f[4], NULL, 10);
		in.head.begin = in.at = strtoul(f[5], NULL, 10);
		return in.head.slots <= TRACE_SLOTS ? 0 : -1;
	}
	if (n == 2 && !strcmp(f[0], "no")) {
		fprintf(stderr, "greenhook: process %ld: %s\n", in.pid, f[1]);
		return EXIT_SELF;
	}
	if (!in.head.slots)
		return -1;
	if (n == 4 && !strcmp(f[0], "q")) {
		unsigned long r = strtoul(f[1], NULL, 10);
		if (r >= TRACE_REASONS)
			return -1;
		snprintf(in.head.reasons[r].name, sizeof(in.head.reasons[r].name), "%s", f[2]);
		in.head.reasons[r].fd = !strcmp(f[3], "fd");
		return 0;
	}
	if (!in.begun) {
		if (!strcmp(in.path, "-"))
			in.f = stdout;
		else if (!(in.f = fopen(in.path, "we"))) {
			fprintf(stderr, "greenhook: %s: %s\n", in.path, strerror(errno));
			return EXIT_SELF;
		}
		in.begun = true;
		trace_json_begin(in.f, &in.head);
	}
	if (n == 4 && !strcmp(f[0], "w")) {
		struct running *r = in.rounds ? &in.last[in.nlast] : &in.first[in.nfirst];
		if (*(in.rounds ? &in.nlast : &in.nfirst) == MOST_RUNNING)
			return 0;
		++*(in.rounds ? &in.nlast : &in.nfirst);
		*r = (struct running){atol(f[1]), atol(f[2]), strtoul(f[3], NULL, 10)};
		return r->slot < (long)in.head.slots ? 0 : -1;
	}
	if (n == 4 && !strcmp(f[0], "n")) {
		trace_json_name(strtoul(f[1], NULL, 10), atol(f[2]), f[3]);
		return 0;
	}
	if (n == 4 && !strcmp(f[0], "r")) {
		unsigned long ring = strtoul(f[1], NULL, 10);
		if (ring > in.head.slots)
			return -1;
		return read_records(answer, (int)ring, strtoul(f[2], NULL, 10),
				    strtoul(f[3], NULL, 10))
			   ? 0
			   : ask_failed(in.pid, answer);
	}
	if (n == 2 && (!strcmp(f[0], "t") || !strcmp(f[0], "end"))) {
		in.at = strtoul(f[1], NULL, 10);
		in.rounds = true;
		in.complete = *f[0] == 'e';
		release(in.at - HOLD_NS);
		return 0;
	}
	return -1;
}

static int end_it(void)
{
	release(UINT64_MAX);
	for (int i = 0; i < in.nfirst; i++) {
		bool still = !in.complete; /* nobody told who runs at the end */
		for (int j = 0; !still && j < in.nlast; j++)
			still =
			    in.last[j].tid == in.first[i].tid && in.last[j].id == in.first[i].id;
		if (still)
			trace_json_ran(in.first[i].tid, in.first[i].slot, in.first[i].id);
	}
	trace_json_end(in.at, in.complete);
	if (trace_json_lost())
		fprintf(stderr,
			"greenhook: %lu records were lost: they came faster than they could be "
			"copied\n",
			trace_json_lost());
	if (fflush(in.f) || ferror(in.f) || (in.f != stdout && fclose(in.f))) {
		fprintf(stderr, "greenhook: %s: cannot write: %s\n", in.path, strerror(errno));
		return EXIT_SELF;
	}
	return 0;
}

static int record(unsigned long ms)
{
	char *line = NULL, *f[8], what[32];
	size_t size = 0;
	FILE *answer;

	snprintf(what, sizeof(what), "trace %lu\n", ms);
	int code = ask(in.pid, what, &answer);
	if (code)
		return code;
	while (!code && !stop && !in.complete && getline(&line, &size, answer) > 0)
		code = take(answer, f, fields_split(line, f, 8));
	if (code == -1) {
		fprintf(stderr,
			"greenhook: process %ld runs another version of greenhook, whose answer is "
			"not understood\n",
			in.pid);
		code = EXIT_SELF;
	} else if (!code && !in.complete && !stop) {
		code = ask_failed(in.pid, answer); /* what came until then is written */
	}
	free(line);
	fclose(answer);
	int ended = in.begun ? end_it() : 0;
	return code ? code : ended;
}

int trace_main(int argc, char **argv)
{
	const char *pid = NULL;
	double seconds = 5;

	in.path = "-";
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		char *end = "";
		if (!strcmp(argv[i], "-d") || !strcmp(argv[i], "--seconds")) {
			seconds = value ? strtod(value, &end) : 0;
			if (!value || end == value || *end ||
			    !(seconds >= 0.001 && seconds <= MOST_SECONDS))
				return usage_error("trace: %s needs 0.001 to %d seconds", argv[i],
						   MOST_SECONDS);
			i++;
		} else if (!strcmp(argv[i], "-o") || !strcmp(argv[i], "--output")) {
			if (!value || !*value)
				return usage_error("trace: %s needs the name of a file", argv[i]);
			in.path = argv[++i];
		} else if (argv[i][0] == '-') {
			return usage_error("trace: unknown option '%s'", argv[i]);
		} else if (pid) {
			return usage_error("trace: give the number of one process");
		} else {
			pid = argv[i];
		}
	}
	if (!pid)
		return usage_error("trace: give the number of one process");
	if (!ask_pid(pid, &in.pid))
		return usage_error("trace: '%s' is not the number of a process", pid);
	struct sigaction on = {.sa_handler = on_signal};
	sigaction(SIGINT, &on, NULL);
	sigaction(SIGTERM, &on, NULL);
	return record((unsigned long)(seconds * 1000));
}
