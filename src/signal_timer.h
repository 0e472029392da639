/* Timers that notify one thread; see signal_timer.c.
 *
 * Owns: struct ghi_sigtimer.  Called by: hooks/timers.c (make, delete), signal_cast.c (expired),
 * signal_route.c (the monitor's part).  Must not know: how threads are made.
 */
#ifndef GHI_SIGNAL_TIMER_H
#define GHI_SIGNAL_TIMER_H

#include "src/signal.h"

struct ghi_sigtimer {
	/* Set by the maker. */
	struct ghi_gthread *g; /* gets a signal; NULL: notify is called */
	uint64_t g_id;
	int signo;
	union sigval value;
	void (*notify)(struct ghi_sigtimer *t, uint32_t times); /* by the monitor */
	void *service;
	/* The rest is signal_timer.c's. */
	uint32_t index, use; /* use changes when the timer is made or deleted */
	bool live;
	int id; /* the kernel's */
	struct ghi_sigtimer *next, *fired_next;
	uint32_t listed, fired; /* by the handler, taken by the monitor */
	uint32_t queued;	/* a signal waits; set by the monitor, cleared when it is taken */
	uint32_t overrun;	/* since it was queued */
	int last_overrun;	/* timer_getoverrun(2) */
};

/* Makes the kernel's timer: its number, or -errno. */
int ghi_sigtimer_new(clockid_t clock, const struct ghi_sigtimer *like, struct ghi_sigtimer **ret);
/* The record behind a number of the kernel's, or NULL. */
struct ghi_sigtimer *ghi_sigtimer_of(int id);
/* There is one, or was. */
bool ghi_sigtimer_ever(void);
int ghi_sigtimer_delete(struct ghi_sigtimer *t);
void ghi_sigtimer_expired(const siginfo_t *info);
void ghi_sigtimer_run(void);

#endif
