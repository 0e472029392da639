/* Mappings for gthreads: guard page, spacing, memory policy.
 *
 * Owns: mmap and guards.  Called by: gthread.c.  Must not know: what lies in a mapping.
 *
 * Guards are installed with MADV_GUARD_INSTALL (Linux 6.13), which costs no VMA; neighbouring
 * mappings merge into one, so a million stacks need a handful of VMAs.  Older kernels get mprotect
 * guards (two VMAs each) until three quarters of vm.max_map_count, then stacks without a guard
 * page, which is said once and names the limit.
 */
#ifndef GHI_STACK_H
#define GHI_STACK_H

#include <stddef.h>

#include "src/base/lock.h"

#define GHI_PAGE 4096ul

/* Where mappings of one size come from: several at a time, the more the more there are, as a call
 * of the kernel for each would cost more than its first page. */
struct ghi_stack_slab {
	ghi_lock_t lock;
	char *next; /* the first of those that are left */
	size_t left, made;
};

/* A zeroed mapping of `size` bytes whose lowest `guard` bytes fault; both multiples of GHI_PAGE,
 * the same for all of a slab.  NULL as slab: by itself.  NULL: out of memory. */
char *ghi_stack_map(struct ghi_stack_slab *slab, size_t size, size_t guard);
/* Gives the pages of [lo, hi) back to the kernel; they read as zero afterwards. */
void ghi_stack_trim(char *lo, char *hi);

#endif
