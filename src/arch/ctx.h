/* Contract of a context switch; each CPU has a folder with frame.h (layout) and switch.S.
 *
 * Owns: saved machine contexts.  Called by: sched.c (switch), gthread.c (first frame), the unwinder
 * (saved registers).  Must not know: what a gthread is.
 *
 * A suspended context is one stack pointer; the registers lie at it as frame.h says.  Saved: what
 * the ABI calls callee-saved, and the floating-point control words.  Not saved: the signal mask
 * (the scheduler compares it and rarely changes it), the thread pointer (ghi_tp_set, same reason).
 */
#ifndef GHI_ARCH_CTX_H
#define GHI_ARCH_CTX_H

#include <stdint.h>

/* Saves the running context to *save and resumes `to`; returns when somebody resumes *save. */
void ghi_ctx_switch(void **save, void *to);

/* First frame of a new context below `top`: it will call entry(arg), which must not return.
 * Returns the stack pointer to hand to ghi_ctx_switch. */
void *ghi_ctx_make(void *top, void (*entry)(void *), void *arg);

/* Leaves this stack for good: rsp becomes `frame`, which begins with a return address (a kernel's
 * signal frame), and fn(sig, info, uc) is entered as if called from there. */
_Noreturn void ghi_ctx_enter_frame(void *frame, void (*fn)(int, void *, void *), int sig,
				   void *info, void *uc);

/* Restorer for handlers installed without libc. */
void ghi_ctx_sigreturn(void);

/* clone(2): a kernel thread that calls entry(arg) on the stack below sp with thread pointer tp.
 * `tid` is for those of CLONE_PARENT_SETTID, CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID that are
 * in flags.  The tid, or -errno. */
long ghi_ctx_clone(int flags, void *sp, uintptr_t tp, void (*entry)(void *), void *arg, int *tid);

#if defined(__x86_64__)
#include "src/arch/x86_64/frame.h"
#endif

#endif
