/* What a stack has to carry: big arrays, deep recursion, aligned floating point, longjmp, alloca,
 * variadic doubles, and registers that survive blocking calls. */
#include "check.h"
#include <math.h>
#include <setjmp.h>
#include <stdalign.h>

#define N 32

__attribute__((noinline)) static long recurse(int depth)
{
	volatile char frame[100];
	frame[depth % 100] = (char)depth;
	return depth == 0 ? 0 : 1 + recurse(depth - 1) + frame[depth % 100] - (char)depth;
}

__attribute__((noinline)) static long big_array(int seed)
{
	long a[128 * 1024], sum = 0; /* 1 MiB */
	for (int i = 0; i < 128 * 1024; i++)
		a[i] = i ^ seed;
	sleep_ms(1); /* the array has to survive being off the processor */
	for (int i = 0; i < 128 * 1024; i++)
		sum += a[i] ^ seed;
	return sum;
}

__attribute__((noinline)) static void jump(jmp_buf env, int depth)
{
	static volatile int certainly = 1; /* the compiler must not know that we never return */
	if (depth > 0)
		jump(env, depth - 1);
	if (certainly)
		longjmp(env, 42);
	QUIET(!"code after longjmp ran");
}

static void *thread(void *arg)
{
	int me = (int)(intptr_t)arg;
	char text[200];
	jmp_buf env;
	alignas(64) char aligned[64];

	QUIET((uintptr_t)aligned % 64 == 0);
	QUIET(recurse(20000) == 20000);
	QUIET(big_array(me) == 128L * 1024 * (128 * 1024 - 1) / 2);

	/* printf of doubles uses aligned vector stores in the callee. */
	snprintf(text, sizeof(text), "%.3f %Lf %g", me + 0.5, (long double)me, 1e100);
	char expected[200];
	snprintf(expected, sizeof(expected), "%d.500 %d.000000 1e+100", me, me);
	QUIET(!strcmp(text, expected));

	/* Floating point values and callee-saved registers live across many waits. */
	double x = me + 1;
	register long r1 = me * 3, r2 = me * 5, r3 = me * 7;
	for (int i = 0; i < 50; i++) {
		x = sqrt(x * x);
		sched_yield();
		r1++, r2++, r3++;
	}
	QUIET(fabs(x - (me + 1)) < 1e-9);
	QUIET(r1 == me * 3 + 50 && r2 == me * 5 + 50 && r3 == me * 7 + 50);

	volatile int jumps = 0;
	int value = setjmp(env);
	if (value == 0 || jumps < 10) {
		jumps++;
		sched_yield();
		jump(env, 20);
	}
	QUIET(value == 42 && jumps == 10);
	return (void *)(intptr_t)1;
}

int main(void)
{
	pthread_t t[N];
	intptr_t good = 0;
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(thread, (void *)i);
	for (int i = 0; i < N; i++)
		good += (intptr_t)join(t[i]);
	CHECK(good == N);
	printf("%.2f %Lg %a\n", 3.14159, 2.5L, 1.0);
	return check_done();
}
