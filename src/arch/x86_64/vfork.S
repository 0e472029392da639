/* vfork(): parent and child return from it on the same stack, the child first.
 *
 * The child overwrites everything below the caller's frame, so the return address crosses the system
 * call in a register (rdi, which the kernel keeps) and is pushed again by each of the two.
 *
 *   entry  [ret]      begin() runs below it and returns
 *   call   []         rdi = ret
 *   after  [ret]      tail call of parent(pid or -errno), or child(): their result is vfork's
 */
#if defined(__x86_64__)
	.text
	.globl vfork
	.type vfork, @function
	.p2align 4
vfork:
	.cfi_startproc
	subq $8, %rsp
	.cfi_adjust_cfa_offset 8
	call ghi_vfork_begin
	addq $8, %rsp
	.cfi_adjust_cfa_offset -8
	popq %rdi
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdi
	movl $58, %eax			/* SYS_vfork */
	syscall
	pushq %rdi
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rip, 0
	testq %rax, %rax
	jz 1f
	movq %rax, %rdi
	jmp ghi_vfork_parent
1:	jmp ghi_vfork_child
	.cfi_endproc
	.size vfork, . - vfork
	.section .note.GNU-stack, "", @progbits
#endif
