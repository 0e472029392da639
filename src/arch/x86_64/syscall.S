/* A system call that a cancellation request keeps from being made; contract in src/cancel.h, the
 * protocol in docs/wakeup.md, "A wait in the kernel".
 *
 * From ghi_cancel_window up to and including the syscall instruction nothing has happened yet: the
 * handler of the kick moves a thread it interrupted there to ghi_cancel_window_exit.  A call that
 * the kernel is about to restart is interrupted at the instruction too, with nothing done.  At
 * ghi_cancel_window_end the call has a result, which must not be thrown away. */
#include "src/arch/x86_64/frame.h"

	.text

/* long ghi_cancel_syscall(const uint32_t *word = rdi, long nr = rsi, const long args[6] = rdx) */
	.globl	ghi_cancel_syscall
	.hidden	ghi_cancel_syscall
	.globl	ghi_cancel_window, ghi_cancel_window_end, ghi_cancel_window_exit
	.hidden	ghi_cancel_window, ghi_cancel_window_end, ghi_cancel_window_exit
	.type	ghi_cancel_syscall, @function
	.p2align 4
ghi_cancel_syscall:
	.cfi_startproc
	movq	%rdi, %rcx		/* the word; syscall clobbers rcx and r11 anyway */
	movq	%rsi, %rax
	movq	%rdx, %r11
	movq	0(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r10
	movq	32(%r11), %r8
	movq	40(%r11), %r9
ghi_cancel_window:			/* (C1) is a request due? */
	movl	(%rcx), %ecx
	andl	$0x39, %ecx		/* GHI_CANCEL_ANY */
	cmpl	$0x08, %ecx		/* GHI_CANCEL_REQUESTED */
	je	ghi_cancel_window_exit
	syscall				/* (C2) */
ghi_cancel_window_end:			/* (C3) */
	retq
ghi_cancel_window_exit:
	movq	$-4, %rax		/* -EINTR */
	retq
	.cfi_endproc
	.size	ghi_cancel_syscall, . - ghi_cancel_syscall

	.section .note.GNU-stack, "", @progbits
