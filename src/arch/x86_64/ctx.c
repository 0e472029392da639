/* First frame of a new context on x86-64; see ctx.h. */
#include <string.h>

#include "src/arch/ctx.h"

int ghi_have_fsgsbase;

extern void ghi_ctx_entry(void) __attribute__((visibility("hidden")));

void *ghi_ctx_make(void *top, void (*entry)(void *), void *arg)
{
	/* ghi_ctx_entry is jumped to with rsp == aligned top, so its call leaves entry() with the
	 * alignment the ABI demands: 16 bytes at the call. */
	char *sp = (char *)((uintptr_t)top & ~(uintptr_t)15) - GHI_FRAME_SIZE;
	uint32_t mxcsr;
	uint16_t fpucw;
	uintptr_t r12 = (uintptr_t)entry, r13 = (uintptr_t)arg, rip = (uintptr_t)ghi_ctx_entry;

	/* A new thread starts with its creator's rounding modes, as clone() has it. */
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(fpucw));
	memcpy(sp + GHI_FRAME_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(sp + GHI_FRAME_FPUCW, &fpucw, sizeof(fpucw));
	memcpy(sp + GHI_FRAME_R12, &r12, sizeof(r12));
	memcpy(sp + GHI_FRAME_R13, &r13, sizeof(r13));
	memcpy(sp + GHI_FRAME_RIP, &rip, sizeof(rip));
	return sp;
}
