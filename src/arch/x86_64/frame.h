/* Layout of a suspended context on x86-64 (System V ABI 1.0, 3.2.1), for switch.S and the unwinder,
 * and the thread pointer.  Offsets from the saved stack pointer. */
#ifndef GHI_ARCH_X86_64_FRAME_H
#define GHI_ARCH_X86_64_FRAME_H

#define GHI_FRAME_MXCSR 0 /* 4 bytes */
#define GHI_FRAME_FPUCW 4 /* 2 bytes */
#define GHI_FRAME_R15	8
#define GHI_FRAME_R14	16
#define GHI_FRAME_R13	24
#define GHI_FRAME_R12	32
#define GHI_FRAME_RBX	40
#define GHI_FRAME_RBP	48
#define GHI_FRAME_RIP	56
#define GHI_FRAME_SIZE	64

#ifndef __ASSEMBLER__
#include "src/base/sys.h"

#define GHI_ARCH_SET_FS 0x1002

/* wrfsbase may be used; decided once from AT_HWCAP2, never by trying it. */
extern int ghi_have_fsgsbase;

static inline uintptr_t ghi_tp_get(void)
{
	uintptr_t tp; /* the x86-64 TLS ABI stores the thread pointer at its own address */
	__asm__ volatile("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

static inline void ghi_tp_set(uintptr_t tp)
{
	if (__builtin_expect(ghi_have_fsgsbase, 1))
		__asm__ volatile("wrfsbase %0" : : "r"(tp) : "memory");
	else
		ghi_sys(SYS_arch_prctl, GHI_ARCH_SET_FS, tp);
}
#endif
#endif
