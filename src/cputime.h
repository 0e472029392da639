/* CPU time of gthreads.
 *
 * Owns: gthread.cpu_ns, worker.cpu_mark.  Called by: sched.c and monitor.c (charge),
 * hooks/cputime.c (read).  Must not know: clock ids.
 *
 * A worker's mark is how much of its kernel thread's CPU time has been charged to gthreads.  To
 * charge is to move the mark to now and to give the difference to the gthread that ran.  It is done
 *   - by the monitor, for whom it finds running when it looks (it reads the clock anyway), and by a
 *     worker without a slot, which the monitor does not look at, at each switch: this costs the
 * rest nothing, and is right on average only;
 *   - once somebody has asked for the CPU time of a thread, at every switch: exact from then on,
 * for one system call per switch.
 */
#ifndef GHI_CPUTIME_H
#define GHI_CPUTIME_H

#include "src/sched.h"

/* What a switch has to do that it rarely has: 0 until somebody asks. */
enum {
	GHI_SWITCH_CHARGED = 1,
	GHI_SWITCH_WATCHED = 2, /* stats.h */
	GHI_SWITCH_TRACED = 4,	/* trace.h */
	GHI_SWITCH_WARNED = 8,	/* warn.h */
};
extern uint32_t ghi_cputime_exact;

/* By the worker itself, for the gthread whose time it was. */
void ghi_cputime_charge(struct ghi_worker *w, struct ghi_gthread *ran);
/* By the monitor: `cpu` is what the clock of the kernel thread said. */
void ghi_cputime_sample(struct ghi_worker *w, struct ghi_gthread *runs, uint64_t cpu);
/* ns; self is the caller. */
uint64_t ghi_cputime_of(struct ghi_gthread *self, struct ghi_gthread *g);
/* CPU time of a kernel thread of this process, ns; 0: it is gone. */
uint64_t ghi_cputime_of_tid(int tid);

#endif
