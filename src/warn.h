/* Warnings that somebody asked for (GREENHOOK_WARN): of what works, and will be slow or crash one
 * day.
 *
 * Owns: what was seen and is still to be told.  Called by: sched.c and life.c (look), hooks/mutex.c
 * (spin locks), control.c (tell).  Must not know: who asked.
 *
 *   - a gthread parks while it holds a spin lock: who wants that lock spins meanwhile;
 *   - a gthread has used more than nine tenths of its stack: a pattern lies there, which is looked
 *     at when its stack is left and at its end;
 *   - a lock is held for long while another waits for it: the monitor's walk (deadlock.h) finds
 *     somebody who has waited for GREENHOOK_WARN_LOCK_MS, without a time limit of his own.
 *
 * The switch calls this only when GHI_SWITCH_WARNED is set.  It writes down and goes on; the thread
 * of control.c tells, with a backtrace when the gthread still stands there.
 */
#ifndef GHI_WARN_H
#define GHI_WARN_H

#include "src/gthread.h"

/* When the runtime starts. */
void ghi_warn_start(void);
/* A new gthread, before it runs. */
void ghi_warn_begin(struct ghi_gthread *g);
/* It leaves its stack, or ends. */
void ghi_warn_look(struct ghi_gthread *g);
/* It has taken (+1) or given back a spin lock. */
void ghi_warn_spin(struct ghi_gthread *self, int delta);
struct ghi_deadlock_edge;
/* By the monitor: who waits for whom.  True: it wants to look again, even if nobody parks. */
bool ghi_warn_locks(const struct ghi_deadlock_edge *edges, uint32_t n, uint64_t now);
/* On the control thread. */
void ghi_warn_tell(void);
void ghi_warn_after_fork(void);

#endif
