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

#define GHI_PAGE 4096ul

/* A zeroed mapping of `size` bytes whose lowest `guard` bytes fault; both multiples of GHI_PAGE.
 * NULL: out of memory. */
char *ghi_stack_map(size_t size, size_t guard);
/* Gives the pages of [lo, hi) back to the kernel; they read as zero afterwards. */
void ghi_stack_trim(char *lo, char *hi);

#endif
