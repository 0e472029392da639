/* Deadlines of parked gthreads.
 *
 * Owns: one heap per slot, each under its own lock.  Called by: wait.c and lot.c (start, cancel),
 * sched.c (run).  Must not know: what else could wake the gthread.
 *
 * A timer lives on the sleeper's stack and names the gthread.  Firing notifies it under the heap's
 * lock; the sleeper takes that lock in ghi_timer_cancel before its frame goes away, so a timer
 * never outlives its wait.
 */
#ifndef GHI_TIMER_H
#define GHI_TIMER_H

#include "src/gthread.h"

struct ghi_timer {
	uint64_t when;	       /* ns, CLOCK_MONOTONIC */
	struct ghi_gthread *g; /* NULL: a ghi_alarm */
	struct ghi_timers *heap;
	int32_t index; /* place in the heap, -1: not in it; under the heap's lock */
};

/* A deadline that nobody waits for.  fire() runs on whatever thread finds it due, signals deferred
 * and nothing locked, and may still do so once after ghi_alarm_cancel(): it has to look whether it
 * is still meant.  Its memory must stay until ghi_alarm_end(). */
struct ghi_alarm {
	struct ghi_timer timer;
	uint32_t firing; /* fire() runs; under the heap's lock */
	void (*fire)(struct ghi_alarm *);
};

struct ghi_timers *ghi_timers_new(void);
/* After ghi_park_arm.  Never fails: without memory for the heap it panics, nothing smaller helps.
 */
void ghi_timer_start(struct ghi_timer *t, struct ghi_gthread *self, uint64_t deadline);
void ghi_timer_cancel(struct ghi_timer *t);
/* Not while it is set. */
void ghi_alarm_set(struct ghi_alarm *a, uint64_t deadline, void (*fire)(struct ghi_alarm *));
void ghi_alarm_cancel(struct ghi_alarm *a);
/* The same, and on return fire() does not run.  The caller holds nothing that fire() may want. */
void ghi_alarm_end(struct ghi_alarm *a);
/* Earliest deadline, GHI_NEVER if none; a plain load, exact for whoever started it before. */
uint64_t ghi_timers_next(const struct ghi_timers *heap);
/* Fires everything due. */
void ghi_timers_run(struct ghi_timers *heap, uint64_t now);
void ghi_timers_after_fork(struct ghi_timers *heap);

#endif
