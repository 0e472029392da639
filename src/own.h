/* Gthreads that have a kernel thread of their own; docs/design.md says which and why.
 *
 * Owns: the life of such a gthread on its worker.  Called by: hooks that change what the kernel
 * keeps per thread, sched.c (wake), worker.c (the loop), hooks/thread.c (the end).  Must not know:
 * which state it is.
 */
#ifndef GHI_OWN_H
#define GHI_OWN_H

#include "src/sched.h"

/* From the return on the caller has its kernel thread for itself; 0 or -EAGAIN. */
int ghi_own_thread(struct ghi_gthread *self);
/* Makes it runnable: instead of a place in a queue. */
void ghi_own_wake(struct ghi_gthread *g);
/* On the worker's native context: sleeps until its gthread is runnable, and runs it. */
void ghi_own_turn(struct ghi_worker *w);
/* By a gthread that is about to leave its stack for good. */
void ghi_own_end(struct ghi_gthread *self);

#endif
