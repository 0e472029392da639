/* What the runtime must tell the native API.
 *
 * Owns: nothing.  Called by: runtime.c, because a fork's child has only one of the tasks.  Must not
 * know: what the runtime does with it.
 */
#ifndef GHI_NATIVE_HOOK_H
#define GHI_NATIVE_HOOK_H

struct gh_task;

/* In a fork's child; survivor: the caller's task or NULL. */
void ghi_native_after_fork(struct gh_task *survivor);

#endif
