/* What valgrind is told and asked: where the stacks are, whether it is there.
 *
 * Owns: two client requests, as valgrind.h of its package defines them (an ABI since version 3.0),
 * so that the library does not differ by what the machine that builds it has installed.  Outside of
 * valgrind they are a handful of instructions without effect.  Called by: gthread.c once per
 * mapping, stack.c.
 *
 * Without the first, valgrind takes a switch for a very large frame, and what lies between the two
 * stacks for undefined.
 */
#ifndef GHI_BASE_VALGRIND_H
#define GHI_BASE_VALGRIND_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t ghi_valgrind_ask(uint64_t what, uint64_t a, uint64_t b)
{
	uint64_t answer = 0;
#if defined(__x86_64__)
	volatile uint64_t request[6] = {what, a, b};
	__asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi\n\t"
			 "xchgq %%rbx, %%rbx"
			 : "+d"(answer)
			 : "a"(request)
			 : "cc", "memory");
#endif
	return answer;
}

static inline bool ghi_valgrind_running(void)
{
	return ghi_valgrind_ask(0x1001, 0, 0) != 0;
}

/* lo: lowest byte, hi: one past the highest. */
static inline void ghi_valgrind_stack(const void *lo, const void *hi)
{
	ghi_valgrind_ask(0x1501, (uintptr_t)lo, (uintptr_t)hi - 1);
}

#endif
