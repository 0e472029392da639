/* Context switch and first entry for x86-64; contract in src/arch/ctx.h, layout in
 * frame.h.  Leaves by pop and jmp: a ret would always be mispredicted, the return stack buffer
 * belongs to the context that was left. */
#include "src/arch/x86_64/frame.h"

	.text

/* void ghi_ctx_switch(void **save = rdi, void *to = rsi) */
	.globl	ghi_ctx_switch
	.hidden	ghi_ctx_switch
	.type	ghi_ctx_switch, @function
	.p2align 4
ghi_ctx_switch:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	GHI_FRAME_MXCSR(%rsp)
	fnstcw	GHI_FRAME_FPUCW(%rsp)
	movl	GHI_FRAME_MXCSR(%rsp), %eax	/* same widths as the stores: they forward */
	movzwl	GHI_FRAME_FPUCW(%rsp), %ecx

	movq	%rsp, (%rdi)
	movq	%rsi, %rsp		/* the frame has the same shape: the CFI stays true */

	cmpl	GHI_FRAME_MXCSR(%rsp), %eax	/* the control words rarely differ; */
	jne	2f				/* loading them costs more than comparing */
1:	cmpw	GHI_FRAME_FPUCW(%rsp), %cx
	jne	3f
4:	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	jmpq	*%rcx
	.cfi_adjust_cfa_offset 64
	.cfi_offset rip, -8
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
2:	ldmxcsr	GHI_FRAME_MXCSR(%rsp)
	jmp	1b
3:	fldcw	GHI_FRAME_FPUCW(%rsp)
	jmp	4b
	.cfi_endproc
	.size	ghi_ctx_switch, . - ghi_ctx_switch

/* First code of a new context: r12 = entry, r13 = arg.  The outermost frame: unwinders stop here. */
	.globl	ghi_ctx_entry
	.hidden	ghi_ctx_entry
	.type	ghi_ctx_entry, @function
	.p2align 4
ghi_ctx_entry:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_undefined rbp
	xorl	%ebp, %ebp
	movq	%r13, %rdi
	callq	*%r12
	ud2
	.cfi_endproc
	.size	ghi_ctx_entry, . - ghi_ctx_entry

/* long ghi_ctx_clone(int flags = edi, void *sp = rsi, uintptr_t tp = rdx, void (*entry)(void *) =
 * rcx, void *arg = r8, int *tid = r9): clone(2); the child calls entry(arg) on sp with the thread
 * pointer tp. */
	.globl	ghi_ctx_clone
	.hidden	ghi_ctx_clone
	.type	ghi_ctx_clone, @function
	.p2align 4
ghi_ctx_clone:
	.cfi_startproc
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	movq	%rcx, %r12
	movq	%r8, %r13
	movq	%rdx, %r8		/* tls */
	movq	%r9, %rdx		/* parent_tid */
	movq	%r9, %r10		/* child_tid */
	movl	$56, %eax		/* SYS_clone */
	syscall
	testq	%rax, %rax
	jz	5f
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	retq
5:	jmp	ghi_ctx_entry		/* the child: r12, r13 as ghi_ctx_entry wants them */
	.cfi_endproc
	.size	ghi_ctx_clone, . - ghi_ctx_clone

/* void ghi_ctx_enter_frame(void *frame = rdi, fn = rsi, int sig = edx, void *info = rcx, void *uc =
 * r8): as the kernel enters a handler, with the return address (the restorer) on top. */
	.globl	ghi_ctx_enter_frame
	.hidden	ghi_ctx_enter_frame
	.type	ghi_ctx_enter_frame, @function
	.p2align 4
ghi_ctx_enter_frame:
	.cfi_startproc
	movq	%rsi, %rax
	movq	%rdi, %rsp
	movl	%edx, %edi
	movq	%rcx, %rsi
	movq	%r8, %rdx
	jmpq	*%rax
	.cfi_endproc
	.size	ghi_ctx_enter_frame, . - ghi_ctx_enter_frame

/* Return from a signal handler: byte for byte what unwinders recognise as a signal frame. */
	.globl	ghi_ctx_sigreturn
	.hidden	ghi_ctx_sigreturn
	.type	ghi_ctx_sigreturn, @function
	.p2align 4
	nop
ghi_ctx_sigreturn:
	movq	$15, %rax		/* SYS_rt_sigreturn */
	syscall
	.size	ghi_ctx_sigreturn, . - ghi_ctx_sigreturn

	.section .note.GNU-stack, "", @progbits
