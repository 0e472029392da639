/* Suite of src/arch/: what a context switch keeps, where a context begins and how it ends.
 *
 * The contexts here are bare: a stack, no thread block, no scheduler.
 */
#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <ucontext.h>
#include <unwind.h>

#include "src/arch/ctx.h"
#include "tests/helpers.h"

enum { STACK = 1 << 20, DEPTH = 10000, MANY = 1000000, ROUNDS = 1000 };

static char stack[STACK] __attribute__((aligned(64)));
static void *here, *there; /* saved contexts: the test and its companion */

static void go(void)
{
	ghi_ctx_switch(&here, there);
}

static void back(void)
{
	ghi_ctx_switch(&there, here);
}

#if defined(__x86_64__)
struct regs {
	uint64_t rbx, rbp, r12, r13, r14, r15;
};

/* Loads *r into the callee-saved registers, switches, and stores what they hold afterwards. */
extern void switch_with(struct regs *r, void **save, void *to);
__asm__(".text\n.type switch_with, @function\nswitch_with:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
	"	mov 0(%rdi), %rbx; mov 8(%rdi), %rbp; mov 16(%rdi), %r12\n"
	"	mov 24(%rdi), %r13; mov 32(%rdi), %r14; mov 40(%rdi), %r15\n"
	"	mov %rsi, %rdi; mov %rdx, %rsi\n"
	"	call ghi_ctx_switch\n"
	"	pop %rdi\n"
	"	mov %rbx, 0(%rdi); mov %rbp, 8(%rdi); mov %r12, 16(%rdi)\n"
	"	mov %r13, 24(%rdi); mov %r14, 32(%rdi); mov %r15, 40(%rdi)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n.size switch_with, . - switch_with\n");

static void check_registers(uint64_t seed, void **save, void **to)
{
	struct regs want = {seed + 1, seed + 2, seed + 3, seed + 4, seed + 5, seed + 6}, r = want;
	switch_with(&r, save, *to);
	must(memcmp(&r, &want, sizeof(r)) == 0);
}

static void other_registers(void *arg)
{
	for (uint64_t i = 0;; i++)
		check_registers(0xb00000000000 + i, &there, &here);
}

START_TEST(callee_saved_registers_survive)
{
	there = ghi_ctx_make(stack + STACK, other_registers, NULL);
	for (uint64_t i = 0; i < ROUNDS; i++)
		check_registers(0xa00000000000 + i, &here, &there);
}
END_TEST

static uint32_t mxcsr(void)
{
	uint32_t v;
	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v & 0xffc0; /* control, not the sticky flags */
}

static uint16_t fpucw(void)
{
	uint16_t v;
	__asm__ volatile("fnstcw %0" : "=m"(v));
	return v;
}

static void set_control(uint32_t m, uint16_t c)
{
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(m), "m"(c));
}

static uint32_t first_mxcsr;

static void other_control(void *arg)
{
	first_mxcsr = mxcsr();
	set_control(0x3f80, 0x077f); /* round down, 53 bits */
	for (;;) {
		back();
		must_eq(mxcsr(), 0x3f80);
		must_eq(fpucw(), 0x077f);
	}
}

START_TEST(floating_point_control_words_survive)
{
	set_control(0x5f80, 0x0b7f); /* round up */
	there = ghi_ctx_make(stack + STACK, other_control, NULL);
	set_control(0x7f80, 0x0f7f); /* to zero */
	for (int i = 0; i < ROUNDS; i++) {
		go();
		must_eq(mxcsr(), 0x7f80);
		must_eq(fpucw(), 0x0f7f);
	}
	/* A new context has the modes of its creator at that time. */
	must_eq(first_mxcsr, 0x5f80);
	set_control(0x1f80, 0x037f);
}
END_TEST
#endif

static uintptr_t entry_frame;
static char printed[64];
static void *entry_arg;

static __attribute__((noinline)) void aligned_entry(void *arg)
{
	volatile double third = 1.0 / 3;
	entry_frame = (uintptr_t)__builtin_frame_address(0);
	entry_arg = arg;
	snprintf(printed, sizeof(printed), "%f %.3f %g", third, 2 * third, 3 * third);
	back();
}

START_TEST(entry_is_aligned_and_gets_its_argument)
{
	/* Whatever the alignment of the top: _i is the offset. */
	there = ghi_ctx_make(stack + STACK - _i, aligned_entry, &entry_frame);
	go();
	ck_assert_uint_eq(entry_frame % 16, 0);
	ck_assert_ptr_eq(entry_arg, &entry_frame);
	ck_assert_str_eq(printed, "0.333333 0.667 1");
}
END_TEST

