/* Crash reports: which gthread, where, why; then the default action as without us.
 *
 * Owns: the handler for fatal signals that the program does not handle itself, backtraces through
 * libunwind (opened locally, never linked: its _Unwind_ symbols would shadow libgcc's).
 * Called by: signal.c (installs), runtime.c (prepare).
 */
#ifndef GHI_CRASH_H
#define GHI_CRASH_H

#include <signal.h>

void ghi_crash_prepare(void);
/* The caller's frames, on stderr. */
void ghi_crash_trace(void);
void ghi_crash_on_signal(int sig, siginfo_t *info, void *ucontext);

#endif
