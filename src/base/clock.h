/* Time in the runtime: unsigned nanoseconds of CLOCK_MONOTONIC; deadlines that saturate.
 *
 * Owns: conversions.  Called by: everything with a deadline.  Must not know: who waits.
 * GHI_NEVER is the deadline that does not come; 0 is a deadline that has passed.
 */
#ifndef GHI_BASE_CLOCK_H
#define GHI_BASE_CLOCK_H

#include "src/base/sys.h"

#define GHI_NEVER  UINT64_MAX
#define GHI_PASSED 1ull /* what ghi_deadline_at() answers for a time that has come */
#define GHI_SEC	   1000000000ull
#define GHI_MS	   1000000ull
#define GHI_US	   1000ull

/* libc's (vDSO behind it) once the runtime runs; a raw system call until then. */
extern int (*ghi_clock_gettime)(clockid_t, struct timespec *);

static inline uint64_t ghi_ts_to_ns(const struct timespec *ts)
{
	if (ts->tv_sec < 0)
		return 0;
	if ((uint64_t)ts->tv_sec >= GHI_NEVER / GHI_SEC - 1)
		return GHI_NEVER;
	return (uint64_t)ts->tv_sec * GHI_SEC + (uint64_t)ts->tv_nsec;
}

static inline struct timespec ghi_ns_to_ts(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / GHI_SEC), .tv_nsec = (long)(ns % GHI_SEC)};
}

static inline uint64_t ghi_clock_ns(clockid_t clock)
{
	struct timespec ts;
	ghi_clock_gettime(clock, &ts);
	return ghi_ts_to_ns(&ts);
}

static inline uint64_t ghi_now(void)
{
	return ghi_clock_ns(CLOCK_MONOTONIC);
}

/* Deadline `ns` from now. */
static inline uint64_t ghi_deadline_in(uint64_t ns)
{
	uint64_t now = ghi_now();
	return ns > GHI_NEVER - now ? GHI_NEVER : now + ns;
}

/* An absolute time of `clock` as a deadline.  Wall-clock deadlines are converted once: a step of
 * the wall clock during the wait is noticed by the waiter, who converts again when it wakes. */
static inline uint64_t ghi_deadline_at(clockid_t clock, const struct timespec *abs)
{
	uint64_t at = ghi_ts_to_ns(abs);
	uint64_t there = ghi_clock_ns(clock);
	if (at <= there)
		return GHI_PASSED;
	return clock == CLOCK_MONOTONIC ? at : ghi_deadline_in(at - there);
}

static inline int ghi_ts_invalid(const struct timespec *ts)
{
	return ts->tv_nsec < 0 || ts->tv_nsec >= (long)GHI_SEC;
}

#endif
