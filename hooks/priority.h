/* Scheduling parameters of gthreads, for the other hooks: see priority.c, scheduling.c. */
#ifndef GHI_HOOKS_PRIORITY_H
#define GHI_HOOKS_PRIORITY_H

#include "src/gthread.h"

/* The gthread that the pid argument of such a call means: 0 is the caller.  NULL: the kernel's
 * business. */
struct ghi_gthread *ghi_priority_target(struct ghi_gthread *self, long pid);
/* Is it one of the system calls below? */
bool ghi_priority_number(long nr);
/* Result or -errno; a NULL self, and whoever is no gthread, go to the kernel. */
long ghi_priority_call(struct ghi_gthread *self, long nr, long a, long b, long c, long d);
/* What the attributes of a new thread ask for; 0 or an error number. */
int ghi_affinity_explicit(struct ghi_gthread *g, const cpu_set_t *cpus);
int ghi_priority_explicit(struct ghi_gthread *g, int policy, int priority);

#endif
