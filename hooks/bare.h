/* What REAL(name) is once the entry of libc's function leads to our hook.
 *
 * Owns: the functions of detours.def as bare system calls.  Called by: detour.c, which puts them
 * into real.*.  Must not know: gthreads.
 */
#ifndef GHI_HOOK_BARE_H
#define GHI_HOOK_BARE_H

#include "hooks/hook.h"

extern const struct ghi_real ghi_bare; /* NULL: not in detours.def */

#endif
