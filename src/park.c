/* The sleeper's side of the park protocol; see park.h and proto/park_word.h. */
#include "src/park.h"
#include "src/sched.h"

static void commit_park(struct ghi_gthread *left, struct ghi_worker *w)
{
	if (w->slot)
		w->slot->stats.parks[left->reason]++;
	else
		fetch_add_relaxed(&ghi_stats_parks_away[left->reason], (uint64_t)1);
	if (!ghi_wake_commit(&left->wake)) /* (P4) */
		ghi_ready(left);	   /* (P5) */
}

uint32_t ghi_park(struct ghi_gthread *self)
{
	if (!ghi_wake_notified(&self->wake))
		ghi_sched_leave(self, commit_park); /* (P3) */
	self->reason = GHI_PARK_NONE;
	return ghi_wake_take(&self->wake);
}
