/* The sleeper's side of the park protocol; see park.h and proto/park_word.h. */
#include "src/base/probe.h"
#include "src/deadlock.h"
#include "src/handover.h"
#include "src/monitor.h"
#include "src/park.h"
#include "src/sched.h"
#include "src/stuck.h"

static void commit_park(struct ghi_gthread *left, struct ghi_worker *w)
{
	uint32_t why = left->reason;

	if (!ghi_wake_commit(&left->wake)) /* (P4) */
		ghi_ready(left);	   /* (P5) */
	/* Behind (P4): whoever sees the count (deadlock.c) sees that it is PARKED. */
	if (w->slot) {
		w->slot->stats.parks[why]++;
	} else {
		fetch_add_relaxed(&ghi_stats_parks_away[why], (uint64_t)1);
		if (ghi_stuck_counts(why)) /* nobody took a slot, which would have woken it */
			ghi_monitor_wake_if_asleep();
	}
}

uint32_t ghi_park(struct ghi_gthread *self)
{
	GHI_PROBE3(park, GHI_IN(self->id), GHI_OF(self->reason), GHI_IN(self->waits_for));
	if (!ghi_wake_notified(&self->wake))
		ghi_sched_leave(self, commit_park); /* (P3) */
	else if (__builtin_expect(self->hands_to != NULL, 0))
		ghi_handover_give_up(self);
	self->reason = GHI_PARK_NONE;
	return ghi_wake_take(&self->wake);
}
