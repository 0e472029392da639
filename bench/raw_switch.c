/* What does the bare switch of stacks cost, alone and with the thread pointer set?  Linked with the
 * runtime's own switch.S and nothing else of it; one way, least of 20 batches.
 *
 *   raw_switch     JSON: ns
 */
#include "bench/bench.h"
#include "src/arch/ctx.h"

enum { BATCH = 1000000 };

static void *here, *there;
static int with_tp;
static unsigned long tp;

static void *stack[8192] __attribute__((aligned(64)));

static void set_tp(void)
{
#ifdef __x86_64__
	if (with_tp)
		__asm__ volatile("wrfsbase %0" : : "r"(tp) : "memory");
#endif
}

static void answers(void *arg)
{
	for (;;) {
		set_tp();
		ghi_ctx_switch(&there, here);
	}
}

static double least(void)
{
	double best = 0;

	for (int r = 0; r < 20; r++) {
		uint64_t start = now_ns();
		for (int i = 0; i < BATCH; i++) {
			set_tp();
			ghi_ctx_switch(&here, there);
		}
		double ns = (double)(now_ns() - start) / (2.0 * BATCH);
		if (r == 0 || ns < best)
			best = ns;
	}
	return best;
}

int main(void)
{
	there = ghi_ctx_make(stack + sizeof(stack) / sizeof(*stack), answers, NULL);
	double light = least();
	printf("{\"light_ns\": %.2f", light);
#ifdef __x86_64__
	__asm__("mov %%fs:0, %0" : "=r"(tp));
	with_tp = 1;
	printf(", \"full_ns\": %.2f", least());
#endif
	puts("}");
	return 0;
}
