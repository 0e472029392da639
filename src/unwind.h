/* Backtraces: libunwind, opened at start-up, never linked.
 *
 * Owns: the handles of libunwind (opened locally: its _Unwind_ symbols would shadow libgcc's).
 * Called by: crash.c (its own stack), blocked.c, inspect_stack.c (copies of others').  Must not
 * know: what a trace is for.
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
/* Copies, too, while the program runs: waits two seconds at most.  On a kernel thread. */
void ghi_unwind_open_soon(void);
void ghi_unwind_after_fork(void);

/* Calls frame(n, ip, name, off, arg) for each frame from `uc` outwards, the innermost with n 0;
 * name is NULL when there is none.  Until frame answers false.  From signal handlers, too. */
void ghi_unwind_here(ucontext_t *uc,
		     bool (*frame)(int n, uintptr_t ip, const char *name, uintptr_t off, void *arg),
		     void *arg);

/* The function that begins there, exported or not; as safe as the above. */
bool ghi_unwind_name_here(uintptr_t ip, char *ret_name, size_t size);

/* A thread that was found with these registers, and what was on its stack from sp on.  saved: those
 * that a call preserves, rbx, rbp, r12 to r15; NULL: only two are known. */
struct ghi_unwind_copy {
	uintptr_t pc, sp;
	size_t bytes;
	const char *stack;
	const uintptr_t *saved;
};
enum { GHI_SAVED_RBX, GHI_SAVED_RBP, GHI_SAVED_R12, GHI_SAVED_REGS = 6 };

struct ghi_unwind_frame {
	uintptr_t ip, sp;
	uintptr_t fp, fp_at; /* its rbp, and where in memory that is (0: in a register) */
};
/* Fills ret_ips, innermost first, with what can be found from that alone; the number of frames.
 * May take the loader's lock: not for the monitor. */
int ghi_unwind_copy(const struct ghi_unwind_copy *c, uintptr_t *ret_ips, int max);
int ghi_unwind_frames(const struct ghi_unwind_copy *c, struct ghi_unwind_frame *ret, int max);
/* Forgets what it knows about code: libraries may have come and gone. */
void ghi_unwind_forget(void);

/* The module around ip: where it was linked for 0 (*ret_base), and something that names it
 * (ghi_unwind_module_path).  NULL: none.  Without the loader's lock, which somebody may hold for
 * good, where libc can say it (2.35 and later). */
const void *ghi_unwind_module(uintptr_t ip, uintptr_t *ret_base);
void ghi_unwind_module_path(const void *module, char *ret, size_t size);
/* Where its module lies, and the table that tells how to unwind there (.eh_frame_hdr).  1, 0: it
 * has none, -1: this libc does not tell. */
int ghi_unwind_table(uintptr_t ip, uintptr_t *ret_start, uintptr_t *ret_end, uintptr_t *ret_hdr);
/* Before the first of these where the loader's lock may be held for good. */
void ghi_unwind_modules_open(void);
/* Reads memory that may not be there: the number of bytes. */
size_t ghi_unwind_read(uintptr_t from, void *to, size_t size);

/* The function around ip, by the symbol tables of the file it is in; false: unknown.  Reads files.
 */
bool ghi_unwind_name(uintptr_t ip, char *ret_name, size_t size, uintptr_t *ret_off);

#endif