static __attribute__((noinline)) int deep(int n)
{
	volatile int keep = n;
	if (n == 0) {
		back();
		return 0;
	}
	int r = deep(n - 1) + 1;
	must_eq(keep, n);
	return r;
}

static int depth;

static void deep_entry(void *arg)
{
	depth = deep(DEPTH);
	back();
}

START_TEST(a_switch_in_deep_recursion_keeps_every_frame)
{
	there = ghi_ctx_make(stack + STACK, deep_entry, NULL);
	go();
	ck_assert_int_eq(depth, 0);
	go();
	ck_assert_int_eq(depth, DEPTH);
}
END_TEST

static uint64_t count;

static void counting(void *arg)
{
	for (;;) {
		count++;
		back();
	}
}

START_TEST(a_million_switches)
{
	void *sp = NULL;
	there = ghi_ctx_make(stack + STACK, counting, NULL);
	for (int i = 0; i < MANY; i++) {
		go();
		must(sp == NULL || sp == there); /* the stack does not creep */
		sp = there;
	}
	ck_assert_uint_eq(count, MANY);
}
END_TEST

/* ---- unwinding ------------------------------------------------------------------------------ */

extern void ghi_ctx_entry(void);
enum { MOST = 64, ENTRY_BYTES = 32 };
static uintptr_t frames[MOST];
static int nframes, end_of_walk;

static void walk_libunwind(void)
{
	void *h = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	int (*init)(unw_cursor_t *, unw_context_t *) = dlsym(h, "_ULx86_64_init_local");
	int (*step)(unw_cursor_t *) = dlsym(h, "_ULx86_64_step");
	int (*reg)(unw_cursor_t *, int, unw_word_t *) = dlsym(h, "_ULx86_64_get_reg");
	unw_cursor_t cursor;
	ucontext_t context;

	getcontext(&context);
	must(init(&cursor, &context) == 0);
	do {
		unw_word_t ip;
		must(reg(&cursor, UNW_REG_IP, &ip) == 0);
		frames[nframes++] = ip;
	} while ((end_of_walk = step(&cursor)) > 0 && nframes < MOST);
}

static _Unwind_Reason_Code one_frame(struct _Unwind_Context *c, void *arg)
{
	uintptr_t ip = _Unwind_GetIP(c);
	if (ip && nframes < MOST)
		frames[nframes++] = ip;
	return _URC_NO_REASON;
}

static void walk_libgcc(void)
{
	end_of_walk = _Unwind_Backtrace(one_frame, NULL) == _URC_END_OF_STACK ? 0 : -1;
}

static __attribute__((noinline)) int nested(int n, void (*walk)(void))
{
	int r = n ? nested(n - 1, walk) : (walk(), 0);
	__asm__ volatile("" : "+r"(r));
	return r + 1;
}

static void unwinding_entry(void *walk)
{
	nested(5, (void (*)(void))walk);
	back();
}

START_TEST(unwinding_stops_at_the_entry)
{
	void (*const walks[])(void) = {walk_libunwind, walk_libgcc};
	void **top = (void **)(stack + STACK - 256);
	for (int i = 0; i < 32; i++)
		top[i] = (char *)go + 4; /* what an unwinder would find that does not stop */
	there = ghi_ctx_make(top, unwinding_entry, (void *)walks[_i]);
	go();
	ck_assert_int_eq(end_of_walk, 0);
	ck_assert_int_ge(nframes, 7);
	ck_assert_int_lt(nframes, MOST);
	uintptr_t last = frames[nframes - 1], entry = (uintptr_t)ghi_ctx_entry;
	ck_assert_msg(last > entry && last < entry + ENTRY_BYTES, "ends at %lx, entry is %lx", last,
		      entry);
}
END_TEST

Suite *suite_ctx(void)
{
	Suite *s = suite_create("ctx");
#if defined(__x86_64__)
	add_test(s, callee_saved_registers_survive);
	add_test(s, floating_point_control_words_survive);
#endif
	add_loop(s, entry_is_aligned_and_gets_its_argument, 17);
	add_test(s, a_switch_in_deep_recursion_keeps_every_frame);
	add_test(s, a_million_switches);
	add_loop(s, unwinding_stops_at_the_entry, 2);
	return s;
}
