/* A program that ends as Free Pascal's halt() does: it returns from main by main's return address,
 * with the stack pointer and the registers of whoever halts. */
#include "check.h"

static void *from_main, *frame_of_caller;

__attribute__((noinline)) static void halt(int status)
{
	__asm__ volatile("mov %0, %%eax\n\t"
			 "mov %1, %%rdx\n\t"
			 "mov %2, %%rcx\n\t"
			 "and $-16, %%rsp\n\t"
			 "mov %%rcx, %%rbp\n\t"
			 "xor %%ebx, %%ebx\n\t"
			 "xor %%r12d, %%r12d\n\t"
			 "xor %%r13d, %%r13d\n\t"
			 "xor %%r14d, %%r14d\n\t"
			 "xor %%r15d, %%r15d\n\t"
			 "jmp *%%rdx"
			 :
			 : "m"(status), "m"(from_main), "m"(frame_of_caller)
			 : "memory", "rax", "rcx", "rdx");
}

__attribute__((noinline)) static void deep(int n)
{
	volatile char frame[200];
	memset((char *)frame, 0x5a, sizeof(frame));
	if (n)
		deep(n - 1);
	else
		halt(6);
	frame[0] = 1;
}

static void at_end(void)
{
	printf("at the end\n");
	fflush(stdout);
}

int main(void)
{
	from_main = __builtin_return_address(0);
	frame_of_caller = *(void **)__builtin_frame_address(0);
	atexit(at_end);
	become_threaded();
	printf("halts\n");
	deep(10);
	return 1;
}
