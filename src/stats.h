/* Counters of the whole process, for whoever asks.
 *
 * Owns: what is counted (struct ghi_slot_stats, by the holder of a slot, plain stores), the
 * histogram of wake-ups.  Called by: sched.c, park.c (count), control.c (ask).  Must not know: how
 * it is shown.
 *
 * Counting costs a plain add on a line that the holder has.  How long a gthread waits from ready to
 * running is measured only while somebody asks for it (ghi_stats_watching): ready stamps, the
 * switch that resumes it counts.
 */
#ifndef GHI_STATS_H
#define GHI_STATS_H

#include "src/gthread.h"

enum { GHI_STATS_BUCKETS = 40 }; /* powers of two of ns: up to 9 minutes */

struct ghi_slot_stats {
	uint64_t switches; /* up to `counted`, a tick */
	uint32_t counted;
	uint64_t steals, events;
	uint64_t parks[GHI_PARK_NREASONS];
	uint64_t latency[GHI_STATS_BUCKETS];
};

/* When the sampling began, in ns; 0: nobody asks. */
extern uint64_t ghi_stats_watching;
/* Parks of gthreads that had no slot. */
extern uint64_t ghi_stats_parks_away[GHI_PARK_NREASONS];

/* The gthread runs again, on the slot of those counters. */
static inline void ghi_stats_resumed(struct ghi_slot_stats *s, struct ghi_gthread *g)
{
	uint64_t at = g->ready_at, from = load_relaxed(&ghi_stats_watching), now;
	g->ready_at = 0;
	if (!at || !from || at < from || (now = ghi_now()) < at)
		return;
	unsigned bucket = now == at ? 0 : 63u - (unsigned)__builtin_clzll(now - at);
	s->latency[bucket < GHI_STATS_BUCKETS ? bucket : GHI_STATS_BUCKETS - 1]++;
}

/* What is told of the whole process. */
enum { GHI_STATS_VALUES = 16 };
struct ghi_stats_value {
	const char *name;
	bool counter; /* since the runtime started; else of now */
	uint64_t value;
};
/* How many. */
unsigned ghi_stats_values(struct ghi_stats_value *ret);
/* Of a slot, of a reason for all. */
struct ghi_slot;
uint64_t ghi_stats_switches(const struct ghi_slot *s);
uint64_t ghi_stats_queued(const struct ghi_slot *s);
uint64_t ghi_stats_parks(unsigned reason);
void ghi_stats_after_fork(void);

struct ghi_answer;
/* "stats" or "stats MS": the histogram of so many milliseconds, at most ten seconds.  Lines:
 *
 *   greenhook 3 VERSION PID
 *   c NAME VALUE                                 a counter, since the runtime started
 *   v NAME VALUE                                 a value of now
 *   slot INDEX SWITCHES STEALS EVENTS QUEUE STATE
 *   park REASON COUNT
 *   latency NS COUNT                             that took less than NS
 *   end
 */
void ghi_stats_answer(struct ghi_answer *a, unsigned long ms);

#endif
