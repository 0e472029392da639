/* Calls that libc makes to its own functions come to the hooks too.
 *
 * Owns: which functions are redirected, libc's private locks.  Called by: preload/init.c, through
 * runtime.h.  Must not know: how a function is redirected (src/detour.h).
 */
#ifndef GHI_HOOK_DETOUR_H
#define GHI_HOOK_DETOUR_H

#include <stdbool.h>

/* Before the first thread exists; again after a fork it does nothing. */
void ghi_detours_on(void);
/* The runtime stays inert after all: libc as it was. */
void ghi_detours_off(void);

#endif
