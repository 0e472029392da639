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
/* The pthread_create that the caller is in is one of these. */
bool ghi_helper_starting(void);

#endif
