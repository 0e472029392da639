/* Start-up self-test: does a thread block built by tls.c work on this very C library?
 *
 * Owns: the test.  Called by: runtime.c, before any gthread exists.  Runs in a child process, so a
 * libc that we misunderstand crashes the child and not the program.
 */
#ifndef GHI_SELFTEST_H
#define GHI_SELFTEST_H

#include <stdint.h>

/* NULL when all is well, else a clause that says what failed. */
const char *ghi_selftest(void);
/* dlopen()s a library with initial-exec TLS: 1 when the block at tcb has its data, 0 when not, -1
 * when no such library can be had here.  In the child. */
int ghi_selftest_dlopen(uintptr_t tcb);

#endif
