/* Sleeping and letting others run; see include/greenhook/task.h.
 *
 * Owns: nothing.  Called by: programs, also from kernel threads and before the runtime runs.  Must
 * not know: tasks.
 */
#include <errno.h>
#include <greenhook/task.h>

#include "src/lot.h"
#include "src/native/native.h"
#include "src/sched.h"
#include "src/wait.h"

void gh_yield(void)
{
	struct ghi_gthread *self = ghi_self();
	if (self)
		ghi_yield();
	else
		ghi_sys(SYS_sched_yield);
}

static long sleep_in_kernel(uint64_t deadline)
{
	struct timespec ts = ghi_ns_to_ts(deadline);
	return ghi_sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

int gh_sleep_until(gh_time at)
{
	struct ghi_gthread *self = ghi_self();
	if (!self && !ghi_tls.kwait)
		return at <= 0 ? 0 : (int)sleep_in_kernel((uint64_t)at);
	if (at <= gh_now()) /* cancelled or not: one rule for all waits */
		at = 1;
	struct ghi_lot_wait w = {
	    .key = &at, .deadline = ghi_native_deadline(at), .why = GHI_PARK_SLEEP};
	int r;
	do
		r = self ? ghi_wait_until(self, w.deadline, w.why) : ghi_lot_wait(&w);
	while (r == 0); /* woken by a request that does not count (yet) */
	return r == -ETIMEDOUT ? 0 : r;
}

int gh_sleep(gh_time ns)
{
	return gh_sleep_until(gh_after(ns));
}
