/* top.c: `greenhook top PID`: rates of a process, again and again.
 *
 * On a terminal the screen is drawn anew each time (plain escape sequences, restored at the end)
 * and keys are read; otherwise one block of text follows another.  The histogram of wake-ups is
 * sampled for a tenth of each period.
 */
#include "preload/stats.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct termios before;
static bool raw;
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = sig;
}

static void restore(void)
{
	if (!raw)
		return;
	tcsetattr(0, TCSANOW, &before);
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	raw = false;
}

static void take_terminal(void)
{
	struct termios t;
	if (tcgetattr(0, &before) < 0)
		return;
	t = before;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	if (tcsetattr(0, TCSANOW, &t) < 0)
		return;
	raw = true;
	fputs("\033[?1049h\033[?25l", stdout);
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct row {
	int slot;
	double switches, steals, events;
	uint64_t queue;
	const char *state;
};

static const char *const keys[] = {"slot", "switches", "steals", "events", "queue"};
enum { KEYS = sizeof(keys) / sizeof(*keys) };
static int sort_by = 1;

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	double d = 0;
	switch (sort_by) {
	case 1:
		d = y->switches - x->switches;
		break;
	case 2:
		d = y->steals - x->steals;
		break;
	case 3:
		d = y->events - x->events;
		break;
	case 4:
		d = (double)y->queue - (double)x->queue;
		break;
	}
	return d < 0 ? -1 : d > 0 ? 1 : x->slot - y->slot;
}

static double rate(const struct stats *then, const struct stats *s, const char *name,
		   double seconds)
{
	return (double)(stats_value(s, name) - stats_value(then, name)) / seconds;
}

static void put_slots(const struct stats *then, const struct stats *s, double seconds)
{
	static struct row rows[STATS_SLOTS];
	for (int i = 0; i < s->nslots; i++) {
		const struct slot *a = &then->slots[i], *b = &s->slots[i];
		rows[i] = (struct row){i,
				       (double)(b->switches - a->switches) / seconds,
				       (double)(b->steals - a->steals) / seconds,
				       (double)(b->events - a->events) / seconds,
				       b->queue,
				       b->state};
	}
	qsort(rows, (size_t)s->nslots, sizeof(*rows), compare);
	printf("\nslot   switches/s    steals/s    events/s  queue  state     (by %s)\n",
	       keys[sort_by]);
	for (int i = 0; i < s->nslots && (!raw || i < 16); i++)
		printf("%4d %12.0f %11.0f %11.0f %6lu  %s\n", rows[i].slot, rows[i].switches,
		       rows[i].steals, rows[i].events, rows[i].queue, rows[i].state);
}

static void put_all(long pid, const struct stats *then, const struct stats *s, double seconds)
{
	double switches = 0;
	for (int i = 0; i < s->nslots; i++)
		switches += (double)(s->slots[i].switches - then->slots[i].switches);
	printf("process %ld, greenhook %s: %lu gthreads, %lu workers, %lu asleep (at most %lu)\n",
	       pid, s->version, stats_value(s, "alive"), stats_value(s, "workers"),
	       stats_value(s, "workers_asleep"), stats_value(s, "workers_max"));
	printf("switches/s %.0f  spawned/s %.0f  hand-offs/s %.1f blocked, %.1f computing  queued "
	       "%lu, "
	       "%lu computing\n",
	       switches / seconds, rate(then, s, "spawned", seconds),
	       rate(then, s, "handoffs_blocked", seconds),
	       rate(then, s, "handoffs_computing", seconds), stats_value(s, "inbox"),
	       stats_value(s, "computing_queue"));
	printf("ready to running: half in less than ");
	stats_put_ns(stdout, stats_percentile(s, 50));
	printf(", 99 %% ");
	stats_put_ns(stdout, stats_percentile(s, 99));
	printf(", all ");
	stats_put_ns(stdout, stats_percentile(s, 100));
	putchar('\n');
	put_slots(then, s, seconds);
	puts("\nparked in               times/s");
	for (int i = 0; i < s->nparks; i++)
		if (s->parks[i].count > then->parks[i].count)
			printf("%-20s %10.0f\n", s->parks[i].reason,
			       (double)(s->parks[i].count - then->parks[i].count) / seconds);
}

/* Waits, and reads keys; false: quit. */
static bool pause_for(double seconds)
{
	double until = now() + seconds;
	for (double left; !stop && (left = until - now()) > 0;) {
		struct pollfd p = {.fd = 0, .events = POLLIN};
		char c;
		if (poll(&p, raw ? 1 : 0, (int)(left * 1000) + 1) <= 0)
			continue;
		if (read(0, &c, 1) <= 0)
			return false;
		if (c == 'q' || c == 'Q')
			return false;
		if (c == 's')
			sort_by = (sort_by + 1) % KEYS;
	}
	return !stop;
}

static int watch(long pid, double seconds, long count)
{
	static struct stats last, next;
	unsigned sample = seconds >= 20 ? 2000 : (unsigned)(seconds * 100);
	double at = now(), then;
	int code = stats_read(pid, 0, &last);

	for (long n = 0; !code && (!count || n < count); n++) {
		if (!pause_for(seconds - sample / 1000.0))
			break;
		code = stats_read(pid, sample ? sample : 1, &next);
		if (code || next.nslots != last.nslots)
			break;
		then = at;
		at = now();
		if (raw)
			fputs("\033[H\033[J", stdout);
		else if (n)
			putchar('\n');
		put_all(pid, &last, &next, at - then);
		if (raw)
			puts("\nq quits, s sorts by the next column");
		fflush(stdout);
		last = next;
	}
	return code;
}

int top_main(int argc, char **argv)
{
	double seconds = 1;
	long pid, count = 0;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "", *option = argv[i];
		char *end = "";
		int key = 0;
		if (!strcmp(option, "--seconds")) {
			seconds = strtod(value, &end);
			if (*end || !(seconds >= 0.1 && seconds <= 3600))
				return usage_error("top: --seconds needs 0.1 to 3600");
		} else if (!strcmp(option, "--count")) {
			if (!ask_pid(value, &count))
				return usage_error("top: --count needs a number");
		} else if (!strcmp(option, "--sort")) {
			while (key < KEYS && strcmp(keys[key], value))
				key++;
			if (key == KEYS)
				return usage_error(
				    "top: --sort needs slot, switches, steals, events or queue");
			sort_by = key;
		} else {
			return usage_error("top: unknown option '%s'", option);
		}
	}
	if (argc - i != 1)
		return usage_error("top: give the number of one process");
	if (!ask_pid(argv[i], &pid))
		return usage_error("top: '%s' is not the number of a process", argv[i]);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (isatty(0) && isatty(1))
		take_terminal();
	atexit(restore);
	int code = watch(pid, seconds, count);
	/* The message that says why, if any, was drawn on the other screen. */
	bool drawn = raw;
	restore();
	if (code && drawn)
		fprintf(stderr, "greenhook: process %ld cannot be asked any more\n", pid);
	return code;
}
