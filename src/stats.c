/* Telling the counters; see stats.h. */
#include <string.h>

#include "src/stats.h"
#include "src/answer.h"
#include "src/blocked.h"
#include "src/cputime.h"
#include "src/monitor.h"
#include "src/poller.h"
#include "src/runtime.h"
#include "src/sched.h"

enum { LONGEST_MS = 10000 };

uint64_t ghi_stats_watching;
uint64_t ghi_stats_parks_away[GHI_PARK_NREASONS];

static void sleep_ms(unsigned long ms)
{
	struct timespec ts = ghi_ns_to_ts(ms * GHI_MS);
	ghi_sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* The switch looks at one word for all that is rare. */
static void sample(unsigned long ms)
{
	for (unsigned i = 0; i < ghi_nslots; i++)
		for (unsigned b = 0; b < GHI_STATS_BUCKETS; b++)
			store_relaxed(&ghi_slots[i].stats.latency[b], (uint64_t)0);
	store_release(&ghi_stats_watching, ghi_now());
	fetch_or_acq_rel(&ghi_cputime_exact, (uint32_t)GHI_SWITCH_WATCHED);
	sleep_ms(ms < LONGEST_MS ? ms : LONGEST_MS);
	fetch_and_acq_rel(&ghi_cputime_exact, ~(uint32_t)GHI_SWITCH_WATCHED);
	store_release(&ghi_stats_watching, (uint64_t)0);
}

void ghi_stats_after_fork(void)
{
	ghi_stats_watching = 0;
	ghi_cputime_exact &= ~(uint32_t)GHI_SWITCH_WATCHED;
	for (unsigned r = 0; r < GHI_PARK_NREASONS; r++)
		ghi_stats_parks_away[r] = 0;
}

static const char *state_of(const struct ghi_slot *s)
{
	uintptr_t owner = load_relaxed(&s->owner);
	if (owner == GHI_SLOT_FREE)
		return "idle";
	if (owner == GHI_SLOT_TAKEN)
		return "taken";
	switch (owner & GHI_SLOT_PHASE) {
	case GHI_SLOT_SCHED:
		return "scheduling";
	case GHI_SLOT_BLOCKED:
		return "blocked";
	default:
		return "running";
	}
}

uint64_t ghi_stats_switches(const struct ghi_slot *s)
{
	return s->stats.switches + (uint32_t)(load_relaxed(&s->tick) - s->stats.counted);
}

uint64_t ghi_stats_queued(const struct ghi_slot *s)
{
	return ghi_ring_length(&s->ring);
}

uint64_t ghi_stats_parks(unsigned reason)
{
	uint64_t n = load_relaxed(&ghi_stats_parks_away[reason]);
	for (unsigned i = 0; i < ghi_nslots; i++)
		n += load_relaxed(&ghi_slots[i].stats.parks[reason]);
	return n;
}

static void put_slots(struct ghi_answer *a)
{
	for (unsigned i = 0; i < ghi_nslots; i++) {
		const struct ghi_slot *s = &ghi_slots[i];
		ghi_answer_put(a, "slot\t%u\t%lu\t%lu\t%lu\t%lu\t%s\n", i, ghi_stats_switches(s),
			       s->stats.steals, s->stats.events, ghi_stats_queued(s), state_of(s));
	}
}

static void put_parks(struct ghi_answer *a)
{
	for (unsigned r = 1; r < GHI_PARK_NREASONS; r++) {
		ghi_answer_put(a, "park\t");
		ghi_answer_field(a, ghi_reason_names[r], 64);
		ghi_answer_put(a, "\t%lu\n", ghi_stats_parks(r));
	}
}

static void put_latency(struct ghi_answer *a)
{
	for (unsigned b = 0; b < GHI_STATS_BUCKETS; b++) {
		uint64_t n = 0;
		for (unsigned i = 0; i < ghi_nslots; i++)
			n += load_relaxed(&ghi_slots[i].stats.latency[b]);
		ghi_answer_put(a, "latency\t%lu\t%lu\n", 2ul << b, n);
	}
}

unsigned ghi_stats_values(struct ghi_stats_value *ret)
{
	const struct ghi_monitor_stats *m = &ghi_monitor_stats;
	size_t inbox, hogs;

	ghi_queues_lengths(&inbox, &hogs);
	const struct ghi_stats_value all[] = {
	    {"spawned", true, ghi_runtime_spawned()},
	    {"alive", false, (uint64_t)ghi_runtime_count()},
	    {"workers", false, ghi_worker_count()},
	    {"workers_asleep", false, ghi_worker_asleep()},
	    {"workers_max", false, ghi_config.max_workers},
	    {"inbox", false, inbox},
	    {"computing_queue", false, hogs},
	    {"handoffs_blocked", true, m->handoffs_asleep},
	    {"handoffs_computing", true, m->handoffs_running},
	    {"monitor_wakeups", true, m->wakeups},
	    {"poller_sleeps", true, ghi_poller_sleeps()},
	};
	_Static_assert(sizeof(all) / sizeof(*all) <= GHI_STATS_VALUES,
		       "their callers have so many");
	memcpy(ret, all, sizeof(all));
	return sizeof(all) / sizeof(*all);
}

void ghi_stats_answer(struct ghi_answer *a, unsigned long ms)
{
	struct ghi_stats_value values[GHI_STATS_VALUES];

	if (ms)
		sample(ms);
	ghi_answer_put(a, "greenhook\t3\t" GREENHOOK_VERSION "\t%d\n", sys_getpid());
	unsigned n = ghi_stats_values(values);
	for (unsigned i = 0; i < n; i++)
		ghi_answer_put(a, "%s\t%s\t%lu\n", values[i].counter ? "c" : "v", values[i].name,
			       values[i].value);
	put_slots(a);
	put_parks(a);
	if (ms)
		put_latency(a);
	ghi_answer_put(a, "end\n");
}
