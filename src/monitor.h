/* The monitor: one kernel thread that keeps the promise of progress.
 *
 * Owns: finding workers that are stuck, taking their slots, making spare workers, receiving the
 * process's signals when nobody else may.  Called by: worker.c (poke), signal.c.  Must not know:
 * why a worker is stuck.
 *
 * Every period it looks at each slot.  A slot whose tick moved is fine.  One whose tick stands
 * still while its worker consumed no CPU time since the last look and sleeps is stuck in the
 * kernel; one that has used GHI_SLICE of CPU time is computing.  Either way the slot is taken
 * (proto/slot_word.h) and given to another worker, when work waits or nobody polls.  The period
 * grows from GREENHOOK_MONITOR_US to 10 ms while nothing is found, and the monitor sleeps without a
 * period when the whole process sleeps.
 */
#ifndef GHI_MONITOR_H
#define GHI_MONITOR_H

#include "src/gthread.h"

struct ghi_monitor_stats {
	uint64_t handoffs_asleep, handoffs_running, wakeups, missed;
};
extern struct ghi_monitor_stats ghi_monitor_stats;

/* Starts the thread; 0 or an errno of pthread_create. */
int ghi_monitor_start(void);
/* From anywhere, async-signal-safe: look now. */
void ghi_monitor_poke(void);
/* A slot became busy: the monitor must not stay in its deep sleep. */
void ghi_monitor_wake_if_asleep(void);
/* Takes ghi_signal_monitor_mask(); returns when it is in force. */
void ghi_monitor_update_mask(void);
int ghi_monitor_tid(void);
void ghi_monitor_after_fork(void);

#endif
