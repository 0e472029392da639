/* Kernel threads of the runtime that libc makes and that run no gthreads.
 *
 * Owns: their making.  Called by: monitor.c, control.c.  Must not know: what they do.
 */
#ifndef GHI_HELPER_H
#define GHI_HELPER_H

#include <stdbool.h>

/* Starts a detached thread that blocks every signal; one caller at a time.  0 or an errno of
 * pthread_create. */
int ghi_helper_start(void *(*fn)(void *));
/* Such a thread, but the monitor, says so when it begins and before it ends. */
void ghi_helper_begins(void);
void ghi_helper_ends(void);
/* The caller is woken soon, also where everybody computes; it must never run for long. */
void ghi_helper_be_prompt(void);
/* Is that one of them? */
bool ghi_helper_is(int tid);
void ghi_helper_after_fork(void);
/* The pthread_create that the caller is in is one of these. */
bool ghi_helper_starting(void);

#endif
