/* The counters in the text format of Prometheus; see metrics.h.  The names are those of
 * preload/stats.c. */
#include <stdarg.h>

#include "src/base/report.h"
#include "src/metrics.h"
#include "src/sched.h"

struct text {
	char *buf;
	size_t size, len;
};

static __attribute__((format(printf, 2, 3))) void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	t->len += ghi_vformat(t->buf + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
}

static void put_value(struct text *t, const struct ghi_stats_value *v)
{
	const char *total = v->counter ? "_total" : "";
	put(t, "# TYPE greenhook_%s%s %s\ngreenhook_%s%s{pid=\"%d\"} %lu\n", v->name, total,
	    v->counter ? "counter" : "gauge", v->name, total, sys_getpid(), v->value);
}

static void put_column(struct text *t, const char *name, const char *help, const char *type,
		       uint64_t (*of)(const struct ghi_slot *))
{
	put(t, "# HELP greenhook_%s %s\n# TYPE greenhook_%s %s\n", name, help, name, type);
	for (unsigned i = 0; i < ghi_nslots; i++)
		put(t, "greenhook_%s{pid=\"%d\",slot=\"%u\"} %lu\n", name, sys_getpid(), i,
		    of(&ghi_slots[i]));
}

static uint64_t steals(const struct ghi_slot *s)
{
	return load_relaxed(&s->stats.steals);
}

static uint64_t events(const struct ghi_slot *s)
{
	return load_relaxed(&s->stats.events);
}

size_t ghi_metrics_text(char *buf, size_t size)
{
	struct ghi_stats_value values[GHI_STATS_VALUES];
	struct text t = {buf, size, 0};
	unsigned n = ghi_stats_values(values);

	for (unsigned i = 0; i < n; i++)
		put_value(&t, &values[i]);
	put_column(&t, "switches_total", "Switches between green threads.", "counter",
		   ghi_stats_switches);
	put_column(&t, "steals_total", "Times that work was taken from another slot.", "counter",
		   steals);
	put_column(&t, "events_total", "Events of the poller.", "counter", events);
	put_column(&t, "run_queue", "Green threads that wait for the slot.", "gauge",
		   ghi_stats_queued);
	put(&t, "# HELP greenhook_parks_total Waits that parked a green thread.\n"
		"# TYPE greenhook_parks_total counter\n");
	for (unsigned r = 1; r < GHI_PARK_NREASONS; r++)
		put(&t, "greenhook_parks_total{pid=\"%d\",reason=\"%s\"} %lu\n", sys_getpid(),
		    ghi_reason_names[r], ghi_stats_parks(r));
	return t.len;
}
