/* Telling the counters; see stats.h. */
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

static void put_slots(struct ghi_answer *a)
{
	for (unsigned i = 0; i < ghi_nslots; i++) {
		const struct ghi_slot *s = &ghi_slots[i];
		uint64_t switches =
		    s->stats.switches + (uint32_t)(load_relaxed(&s->tick) - s->stats.counted);
		ghi_answer_put(a, "slot\t%u\t%lu\t%lu\t%lu\t%u\t%s\n", i, switches, s->stats.steals,
			       s->stats.events, ghi_ring_length(&s->ring), state_of(s));
	}
}

static void put_parks(struct ghi_answer *a)
{
	for (unsigned r = 1; r < GHI_PARK_NREASONS; r++) {
		uint64_t n = load_relaxed(&ghi_stats_parks_away[r]);
		for (unsigned i = 0; i < ghi_nslots; i++)
			n += load_relaxed(&ghi_slots[i].stats.parks[r]);
		ghi_answer_put(a, "park\t");
		ghi_answer_field(a, ghi_reason_names[r], 64);
		ghi_answer_put(a, "\t%lu\n", n);
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

void ghi_stats_answer(struct ghi_answer *a, unsigned long ms)
{
	const struct ghi_monitor_stats *m = &ghi_monitor_stats;
	size_t inbox, hogs;

	if (ms)
		sample(ms);
	ghi_answer_put(a, "greenhook\t3\t" GREENHOOK_VERSION "\t%d\n", sys_getpid());
	ghi_answer_put(a, "c\tspawned\t%lu\n", ghi_runtime_spawned());
	ghi_answer_put(a, "v\talive\t%ld\n", ghi_runtime_count());
	ghi_answer_put(a, "v\tworkers\t%u\n", ghi_worker_count());
	ghi_answer_put(a, "v\tworkers_asleep\t%u\n", ghi_worker_asleep());
	ghi_answer_put(a, "v\tworkers_max\t%lu\n", ghi_config.max_workers);
	ghi_queues_lengths(&inbox, &hogs);
	ghi_answer_put(a, "v\tinbox\t%lu\n", inbox);
	ghi_answer_put(a, "v\tcomputing_queue\t%lu\n", hogs);
	ghi_answer_put(a, "c\thandoffs_blocked\t%lu\n", m->handoffs_asleep);
	ghi_answer_put(a, "c\thandoffs_computing\t%lu\n", m->handoffs_running);
	ghi_answer_put(a, "c\tmonitor_wakeups\t%lu\n", m->wakeups);
	ghi_answer_put(a, "c\tpoller_sleeps\t%lu\n", ghi_poller_sleeps());
	put_slots(a);
	put_parks(a);
	if (ms)
		put_latency(a);
	ghi_answer_put(a, "end\n");
}
