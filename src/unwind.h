/* Backtraces: libunwind, opened at start-up, never linked.
 *
 * Owns: the handles of libunwind (opened locally: its _Unwind_ symbols would shadow libgcc's).
 * Called by: crash.c (its own stack), blocked.c (a copy of another thread's).  Must not know: what
 * a trace is for.
 */
#ifndef GHI_UNWIND_H
#define GHI_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* Opens what is not open yet; copies: also what ghi_unwind_copy needs.  Without libunwind the
 * functions below find no frame but the first. */
void ghi_unwind_open(bool copies);

/* Calls frame(n, ip, name, off, arg) for each frame from `uc` outwards, the innermost with n 0;
 * name is NULL when there is none.  Until frame answers false.  From signal handlers, too. */
void ghi_unwind_here(ucontext_t *uc,
		     bool (*frame)(int n, uintptr_t ip, const char *name, uintptr_t off, void *arg),
		     void *arg);

/* A thread that was found with these two registers, and what was on its stack from sp on. */
struct ghi_unwind_copy {
	uintptr_t pc, sp;
	size_t bytes;
	const char *stack;
};
/* Fills ret_ips, innermost first, with what can be found from that alone; the number of frames.
 * Takes the loader's lock: not for the monitor. */
int ghi_unwind_copy(const struct ghi_unwind_copy *c, uintptr_t *ret_ips, int max);

/* The function around ip, by the symbol tables of the file it is in; false: unknown.  Reads files.
 */
bool ghi_unwind_name(uintptr_t ip, char *ret_name, size_t size, uintptr_t *ret_off);

#endif
